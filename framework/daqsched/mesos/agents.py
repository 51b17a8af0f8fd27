"""What the agents know of our tasks' sandboxes, and what stands in them: Mesos' `/files` (files.cpp), and the master's `/slaves`.

Asked by the daemon, not by the crew's command: it knows the agents' addresses, may know their credentials, and a crew's
machine need not reach every agent. Only our own framework's sandboxes can be asked for, and of them the three files that
a job's lines are in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Optional, TypeVar, Union

import msgspec

from daqsched.bounded import Asking, NoAnswer, typed
from daqsched.engine.machine import free_of
from daqsched.engine.match import short
from daqsched.engine.resources import Attributes, Offer
from daqsched.errors import Unreachable
from daqsched.mesos.resources import ANYBODY, Resource, sum_of, usable
from daqsched.ports import Ranges, ranges
from daqsched_executor.contract import SANDBOX_FILES

#: How long an agent may take for one answer, and for taking the connection.
TIMEOUT_S, CONNECT_S = 3.0, 2.0

#: How long the master may take for the list of its agents.
MASTER_S = 20.0

#: The largest answer of an agent (the names of all its sandboxes), and of a master (10,000 agents of 4 KiB, and as much again).
AGENT_BYTES, MASTER_BYTES = 8 << 20, 96 << 20

#: How many requests are under way at once: two hundred agents, of which some hang, shall not take a minute.
AT_ONCE = 64

#: What an agent gives at most in one answer (files.cpp: 16 pages).
PIECE = 64 * 1024

Kind = TypeVar("Kind")

#: Where an agent shows its log (slave.cpp).
AGENT_LOG = "/slave/log"

_EXECUTOR = re.compile(r"/frameworks/([^/]+)/executors/([^/]+)/runs/latest\Z")


@dataclass(frozen=True)
class Agent:
    """One that is registered with the master."""

    id: str
    #: Its host name, and what its attribute ``hostname`` says.
    names: tuple[str, ...]
    address: str


@dataclass(frozen=True)
class File:
    """One of a sandbox's files."""

    name: str
    size: int
    #: When it was last written, to the second.
    written: float


class _Slave(msgspec.Struct):
    """What the master says of an agent, as far as we look."""

    id: str
    pid: str
    hostname: str = ""
    active: bool = True
    attributes: dict[str, Union[float, str]] = {}
    resources: dict[str, Union[float, str]] = {}
    used_resources: dict[str, Union[float, str]] = {}
    #: The same with what is reserved for whom; None: the master is one that does not say.
    unreserved_resources_full: Optional[list[Resource]] = None
    reserved_resources_full: dict[str, list[Resource]] = {}
    used_resources_full: list[Resource] = []


class _Slaves(msgspec.Struct):
    slaves: list[_Slave] = []


class _Row(msgspec.Struct):
    """A file of a folder."""

    path: str
    size: int = 0
    mtime: float = 0.0


class _Read(msgspec.Struct):
    data: str
    #: Where it is from; asked for -1: the file's size.
    offset: int = 0


class Agents:
    """Asks them; every method raises `Unreachable` with one sentence. For one event loop."""

    def __init__(self, credentials: Optional[tuple[str, str]] = None, role: str = ANYBODY) -> None:
        """``role``: the framework's."""
        self._role = role
        self._principal = credentials[0] if credentials else ""
        self._credentials = credentials
        self._asking = Asking(AT_ONCE, CONNECT_S)
        #: Where credentials were asked for: only there they are told, and from then on at once.
        self._closed: set[str] = set()

    async def registered(self, master: str) -> dict[str, Agent]:
        """The agents that the master has, by id."""
        found = {}
        for one in await self._slaves(master):
            names = (one.hostname, _text(one.attributes.get("hostname", "")))
            found[one.id] = Agent(one.id, tuple(dict.fromkeys(filter(None, names))), one.pid.partition("@")[2])
        return found

    async def machines(self, master: str) -> dict[str, Offer]:
        """What each machine has free now for us, by each of its names: an active agent's resources without those in use."""
        found = {}
        for one in await self._slaves(master):
            if not one.active:
                continue
            attributes = {name: (_text(value),) for name, value in one.attributes.items()}
            names = (one.hostname, *attributes.get("hostname", ()))
            total, used = _resources(one, names, attributes, self._role)
            for name in filter(None, names):
                found[name] = free_of(total, used)
        return found

    async def tasks(self, agent: Agent, framework_id: str) -> list[str]:
        """The tasks of the framework whose sandboxes the agent still has, finished ones too: our executors are called as
        their task."""
        paths = await self._ask(agent, dict[str, str], "debug")
        found = map(_EXECUTOR.match, paths or ())
        return sorted({one.group(2) for one in found if one is not None and one.group(1) == framework_id})

    async def look(self, agent: Agent, framework_id: str, task_id: str) -> list[File]:
        """Which of the files are in the task's sandbox; none where it is gone."""
        rows = await self._ask(agent, list[_Row], "browse", path=_sandbox(framework_id, task_id))
        names = {file: name for name, file in SANDBOX_FILES.items()}
        return [
            File(names[name], row.size, row.mtime)
            for row in rows or ()
            for name in [row.path.rpartition("/")[2]]
            if name in names
        ]

    async def read(self, agent: Agent, framework_id: str, task_id: str, name: str, offset: int, length: int) -> bytes:
        """Bytes of one of `SANDBOX_FILES` from there on; none where there are none."""
        path = f"{_sandbox(framework_id, task_id)}/{SANDBOX_FILES[name]}"
        answer = await self._ask(agent, _Read, "read", path=path, offset=offset, length=min(length, PIECE))
        try:
            return answer.data.encode("latin-1") if answer else b""
        except UnicodeEncodeError as error:
            raise Unreachable(
                f"the agent of {agent.names[0]} gives an answer that is not understood: {error}"
            ) from error

    async def log(self, agent: Agent, most: int) -> bytes:
        """The end of the agent's own log; raises `Unreachable` where it keeps none that can be read."""
        end = await self._ask(agent, _Read, "read", path=AGENT_LOG, offset=-1)
        if end is None:
            raise Unreachable(
                f"the agent of {agent.names[0]} keeps no log file (mesos-agent --log_dir, --external_log_file)"
            )
        at, found = max(0, end.offset - most), bytearray()
        for _ in range(most // PIECE + 1):  # whoever gives it in crumbs is not followed
            if at >= end.offset:
                break
            answer = await self._ask(agent, _Read, "read", path=AGENT_LOG, offset=at, length=PIECE)
            data = answer.data.encode("latin-1", "replace") if answer is not None else b""
            if not data:
                break
            found += data
            at += len(data)
        return bytes(found[:most])

    async def close(self) -> None:
        """Close the connections."""
        await self._asking.close()

    async def _slaves(self, master: str) -> Sequence[_Slave]:
        found = await self._get(
            f"the master {master}", f"http://{master}/slaves", _Slaves, most=MASTER_BYTES, longest_s=MASTER_S
        )
        return found.slaves if found is not None else ()

    async def _ask(self, agent: Agent, kind: type[Kind], what: str, **params: Any) -> Optional[Kind]:
        url = f"http://{agent.address}/files/{what}"
        return await self._get(
            f"the agent of {agent.names[0]}", url, kind, params, most=AGENT_BYTES, longest_s=TIMEOUT_S
        )

    async def _get(
        self,
        who: str,
        url: str,
        kind: type[Kind],
        params: Optional[Mapping[str, Any]] = None,
        *,
        most: int,
        longest_s: float,
    ) -> Optional[Kind]:
        """The answer's JSON; None: there is no such thing. Its texts hold bytes: each character is one (Latin-1), because a
        file's bytes come as they are, but for control characters, which come as ``\\u00XX``."""
        place = url.split("/")[2]
        try:
            user = self._credentials if place in self._closed else None
            answer = await self._asking.get(url, params, most=most, longest_s=longest_s, user=user)
            if answer.status == 401 and self._credentials and user is None:
                self._closed.add(place)
                answer = await self._asking.get(url, params, most=most, longest_s=longest_s, user=self._credentials)
            if answer.status == 404:
                return None
            if answer.status == 401:
                raise Unreachable(f"{who} wants credentials{self._whose()}: daqsched serve --agent-credentials FILE")
            if answer.status == 403:
                raise Unreachable(
                    f"{who} does not let us read sandboxes{self._whose()}: see its ACLs (access_sandboxes)"
                )
            if answer.status != 200:
                raise Unreachable(f"{who} answers {answer.status}: {answer.words}")
            return typed(answer, kind, latin=True)
        except NoAnswer as error:
            raise Unreachable(f"{who} {error}") from error

    def _whose(self) -> str:
        return f", and those of {self._principal} were not enough" if self._principal else ""


def _resources(agent: _Slave, names: tuple[str, ...], attributes: Attributes, role: str) -> tuple[Offer, Offer]:
    """All of the agent that a framework of that role may have, and what of it is in use, whoever uses it."""
    if agent.unreserved_resources_full is None:
        amounts = [_summed_up(has) for has in (agent.resources, agent.used_resources)]
    else:
        has = [*agent.unreserved_resources_full, *chain.from_iterable(agent.reserved_resources_full.values())]
        amounts = [sum_of(usable(each, role)) for each in (has, agent.used_resources_full)]
    total, used = (Offer("", agent.id, names, *amount, attributes) for amount in amounts)
    return total, used


def _summed_up(has: Mapping[str, Union[float, str]]) -> tuple[float, float, float, Ranges]:
    found = re.findall(r"(\d{1,5})-(\d{1,5})", str(has.get("ports", "")))
    ports = ranges((int(low), int(high)) for low, high in found)
    cpus, mem, disk = (one if isinstance(one, float) else 0.0 for one in map(has.get, ("cpus", "mem", "disk")))
    return cpus, mem, disk, ports


def _text(value: Any) -> str:
    return short(value) if isinstance(value, float) else str(value)


def _sandbox(framework_id: str, task_id: str) -> str:
    """The path under which an agent knows an executor's sandbox (paths.cpp, getExecutorVirtualPath)."""
    return f"/frameworks/{framework_id}/executors/{task_id}/runs/latest"
