"""How a request comes in and an answer goes out: the socket, the caller's name, JSON both ways, errors as sentences.

Who is at the other end is not asked but looked up: the kernel tells the uid of the process that connected (unix(7),
SO_PEERCRED), and that name goes into the revision and the log. Who comes over TCP is a spare (`serving`), which says for
whom it asks.
"""

from __future__ import annotations

import logging
import os
import pwd
import socket
import stat
import struct
from pathlib import Path
from typing import Any, Awaitable, Callable, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from daqsched.errors import DaqschedError, Refused, UserError
from daqsched.foreign import check_message
from daqsched.protocol import Problem
from daqsched.spec import refuse_unknown

logger = logging.getLogger(__name__)

#: The largest request: a spec of ten thousand jobs is some megabytes.
MOST_BYTES = 64 * 1024 * 1024

#: In the place of the caller of a TCP connection, until it has shown that it may ask.
PEER = ("", -1)

Body = TypeVar("Body")


def listen(path: Path, group: str = "") -> socket.socket:
    """A listening Unix socket with mode 0660, also of ``group`` if given; takes the place of one that nobody serves."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise DaqschedError(f"{path} is in the way: it is no socket; move it or give another --socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2.0)
            if probe.connect_ex(str(path)) == 0:
                raise DaqschedError(f"another daqsched serve answers on {path}: stop it, or give another --socket")
        path.unlink()
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        sock.bind(str(path))
    except OSError as error:
        raise DaqschedError(f"the socket {path} can't be made: {error.strerror or error}") from error
    finally:
        os.umask(before)
    if group:
        try:
            import grp

            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        except (KeyError, PermissionError) as error:
            raise DaqschedError(f"the socket {path} can't be given to the group {group!r}: {error}") from error
    sock.listen(128)  # who comes before the server is up waits
    return sock


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with the caller's user in the place of the address that a Unix socket does not have."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if transport.get_extra_info("socket").family != socket.AF_UNIX:
            self.client = PEER
            return
        peer = transport.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        _, uid, _ = struct.unpack("3i", peer)
        try:
            self.client = (pwd.getpwuid(uid).pw_name, uid)
        except KeyError:
            self.client = (f"uid {uid}", uid)


def user_of(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def answering(route: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            found = await route(request)
            return found if isinstance(found, Response) else _json(200, found)
        except DaqschedError as error:
            status = 403 if isinstance(error, Refused) else 400
            logger.info("%s %s of %s refused: %s", request.method, request.url.path, user_of(request), error)
            return _json(status, Problem(str(error), error.exit_code))
        except Exception as error:
            logger.exception("%s %s of %s failed", request.method, request.url.path, user_of(request))
            return _json(500, Problem(f"a bug in daqsched: {type(error).__name__}: {error}; see the daemon's log"))

    return answer


async def no_such_thing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _json(
        status, Problem(f"there is no {request.method} {request.url.path} here; docs/reference/api.md lists what is")
    )


def _json(status: int, value: Any) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def body_of(request: Request, kind: type[Body]) -> Body:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise UserError(f"the request is larger than {MOST_BYTES >> 20} MiB")
    try:
        body = msgspec.json.decode(data, type=kind)
        refuse_unknown(msgspec.json.decode(data).get("spec", {}))
        check_message(getattr(body, "message", ""))
        return body
    except msgspec.MsgspecError as error:
        raise UserError(f"not understood: {error}; are daqsched and its daemon of the same version?") from error


def number_of(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    try:
        return default if text is None else float(text)
    except ValueError as error:
        raise UserError(f"{name}={text!r} is no number") from error
