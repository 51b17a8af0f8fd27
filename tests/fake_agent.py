"""A Mesos agent as one executor sees it: real sockets, the executor HTTP API v1, RecordIO over chunked HTTP.

Only what an executor talks to is here. It acknowledges updates at once, unless told not to; it can vanish and come
back on the same port, hang, or refuse.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Optional, Union

from daqsched_executor.contract import Done, OperatorCommand, Payload, Report, Survey
from daqsched_executor.machine.kernel import RELAY
from waiting import Answer, alive

Status = dict[str, Any]


class FakeAgent:
    """Listens from the start. All that arrives is kept in `subscriptions` and `updates`, in order."""

    def __init__(self) -> None:
        self.subscriptions: list[dict[str, Any]] = []
        self.updates: list[Status] = []
        #: What it says to the framework beside its updates.
        self.messages: list[bytes] = []
        self.acknowledges = True
        #: Accept, and never answer.
        self.hangs = False
        #: The status line of the answer to an update that is refused; empty: none is.
        self.refuses = ""
        #: Answer subscriptions as an agent that has never heard of the executor.
        self.forgot = False
        self.requests: list[str] = []
        self.capabilities: list[dict[str, str]] = [{"type": "TASK_KILLING_STATE"}]
        self._changed = threading.Condition()
        # each request has a thread: the next one may come as soon as one was accepted, and is taken after it
        self._in_order = threading.Lock()
        self._stream: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.port = 0
        self.come()

    def come(self) -> None:
        """Listen (again), on the port of the first time."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(50)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def vanish(self) -> None:
        """As after kill -9: every connection breaks, new ones are refused."""
        with self._changed:
            self._stream = None
            for connection in [self._listener, *self._open]:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                connection.close()
            self._open.clear()

    def send(self, event: dict[str, Any]) -> None:
        """One event to the subscribed executor."""
        record = json.dumps(event).encode()
        frame = b"%d\n%s" % (len(record), record)
        with self._changed:
            assert self._stream is not None, "no executor is subscribed"
            self._stream.sendall(b"%x\r\n%s\r\n" % (len(frame), frame))

    def launch(self, data: bytes, task_id: str) -> None:
        """Hand over the task."""
        task = {"name": "t", "task_id": {"value": task_id}, "agent_id": {"value": "A"}, "resources": []}
        self.send({"type": "LAUNCH", "launch": {"task": {**task, "data": base64.b64encode(data).decode()}}})

    def kill(self, task_id: str, grace_s: float | None = None) -> None:
        """Order the end of the task."""
        policy = {} if grace_s is None else {"kill_policy": {"grace_period": {"nanoseconds": int(grace_s * 1e9)}}}
        self.send({"type": "KILL", "kill": {"task_id": {"value": task_id}, **policy}})

    def acknowledge(self, status: Status) -> None:
        """Say that an update is on disk."""
        word = {"task_id": status["task_id"], "uuid": status["uuid"]}
        with self._changed:
            if self._stream is not None:  # else the executor sends it again when it is back
                self.send({"type": "ACKNOWLEDGED", "acknowledged": word})

    def wait(
        self, true: Callable[[], Union[Answer, Literal[False], Optional[Answer]]], what: str, limit_s: float = 30.0
    ) -> Answer:
        """Wait until something that arrives here makes ``true()`` so."""
        end = time.monotonic() + limit_s
        with self._changed:
            while True:
                found = true()
                if found:
                    return found
                left = end - time.monotonic()
                states = [(update["state"], update["message"]) for update in self.updates]
                assert left > 0, f"no {what} within {limit_s} s; updates: {states}"
                self._changed.wait(min(left, 0.1))

    def wait_subscribed(self, times: int = 1) -> None:
        """Wait for the n-th subscription."""
        self.wait(lambda: len(self.subscriptions) >= times and self._stream is not None, f"subscription {times}")

    def wait_update(self, state: str, count: int = 1, contains: str = "", limit_s: float = 30.0) -> Status:
        """Wait for the n-th update with that state (`how_far`) and words, and return it."""

        def found() -> Status | None:
            fitting = [one for one in self.updates if how_far(one) == state and contains in one["message"]]
            return fitting[count - 1] if len(fitting) >= count else None

        return self.wait(found, f"{state} {contains!r} (number {count})", limit_s)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                if listener is not self._listener or listener.fileno() < 0:  # it has vanished meanwhile
                    connection.close()
                    return
                self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as file:
                head = "".join(iter(lambda: file.readline().decode().replace("\r\n", "\n").lstrip("\n"), ""))
                length = int(head.lower().partition("content-length:")[2].split("\n")[0])
                body = json.loads(file.read(length))
            with self._changed:
                self.requests.append(head)
                self._changed.notify_all()
            if self.hangs:
                return
            self._answer(connection, body)
        except (OSError, ValueError):
            return

    def _answer(self, connection: socket.socket, body: dict[str, Any]) -> None:
        if self.forgot:
            text = b"Framework cannot be found"
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        elif body["type"] == "SUBSCRIBE":
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            with self._changed:
                self._stream = connection
            subscribed = {
                "executor_info": {"executor_id": body["executor_id"]},
                "framework_info": {"id": body["framework_id"], "capabilities": self.capabilities},
                "agent_info": {"hostname": "hlt01"},
            }
            self.send({"type": "SUBSCRIBED", "subscribed": subscribed})
            for update in body["subscribe"]["unacknowledged_updates"]:
                self._take(update["status"])
            with self._changed:
                self.subscriptions.append(body["subscribe"])
                self._changed.notify_all()
        elif self.refuses:
            connection.sendall(f"HTTP/1.1 {self.refuses}\r\nContent-Length: 4\r\n\r\noops".encode())
        elif body["type"] in ("UPDATE", "MESSAGE"):
            with self._in_order:
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                connection.close()
                if body["type"] == "UPDATE":
                    self._take(body["update"]["status"])
                else:
                    with self._changed:
                        self.messages.append(base64.b64decode(body["message"]["data"]))
                        self._changed.notify_all()

    def _take(self, status: Status) -> None:
        with self._changed:
            if status["uuid"] not in [update["uuid"] for update in self.updates]:
                self.updates.append(status)
            self._changed.notify_all()
            # before whoever waits for the update goes on, and perhaps has us acknowledge no more
            if self.acknowledges:
                self.acknowledge(status)


class ExecutorUnderTest:
    """A real ``daqsched-executor run`` in its own sandbox, started as the posix launcher does it: own session."""

    #: Another one is started in the same way.
    COMMAND: Sequence[str] = (sys.executable, "-m", "daqsched_executor")

    def __init__(self, agent: FakeAgent, sandbox: Path, command: Sequence[str] = COMMAND, **environ: str) -> None:
        sandbox.mkdir(parents=True, exist_ok=True)
        self.agent, self.sandbox = agent, sandbox
        self.spool = sandbox.parent / "spool"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(sandbox),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MESOS_AGENT_ENDPOINT": f"127.0.0.1:{agent.port}",
            "MESOS_FRAMEWORK_ID": "F",
            "MESOS_EXECUTOR_ID": "E",
            "MESOS_SANDBOX": str(sandbox),
            "MESOS_CHECKPOINT": "1",
            "MESOS_RECOVERY_TIMEOUT": "15mins",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
            "DAQSCHED_SPOOL": str(self.spool),
            **environ,
        }
        with open(sandbox / "stdout", "ab") as out, open(sandbox / "stderr", "ab") as err:
            self.process = subprocess.Popen(
                [*command, "run"],
                cwd=sandbox, env=environment, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The executor itself: what was started becomes its warden, as under the posix launcher."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def launch(self, payload: Payload | Survey) -> None:
        """Wait for the subscription and hand over the task."""
        self.agent.wait_subscribed()
        self.agent.launch(payload.to_json(), payload.task_id)

    def running(self, count: int = 1) -> Report:
        """Wait for the n-th TASK_RUNNING."""
        return report_of(self.agent.wait_update("TASK_RUNNING", count))

    def log(self) -> str:
        """executor.log so far."""
        return (self.sandbox / "executor.log").read_text()

    def leave(self, limit_s: float = 15.0) -> int:
        """Wait until the executor ends by itself; its exit status."""
        return self.process.wait(limit_s)

    def end(self) -> None:
        """Whatever happened in the test, leave no process."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # the warden and the executor
        self.process.wait()


def report_of(status: Status) -> Report:
    """The report inside a status update."""
    return Report.from_json(base64.b64decode(status["data"]))


def how_far(status: Status) -> str:
    """Mesos' state, or TASK_STARTING where the report says that a program which ran before is not as far again."""
    state: str = status["state"]
    again = state == "TASK_RUNNING" and "data" in status and not report_of(status).ready
    return "TASK_STARTING" if again else state


def order(agent: FakeAgent, kind: str, name: str = "", id: str = "o1") -> None:
    """As the agent hands over a framework message."""
    message(agent, OperatorCommand(id, kind, "alice", name).to_json())


def message(agent: FakeAgent, data: bytes) -> None:
    """The data of one, whatever it is."""
    agent.send({"type": "MESSAGE", "message": {"data": base64.b64encode(data).decode()}})


def outcome(agent: FakeAgent, id: str = "o1", limit_s: float = 30.0) -> Done:
    """Wait for the report that has this order's outcome."""

    def found() -> Done | None:
        reports = [report_of(update) for update in agent.updates]
        return next((one.done for one in reports if one.done is not None and one.done.id == id), None)

    done: Done = agent.wait(found, f"outcome of {id}", limit_s)
    return done


#: What the fixture `start` gives: starts an executor with a program (argv, and fields of the payload).
Start = Callable[..., ExecutorUnderTest]


def processes_of(executor: ExecutorUnderTest) -> list[int]:
    """Living processes of the executor's job: all that have its sandbox as folder, but for executor, warden, relay processes and
    what these end with (timeout, cat), which hold a file of the sandbox where no program of a job has one."""
    found = []
    output = executor.sandbox / "stdout"
    own = [executor.process.pid] if executor.process.poll() is None else []
    try:
        own.append(executor.pid)
    except (OSError, IndexError):  # it has left
        pass
    for name in os.listdir("/proc"):
        try:
            ours = name.isdigit() and Path(os.readlink(f"/proc/{name}/cwd")) == executor.sandbox
            if ours and Path(f"/proc/{name}/comm").read_text() != f"{RELAY}\n" and not _is_copied_to(output, name):
                found.append(int(name))
        except OSError:
            continue
    return [pid for pid in found if pid not in own and alive(pid)]


def _is_copied_to(output: Path, pid: str) -> bool:
    """Whether it is of a relay process, whose script has the program's output as 5."""
    try:
        return Path(os.readlink(f"/proc/{pid}/fd/5")) == output
    except FileNotFoundError:
        return False


def relays(executor: ExecutorUnderTest) -> list[int]:
    """The processes that copy."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if Path(f"/proc/{pid}/comm").read_text() == "daqsched-relay\n" and Path(f"/proc/{pid}/cwd").samefile(
                executor.sandbox
            ):
                found.append(pid)
        except OSError:
            continue
    return [pid for pid in found if alive(pid)]
