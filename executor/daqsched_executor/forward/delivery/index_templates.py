"""Sees to it that what lines make new indices with are our field types: by the templates, or index by index.

An index that Elasticsearch makes out of the first line has text where we need keywords, and nobody finds a line in it. So
before a line makes an index it is known that our template is there; where we may neither install nor see it (a role that
may only store), each index is made by us, with our fields. Where not even that is allowed, lines wait, with a warning.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ...contract.template import FIELDS, TEMPLATE_VERSION, chosen, template, templates
from .connection import Reply, Warn

#: Answers to a whole request that mean "later"; other refusals mean that somebody must change something.
LATER = (408, 429, 500, 502, 503, 504)

#: So often an index is looked at while no template sees to it: it may have been deleted.
AGAIN_S = 10.0

#: What lines are searched and sorted by.
_NEEDED = ("@timestamp", "host.name", "service.name", "service.node.name", "daqsched.stream", "log.offset")

Ask = Callable[..., "Reply | None"]


class IndexTemplates:
    """Whether lines may make an index; one sender's own."""

    def __init__(self, ask: Ask, prefix: str, warn: Warn, note: Warn) -> None:
        """``ask`` makes a request, as `Elastic` does: method, path, body; None: there was no answer, and a warning says so.
        ``note`` takes what is not a trouble."""
        self._ask = ask
        self._prefix = prefix
        self._warn, self._note = warn, note
        #: The templates see to it; so it is taken to be until `install` finds otherwise.
        self._installed = True
        #: We may look at templates, and there is none of ours.
        self._absent = False
        #: Our credentials are rejected: nothing else is to be asked.
        self._unknown = False
        self._told = False
        self._seen: dict[str, float] = {}

    def install(self) -> bool:
        """Install the templates, or update older ones with what was chosen by `daqsched logs setup`; a newer one is left alone.

        False: no answer, ask again later.
        """
        self._installed, self._absent, self._unknown = True, False, False
        for name in templates(self._prefix):
            reply = self._ask("GET", f"/_index_template/{name}")
            version, choice = chosen(_json(reply)) if reply is not None and reply.status == 200 else (0, None)
            if version >= TEMPLATE_VERSION:
                continue
            absent = reply is not None and reply.status == 404
            if reply is not None and reply.status in (200, 404):
                body = templates(self._prefix, choice)[name] if choice else templates(self._prefix)[name]
                reply = self._ask("PUT", f"/_index_template/{name}", json.dumps(body).encode())
            if reply is None or reply.status in LATER:
                self._installed = False
                return False
            if reply.status == 401:
                self._installed = False
                self._warn("request", f"Elasticsearch takes no lines: {words(reply)}; they wait on disk")
                self._unknown = True
                return True
            if reply.status != 200:
                self._installed = False
                self._absent |= absent
                if not self._told:
                    # the role as it is documented is enough: it may neither see nor install them
                    tell = self._note if _lacks_right(reply) else self._warn
                    tell(
                        "template",
                        f"cannot see to the index template {name} ({words(reply)}); each index is made with our fields instead, "
                        "but how long lines are kept is not known: daqsched logs setup",
                    )
        self._told = True
        return True

    def ready(self, index: str) -> bool:
        """Whether lines may go there. False: there was a warning that says why; ask again later."""
        now = time.monotonic()
        if self._installed or now - self._seen.get(index, -AGAIN_S) < AGAIN_S:
            return True
        if not self.install() or self._unknown:
            return False
        if self._installed or self._there(index) or self._made(index):
            self._seen = {name: seen for name, seen in self._seen.items() if now - seen < AGAIN_S}
            self._seen[index] = now
            return True
        return False

    def _there(self, index: str) -> bool:
        """Whether the index is there. With other fields than ours lines are stored all the same, as they may wait for ever."""
        reply = self._ask("GET", f"/{index}/_mapping?filter_path=*.mappings.properties")
        if reply is None or reply.status != 200:
            return False
        wrong = unlike(_json(reply))
        if wrong:
            self._warn(
                "fields",
                f"{index} was made without daqsched's template ({', '.join(wrong[:3])}): lines are stored there, and not found; "
                "daqsched logs setup, then delete it or reindex it under its name",
            )
        return True

    def _made(self, index: str) -> bool:
        body = template(self._prefix)["template"]
        if not self._absent:
            # there may be a template that we can't see, with replicas that somebody chose
            del body["settings"]["index"]["auto_expand_replicas"]
        reply = self._ask("PUT", f"/{index}", json.dumps(body).encode())
        if reply is None or reply.status in LATER:
            return False
        if reply.status == 200 or b"resource_already_exists_exception" in reply.body:
            return True
        self._warn(
            "index",
            f"cannot see to it that {index} gets daqsched's fields ({words(reply)}): lines wait on disk; give the forwarders' role "
            f"create_index and view_index_metadata on {self._prefix}-*, or the cluster's manage_index_templates, "
            "or the cluster's monitor after `daqsched logs setup`",
        )
        return False


def unlike(answer: Any) -> list[str]:
    """Which fields of an index, by the answer of ``GET INDEX/_mapping``, have other types than ours: ``host.name is text``."""
    wrong = []
    for index in answer.values() if isinstance(answer, Mapping) else ():
        for name in _NEEDED:
            found: Any = index
            for part in ("mappings", *(part for level in name.split(".") for part in ("properties", level)), "type"):
                found = found.get(part) if isinstance(found, Mapping) else None
            ours = FIELDS[name]["type"]
            if found != ours and not (ours == "date_nanos" and found == "date"):
                wrong.append(f"{name} is {found or 'not there'}")
    return wrong


def _lacks_right(reply: Reply) -> bool:
    """Whether it is refused because of our role, and not because of the cluster's state, or by somebody before it."""
    answer = _json(reply)
    error = answer.get("error") if isinstance(answer, Mapping) else None
    return reply.status == 403 and isinstance(error, Mapping) and error.get("type") == "security_exception"


def words(reply: Reply) -> str:
    """The reason that an error reply gives, short: of a long one begin and end, where the missing right is named."""
    try:
        error = json.loads(reply.body)["error"]
        text = f"{error['type']}: {error['reason']}" if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError, RecursionError):
        text = reply.body[:200].decode("utf-8", "replace").strip() or _named(reply.status)
    text = " ".join(text[:4000].split())
    return f"{reply.status} {text if len(text) <= 300 else f'{text[:150]} ... {text[-150:]}'}"


def _named(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
