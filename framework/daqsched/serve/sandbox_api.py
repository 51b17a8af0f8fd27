"""The daemon's answers about sandboxes: it asks the agents for the crew (`mesos.agents` says why), many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping
from math import inf
from typing import Any, Callable, Optional, TypeVar

from starlette.requests import Request
from starlette.routing import Route

from daqsched.engine.engine import Engine
from daqsched.errors import Refused, Unreachable, UserError
from daqsched.limits import PIECES, shown
from daqsched.mesos.agents import Agent, Agents
from daqsched.preflight import TASK
from daqsched.protocol import Piece, ReadAnswer, ReadRequest, Sandbox, SandboxesAnswer, SandboxesRequest
from daqsched.select import selection
from daqsched.serve.daemon import Ask
from daqsched.serve.http import route
from daqsched.serve.request_body import body_of
from daqsched.serve.visibility import Visibility, visibility_of
from daqsched.task import launched_at
from daqsched_executor.contract import SANDBOX_FILES

Answer = TypeVar("Answer")

#: More than these are not looked at at once.
MOST = int(PIECES.most)

#: So much of an agent's log is given.
MOST_LOG = 256 << 10

#: How long the master's list of agents is believed.
BELIEVED_S = 5.0


class SandboxRoutes:
    """Two routes, for one event loop; ``ask`` puts a question to the engine."""

    def __init__(self, ask: Ask, agents: Callable[[], Agents] = Agents) -> None:
        self._ask, self._make = ask, agents
        self._made: Optional[Agents] = None
        self._listed: tuple[str, float, dict[str, Agent]] = ("", 0.0, {})

    @property
    def routes(self) -> list[Route]:
        """For the application."""
        return [route("POST", "/sandboxes", self.find), route("POST", "/sandboxes/read", self.read)]

    @property
    def _agents(self) -> Agents:
        if self._made is None:  # in the loop that serves
            self._made = self._make()
        return self._made

    async def find(self, request: Request) -> SandboxesAnswer:
        """POST /v1/sandboxes"""
        body = await body_of(request, SandboxesRequest)
        chosen, on_host = selection(body.select), _hosts(body.select)

        def known(engine: Engine, now: float) -> Any:
            keys = [key for key in engine.instances if chosen(*key)]
            tasks = {
                task.id: (*key, task.agent_id) for key in keys for task in [engine.instances[key].record.task] if task
            }
            return engine.master, engine.framework_id, keys, tasks, _Whose(engine, tasks)

        master, framework_id, keys, current, whose = await self._ask(known)
        visibility = await visibility_of(request, self._ask, "sandbox")
        if visibility is not None:
            keys = await asyncio.to_thread(visibility.keys, keys)
            current = {id: one for id, one in current.items() if whose.may("see", visibility, id)}
            for id in current:
                whose.permit(visibility, id)
        hosts, agents = {host for _, host in keys}, await self._registered(master)
        silent = [
            f"{job}@{host}: its agent is not registered with the master, so nobody can read its lines now"
            for job, host, agent_id in current.values()
            if agent_id not in agents
        ]
        wanted: dict[str, list[tuple[str, str, str]]] = {}
        for task_id, (job, host, agent_id) in current.items():
            wanted.setdefault(agent_id, []).append((job, host, task_id))
        if body.finished:
            for agent in agents.values():
                if any(name in hosts for name in agent.names) or (not hosts and any(map(on_host, agent.names))):
                    wanted.setdefault(agent.id, [])
        if sum(map(len, wanted.values())) > MOST:
            raise UserError(f"more than {MOST} sandboxes match: name jobs or hosts")

        async def of(agent: Agent) -> list[Sandbox]:
            here = wanted[agent.id]
            if body.finished:
                for task_id in await self._agents.tasks(agent, framework_id):
                    job, host = _key(task_id)
                    shown_to = visibility is None or whose.may("sandbox", visibility, task_id)
                    if task_id not in current and chosen(job, host) and shown_to:
                        here.append((job, host, task_id))
            found = []
            for job, host, task_id in here[:MOST]:
                files = {
                    one.name: (one.size, one.written) for one in await self._agents.look(agent, framework_id, task_id)
                }
                found.append(Sandbox(job, host, task_id, agent.id, task_id in current, files))
            return found

        answers, unheard = await _each([agents[id] for id in wanted if id in agents], of)
        found = {one.task_id: one for each in answers for one in each or ()}
        for task_id, (job, host, agent_id) in current.items():
            found.setdefault(task_id, Sandbox(job, host, task_id, agent_id, True, {}))
        return SandboxesAnswer(list(found.values()), [*silent, *unheard])

    async def read(self, request: Request) -> ReadAnswer:
        """POST /v1/sandboxes/read"""
        body = await body_of(request, ReadRequest)
        for piece in body.pieces:
            if piece.stream not in SANDBOX_FILES or "/" in piece.task_id or piece.offset < 0 or piece.length < 0:
                raise UserError(f"there is no such piece of a sandbox: {shown(piece)}")
        visibility = await visibility_of(request, self._ask, "sandbox")
        if visibility is not None:
            asked = {piece.task_id for piece in body.pieces}
            whose = await self._ask(lambda engine, now: _Whose(engine, asked))
            for task_id in asked:
                whose.permit(visibility, task_id)
        master, framework_id = await self._ask(lambda engine, now: (engine.master, engine.framework_id))
        agents = await self._registered(master)
        data: list[Optional[bytes]] = [None] * len(body.pieces)
        of_agent: dict[str, list[tuple[int, Piece]]] = {}
        for at, piece in enumerate(body.pieces):
            of_agent.setdefault(piece.agent_id, []).append((at, piece))

        async def of(agent: Agent) -> None:
            for at, piece in of_agent[agent.id]:
                data[at] = await self._agents.read(
                    agent, framework_id, piece.task_id, piece.stream, piece.offset, piece.length
                )

        _, unheard = await _each([agents[id] for id in of_agent if id in agents], of)
        gone = [f"the agent {id} is not registered with the master (any more)" for id in of_agent if id not in agents]
        return ReadAnswer(data, [*gone, *unheard])

    async def agent_log(self, host: str) -> list[str]:
        """The last lines of the log that this host's agent keeps."""
        master = await self._ask(lambda engine, now: engine.master)
        for agent in (await self._registered(master)).values():
            if host in agent.names:
                data = await self._agents.log(agent, MOST_LOG)
                lines = data.decode("utf-8", "backslashreplace").split("\n")
                return lines[1:] if len(data) >= MOST_LOG else lines  # the first is half a one
        raise UserError(f"no agent of {shown(host)} is registered with the master")

    async def _registered(self, master: str) -> Mapping[str, Agent]:
        if not master:
            raise Unreachable("the daemon has no master at present, so it does not know where the agents are")
        now = asyncio.get_running_loop().time()
        if self._listed[0] != master or now - self._listed[1] > BELIEVED_S:
            self._listed = (master, now, await self._agents.registered(master))
        return self._listed[2]


class _Whose:
    """Whose sandboxes are: of what goes on as it should the job's owner's, of all else who had the job at its launch."""

    def __init__(self, engine: Engine, tasks: Collection[str]) -> None:
        running = filter(None, map(engine.by_task.get, tasks))
        self._owned, self._goes_on = (
            engine.owned,
            {one.task.id for one in running if not (engine.must_stop(one) or one.task.killed)},
        )

    def may(self, verb: str, visibility: Visibility, task_id: str) -> bool:
        job, host = _key(task_id)
        return job != TASK and visibility.may_then(verb, job, host, self._launched(task_id), self._owned)

    def permit(self, visibility: Visibility, task_id: str) -> None:
        """Raise `Refused` where it may not be read. What surveys say is of jobs of any owner."""
        job, host = _key(task_id)
        if job == TASK:
            raise Refused("what a survey has left is for those who may read the sandboxes of all jobs", "sandbox")
        visibility.permit_then("sandbox", job, host, self._launched(task_id), self._owned)

    def _launched(self, task_id: str) -> float:
        return inf if task_id in self._goes_on else launched_at(task_id)


def _key(task_id: str) -> tuple[str, str]:
    job, _, host = task_id.rpartition(".")[0].partition("@")
    return job, host


async def _each(
    agents: Iterable[Agent], of: Callable[[Agent], Awaitable[Answer]]
) -> tuple[list[Optional[Answer]], list[str]]:
    """Ask all at once, each one thing after the other; the first failure of an agent is its last question."""
    silent: list[str] = []

    async def one(agent: Agent) -> Optional[Answer]:
        try:
            return await of(agent)
        except Unreachable as error:
            silent.append(f"{agent.names[0]}: {error}")
            return None

    return list(await asyncio.gather(*map(one, agents))), silent


def _hosts(words: list[str]) -> Callable[[str], bool]:
    """Whether a word may mean this host."""
    hosts = [word.partition("@")[2] for word in words]
    if not words or not all(hosts):
        return lambda host: True
    chosen = selection([f"@{host}" for host in hosts])
    return lambda host: chosen("", host)
