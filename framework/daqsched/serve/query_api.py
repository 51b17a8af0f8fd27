"""The daemon's answers to whoever looks: what runs, what does not and why, how far an apply has come.

To go through all instances of a large farm takes seconds. The engine's loop does a part of them between two of its steps, and
of all who ask one at a time. So each row is of the moment at which it was looked at, and the answer not of one moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Hashable, Iterable, Iterator, Sequence
from typing import Callable, Optional, TypeVar

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daqsched import farm_parts
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.errors import Refused, UserError
from daqsched.protocol import (
    IncidentsAnswer,
    KnownName,
    NamesAnswer,
    ProgressAnswer,
    StatusAnswer,
    StoriesAnswer,
    WhyAnswer,
)
from daqsched.select import Idle, hint, selection
from daqsched.serve.audit import Audit
from daqsched.serve.audit_copied import CopyWatch, uncounted
from daqsched.serve.chronicle import Chronicle
from daqsched.serve.control_api import controls_of
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import answered, encoded, reads_log, route, whose
from daqsched.serve.listed_json import ListedJson
from daqsched.serve.news import News
from daqsched.serve.operator_api import chosen_of
from daqsched.serve.planning import Planning, Turns
from daqsched.serve.request_body import count_of, name_of, number_of, part_of, states_of, text_of, which_of, words_of
from daqsched.serve.visibility import Visibility, owned_of, seen_of, stories_of, visibility_of
from daqsched.states import ORDER
from daqsched.views import names
from daqsched.views.rows import Row
from daqsched.views.status import Tally, all_keys, rollout_mark, rows, unauthenticated
from daqsched.views.stays import absent_mark
from daqsched.views.why import LATELY, explanations, stories, troubled, untold

#: So many instances that are not as desired an answer tells of.
MOST_ROWS = 100_000

#: So many instances are gone through at once, and of so many is told why they are not as desired: some milliseconds.
SOME, SOME_STORIES = 1000, 100

Found = TypeVar("Found")


class QueryRoutes:
    """The routes; ``ask`` puts a question to the engine, ``news`` waits for what a request does not know."""

    def __init__(
        self,
        daemon: Daemon,
        ask: Ask,
        choosing: Planning,
        news: News,
        leader: str,
    ) -> None:
        self._daemon, self._ask, self._choosing, self._news, self._leader = daemon, ask, choosing, news, leader
        self._turns = Turns(1)
        #: What `status --at` asks; None: nothing does.
        self.chronicle: Optional[Chronicle] = None
        #: Whose trouble `status` tells.
        self.audit: Optional[Audit] = None
        #: Who looks how far its copy is.
        self.copied: Optional[CopyWatch] = None

    def audit_trouble(self) -> str:
        """Why changes are not in the audit file; empty: they are."""
        return self.audit.trouble if self.audit is not None else ""

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("GET", "/status", self.status),
            route("GET", "/progress", self.progress),
            route("GET", "/why", self.why),
            route("GET", "/stories", self.stories),
            route("GET", "/incidents", self.incidents),
            route("GET", "/names", self.names),
        ]

    async def status(self, request: Request) -> Response:
        words, part, then = words_of(request), part_of(request), number_of(request, "at", 0.0)
        states, limit, after = states_of(request), which_of(request, "limit"), text_of(request, "after")
        if then and (limit or after):
            raise UserError("--at can't be combined with limit and after")
        if then and part is not None:
            raise UserError("--at and --part can't be combined: what was of which part then is not kept")
        if then:
            return await self._status_at(request, words, then, states)

        def head(engine: Engine, now: float) -> tuple[StatusAnswer, Sequence[Key]]:
            applied = engine.revision
            answer = StatusAnswer(
                [],
                applied.number if applied else 0,
                engine.told(applied.digest) if applied else "",
                applied.user if applied else "",
                applied.time if applied else 0.0,
                engine.master,
                engine.connected,
                now,
                leader=self._leader,
                read_only=self._daemon.read_only,
                audit=self.audit_trouble(),
                rollout=rollout_mark(engine),
                absent=absent_mark(engine),
                illegal_transitions=engine.transitions.illegal_transitions if reads_log(request) else 0,
            )
            return answer, all_keys(engine, part)

        async with self._turns.of(whose(request)):
            answer, keys = await self._ask(head)
            visibility = await visibility_of(request, self._ask)
            if visibility is not None:
                keys, answer.rollout, answer.absent = await asyncio.to_thread(visibility.keys, keys), "", ""
            copied = await self.copied.told() if self.copied is not None else None
            copies = request.scope["standby_copies"]()
            answer.audit_copy, answer.standby_copies = (
                (copied, copies) if visibility is None else uncounted(copied, copies)
            )
            answer.control = (await controls_of(request, self._ask, part, visibility)).control
            listed, hosts = ListedJson(), set[str]()
            words = await asyncio.to_thread(_meant, words, keys)
            chosen = await self._chosen(whose(request), words, keys)
            answer.unmatched, answer.hint = await asyncio.to_thread(_unmatched, words, chosen, keys)
            if limit or after:
                chosen = await asyncio.to_thread(_behind, chosen, after)
            left, last = limit if limit > 0 else len(chosen), ""
            async for some in self._through(chosen, rows, min(SOME, left + 1)):
                some = await _told(_of_states(some, states), visibility)
                more, some = len(some) > left, some[:left]
                last = _name(some[-1]) if some else last
                hosts |= unauthenticated(some)
                await listed.add(some)
                left -= len(some)
                if more:
                    answer.next = last
                    break
            answer.rows, answer.unauthenticated = listed.whole(), sorted(hosts)
            return await _encoded(request, answer)

    async def _status_at(self, request: Request, words: list[str], then: float, states: Collection[str]) -> Response:
        if self.chronicle is None:
            raise Refused("this daemon keeps no chronicle")
        selection(words)  # a mistake is one whatever was then
        found, doubt = await asyncio.to_thread(self.chronicle.at, then)
        visibility = await visibility_of(request, self._ask)
        if visibility is not None:
            owned = await owned_of(self._ask)
            found = await _told(
                [row for row in found if visibility.may_then("see", row.job, row.host, row.since, owned)], visibility
            )
        keys = [(row.job, row.host) for row in found]
        words = _meant(words, keys)
        chosen = selection(words)
        applied = await self._ask(
            lambda engine, now: next((one for one in self._daemon.history(10_000) if one.time <= then), None)
        )
        found = [row for row in found if chosen(row.job, row.host)]
        unmatched, meant = await asyncio.to_thread(_unmatched, words, [(row.job, row.host) for row in found], keys)
        listed, known = ListedJson(), _of_states(found, states)
        for at in range(0, len(known), SOME):
            await listed.add(known[at : at + SOME])
        answer = StatusAnswer(listed.whole(), 0, "", "", 0.0, "", True, then, doubt, unmatched=unmatched, hint=meant)
        if applied is not None:
            answer.revision, answer.digest = applied.number, self._daemon.engine.told(applied.digest)
            answer.user, answer.applied = applied.user, applied.time
        return await _encoded(request, answer)

    async def progress(self, request: Request) -> Response:
        words, most = words_of(request), count_of(request, "most", 20, MOST_ROWS)
        revision, part = which_of(request, "revision"), part_of(request)

        def head(engine: Engine, now: float) -> tuple[int, bool, str, float, Sequence[Key]]:
            return engine.version, engine.connected, engine.master, now, all_keys(engine, part)

        async def look() -> tuple[ProgressAnswer, int]:
            async with self._turns.of(whose(request)):
                version, connected, master, now, keys = await self._ask(head)
                visibility = await visibility_of(request, self._ask)
                keys = keys if visibility is None else await asyncio.to_thread(visibility.keys, keys)
                tally = Tally(most)
                async for some in self._through(await self._chosen(whose(request), words, keys), rows, SOME):
                    tally.add(await _told(some, visibility))
                by = await self._ask(lambda engine, now: engine.superseded.by(revision)) if revision else ""
                return ProgressAnswer(tally.progress(0), connected, master, now, by), version

        def versioned(found: ProgressAnswer, version: int) -> ProgressAnswer:
            return replace(found, progress=replace(found.progress, version=version))

        answer = await self._news.told(request, look, versioned)
        return await _encoded(request, answer)

    async def why(self, request: Request) -> Response:
        words, most = words_of(request), count_of(request, "most", 20, MOST_ROWS)
        async with self._turns.of(whose(request)):
            known, master, connected = await self._ask(
                lambda engine, now: (all_keys(engine), engine.master, engine.connected)
            )
            visibility = await visibility_of(request, self._ask)
            if visibility is not None:
                known = await asyncio.to_thread(visibility.keys, known)
            words = await asyncio.to_thread(_meant, words, known)
            keys = await self._chosen(whose(request), words, known)
            unmatched, meant = await asyncio.to_thread(_unmatched, words, keys, known)
            worst: dict[str, list[Key]] = {state: [] for state in ORDER}
            lately: list[Key] = []
            async for some in self._through(keys, troubled, SOME):
                for state, key in some:
                    (lately if state == LATELY else worst[state]).append(key)
            chosen = [key for of_state in (*worst.values(), lately) for key in of_state][:most]
            told, ended = ListedJson(), ListedJson()
            async for found in self._through(chosen, explanations, SOME_STORIES):
                await told.add(await stories_of(self._ask, [one.story for one in found if not one.lately], visibility))
                await ended.add(await stories_of(self._ask, [one.story for one in found if one.lately], visibility))
            answer = WhyAnswer(told.whole(), len(keys), self._daemon.read_only, lately=ended.whole())
            answer.unmatched, answer.hint = unmatched, meant
            answer.master, answer.connected = master, connected
            answer.control = (await controls_of(request, self._ask, None, visibility)).control
            return await _encoded(request, answer)

    async def stories(self, request: Request) -> Response:
        words, most = words_of(request), count_of(request, "most", 20, MOST_ROWS)
        async with self._turns.of(whose(request)):
            told, there = await self._ask(
                lambda engine, now: (engine.stories.keys(), all_keys(engine) if words else ())
            )
            visibility = await visibility_of(request, self._ask)
            # what is gone may have a story, too; those that have one come last
            known: Sequence[Key] = (*there, *told)
            if visibility is not None:
                known = await asyncio.to_thread(visibility.keys, known)
            words = await asyncio.to_thread(_meant, words, known)
            keys = await self._chosen(whose(request), words, known)
            unmatched, meant = await asyncio.to_thread(_unmatched, words, keys, known)
            listed, with_story = ListedJson(), set(told)
            latest = list(dict.fromkeys(key for key in reversed(keys) if key in with_story))[:most]
            async for some in self._through(latest, stories, SOME_STORIES):
                # one that is the former owner's alone is as none
                await listed.add([one for one in await stories_of(self._ask, some, visibility) if one.changes])
            left = most - len(latest)
            async for some in self._through([key for key in keys if left and key not in with_story], untold, SOME):
                await listed.add(await stories_of(self._ask, some[:left], visibility))
                left -= min(left, len(some))
                if not left:
                    break
            return await _encoded(request, StoriesAnswer(listed.whole(), unmatched, meant))

    async def incidents(self, request: Request) -> IncidentsAnswer:
        found: IncidentsAnswer = await self._ask(
            lambda engine, now: IncidentsAnswer(engine.incidents.known(), now, engine.began)
        )
        visibility = await visibility_of(request, self._ask)
        if visibility is not None:
            keys = await self._ask(lambda engine, now: all_keys(engine))
            owned = await owned_of(self._ask)
            found.incidents = await asyncio.to_thread(visibility.incidents, found.incidents, keys, owned)
        return found

    async def names(self, request: Request) -> NamesAnswer:
        kind, begin = name_of(request)
        if kind == "revision":
            heads = await self._ask(lambda engine, now: self._daemon.history(names.MOST))
            visibility = await visibility_of(request, self._ask)
            wrote = [(one, one.message if visibility is None else visibility.message(one.message)) for one in heads]
            of = [KnownName(str(one.number), f"{one.user}: {said}" if said else one.user) for one, said in wrote]
            return NamesAnswer([one for one in of if one.name.startswith(begin)])
        if kind == "part":
            spec = await self._ask(lambda engine, now: engine.spec)
            visibility = await visibility_of(request, self._ask)
            known: Collection[str] = farm_parts.named(spec if visibility is None else visibility.spec(spec))
        elif kind == "aside":
            known = await self._ask(lambda engine, now: list(engine.aside))
        else:
            keys = await seen_of(request, self._ask, lambda engine, now: all_keys(engine))
            known = await self._choosing.do(
                whose(request), lambda deadline: names.begins(kind, deadline.each(keys), begin)
            )
        return NamesAnswer([KnownName(one) for one in sorted(known) if one.startswith(begin)][: names.MOST])

    async def _chosen(self, caller: Hashable, words: list[str], keys: Sequence[Key]) -> Sequence[Key]:
        return await chosen_of(self._choosing, caller, words, keys) if words else keys

    async def _through(
        self, keys: Sequence[Key], look: Callable[[Engine, Iterable[Key], float], Iterator[Found]], step: int
    ) -> AsyncIterator[list[Found]]:
        """What is found at these instances, so many at once."""
        for at in range(0, len(keys), step):
            part = keys[at : at + step]
            yield await self._ask(lambda engine, now, part=part: list(look(engine, part, now)))  # type: ignore[misc]  # a default


async def _told(found: list[Row], visibility: Optional[Visibility]) -> list[Row]:
    """As they are told to whoever does not see all."""
    return found if visibility is None else await asyncio.to_thread(lambda: [visibility.row(row) for row in found])


def _name(row: Row) -> str:
    return f"{row.job}@{row.host}"


def _behind(keys: Sequence[Key], after: str) -> Sequence[Key]:
    """In order, those behind this one; where it is gone, behind where it would be."""
    job, _, host = after.partition("@")
    return sorted(key for key in keys if key > (job, host))


def _of_states(found: list[Row], states: Collection[str]) -> list[Row]:
    return [row for row in found if row.state in states] if states else found


def _meant(words: list[str], keys: Sequence[Key]) -> list[str]:
    """A word may be a host's name, where no job is called so."""
    if not words:
        return words
    jobs, hosts = {job for job, _ in keys}, {host for _, host in keys if host}
    return [f"@{word}" if word in hosts and word not in jobs else word for word in words]


def _unmatched(words: list[str], chosen: Sequence[Key], known: Sequence[Key]) -> tuple[list[str], str]:
    """The words that mean none of these, which are all that any of them means; and what was meant by those, of all there is."""
    idle = Idle(words)
    for key in chosen if words else ():
        if not idle:
            break
        idle.see(*key)
    return idle.words, hint(idle.words, known) if idle else ""


async def _encoded(request: Request, answer: msgspec.Struct) -> Response:
    return answered(request, *await asyncio.to_thread(encoded, answer))
