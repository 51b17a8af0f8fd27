"""The daemon's answers to hands: rollouts steered, programs started anew, hosts put aside, jobs run there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Hashable, Iterable, Sequence
from typing import Any, Callable

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine import events
from daqsched.engine.engine import Engine
from daqsched.engine.instance import Key
from daqsched.errors import JobError, Refused, UserError
from daqsched.hosts import expand
from daqsched.jobfile.rules import check_job
from daqsched.protocol import (
    API,
    AsideAnswer,
    AsideRequest,
    BorrowAnswer,
    BorrowRequest,
    Lease,
    RestartRequest,
    RolloutAnswer,
    SteerRequest,
)
from daqsched.select import selection
from daqsched.serve.change_api import check_way
from daqsched.serve.daemon import Daemon
from daqsched.serve.http import answering, user_of, whose
from daqsched.serve.planning import Deadline, Planning
from daqsched.serve.request_body import body_of
from daqsched.views.status import why_not_ready

Ask = Callable[[Callable[[Engine, float], Any]], Awaitable[Any]]

#: How many hosts of a batch that lag an answer tells of.
MOST_LAGGING = 50


#: How many names a sentence tells.
MOST_NAMES = 10


def some(names: Sequence[str], between: str = ", ") -> str:
    """The names, or the first of them."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return between.join(name[:100] for name in names[:MOST_NAMES]) + more


async def chosen_of(choosing: Planning, caller: Hashable, words: Sequence[str], keys: Iterable[Key]) -> tuple[Key, ...]:
    """Those that the words mean."""

    def work(deadline: Deadline) -> tuple[Key, ...]:
        chosen = selection(words)
        return tuple(key for key in deadline.each(keys) if chosen(*key))

    return await choosing.do(caller, work)


class Operations:
    """The routes; ``ask`` puts a question to the engine."""

    def __init__(self, daemon: Daemon, ask: Ask, choosing: Planning) -> None:
        self._daemon, self._ask, self._choosing = daemon, ask, choosing

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [
            Route(f"{API}/rollout", answering(self.rollout)),
            Route(f"{API}/rollout", answering(self.steer), methods=["POST"]),
            Route(f"{API}/restart", answering(self.restart), methods=["POST"]),
            Route(f"{API}/aside", answering(self.leases)),
            Route(f"{API}/aside", answering(self.aside), methods=["POST"]),
            Route(f"{API}/borrow", answering(self.borrow), methods=["POST"]),
            Route(f"{API}/return", answering(self.give_back), methods=["POST"]),
        ]

    # ------------------------------------------------------------------ rollouts

    async def rollout(self, request: Request) -> RolloutAnswer:
        def answer(engine: Engine, now: float) -> RolloutAnswer:
            rolling = engine.rolling
            lagging: list[tuple[str, str, str]] = []
            for key in rolling.lagging:
                why = why_not_ready(engine, key, now)
                if why and len(lagging) < MOST_LAGGING:
                    lagging.append((*key, why))
            # a copy: the engine changes its own
            copy = msgspec.structs.replace(rolling.rollout) if rolling.rollout is not None else None
            return RolloutAnswer(copy, lagging, now)

        found: RolloutAnswer = await self._ask(answer)
        return found

    async def steer(self, request: Request) -> RolloutAnswer:
        body = await body_of(request, SteerRequest)
        rollout = (await self.rollout(request)).rollout
        if rollout is None or rollout.over:
            raise Refused("no rollout is under way: `daqsched rollout` shows the last one")
        if body.what == "rollback" and (rollout.kind != "apply" or not rollout.before):
            raise Refused("a rolling restart has nothing to go back to: `daqsched rollout abort` ends it")
        if body.what == "resume" and rollout.state != "paused":
            raise Refused(f"rollout {rollout.number} is not paused")
        await asyncio.wrap_future(
            self._daemon.request(events.RolloutSteered(body.what, user_of(request), body.message))
        )
        return await self.rollout(request)

    async def restart(self, request: Request) -> RolloutAnswer:
        body = await body_of(request, RestartRequest)
        check_way(body.strategy)
        if not body.select:
            raise UserError("nothing is selected: name jobs, or '*' for all")
        running = await self._ask(
            lambda engine, now: [key for key, one in engine.instances.items() if one.record.task is not None]
        )
        keys = await chosen_of(self._choosing, whose(request), body.select, running)
        if not keys:
            raise UserError(f"nothing that runs fits {some(body.select, ' ')}: `daqsched status` lists what does")
        rollout = (await self.rollout(request)).rollout
        if rollout is not None and not rollout.over:
            raise Refused(
                f"rollout {rollout.number} by {rollout.user} is under way: wait for its end, or `daqsched rollout abort`"
            )
        event = events.RestartAsked(keys, user_of(request), body.message, body.strategy)
        await asyncio.wrap_future(self._daemon.request(event))
        return await self.rollout(request)

    # ------------------------------------------------------------------ hosts put aside

    async def leases(self, request: Request) -> AsideAnswer:
        found: AsideAnswer = await self._ask(
            lambda engine, now: AsideAnswer(
                [Lease(host, one.user, one.at, one.until, one.message) for host, one in sorted(engine.aside.items())],
                now,
            )
        )
        return found

    async def aside(self, request: Request) -> AsideAnswer:
        body = await body_of(request, AsideRequest)
        hosts = await self._hosts(whose(request), body.hosts)
        now = await self._ask(lambda engine, now: now)
        if body.until <= now:
            raise UserError("the time for which a host is put aside must end in the future")
        event = events.PutAside(hosts, user_of(request), body.until, body.message)
        await asyncio.wrap_future(self._daemon.request(event))
        return await self.leases(request)

    async def borrow(self, request: Request) -> BorrowAnswer:
        body = await body_of(request, BorrowRequest)
        user = user_of(request)
        if body.end:
            await asyncio.wrap_future(self._daemon.request(events.BorrowEnded(body.job, body.host, user)))
            return BorrowAnswer([])

        def why_not(engine: Engine, now: float) -> str:
            instance = engine.instances.get((body.job, body.host))
            if instance is None or instance.job is None:
                return f"{body.job} is no job of {body.host}: `daqsched status @{body.host}` lists them"
            if instance.record.borrow is not None:
                return f"{instance} is run by hand already, by {instance.record.borrow.user}"
            if not instance.aside:
                return f"{body.host} is not put aside: `daqsched aside {body.host} --for 2h` does"
            if instance.record.task is not None:
                return f"{instance} has not ended yet: try again in a moment"
            try:
                check_job(msgspec.structs.replace(instance.job, argv=tuple(body.argv) or instance.job.argv))
            except JobError as error:
                raise UserError(f"{error.field}: {error}") from error
            return ""

        why = await self._ask(why_not)
        if why:
            raise Refused(why)
        event = events.Borrowed(body.job, body.host, user, tuple(body.argv))
        await asyncio.wrap_future(self._daemon.request(event))

        def argv(engine: Engine, now: float) -> list[str]:
            instance = engine.instances.get((body.job, body.host))
            return [*instance.job.argv] if instance is not None and instance.job is not None else []

        return BorrowAnswer(await self._ask(argv))

    async def give_back(self, request: Request) -> AsideAnswer:
        body = await body_of(request, AsideRequest)
        hosts = await self._choosing.do(whose(request), lambda deadline: expand(body.hosts))
        away = {lease.host for lease in (await self.leases(request)).leases}
        strange = [host for host in hosts if host not in away]
        if strange:
            raise UserError(f"{some(strange)}: not put aside; `daqsched aside` lists what is")
        await asyncio.wrap_future(self._daemon.request(events.Returned(hosts, user_of(request))))
        return await self.leases(request)

    async def _hosts(self, caller: Hashable, words: list[str]) -> tuple[str, ...]:
        hosts = await self._choosing.do(caller, lambda deadline: expand(words))
        if not hosts:
            raise UserError("no host is named")

        def strange(engine: Engine, now: float) -> list[str]:
            used = {host for hosts in engine.order.wanted.values() for host in hosts}
            return [host for host in hosts if host not in used and host not in engine.seen]

        unknown = await self._ask(strange)
        if unknown:
            raise UserError(f"{some(unknown)}: no job names it, and no such machine has made an offer")
        return hosts
