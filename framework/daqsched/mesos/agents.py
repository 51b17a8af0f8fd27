"""What the agents know of our tasks' sandboxes, and what stands in them: Mesos' `/files` (files.cpp), and the master's `/slaves`.

Asked by the daemon, not by the crew's command: it knows the agents' addresses, may know their credentials, and a crew's
machine need not reach every agent. Only our own framework's sandboxes can be asked for, and of them the three files that
a job's lines are in.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

import httpx

from daqsched.engine.events import Attributes, Offer
from daqsched.engine.match import short
from daqsched.errors import Unreachable
from daqsched.views.placement import free_of
from daqsched_executor.contract import SANDBOX_FILES

#: How long an agent may take for one answer, and for taking the connection.
TIMEOUT_S, CONNECT_S = 3.0, 2.0

#: How many requests are under way at once: two hundred agents, of which some hang, shall not take a minute.
AT_ONCE = 64

#: What an agent gives at most in one answer (files.cpp: 16 pages).
PIECE = 64 * 1024

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


class _OnDemand(httpx.Auth):
    """HTTP Basic, told only to who asks for it, and from then on at once."""

    def __init__(self, principal: str, secret: str) -> None:
        self._basic = httpx.BasicAuth(principal, secret)
        self._asked: set[bytes] = set()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if request.url.netloc not in self._asked:
            response = yield request
            if response.status_code != 401:
                return
            self._asked.add(request.url.netloc)
        yield from self._basic.auth_flow(request)


class Agents:
    """Asks them; every method raises `Unreachable` with one sentence. For one event loop."""

    def __init__(self, credentials: Optional[tuple[str, str]] = None) -> None:
        self._principal = credentials[0] if credentials else ""
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_S, pool=None),
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            auth=_OnDemand(*credentials) if credentials else None,
            trust_env=False,
        )
        self._room = asyncio.Semaphore(AT_ONCE)

    async def registered(self, master: str) -> dict[str, Agent]:
        """The agents that the master has, by id."""
        answer = await self._get(f"the master {master}", f"http://{master}/slaves")
        found = {}
        for one in answer.get("slaves", ()):
            names = (str(one.get("hostname", "")), str(one.get("attributes", {}).get("hostname", "")))
            address = str(one["pid"]).partition("@")[2]
            found[one["id"]] = Agent(one["id"], tuple(dict.fromkeys(filter(None, names))), address)
        return found

    async def machines(self, master: str) -> dict[str, Offer]:
        """What each machine has free now, by each of its names: an active agent's resources without those in use."""
        answer = await self._get(f"the master {master}", f"http://{master}/slaves")
        found = {}
        for one in answer.get("slaves", ()):
            if not one.get("active", True):
                continue
            attributes = {name: (_text(value),) for name, value in one.get("attributes", {}).items()}
            names = (str(one.get("hostname", "")), *attributes.get("hostname", ()))
            total, used = (_resources(one, names, attributes, key) for key in ("resources", "used_resources"))
            for name in filter(None, names):
                found[name] = free_of(total, used)
        return found

    async def tasks(self, agent: Agent, framework_id: str) -> list[str]:
        """The tasks of the framework whose sandboxes the agent still has, finished ones too: our executors are called as
        their task."""
        found = (_EXECUTOR.match(path) for path in await self._ask(agent, "debug") or ())
        return sorted({one.group(2) for one in found if one is not None and one.group(1) == framework_id})

    async def look(self, agent: Agent, framework_id: str, task_id: str) -> list[File]:
        """Which of the files are in the task's sandbox; none where it is gone."""
        rows = await self._ask(agent, "browse", path=_sandbox(framework_id, task_id))
        names = {file: name for name, file in SANDBOX_FILES.items()}
        return [
            File(names[name], int(row["size"]), float(row["mtime"]))
            for row in rows or ()
            for name in [str(row["path"]).rpartition("/")[2]]
            if name in names
        ]

    async def read(self, agent: Agent, framework_id: str, task_id: str, name: str, offset: int, length: int) -> bytes:
        """Bytes of one of `SANDBOX_FILES` from there on; none where there are none."""
        path = f"{_sandbox(framework_id, task_id)}/{SANDBOX_FILES[name]}"
        answer = await self._ask(agent, "read", path=path, offset=offset, length=min(length, PIECE))
        data: str = answer["data"] if answer else ""
        return data.encode("latin-1")

    async def close(self) -> None:
        """Give the connections free."""
        await self._http.aclose()

    async def _ask(self, agent: Agent, what: str, **params: Any) -> Any:
        return await self._get(f"the agent of {agent.names[0]}", f"http://{agent.address}/files/{what}", params)

    async def _get(self, who: str, url: str, params: Optional[Mapping[str, Any]] = None) -> Any:
        """The answer's JSON; None: there is no such thing. Its texts hold bytes: each character is one (Latin-1), because a
        file's bytes come as they are, but for control characters, which come as ``\\u00XX``."""
        try:
            async with self._room:
                response = await self._http.get(url, params=params)
        except httpx.TimeoutException as error:
            raise Unreachable(f"{who} did not answer within {TIMEOUT_S:g} s") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{who} does not answer: {error or type(error).__name__}") from error
        if response.status_code == 404:
            return None
        if response.status_code == 401:
            raise Unreachable(f"{who} wants credentials{self._whose()}: daqsched serve --agent-credentials FILE")
        if response.status_code == 403:
            raise Unreachable(f"{who} does not let us read sandboxes{self._whose()}: see its ACLs (access_sandboxes)")
        if response.status_code != 200:
            raise Unreachable(f"{who} answers {response.status_code}: {' '.join(response.text.split())[:200]}")
        try:
            return json.loads(response.content.decode("latin-1"))
        except ValueError as error:
            raise Unreachable(f"{who} answers what is not understood: {error}") from error

    def _whose(self) -> str:
        return f", and those of {self._principal} were not enough" if self._principal else ""


def _resources(agent: Mapping[str, Any], names: tuple[str, ...], attributes: Attributes, key: str) -> Offer:
    has = agent.get(key, {})
    ports = tuple((int(low), int(high)) for low, high in re.findall(r"(\d+)-(\d+)", str(has.get("ports", ""))))
    cpus, mem, disk = (float(has.get(name, 0.0)) for name in ("cpus", "mem", "disk"))
    return Offer("", str(agent["id"]), names, cpus, mem, disk, ports, attributes)


def _text(value: Any) -> str:
    return short(value) if isinstance(value, float) else str(value)


def _sandbox(framework_id: str, task_id: str) -> str:
    """The path under which an agent knows an executor's sandbox (paths.cpp, getExecutorVirtualPath)."""
    return f"/frameworks/{framework_id}/executors/{task_id}/runs/latest"
