"""A mount that does not answer, as cvmfs behaves when its process hangs: real FUSE, with a server that is silent."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
_FUSE_INIT = 26


class HangingMount:
    """Every look into `path` hangs until `end`; then it fails with "transport endpoint is not connected".

    ``killable``: whether SIGKILL ends a process that hangs. It does as long as the server has not read the request;
    after that the process is in state D, and no signal helps.
    """

    def __init__(self, path: Path, killable: bool) -> None:
        if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
            pytest.skip("needs root and /dev/fuse")
        path.mkdir()
        self.path = path
        self._server = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self._server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if _LIBC.mount(b"hanging", str(path).encode(), b"fuse", 0, options) != 0:
            os.close(self._server)
            pytest.skip(f"no FUSE mount here: {os.strerror(ctypes.get_errno())}")
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._read_and_be_silent, daemon=True)
        if not killable:
            self._thread.start()

    def _read_and_be_silent(self) -> None:
        """Answer INIT (struct fuse_init_out of <linux/fuse.h>, version 7.31), read the rest and forget it."""
        while self._stop_read not in select.select([self._server, self._stop_read], [], [])[0]:
            request = os.read(self._server, 1 << 17)
            _, opcode, unique = struct.unpack_from("=IIQ", request)
            if opcode == _FUSE_INIT:
                body = struct.pack("=IIIIHHIIHHI28x", 7, 31, 0, 0, 16, 12, 4096, 1, 1, 0, 0)
                os.write(self._server, struct.pack("=IiQ", 16 + len(body), 0, unique) + body)

    def die(self) -> None:
        """The server's end without an unmount: from now on each look fails with ENOTCONN."""
        self._stop()

    def end(self) -> None:
        """Break the connection: all that hang get an error. Safe to call twice."""
        _LIBC.umount2(str(self.path).encode(), _MNT_DETACH)
        self._stop()

    def _stop(self) -> None:
        if self._server >= 0:
            os.write(self._stop_write, b".")
            if self._thread.is_alive():
                self._thread.join()
            for file in (self._server, self._stop_read, self._stop_write):
                os.close(file)
            self._server = -1
