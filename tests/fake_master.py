"""A master as far as `mesos.driver` sees one, that does what a test says, and a connection to it."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Union

from daqsched.engine import events
from daqsched.mesos.connection import Mesos
from daqsched.mesos.outgoing import Framework

#: What the master does with a subscription: an answer, after which it hangs up, or a function of the socket.
Act = Union[bytes, Callable[[socket.socket], None]]


def status(code: int, text: str = "", head: str = "") -> bytes:
    """An answer that is no subscription."""
    return f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\n{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def subscribed(heartbeat_s: float = 15.0) -> bytes:
    """What a leading master says at first."""
    told = {"framework_id": {"value": "F"}, "heartbeat_interval_seconds": heartbeat_s}
    record = json.dumps({"type": "SUBSCRIBED", "subscribed": told}).encode()
    frame = b"%d\n%s" % (len(record), record)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: 1\r\n\r\n"
    return head + b"%x\r\n%s\r\n" % (len(frame), frame)


class Master:
    """Does one act after the other, one for each subscription, and subscribes whoever comes then; to a call says nothing
    unless it is told to."""

    #: What it says of itself.
    version = status(404)

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.subscriptions = 0
        self.calls: list[str] = []
        self.answers_calls = True
        self.answer: Callable[[socket.socket], None] = lambda one: one.sendall(status(202))
        self._kept: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            head, _, body = one.recv(65536).partition(b"\r\n\r\n")
            if not head or head.startswith(b"GET /version"):
                one.sendall(self.version if head else b"")
                one.close()
                continue
            kind = json.loads(body or one.recv(65536))["type"]
            if kind != "SUBSCRIBE":
                self.calls.append(kind)
                if self.answers_calls:
                    self.answer(one)
            else:
                self.subscriptions += 1
                act = self.acts.pop(0) if self.acts else hold
                if callable(act):
                    act(one)
                else:
                    one.sendall(act)
                    one.close()
                    continue
            self._kept.append(one)

    def end(self) -> None:
        """Close whatever is open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in (self._listener, *self._kept):
            one.close()


def hold(one: socket.socket) -> None:
    """Subscribe, and stay."""
    one.sendall(subscribed())


class Link:
    """A connection, and the events that came by it."""

    def __init__(self, address: str, allowed: Callable[[], bool] = lambda: True) -> None:
        self.events: queue.Queue[events.Event] = queue.Queue()
        self.mesos = Mesos(address, Framework(user="daq"), "", self.events.put, allowed)
        self.mesos.start()

    def next(self, kind: type[events.Event]) -> None:
        """The next event of the kind."""
        while not isinstance(self.events.get(timeout=20.0), kind):
            pass
