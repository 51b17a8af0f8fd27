"""What the audit file is told of a request: who asked, for what, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Callable, Optional

import msgspec
from starlette.requests import Request

from daqsched.digests import digest
from daqsched.protocol import (
    API,
    Applied,
    NoteAnswer,
    OrderAnswer,
    PreflightBegun,
    ProposalAnswer,
    RolloutAnswer,
    Selected,
)
from daqsched.rights.grants import Grants
from daqsched.serve.audit import DONE, Audit, Entry
from daqsched.spec import Spec
from daqsched_executor.contract import ORDER_KINDS

#: What changes something, or gives all of the state away: noted in any case. Of all else only that it was refused.
CHANGES = frozenset(
    "token revoke login logout oidc-login"
    " apply set rollback preflight stop hold start order rollout restart aside return replace borrow console note take give"
    " propose approve reject withdraw".split()
)
#: What else there is; any other path is one.
QUESTIONS = frozenset(
    "info backup log status progress why stories incidents names plan history rights revisions sandboxes consoles tokens"
    " audit openapi.json choices lines control proposals board events oidc".split()
)

#: What `SteerRequest` may ask of a rollout.
STEPS = frozenset("pause resume abort rollback".split())

#: Fields of requests that are noted by other names, and those that are not: of a spec there is its digest.
NAMES = {
    "revision": "back_to",
    "until": "until_s",
    "id": "order",
    "spec": "digest",
    "number": "proposal",
    "base": "if_unchanged",
}
LEFT_OUT = frozenset(
    """choices what kind strategy pieces finished keys password code state back iss error
    grep streams levels since after runs most by every_s offset_s at line scope fingerprints follow""".split()
)


def path_of(request: Request) -> str:
    """What its route was found by. `request.url` is built of the Host header, and so of whatever the caller likes."""
    path: str = request.scope["path"]
    return path


async def note(request: Request, result: str, why: str = "", found: Any = None, verb: str = "") -> None:
    """Write what became of it; on the disk when this returns."""
    audit: Optional[Audit] = request.scope.get("audit")
    if audit is None:
        return
    path = path_of(request)
    name = path[len(API) + 1 :].partition("/")[0] if path.startswith(f"{API}/") else ""
    change = name == "backup" or (name in CHANGES and request.method == "POST")
    if result == DONE and not change:
        return
    caller = request.scope["caller"]
    body = getattr(request.state, "asked", None)

    # a thread of its own: whatever else takes long on others holds no change up, nor a refusal
    if isinstance(getattr(body, "spec", None), Spec):
        asked = await asyncio.to_thread(_asked, body, request.app.state.told)
    else:
        asked = _asked(body)

    def write() -> None:
        more = getattr(body, "what", "") or getattr(body, "kind", "")
        more = f" {more}" if more in ORDER_KINDS or more in STEPS else ""
        known = name if name in CHANGES or name in QUESTIONS else "other"
        about = {**asked, **_became(found)}
        who = (caller.name, caller.uid, caller.gid, caller.pid, caller.door, caller.via)
        audit.note(Entry(*who, f"{known}{more}", result, about, why, known_as(caller.grants), verb))

    await asyncio.get_running_loop().run_in_executor(audit.thread, write)


def known_as(grants: Optional[Grants]) -> Sequence[str]:
    """Who that is to the farm's rights, if there are any."""
    return grants.known_as if grants is not None else ()


def _asked(body: Any, told: Callable[[str], str] = str) -> dict[str, Any]:
    """What is worth knowing of a request: all but specs, of which there is the digest, and what was not said."""
    if not isinstance(body, msgspec.Struct):
        return {}
    found: dict[str, Any] = {}
    for field in body.__struct_fields__:
        value = getattr(body, field)
        if value and field not in LEFT_OUT:
            found[NAMES.get(field, field)] = told(digest(value)) if isinstance(value, Spec) else value
        if isinstance(value, Spec) and value.part:
            found["part"] = value.part
    return found


def _became(found: Any) -> dict[str, Any]:
    """Numbers by which the change is found again."""
    if isinstance(found, Applied):
        proposed = {"proposed_by": found.proposed_by} if found.proposed_by else {}
        return {"digest": found.digest, "revision": found.revision, "rollout": found.rollout or None, **proposed}
    if isinstance(found, ProposalAnswer):
        return {"proposal": found.proposal.number}
    if isinstance(found, RolloutAnswer) and found.rollout is not None:
        return {"rollout": found.rollout.number}
    if isinstance(found, Selected):
        return {"count": found.count}
    if isinstance(found, NoteAnswer):
        return {"note": found.notes[0].number} if found.notes else {}
    if isinstance(found, OrderAnswer):
        return {"order": found.id, "count": len(found.accepted)}
    if isinstance(found, PreflightBegun):
        return {"preflight": found.id, "count": found.hosts}
    return {}
