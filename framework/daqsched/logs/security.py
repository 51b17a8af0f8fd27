"""Elasticsearch's own security: roles and users for those who may read lines, put there by its API.

What is to be done is found out first, as steps: what takes something away comes before what gives. So whoever can't be served
is told before anything is changed, and where it ends halfway the same again goes on.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import msgspec

from daqsched.errors import Refused, Unreachable, UserError
from daqsched.logs.elastic import Answer, Elastic
from daqsched.logs.reader_roles import DOCUMENTS, MADE_BY, PREFIX, ReaderRole, Readers

_ROLE, _USER = "/_security/role", "/_security/user"

#: What Elasticsearch takes as the name of a user, a header before its password, and we as that of his file.
_NAME = re.compile(r"[A-Za-z0-9_][ -.0-9;-~]{0,254}(?<! )\Z")

#: A password as we make them, so that nothing else of a file becomes one.
_SECRET = re.compile(r"[A-Za-z0-9_-]{32,128}\Z")


class _Licence(msgspec.Struct):
    status: str
    type: str


class _Licenced(msgspec.Struct):
    license: _Licence


class _Made(msgspec.Struct):
    metadata: Optional[dict[str, Any]] = None

    def is_ours(self, prefix: str) -> bool:
        """Whether we made it, for these indices."""
        metadata = self.metadata or {}
        return metadata.get("made_by") == MADE_BY and metadata.get("index") == prefix


class _Role(_Made):
    cluster: list[str] = []
    indices: list[dict[str, Any]] = []
    applications: list[Any] = []
    run_as: list[str] = []

    def says(self, body: Mapping[str, Any]) -> bool:
        """Whether it is as the body that we would send; Elasticsearch gives a query back as text, and adds what is default."""
        kept = {
            "cluster": self.cluster,
            "indices": [_index(one) for one in self.indices],
            "applications": self.applications,
            "run_as": self.run_as,
            "metadata": self.metadata,
        }
        return kept == {"applications": [], "run_as": [], **body, "indices": [_index(one) for one in body["indices"]]}


class _User(_Made):
    roles: list[str] = []
    full_name: Optional[str] = None
    email: Optional[str] = None
    enabled: bool = True


class SecurityStep(NamedTuple):
    """One thing that is seen to."""

    #: What it is about, and what becomes of it, in words that do for what is to be done, too.
    what: str
    detail: str
    method: str = ""
    #: Empty: nothing is to be done.
    path: str = ""
    body: Any = None
    #: The file with the new user's name and password.
    secret: Optional[Path] = None


def has_documents(client: Elastic) -> bool:
    """Whether its licence has document-level security. Raises as `Elastic.ask`, and `Refused`."""
    answer = _asked(client, "GET", "/_license", what="see the licence", right="monitor")
    found = client.read(answer.body, _Licenced).license
    return found.status == "active" and found.type in DOCUMENTS


def steps(client: Elastic, found: Readers, prefix: str, secrets_in: Optional[Path]) -> list[SecurityStep]:
    """What it takes to make it so, and what is so already. Nothing is changed; raises where it can't be done.

    ``secrets_in``: the folder for passwords; None where nothing is to be done of it. What lies there for new users is looked at.
    """
    roles = client.read(_asked(client, "GET", _ROLE, what="see roles").body, dict[str, _Role])
    users = client.read(_asked(client, "GET", _USER, what="see users").body, dict[str, _User])
    for role in found.roles:
        there = roles.get(role.name)
        if there is not None and not there.is_ours(prefix):
            raise Refused(
                f"there is a role {role.name} that was not made by this command: rename that one, then call this again"
            )
    wanted = {role.user: role.name for role in found.roles if role.user}
    for user, name in wanted.items():
        # somebody may be called so there who is another one than here
        if user in users and not users[user].is_ours(prefix) and name not in users[user].roles:
            raise Refused(
                f"there is a user {user} that was not made by this command, nothing was changed: if that is the same person, give "
                f"that user the role {name} by hand, else call the person otherwise in the file; then call this again"
            )
    return [
        *_taken(found, prefix, roles, users, wanted),
        # one that is there may give less than it did
        *(
            _role(role, roles.get(role.name), prefix)
            for role in sorted(found.roles, key=lambda one: one.name not in roles)
        ),
        *(_user(user, name, users.get(user), prefix, secrets_in) for user, name in wanted.items()),
    ]


def take(client: Elastic, todo: Sequence[SecurityStep]) -> Iterator[SecurityStep]:
    """Take the steps, giving each when it is done. Where one fails the error says how many were done before."""
    wanted = sum(bool(step.path) for step in todo)
    done = 0
    for step in todo:
        if step.path:
            try:
                if step.secret is not None:
                    _make(client, step)
                else:
                    _asked(client, step.method, step.path, step.body, f"see to the {step.what}")
            except (Refused, Unreachable, UserError) as error:
                # what they are made of differs with the kinds below these
                kind = next(one for one in (Refused, Unreachable, UserError) if isinstance(error, one))
                this = (
                    "this one perhaps, those after it were not"
                    if kind is Unreachable
                    else "this one and those after it were not"
                )
                left = f"{done} of {wanted} changes were made, {this}: call this again, which goes on"
                raise kind(f"{step.what}: {error}; {left}") from error
            done += 1
        yield step


def _taken(
    found: Readers, prefix: str, roles: Mapping[str, _Role], users: Mapping[str, _User], wanted: Mapping[str, str]
) -> Iterator[SecurityStep]:
    """What the rights give no more: first from users, as a role that somebody has is given again by its name."""
    for name, known in users.items():
        ours = [one for one in known.roles if one.startswith(PREFIX)]
        if known.is_ours(prefix) and name not in wanted and ours:
            kept = [one for one in known.roles if one not in ours]
            yield SecurityStep(
                f"user {name}",
                f"has no role of ours any more{_by_hand(kept)}",
                "PUT",
                f"{_USER}/{_quoted(name)}",
                _changed(known, kept, prefix),
            )
    names = {role.name for role in found.roles}
    for name, there in roles.items():
        if name.startswith(PREFIX) and there.is_ours(prefix) and name not in names:
            yield SecurityStep(
                f"role {name}",
                "deleted, as the rights give it no lines that Elasticsearch could",
                "DELETE",
                f"{_ROLE}/{_quoted(name)}",
            )


def _role(role: ReaderRole, there: Optional[_Role], prefix: str) -> SecurityStep:
    body = role.body(prefix)
    what, detail = f"role {role.name}", f"of {role.whom}"
    if there is not None and there.says(body):
        return SecurityStep(what, detail)
    return SecurityStep(what, detail, "PUT", f"{_ROLE}/{_quoted(role.name)}", body)


def _user(name: str, role: str, known: Optional[_User], prefix: str, secrets_in: Optional[Path]) -> SecurityStep:
    what, path = f"user {name}", f"{_USER}/{_quoted(name)}"
    if known is None:
        if not _NAME.match(name):
            return SecurityStep(
                what, f"can't be made, nor a file of that name: make a user yourself and give him the role {role}"
            )
        secret = None if secrets_in is None else secrets_in / name
        if secret is not None:
            try:
                _look(secret, name)
            except UserError as error:
                raise UserError(f"{what}: {error}; nothing was changed") from error
        where = f"; its name and password are in {secret}, for --elasticsearch-user-file" if secret is not None else ""
        return SecurityStep(what, f"has the role {role}{where}", "PUT", path, _body([role], prefix), secret)
    if not known.is_ours(prefix):
        return SecurityStep(what, "was there before, and has its role: it is left as it is")
    others = [one for one in known.roles if not one.startswith(PREFIX)]
    detail = f"has the role {role}{_by_hand(others)}{'' if known.enabled else ', and is disabled, by hand'}"
    if sorted(known.roles) == sorted([role, *others]):
        return SecurityStep(what, detail)
    return SecurityStep(what, detail, "PUT", path, _changed(known, [role, *others], prefix))


def _make(client: Elastic, step: SecurityStep) -> None:
    """A user with a password, which is in its file before Elasticsearch has it: the other way round it could be lost."""
    assert step.secret is not None, "a new user has a file"
    name = step.secret.name
    secret, is_new = _password(step.secret, name)
    try:
        _asked(client, step.method, step.path, {**step.body, "password": secret}, f"make the {step.what}")
    except Refused:
        if is_new:
            step.secret.unlink()
        raise  # without an answer nobody knows whether that password counts now: it is kept


def _look(path: Path, name: str) -> None:
    """Raises `UserError` where the password of a new user could neither be written there nor is there already."""
    if _written(path, name) is not None:
        return
    # where there is none it is made
    folder = path.parent if os.path.lexists(path.parent) else path.parent.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        why = "this account may not write there" if folder.is_dir() else "there is no such folder"
        raise UserError(f"its password can't be written to {path}: {why} ({folder})")


def _password(path: Path, name: str) -> tuple[str, bool]:
    """A new one, written down; or the one that is there, where an earlier call wrote it. Raises `UserError`."""
    there = _written(path, name)
    if there is not None:
        return there, False
    secret = secrets.token_urlsafe(24)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{name}:{secret}\n")
    except OSError as error:
        raise UserError(f"its password can't be written to {path}: {error.strerror}") from error
    return secret, True


def _written(path: Path, name: str) -> Optional[str]:
    """The password that an earlier call wrote there; None: there is no file. Raises `UserError` where it is of somebody else."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(opened, encoding="ascii", errors="replace") as there:
            found = os.fstat(opened)
            user, _, secret = there.readline(1000).strip().rpartition(":")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"its password can't be read from {path}: {error.strerror}; move that file away") from error
    mine = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    if not mine or user != name or not _SECRET.match(secret):
        raise UserError(f"{path} is there and is no password that this command wrote for {name}: move that file away")
    return secret


def _body(roles: list[str], prefix: str) -> dict[str, Any]:
    return {"roles": roles, "metadata": {"made_by": MADE_BY, "index": prefix}}


def _changed(known: _User, roles: list[str], prefix: str) -> dict[str, Any]:
    """With what people have given it: a PUT that does not say that somebody is disabled makes him able again."""
    return {
        **_body(roles, prefix),
        "metadata": known.metadata,
        "full_name": known.full_name,
        "email": known.email,
        "enabled": known.enabled,
    }


def _by_hand(roles: Sequence[str]) -> str:
    return f", beside {', '.join(roles)}, which was given by hand" if roles else ""


def _index(one: Mapping[str, Any]) -> dict[str, Any]:
    """As it can be compared: without what is default, and a query as what it says."""
    query = one.get("query")
    if isinstance(query, str):
        try:
            query = msgspec.json.decode(query)
        except msgspec.DecodeError:
            pass  # somebody else's: it is not as ours
    left = {key: value for key, value in one.items() if value not in (None, False) and key not in ("query",)}
    for key in ("names", "privileges"):
        left[key] = sorted(map(str, one.get(key) or ()))
    return {**left, "query": query}


def _asked(
    client: Elastic, method: str, path: str, body: Any = None, what: str = "", right: str = "manage_security"
) -> Answer:
    answer = client.ask(method, path, body)
    if answer.status >= 300:
        takes = f" (this takes the cluster's right {right})" if answer.status == 403 else ""
        raise Refused(f"Elasticsearch at {client.nodes} does not let us {what}{takes}: {answer.why}")
    return answer


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
