"""The daemon's answer to who may do what: of whoever asks, and, for admins, of anybody."""

from __future__ import annotations

import asyncio
from typing import Any, Optional

from msgspec.structs import replace
from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine.permission import target, targets_of
from daqsched.errors import Unreachable, UserError
from daqsched.limits import shown
from daqsched.protocol import RightsAnswer
from daqsched.rights.grants import FARM, Grants, Target
from daqsched.rights.principal import KEPT_ELSEWHERE, PREFIXES, Principal
from daqsched.rights.rules import Rights
from daqsched.rights.verbs import VERBS
from daqsched.saved_choices import whose as choices_of
from daqsched.serve.accounts import Accounts
from daqsched.serve.daemon import Ask
from daqsched.serve.http import Caller, caller_of, is_owner, permit, route
from daqsched.serve.request_body import part_of, text_of
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.serve.visibility import visibility_of

#: So long the accounts of somebody are looked up at most: a person of the file may have many.
SOMEBODY_S = 3.0


class RightsRoutes:
    """One route; ``ask`` puts a question to the engine."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [route("GET", "/rights", self.rights)]

    async def rights(self, request: Request) -> RightsAnswer:
        user, job, host, variable = (text_of(request, name) for name in ("user", "job", "host", "variable"))
        part = part_of(request)
        caller = caller_of(request)
        who, grants = caller.who, caller.grants
        in_force: Optional[RightsInForce] = request.scope.get("rights")
        if user and user != who.name:
            permit(request, "rights")
            if in_force is None:
                raise UserError("this farm has no file of rights: whoever may use the socket may all")
            who = await somebody(user, in_force.rights, request.scope["accounts"])
            grants = in_force.grants(who)
        if grants is None or in_force is None:
            return RightsAnswer(who.name, sorted(who.known_as), {}, False)
        if variable:
            meant_by = await self._of_variable(request, variable, part)
            verbs = {verb: grants.refusal(verb, meant_by) for verb in VERBS}
        else:
            verbs = await self._of_job_or_farm(caller, grants, job, host)
        return RightsAnswer(
            who.name,
            sorted(grants.called),
            verbs,
            True,
            str(in_force.path),
            in_force.trouble,
            not grants.somewhere("apply"),
        )

    async def _of_job_or_farm(self, caller: Caller, grants: Grants, job: str, host: str) -> dict[str, str]:
        meant = FARM
        if job or host:
            meant = await self._ask(lambda engine, now: target(engine, (job, host)) if host else _of_job(engine, job))
            if caller.grants is not None and caller.grants.why_not("see", meant):
                meant = Target(job, host, forgotten=True)  # as if it were not there
        return dict(grants.rows(() if meant == FARM else [meant]))

    async def _of_variable(self, request: Request, name: str, part: Optional[str]) -> list[Target]:
        """All that somebody may change who sets it."""
        kept = await self._ask(lambda engine, now: tuple(one for one in engine.choices if not one.until))
        visibility = await visibility_of(request, self._ask)
        shown = (
            kept
            if visibility is None
            else await asyncio.to_thread(lambda: tuple(filter(visibility.sees_choices, kept)))
        )
        found = choices_of(shown, {name: ""}, part)
        jobs = (replace(job, part=found.part) for job in found.choices.jobs)
        return list(dict.fromkeys(one for job in jobs for one in targets_of(job)))


def _of_job(engine: Any, name: str) -> Target:
    job = engine.desired.job(name)
    return Target(name, "", job.owner, job.part) if job is not None else Target(name, forgotten=True)


async def somebody(word: str, rights: Rights, accounts: Accounts) -> Principal:
    """Who somebody is that does not ask himself: a person of the file's, or an identity with its prefix. Of an account the groups
    are looked up; raises `UserError` where there is none, `Unreachable` where that is not told within `SOMEBODY_S`."""
    try:
        return await asyncio.wait_for(_somebody(word, rights, accounts), SOMEBODY_S)
    except asyncio.TimeoutError as error:
        raise Unreachable(
            f"who {word!r} is was not found within {SOMEBODY_S:g} s: is the directory of accounts up? Ask again"
        ) from error


async def _somebody(word: str, rights: Rights, accounts: Accounts) -> Principal:
    prefix, colon, name = word.partition(":")
    if colon and prefix not in PREFIXES:
        raise UserError(f"{prefix!r} is not a prefix of identities: one of {', '.join(PREFIXES)}")
    if not word.isprintable():
        raise UserError(f"there is no person and no account {shown(word)}")
    known = frozenset([word]) if colon else frozenset(rights.people.get(word, ()))
    if not known:
        known = frozenset([f"unix:{word}"])
    owner = doubt = False
    for one in sorted(known):
        prefix, _, name = one.partition(":")
        if prefix == "unix":
            uid = await accounts.number(name)
            if uid is None:
                if not colon and word not in rights.people:
                    raise UserError(f"there is no person and no account {word!r}")
                continue
            account = await accounts.account(uid)
            known |= {f"unix-group:{group}" for group in account.groups}
            owner, doubt = owner or is_owner(uid), doubt or account.doubt
    # who is in a group that is kept elsewhere, is told with a log-in there and not before
    unasked = {f"{prefix}-group" for prefix, _, _ in (one.partition(":") for one in known)} & KEPT_ELSEWHERE
    return Principal(word, known, owner, doubt=doubt, unasked=frozenset(unasked))
