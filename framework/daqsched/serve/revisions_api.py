"""The daemon's answers about revisions: which there were, and what one said, as whoever asks may see it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Callable, Optional

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine.commands import Revision
from daqsched.engine.engine import Engine
from daqsched.engine.farm_state import ApplyCounts
from daqsched.engine.job_owners import taken
from daqsched.engine.permission import targets_of
from daqsched.engine.rollout_steps import outcome_of
from daqsched.errors import UserError
from daqsched.jobfile.conflicts import ensure_named_once
from daqsched.logbook import between
from daqsched.protocol import HiddenAnswer, HideRequest, HistoryAnswer, RevisionAnswer, RevisionHead
from daqsched.redaction import marks, veiled, veiled_source
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.guess_pace import GuessPace
from daqsched.serve.http import Caller, caller_of, grants_of, route, whose
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.request_body import body_of, count_of, part_of, which_of
from daqsched.serve.visibility import Visibility, visibility_of
from daqsched.spec import EMPTY, JobSpec, Spec
from daqsched.views.plan import plan

#: So many revisions an answer tells of.
MOST_REVISIONS = 10_000

#: Of so many, what began and ended with them.
MOST_COMPARED = 50


class RevisionRoutes:
    """Routes; ``ask`` puts a question to the engine, ``may_see`` says who is shown secrets."""

    def __init__(
        self, daemon: Daemon, ask: Ask, planning: Planning, may_see: Callable[[Caller], bool], guesses: GuessPace
    ) -> None:
        self._daemon, self._ask, self._planning, self._may_see = daemon, ask, planning, may_see
        self._guesses = guesses

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("GET", "/history", self.history),
            route("GET", "/revisions/{number}", self.revision),
            route("POST", "/plan/hidden", self.hidden),
        ]

    async def history(self, request: Request) -> HistoryAnswer:
        most = count_of(request, "most", 20, MOST_REVISIONS)
        part, sees, before = part_of(request), self._may_see(caller_of(request)), which_of(request, "before")

        def look(engine: Engine, now: float) -> list[tuple[RevisionHead, int]]:
            found = self._daemon.history(most + 2 if part is None and not before else MOST_REVISIONS)
            olders = [*(one.number for one in found[1:]), 0]
            heads = ((_head(one, engine, sees), older) for one, older in zip(found, olders))
            wanted = ((head, older) for head, older in heads if part in (None, head.part))
            return [(head, older) for head, older in wanted if not before or head.number < before][: most + 1]

        visibility = await visibility_of(request, self._ask)
        heads: list[RevisionHead] = []
        specs: dict[int, Spec] = {0: EMPTY}
        found = await self._ask(look)
        known = await self._ask(lambda engine, now: dict(engine.effects.counts))
        for head, older in found[:most]:
            if len(heads) < MOST_COMPARED:
                for number in {head.number, older}.difference(specs):
                    specs[number] = (await self.found(number)).spec
                old, new = specs[older], specs.pop(head.number)
                counts = await self._planning.do(whose(request), partial(_counts, old, new, visibility))
                if visibility is None and head.number in known:
                    counts = _as_it_was(known[head.number], counts)
                source = new.source if sees else veiled_source(new.source)
                head = msgspec.structs.replace(head, source=source, changes=counts)
            head = head if visibility is None else visibility.head(head)
            went = head.rollout.words() if head.rollout is not None else ""
            heads.append(msgspec.structs.replace(head, went=went))
        notes = await self._ask(lambda engine, now: between([head.time for head in heads], engine.logbook))
        heads = [msgspec.structs.replace(head, notes=its) for head, its in zip(heads, notes)]
        return HistoryAnswer(heads, heads[-1].number if len(found) > most else 0)

    async def revision(self, request: Request) -> RevisionAnswer:
        number = request.path_params["number"]
        if not number.isdecimal() or len(number) > 15:
            raise UserError("there is no such revision: `daqsched history` lists them")
        found = await self.found(int(number))
        sees = self._may_see(caller_of(request))
        head, owned = await self._ask(lambda engine, now: (_head(found, engine, sees), engine.owned))
        visibility = await visibility_of(request, self._ask)
        head = head if visibility is None else visibility.head(head)
        former = taken(owned) if visibility is None and not int(number) else {}
        return RevisionAnswer(head, await self.seen_spec(request, found.spec, head.source, visibility), former)

    def seen_source(self, request: Request, source: str) -> str:
        """A job file, with what was set of its variables as far as whoever asks may see that."""
        return source if self._may_see(caller_of(request)) else veiled_source(source)

    async def seen_spec(self, request: Request, spec: Spec, source: str, visibility: Optional[Visibility]) -> Spec:
        """What of it whoever asks may see; ``source`` is told where not all of it is."""
        sees, grants = self._may_see(caller_of(request)), grants_of(request)
        if visibility is not None:
            spec = msgspec.structs.replace(await asyncio.to_thread(visibility.spec, spec), source=source)

        def told(job: JobSpec) -> bool:
            return grants is not None and not any(grants.why_not("environment", one) for one in targets_of(job))

        return spec if sees else await asyncio.to_thread(veiled, spec, self._key, told)

    async def hidden(self, request: Request) -> HiddenAnswer:
        """One guess of a variable's value in a request, as a plan is."""
        body = await body_of(request, HideRequest)
        self._guesses.guess(request, body.spec)

        def work(deadline: Deadline) -> dict[str, dict[str, str]]:
            ensure_named_once(body.spec.jobs)  # each would be a guess
            return {job.name: marks(self._key, job) for job in deadline.each(body.spec.jobs) if job.env}

        return HiddenAnswer(await self._planning.do(whose(request), work))

    @property
    def _key(self) -> bytes:
        return self._daemon.engine.credentials.session_key

    async def found(self, number: int) -> Revision:
        """That one, whole; 0: the one in force. Raises `UserError` where there is none."""
        found: Optional[Revision] = await self._ask(
            lambda engine, now: self._daemon.revision(number) if number else engine.revision
        )
        if found is None:
            raise UserError(no_revision(number))
        return found


def no_revision(number: int) -> str:
    """Why one can't be told, or gone back to."""
    return f"there is no revision {number}: `daqsched history` lists them"


def _counts(old: Spec, new: Spec, visibility: Optional[Visibility], deadline: Deadline) -> dict[str, int]:
    if visibility is not None:
        old, new = visibility.spec(old), visibility.spec(new)
    return plan(old, new).instances


def _as_it_was(made: ApplyCounts, compared: dict[str, int]) -> dict[str, int]:
    """What ran, and not what the two revisions say."""
    counts = {"add": made.starts, "remove": made.stops, "restart": made.restarts, "silent": compared.get("silent", 0)}
    return {what: counts[what] for what in dict.fromkeys([*compared, *counts]) if counts[what]}


def _head(revision: Revision, engine: Engine, sees: bool) -> RevisionHead:
    part, source = engine.parts.get(revision.number, ""), revision.spec.source
    source = source if sees else veiled_source(source)
    return RevisionHead(
        revision.number,
        engine.told(revision.digest),
        revision.user,
        revision.time,
        revision.message,
        part,
        source,
        rollout=outcome_of(engine, revision.number),
    )
