"""The sockets of `daqsched serve`, and the thread that answers on them by whatever application is behind.

The crew comes through a Unix socket, and who they are the kernel says. Where two or more serve one farm, those that do not
lead come over TCP: they show the token that only who may read our nodes in ZooKeeper knows, and say for whom they ask.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import Any, Awaitable, Callable, Optional
from urllib.parse import unquote

import uvicorn
from starlette.responses import Response

from daqsched.errors import DaqschedError
from daqsched.serve.door import PEER, Protocol, listen

logger = logging.getLogger(__name__)

#: An ASGI application.
App = Callable[[Any, Any, Any], Awaitable[None]]

#: The header that says for whom a spare asks; its name is quoted as in a URL.
USER = "x-daqsched-user"


class Serving:
    """Answers on ``path`` from the beginning, with ``app`` as it is when a request comes in."""

    def __init__(self, path: Path, group: str, app: App, peers: Optional[tuple[str, int]] = None) -> None:
        self.app = app
        self.token = secrets.token_urlsafe(32)
        self._path = path
        self._sockets = [listen(path, group)]
        #: Where spares reach us, as ``HOST:PORT``.
        self.address = ""
        if peers is not None:
            try:
                self._sockets.append(socket.create_server(peers, backlog=64))
            except OSError as error:
                self._close_sockets()
                raise DaqschedError(f"{peers[0]}:{peers[1]} can't be listened on: {error.strerror or error}") from error
            self.address = f"{peers[0]}:{self._sockets[1].getsockname()[1]}"
        config = uvicorn.Config(
            self._answer,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            loop="asyncio",
            interface="asgi3",  # it would take a method for the second
            proxy_headers=False,
        )
        self._server = uvicorn.Server(config)
        ready = threading.Event()

        async def main() -> None:
            ready.set()
            await self._server.serve(sockets=self._sockets)

        self._thread = threading.Thread(target=lambda: asyncio.run(main()), name="api", daemon=True)
        self._thread.start()
        ready.wait()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["client"] == PEER:
            headers = dict(scope["headers"])
            if not hmac.compare_digest(headers.get(b"authorization", b""), f"Bearer {self.token}".encode()):
                logger.warning("refused somebody who came over TCP without our token")
                await Response(status_code=401)(scope, receive, send)
                return
            scope = {**scope, "client": (unquote(headers.get(USER.encode(), b"").decode("latin-1")) or "unknown", 0)}
            scope["by_peer"] = True
        await self.app(scope, receive, send)

    def close(self) -> None:
        """Answer what is being answered, then no more."""
        self._server.should_exit = True
        self._thread.join(5.0)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass  # somebody tidied up
