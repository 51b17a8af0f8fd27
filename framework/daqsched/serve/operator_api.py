"""The daemon's answers to operations: rollouts steered, programs stopped and started, hosts set aside, jobs run there."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Sequence
from typing import Callable, Optional

from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine import events
from daqsched.engine.control_steps import known_as
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.errors import MatchesNothing, UserError
from daqsched.hosts import expand, fold
from daqsched.limits import MOST_NAMES, some
from daqsched.logbook import MOST, LogbookEntry
from daqsched.protocol import (
    AsideAnswer,
    AsideRequest,
    BorrowAnswer,
    BorrowRequest,
    Lease,
    NoteAnswer,
    NoteRequest,
    OrderAnswer,
    OrderRequest,
    ReplaceRequest,
    RestartRequest,
    RolloutAnswer,
    Selected,
    SelectRequest,
    SteerRequest,
)
from daqsched.select import Idle, hint, selection
from daqsched.serve.daemon import Ask, Daemon
from daqsched.serve.http import grants_now, route, user_of, whose
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.plans import check_way
from daqsched.serve.request_body import body_of, count_of, which_of
from daqsched.serve.requested import requested
from daqsched.serve.rollout_answer import as_seen, rollout_of
from daqsched.serve.visibility import seen_of, unsaying, visibility_of, visibility_then
from daqsched.spec import FORWARDER
from daqsched.views.status import all_keys
from daqsched_executor.contract import ORDER_KINDS, OperatorCommand


async def chosen_of(
    choosing: Planning,
    caller: Hashable,
    words: Sequence[str],
    keys: Sequence[Key],
    none: Optional[Callable[[str], str]] = None,
) -> tuple[Key, ...]:
    """Those that the words mean. With ``none`` each of them has to mean something: raises `UserError` if only some do; if none
    does, with what ``none`` says of them."""

    def work(deadline: Deadline) -> tuple[Key, ...]:
        chosen, idle = selection(words), Idle(words if none is not None else ())
        found: list[Key] = []
        for key in deadline.each(keys):
            if chosen(*key):
                if idle:
                    idle.see(*key)
                found.append(key)
        if none is not None and idle:
            lost = some(idle.words, " ")
            why = f"nothing was done: of these words {lost} matches nothing" if found else none(lost)
            raise MatchesNothing(f"{why}{hint(idle.words, keys)}")
        return tuple(found)

    return await choosing.do(caller, work)


def host_of(word: str) -> str:
    """The host that a word names: also one that has the @ of a selection."""
    if word in ("", "@"):
        raise UserError(f"{word!r} names no host (is a variable empty?)")
    return word[1:] if word.startswith("@") else word


class OperatorRoutes:
    """The routes; ``ask`` puts a question to the engine."""

    def __init__(self, daemon: Daemon, ask: Ask, choosing: Planning) -> None:
        self._daemon, self._ask, self._choosing = daemon, ask, choosing

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            route("GET", "/rollout", self.rollout),
            route("POST", "/rollout", unsaying(self.steer, self._ask)),
            route("POST", "/restart", unsaying(self.restart, self._ask)),
            route("POST", "/stop", unsaying(self.stop, self._ask)),
            route("POST", "/hold", unsaying(self.hold, self._ask)),
            route("POST", "/start", unsaying(self.start, self._ask)),
            route("POST", "/order", unsaying(self.order, self._ask)),
            route("GET", "/aside", self.leases),
            route("POST", "/aside", unsaying(self.aside, self._ask)),
            route("POST", "/borrow", unsaying(self.borrow, self._ask)),
            route("GET", "/note", self.notes),
            route("POST", "/note", self.note),
            route("POST", "/replace", unsaying(self.replace, self._ask)),
            route("POST", "/return", unsaying(self.give_back, self._ask)),
        ]

    # ------------------------------------------------------------------ rollouts

    async def rollout(self, request: Request) -> RolloutAnswer:
        number = which_of(request, "number")
        found: RolloutAnswer = await self._ask(lambda engine, now: rollout_of(engine, number, now))
        return as_seen(found, await visibility_of(request, self._ask))

    async def _steered(self, request: Request, event: events.Event) -> RolloutAnswer:
        """The rollout as it is when that has been done."""
        number = which_of(request, "number")
        told: list[RolloutAnswer] = []
        accepted = await requested(
            self._daemon, request, event, lambda engine, now: told.append(rollout_of(engine, number, now))
        )
        told[0].rejected = [*accepted.rejected]
        return as_seen(told[0], await visibility_then(request, self._ask))

    async def steer(self, request: Request) -> RolloutAnswer:
        body = await body_of(request, SteerRequest)
        which_of(request, "number")  # a mistake is told before anything is done
        return await self._steered(
            request, events.RolloutSteered(body.what, user_of(request), body.message, body.stops)
        )

    async def restart(self, request: Request) -> RolloutAnswer:
        body = await body_of(request, RestartRequest)
        which_of(request, "number")
        check_way(body.strategy)

        def there(engine: Engine, now: float) -> list[Key]:
            return [*engine.instances]

        def none(words: str) -> str:
            return f"nothing that runs matches {words}: `daqsched status` lists what does"

        keys = await self._chosen(request, body.select, there, none)
        return await self._steered(
            request, events.RestartAsked(keys, user_of(request), body.message, body.strategy, body.stops)
        )

    # ------------------------------------------------------------------ programs

    async def stop(self, request: Request) -> Selected:
        return await self._select(request, lambda keys, user, body: events.Held(keys, user, body.message, body.stops))

    async def hold(self, request: Request) -> Selected:
        return await self._select(request, lambda keys, user, body: events.Held(keys, user, body.message, spares=True))

    async def start(self, request: Request) -> Selected:
        first: set[Key] = set()

        def among(engine: Engine, now: float) -> Sequence[Key]:
            first.update(key for key, one in engine.instances.items() if one.record.hold and not one.record.hold.user)
            return tuple(dict.fromkeys((*all_keys(engine), *engine.holds)))

        def released(keys: tuple[Key, ...], user: str, body: SelectRequest) -> events.Event:
            unnamed = tuple(filter(first.__contains__, keys))
            words = [word for word in body.select if word.partition("@")[0] not in ("", "*")] if unnamed else ()
            if words:
                named = selection(words)
                unnamed = tuple(key for key in unnamed if not named(*key))
            return events.Released(keys, user, body.everyones, body.anyway, unnamed)

        return await self._select(request, released, among)

    async def _select(
        self,
        request: Request,
        event: Callable[[tuple[Key, ...], str, SelectRequest], events.Event],
        among: Callable[[Engine, float], Sequence[Key]] = lambda engine, now: all_keys(engine),
    ) -> Selected:
        body = await body_of(request, SelectRequest)
        keys = await self._chosen(request, body.select, among)
        accepted = await requested(self._daemon, request, event(keys, user_of(request), body))
        visibility = await visibility_then(request, self._ask)
        dependents = list(accepted.dependents)
        rejected, waiting = accepted.rejected, accepted.waiting
        if visibility is not None:
            dependents = [
                name for name in (word.partition("@")[0] for word in dependents) if visibility.sees_some(name)
            ]
            rejected, waiting = tuple(visibility.triples(rejected)), tuple(visibility.triples(waiting))
        late = {(job, host) for job, host, _ in accepted.waiting}
        now = [key for key in accepted.keys if key not in late]
        return Selected(
            len(accepted.keys),
            list(rejected),
            dependents,
            accepted.others,
            waiting=list(waiting),
            forwarders=sum(key[0] == FORWARDER for key in now),
            which=_words(now),
            running=accepted.running,
            ends=accepted.stops,
        )

    async def _chosen(
        self,
        request: Request,
        select: list[str],
        among: Callable[[Engine, float], Sequence[Key]] = lambda engine, now: all_keys(engine),
        none: Callable[[str], str] = lambda words: f"no job matches {words}: `daqsched status` lists them",
    ) -> tuple[Key, ...]:
        """Those of these instances that whoever asks sees, and means; raises `UserError`, with ``none``, where that is none."""
        if not select:
            raise UserError("nothing is selected: name jobs, or '*' for all")
        known = await seen_of(request, self._ask, among)
        return await chosen_of(self._choosing, whose(request), select, known, none)

    async def order(self, request: Request) -> OrderAnswer:
        body = await body_of(request, OrderRequest)
        if body.kind not in ORDER_KINDS:
            raise UserError(f"{body.kind!r} can't be asked for: one of {', '.join(ORDER_KINDS)}")
        keys = await self._chosen(request, body.select)
        id = body.id or secrets.token_hex(4)
        order = OperatorCommand(id, body.kind, user_of(request), body.name, body.until, body.message)
        event = events.OperatorCommanded(keys, order, body.stops)
        accepted = await requested(self._daemon, request, event)
        visibility = await visibility_then(request, self._ask)
        rejected = accepted.rejected if visibility is None else visibility.triples(accepted.rejected)
        return OrderAnswer(id, [*accepted.keys], [*rejected])

    # ------------------------------------------------------------------ hosts set aside

    async def leases(self, request: Request) -> AsideAnswer:
        found: AsideAnswer = await self._ask(_leases_of)
        return found

    async def _leased(self, request: Request, event: events.Event) -> AsideAnswer:
        """The hosts set aside when that has been done."""
        told: list[AsideAnswer] = []
        await requested(self._daemon, request, event, lambda engine, now: told.append(_leases_of(engine, now)))
        return told[0]

    async def aside(self, request: Request) -> AsideAnswer:
        body = await body_of(request, AsideRequest)
        hosts = await self._hosts(whose(request), body.hosts)
        event = events.PutAside(hosts, user_of(request), body.until, body.message, body.stops, body.everyones)
        return await self._leased(request, event)

    async def borrow(self, request: Request) -> BorrowAnswer:
        body = await body_of(request, BorrowRequest)
        user, host = user_of(request), host_of(body.host)
        if body.end:
            stops = body.stops if body.stops is not None else 1  # it names that one
            accepted = await requested(self._daemon, request, events.BorrowEnded(body.job, host, user, stops))
            return BorrowAnswer([], ended=bool(accepted.keys))
        mine = known_as(user, await grants_now(request))
        console: list[bool] = []

        def look(engine: Engine, now: float) -> None:
            console.append(any(job.name == body.job and job.console for job in engine.spec.jobs))

        event = events.Borrowed(body.job, host, user, tuple(body.argv), mine)
        accepted = await requested(self._daemon, request, event, look)
        return BorrowAnswer([*accepted.argv], console[0])

    async def replace(self, request: Request) -> Selected:
        body = await body_of(request, ReplaceRequest)
        event = events.AgentChosen(host_of(body.host), user_of(request), body.agent, body.message, body.stops)
        accepted = await requested(self._daemon, request, event)
        return Selected(len(accepted.keys), agent=accepted.agent, agent_before=accepted.agent_before)

    async def give_back(self, request: Request) -> AsideAnswer:
        body = await body_of(request, AsideRequest)
        hosts = await self._hosts(whose(request), body.hosts)
        return await self._leased(request, events.Returned(hosts, user_of(request), body.stops, body.everyones))

    # ------------------------------------------------------------------ the logbook

    async def notes(self, request: Request) -> NoteAnswer:
        most = count_of(request, "most", 20, MOST)
        before = which_of(request, "before")

        def look(engine: Engine, now: float) -> NoteAnswer:
            older = [one for one in engine.logbook if not before or one.number < before]
            return NoteAnswer(older[: -most - 1 : -1], older[-most].number if len(older) > most else 0)

        found: NoteAnswer = await self._ask(look)
        return found

    async def note(self, request: Request) -> NoteAnswer:
        body = await body_of(request, NoteRequest)
        book: list[LogbookEntry] = []
        accepted = await requested(
            self._daemon,
            request,
            events.NoteWritten(user_of(request), body.message),
            lambda engine, now: book.extend(engine.logbook[-1:]),
        )
        return NoteAnswer([one for one in book if one.number == accepted.note])

    async def _hosts(self, caller: Hashable, words: list[str]) -> tuple[str, ...]:
        hosts = await self._choosing.do(caller, lambda deadline: expand(map(host_of, words)))
        if not hosts:
            raise UserError("no host is named")
        return hosts


def _words(keys: Sequence[Key]) -> str:
    """These as a selection has them, the first where there are many; the forwarders of lines are not named."""
    hosts: dict[str, list[str]] = {}
    for job, host in keys:
        if job != FORWARDER:
            hosts.setdefault(job, []).append(host)
    told = list(hosts.items())[:MOST_NAMES]  # no more is said
    words = ["@".join(filter(None, (job, fold(filter(None, its))))) for job, its in told]
    return some([*words, *list(hosts)[len(told) :]])


def _leases_of(engine: Engine, now: float) -> AsideAnswer:
    leases = [Lease(host, one.user, one.at, one.until, one.message) for host, one in sorted(engine.aside.items())]
    return AsideAnswer(leases, now)
