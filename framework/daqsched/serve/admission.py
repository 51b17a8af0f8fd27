"""Connections taken in: as many as there is room for (`connection_budget`), and at the peers' port from peers alone.

asyncio's own server takes in whatever comes, and with TLS before anybody could count it.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional

from daqsched.serve.connection_budget import ConnectionBudget, Limits, Seat
from daqsched.serve.connections import PEER, WEB, ConnectionTimes, Protocol, Whose
from daqsched.serve.peers import Identity
from daqsched.serve.read_pace import PIECE

if TYPE_CHECKING:
    from daqsched.serve.web_certificate import WebCertificate

logger = logging.getLogger(__name__)

#: Descriptors that are for coordination, master, agents, files and programs, whatever comes in.
RESERVE = 400

#: As many descriptors as are asked of the system at most.
DESCRIPTORS = 65536

#: How long nobody is taken in where the system has no descriptor or memory for it.
AGAIN_ACCEPT_S = 0.2

LATE = "it did not end its handshake in time"

#: So many kinds of strangers at the peers' port are told apart in a second.
STRANGE = 20

#: How often a warning about the same is written.
AGAIN_S = 60.0


def descriptors(sockets: int) -> Limits:
    """What each of so many sockets may take, after asking the system for as many descriptors as it gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft > wanted:
        wanted = DESCRIPTORS
    elif soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    share = (wanted - RESERVE) // sockets
    if share < 48:
        share = 48
        logger.warning(
            "only %d descriptors are allowed (ulimit -n), and %d are wanted: LimitNOFILE= in the unit",
            wanted,
            RESERVE + sockets * 384,
        )
    whole = Limits()
    incoming = min(whole.incoming, share // 3)
    return Limits(incoming, min(whole.answers, share - incoming))


class Reception:
    """Takes connections of one listening socket in, for one event loop. ``tls``: only from peers; ``web``: from anybody, who is
    shown this certificate."""

    def __init__(
        self,
        listener: socket.socket,
        limits: Limits,
        times: ConnectionTimes,
        options: dict[str, Any],
        tls: Optional[Identity] = None,
        strangers: Callable[[Mapping[tuple[str, str], int]], bool] = lambda counts: True,
        web: Optional[WebCertificate] = None,
    ) -> None:
        """``options`` are what uvicorn's protocol wants to be told. ``strangers`` hears, once a second at most, how many came
        from which address that could not show that they are peers, and why; where it does not take that, again later."""
        self.room = ConnectionBudget(limits)
        self._listener, self._times, self._options, self._tls, self._web = listener, times, options, tls, web
        self._strangers, self._strange = strangers, Counter[tuple[str, str]]()
        self._greeted: set[asyncio.Task[None]] = set()
        self._sweeping: Optional[asyncio.Task[None]] = None
        #: When each warning was written, and how often it was not since.
        self._told: dict[str, tuple[float, int]] = {}

    def begin(self) -> None:
        """In the loop that serves."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._listener, self._accept)
        self._sweeping = self._sweeping or loop.create_task(self._sweep())

    def listen(self, listener: socket.socket) -> None:
        """Take them in from another socket from now on."""
        self._deaf()
        self._listener = listener
        self.begin()

    def close(self) -> None:
        """Take nobody in any more, and let those go who have not asked yet."""
        self._deaf()
        for task in filter(None, (self._sweeping, *self._greeted)):
            task.cancel()
        while len(self.room):
            self.room.drop()

    def _deaf(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()

    def tell(self, what: str, *words: Any) -> None:
        """A warning, but not a thousand times: whoever can cause it could fill the log."""
        now = time.monotonic()
        told, kept = self._told.get(what, (-AGAIN_S, 0))
        if now - told < AGAIN_S:
            self._told[what] = (told, kept + 1)
            return
        self._told[what] = (now, 0)
        logger.warning(what + (f" (and {kept} times more before that)" if kept else ""), *words)

    def _accept(self) -> None:
        """One at a time: a queue that never ends must not keep those from being answered who are in."""
        loop = asyncio.get_running_loop()
        try:
            sock, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            self.tell("no connection can be accepted: %s", error.strerror)
            self.room.drop()
            # it would be asked again at once
            loop.remove_reader(self._listener)
            loop.call_later(AGAIN_ACCEPT_S, self._hear_again, self._listener)
            return
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # asyncio does so only where the socket says that it is of TCP, which one of `accept` does not: the second piece of each
            # answer waited for the acknowledgement of the first, which the other end delays by 40 ms
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller, whose = _whose(sock, address, WEB if self._web is not None else PEER)
        seat = Seat(caller, lambda: None)
        dropped = self.room.dropped
        # counted before anything else is done for it
        self.room.wait(seat, time.monotonic(), self._times.header_s)
        if self.room.dropped > dropped:
            words = "%d connections have sent no whole request, the last of %s: the oldest are closed"
            self.tell(words, len(self.room), caller)
        task = loop.create_task(self._greet(sock, seat, whose))
        self._greeted.add(task)
        seat.close = task.cancel
        task.add_done_callback(partial(self._greeting_ended, sock, whose))

    def _hear_again(self, listener: socket.socket) -> None:
        if listener is self._listener and listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listener, self._accept)

    def _greeting_ended(self, sock: socket.socket, whose: Whose, task: asyncio.Task[None]) -> None:
        self._greeted.discard(task)
        if task.cancelled():
            sock.close()  # also where it had not begun
            if self._tls is not None and self._listener.fileno() >= 0:
                self._refuse(whose, LATE)

    async def _greet(self, sock: socket.socket, seat: Seat, whose: Whose) -> None:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if self._tls is not None:
            options = {"ssl": self._tls.server, "ssl_handshake_timeout": self._times.header_s}
        elif self._web is not None:
            options = {"ssl": self._web.context, "ssl_handshake_timeout": self._times.header_s}
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: Protocol(self.room, seat, whose, self._times, _loop=loop, **self._options), sock, **options
            )
        except (OSError, asyncio.TimeoutError) as error:
            self.room.leave(seat)
            sock.close()
            if self._tls is not None:
                self._refuse(whose, _of_handshake(error))
            elif self._web is not None:
                # what goes over the whole network looking for doors is no news
                logger.debug("no TLS with %s: %s", whose.address, _of_handshake(error))
            return
        if self._tls is not None:
            connection = transport.get_extra_info("ssl_object")
            if not self._tls.is_of(connection):
                self._refuse(whose, "it shows another certificate")
                transport.abort()
                return
            self.room.rename(seat, f"a peer at {whose.address}")

    def _refuse(self, whose: Whose, why: str) -> None:
        """One who came as a peer, and is none. Whoever can cause it could fill a log: they are counted."""
        self.tell("refused %s, which did not show our peers' certificate: %s", whose.address, why)
        kind = (whose.address, why)
        self._strange[kind if kind in self._strange or len(self._strange) < STRANGE else ("", "of many kinds")] += 1

    async def _sweep(self) -> None:
        """End those who keep us waiting, for a request or for the reading of an answer's end."""
        while True:
            await asyncio.sleep(min(1.0, self._times.header_s))
            if self._strange and self._strangers(self._strange):
                self._strange = Counter()
            late = self.room.overdue(time.monotonic())
            for seat in late:
                self.room.leave(seat)
                seat.close()
            if late:
                self.tell(
                    "closed %d connections that did not send a whole request, or read an answer, in time", len(late)
                )

    def slow(self, seat: Seat) -> None:
        """Its caller does not read its answer as fast as it has to (`read_pace`)."""
        words = "closed a connection of %s, which read less than %d KiB of its answer within %g s"
        self.tell(words, seat.caller, PIECE >> 10, self._times.unread_s)
        seat.close()


def _of_handshake(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "SSL").replace("_", " ").lower()
    # asyncio's word for its own time limit
    return LATE if isinstance(error, (asyncio.TimeoutError, ConnectionAbortedError)) else "it went away"


def _whose(sock: socket.socket, address: Any, door: str) -> tuple[Hashable, Whose]:
    """The caller whose share a connection counts to, and what the kernel says of it."""
    if sock.family == socket.AF_UNIX:
        size = struct.calcsize("3i")
        pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return f"uid {uid}", Whose(uid, gid, pid)
    return f"the address {address[0]}", Whose(-1, -1, -1, str(address[0]), door)
