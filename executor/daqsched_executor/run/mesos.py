"""The only module that knows pymesos: its driver without its thread, and its messages as our events.

pymesos keeps the protocol (the executor HTTP API v1 of Mesos: what a subscription, an update, an acknowledgement look
like); our loop drives its connection. So there is one thread, nothing blocks, and a hung agent cannot delay the
restart of a program. What is done differently from pymesos 0.3.15, and why:

- updates are posted by `updates` over `call.Call`, not by a blocking http.client;
- unacknowledged updates are repeated at each subscription (pymesos never fills ``driver.updates``);
- a lost agent is tried again after a fraction of a second, not after 2 to 15 s: a restarted agent gives its
  executors 2 s (its executor_reregistration_timeout) before it ends them;
- MESOS_CHECKPOINT=0 means no (pymesos takes any text as yes);
- its import installs a SIGINT handler, which ours replaces; its front module, which hangs a log handler on the job's stderr and
  imports all the rest, is not executed at all (`lean`).
"""

from __future__ import annotations

import json
import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from typing import Any

from pymesos import executor, process
from pymesos.executor import MesosExecutorDriver
from pymesos.interface import Executor
from pymesos.process import Connection
from pymesos.utils import parse_duration

from daqsched_executor.contract import ContractError, OperatorCommand, Payload, task_of
from daqsched_executor.life.commands import Tell
from daqsched_executor.life.events import (
    Acknowledged,
    Connected,
    Disconnected,
    Event,
    Launched,
    OperatorAsked,
    Refused,
    StopAsked,
    SurveyAsked,
)
from daqsched_executor.log import Log, Logger
from daqsched_executor.run.call import Call
from daqsched_executor.run.loop import READ, WRITE, Loop
from daqsched_executor.run.updates import Updates

#: Between two attempts to reach the agent. Mesos asks for less than MESOS_SUBSCRIPTION_BACKOFF_MAX (1 s by default).
RECONNECT_S = (0.2, 0.6)
#: An agent that accepts a connection and then is silent for this long is disconnected and tried again.
SUBSCRIBE_S = 10.0
#: How pymesos words the answer of an agent that has no such framework or executor (Slave::Http::executor in Mesos'
#: slave/http.cpp; while it starts and recovers it says 404 and then 503: tried). Then nobody counts on the program any
#: more, and a second copy may be near.
UNKNOWN = "Failed with HTTP 400"
#: What an agent that runs with --authenticate_http_executors gives to each executor.
TOKEN = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"
#: What a message about the program's terminal begins with (`contract.console`, which few need).
CONSOLE = b'{"console":'
#: Time that is left, of what the agent gives us to shut down, for the last report.
SHUTDOWN_MARGIN_S = 1.0


class RecordLength:
    """The one pattern of `pymesos.process`, ``\\d+\\n``: to find it needs no `re`."""

    def match(self, data: bytes) -> RecordLength | None:
        """Whether a record's length and a line's end are the beginning."""
        self._found = data[: data.find(b"\n", 0, 32) + 1]
        return self if self._found[:-1].isdigit() else None

    def group(self, number: int) -> bytes:
        """What was found."""
        return self._found


class Link(MesosExecutorDriver):
    """The connection to the agent: subscribes again for ever, turns messages into events, keeps updates until they
    are acknowledged. Everything is done in the loop's thread; ``emit`` takes the events."""

    #: A property of pymesos' own: what a subscription's answer named the stream; None while there is none.
    stream_id: Any

    def __init__(
        self, loop: Loop, log: Log, emit: Callable[[Event], None], environ: Mapping[str, str], token: str
    ) -> None:
        super().__init__(Executor())
        self.checkpoint = environ.get("MESOS_CHECKPOINT") == "1"
        self._loop = loop
        self._log = log
        self._emit = emit
        self._token = token
        self._task_id = ""
        self._stream: Any = None
        self._subscribed = False
        self._updates = Updates(loop, log, emit, self.executor_id, self._request, lambda: self._subscribed)
        #: A message to the daemon that is under way, and who is told what becomes of it.
        self._message: Call | None = None
        self._message_done: Callable[[str], None] = lambda problem: None
        #: Takes the daemon's messages about the program's terminal.
        self.console: Callable[[bytes], None] = lambda data: None
        #: When to connect again, or to give up a silent connection (monotonic).
        self._due: float | None = 0.0
        self._said_away = False
        self._master = self._new_master
        self._started = True
        process.logger = executor.logger = Logger(log)
        process.LENGTH_PATTERN = RecordLength()

    # ------------------------------------------------------------------------------- what `run` calls

    def tell(self, told: Tell) -> None:
        """Send a status update now or when there is a way; the agent's acknowledgement of a final one is an event."""
        self._updates.tell(told, self._task_id)

    def wake_at(self) -> float | None:
        """When `wake` should be called (monotonic), or None."""
        times = (self._due, self._updates.wake_at(), self._message.deadline if self._message is not None else None)
        return min((time for time in times if time is not None), default=None)

    def wake(self) -> None:
        """Connect again, drop a silent connection or call, post what waited."""
        now = self._loop.now()
        if self._due is not None and now >= self._due:
            self._due = None
            if self._stream is None:
                self._connect(now)
            elif not self._subscribed:
                self._lose("the agent accepts connections, but does not answer")
        if self._message is not None and now >= self._message.deadline:
            self._message_gone(f"no answer within {Call.LIMIT_S:.0f} s")
        self._updates.wake(now)

    # ------------------------------------------------------------------------------- the subscription

    def gen_request(self) -> bytes:
        """The SUBSCRIBE; called by pymesos when a connection is made."""
        self.updates = {status["uuid"]: {"status": status} for status in self._updates.to_carry()}
        request: bytes = super().gen_request()
        if self._token:
            request = request.replace(b"\r\n", f"\r\nAuthorization: Bearer {self._token}\r\n".encode(), 1)
        return request

    def _connect(self, now: float) -> None:
        try:
            self._stream = Connection(self._master, self)
        except OSError as error:
            self._stream = None
            self._retry(now, error.strerror or str(error))
            return
        self._due = now + SUBSCRIBE_S
        self._loop.watch(self._stream.fileno(), READ | WRITE, self._stream_ready)

    def _stream_ready(self, mask: int) -> None:
        stream = self._stream
        try:
            if not stream.connected:
                problem = stream.handle_connect_event()
                if problem:
                    return self._lose(f"the agent at {self._master} cannot be reached: {problem}")
            if mask & WRITE and not stream.write():
                return self._lose("the agent broke the connection")
            if mask & READ and not stream.read():
                return self._lose("the agent ended the connection")
        except Exception as error:  # pymesos raises RuntimeError for any answer that is not a subscription
            self._lose(f"the agent's answer can't be used: {error}")
            if UNKNOWN in str(error):
                why = "the agent, which does not know this executor: it came back under a new agent id"
                self._emit(StopAsked(why, leave_s=SHUTDOWN_MARGIN_S / 2))
            return None
        if self._stream is stream:
            self._loop.watch(stream.fileno(), READ | WRITE if stream.want_write() else READ, self._stream_ready)

    def _lose(self, why: str) -> None:
        stream, self._stream = self._stream, None
        self._loop.forget(stream.fileno())
        stream.close()
        self._retry(self._loop.now(), why)

    def _retry(self, now: float, why: str) -> None:
        least, most = RECONNECT_S
        # by os: a module that is loaded only now may be away, with the installation
        self._due = now + least + (most - least) * os.urandom(1)[0] / 255
        if self._subscribed or not self._said_away:
            self._log.say(f"agent: {why}; trying again every second")
        self._said_away = True
        self._subscribed = False
        self.stream_id = None
        self._updates.lost()
        self._emit(Disconnected())

    def on_close(self) -> None:
        """Called by pymesos when a connection is closed: `_lose` has said all there is to say."""

    def change_master(self, new_master: str | None) -> None:
        """A redirect: no agent sends one."""

    # ------------------------------------------------------------------------------- the agent's messages

    def on_subscribed(self, info: Any) -> None:
        """The agent knows us (again)."""
        super().on_subscribed(info)
        capabilities = info["framework_info"].get("capabilities", ())
        self._due, self._subscribed, self._said_away = None, True, False
        self._updates.carried()
        self._log.say(f"subscribed at the agent of {info['agent_info'].get('hostname', self._master)}")
        self._emit(Connected(any(entry.get("type") == "TASK_KILLING_STATE" for entry in capabilities)))
        self._updates.post(self._loop.now())

    def on_launch(self, event: Any) -> None:
        """One executor runs one task; another one is refused, and the first goes on."""
        task = event["task"]
        task_id = task["task_id"]["value"]
        if self._task_id:
            if task_id != self._task_id:
                self._updates.refuse(task_id, self._task_id)
            return
        self._task_id = task_id
        self.tasks[task_id] = task
        try:
            handed = task_of(a2b_base64(task.get("data", "")))
            self._emit(Launched(handed) if isinstance(handed, Payload) else SurveyAsked(handed))
        except Exception as error:  # whatever is wrong with it: it is handed over once, and must not be lost
            self._emit(Refused(f"this executor cannot use its task: {error}"))

    def on_launch_group(self, event: Any) -> None:
        """Task groups are for Mesos' own default executor."""
        for task in event["task_group"]["tasks"]:
            self._updates.refuse(task["task_id"]["value"], self._task_id)

    def on_kill(self, event: Any) -> None:
        """The scheduler kills the task."""
        if event["task_id"]["value"] != self._task_id:
            return self._log.say(f"ignored: a kill of {event['task_id']['value']}, which is not ours")
        grace = event.get("kill_policy", {}).get("grace_period", {}).get("nanoseconds")
        self._emit(StopAsked("the scheduler", None if grace is None else int(grace) / 1e9))

    def on_acknowledged(self, event: Any) -> None:
        """The agent has the update on disk."""
        self.tasks.pop(event["task_id"]["value"], None)
        if self._updates.acknowledged(event["uuid"]):
            self._emit(Acknowledged())

    def on_message(self, event: Any) -> None:
        """An operator command. One that can't be understood is logged, and changes nothing."""
        try:
            data = a2b_base64(event.get("data", ""))
            if data.startswith(CONSOLE):
                return self.console(data)
            self._emit(OperatorAsked(OperatorCommand.from_json(data)))
        except (ContractError, ValueError) as error:
            self._log.say(f"ignored: a message of the framework that is not an order: {error}")

    def on_error(self, event: Any) -> None:
        """The agent does not want us (any longer)."""
        self._log.say(f"agent: {event.get('message', 'an error without words')}")

    def on_shutdown(self) -> None:
        """The agent ends us, and kills the container after its grace: so ours is shorter.

        Where the framework is gone, the agent acknowledges nothing any more (seen with Mesos 1.11).
        """
        grace_s = max(0.1, (self.grace_shutdown_period or 5.0) - SHUTDOWN_MARGIN_S)
        self._emit(StopAsked("the agent's shutdown of the executor", grace_s, SHUTDOWN_MARGIN_S / 2))

    # ------------------------------------------------------------------------------- messages to the daemon

    def send(self, data: bytes, done: Callable[[str], None]) -> bool:
        """Hand one message to the agent, the only one under way: whether that was tried, then ``done`` hears of it. It may be lost
        behind the agent."""
        if not self._subscribed or self._message is not None:
            return False
        message = {"data": b2a_base64(data, newline=False).decode()}
        try:
            self._message, self._message_done = self._request("MESSAGE", {"message": message}, self._message_gone), done
        except OSError:  # too many open files
            return False
        return True

    def _message_gone(self, problem: str) -> None:
        message, self._message = self._message, None
        if message is not None:
            message.close()
        self._message_done(problem)

    def _request(self, kind: str, words: dict[str, Any], done: Callable[[str], None]) -> Call:
        """In the place of pymesos' `_send`, which waits for the answer."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if self.stream_id:
            headers["Mesos-Stream-Id"] = self.stream_id
        body = {"type": kind, "executor_id": self.executor_id, "framework_id": self.framework_id, **words}
        return Call(self._loop, self._master, "/api/v1/executor", json.dumps(body).encode(), headers, done)


def patience_s(environ: Mapping[str, str]) -> float:
    """How long an executor may go on without its agent: 0 without checkpoints, else as the agent's flag has it."""
    if environ.get("MESOS_CHECKPOINT") != "1":
        return 0.0
    return float(parse_duration(environ.get("MESOS_RECOVERY_TIMEOUT", "15mins")))
