"""Elasticsearch's own security: roles and users for those who may read lines, put there by its API."""

from __future__ import annotations

import os
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import msgspec

from daqsched.errors import Refused, UserError
from daqsched.logs.elastic import Answer, Elastic
from daqsched.logs.reader_roles import DOCUMENTS, MADE_BY, PREFIX, Readers


class _Licence(msgspec.Struct):
    status: str
    type: str


class _Licenced(msgspec.Struct):
    license: _Licence


class _Known(msgspec.Struct):
    metadata: Optional[dict[str, Any]] = None
    roles: list[str] = []

    def is_ours(self, prefix: str) -> bool:
        """Whether we made it, for these indices."""
        metadata = self.metadata or {}
        return metadata.get("made_by") == MADE_BY and metadata.get("index") == prefix


def has_documents(client: Elastic) -> bool:
    """Whether its licence has document-level security. Raises as `Elastic.ask`, and `Refused`."""
    answer = _asked(client, "GET", "/_license", what="see the licence")
    found = client.read(answer.body, _Licenced).license
    return found.status == "active" and found.type in DOCUMENTS


def put(client: Elastic, found: Readers, prefix: str, secrets_in: Path) -> Iterator[str]:
    """Make it so, with a sentence for each step; a user that is new gets a password, in a file of his name."""
    roles = _known(client, "/_security/role", "see roles")
    users = _known(client, "/_security/user", "see users")
    for role in found.roles:
        there = roles.get(role.name)
        if there is not None and not there.is_ours(prefix):
            raise Refused(
                f"there is a role {role.name} that was not made by this command: rename that one, then call this again"
            )
        _asked(client, "PUT", f"/_security/role/{_quoted(role.name)}", role.body(prefix), f"make the role {role.name}")
        yield f"role {role.name}: of {role.whom}"
    wanted = {role.user: role.name for role in found.roles if role.user}
    for user, name in wanted.items():
        yield _user(client, user, name, users.get(user), prefix, secrets_in)
    for user, known in users.items():
        if known.is_ours(prefix) and user not in wanted and known.roles:
            _asked(client, "PUT", f"/_security/user/{_quoted(user)}", _body([], prefix), f"change the user {user}")
            yield f"user {user}: has no role any more"
    names = {role.name for role in found.roles}
    for name, known in roles.items():
        if name.startswith(PREFIX) and known.is_ours(prefix) and name not in names:
            _asked(client, "DELETE", f"/_security/role/{_quoted(name)}", None, f"delete the role {name}")
            yield f"role {name}: deleted, as the rights give it no lines any more"


def _user(client: Elastic, user: str, role: str, known: Optional[_Known], prefix: str, secrets_in: Path) -> str:
    if known is not None and not known.is_ours(prefix):
        return f"user {user}: was there before, and is left as it is; give it the role {role}"
    body = _body([role], prefix)
    if known is not None:
        _asked(client, "PUT", f"/_security/user/{_quoted(user)}", body, f"change the user {user}")
        return f"user {user}: has the role {role}"
    path = secrets_in / user
    if "/" in user or user.startswith("."):
        raise UserError(f"{user!r} can't be the name of a file: make that user yourself, with the role {role}")
    secret = secrets.token_urlsafe(24)
    try:
        secrets_in.mkdir(mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{user}:{secret}\n")
    except OSError as error:
        raise UserError(f"the password of {user} can't be written to {path}: {error.strerror}") from error
    try:
        _asked(client, "PUT", f"/_security/user/{_quoted(user)}", {**body, "password": secret}, f"make the user {user}")
    except BaseException:
        path.unlink()
        raise
    return f"user {user}: has the role {role}; its name and password are in {path}, for --elasticsearch-user-file"


def _body(roles: list[str], prefix: str) -> dict[str, Any]:
    return {"roles": roles, "metadata": {"made_by": MADE_BY, "index": prefix}}


def _known(client: Elastic, path: str, what: str) -> Mapping[str, _Known]:
    return client.read(_asked(client, "GET", path, what=what).body, dict[str, _Known])


def _asked(client: Elastic, method: str, path: str, body: Any = None, what: str = "") -> Answer:
    answer = client.ask(method, path, body)
    if answer.status >= 300:
        right = "this takes the right manage_security"
        raise Refused(f"Elasticsearch at {client.nodes} does not let us {what} ({right}): {answer.why}")
    return answer


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
