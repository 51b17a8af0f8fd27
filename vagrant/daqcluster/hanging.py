"""A mount that does not answer, as cvmfs behaves when its process hangs: real FUSE, with a server that is silent.

Also a program of its own, for a machine that has nothing else of ours: python3 hanging.py FOLDER, until SIGTERM.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import struct
import sys
import threading
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
_FUSE_INIT = 26


class HangingMount:
    """Every look into `path` hangs until `end`; then it fails with "transport endpoint is not connected". `OSError` where
    this can't be had: it needs root and /dev/fuse.

    ``killable``: whether SIGKILL ends a process that hangs. It does as long as the server has not read the request;
    after that the process is in state D, and no signal helps.
    """

    def __init__(self, path: Path, killable: bool) -> None:
        self.path = path
        self._server = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self._server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if _LIBC.mount(b"hanging", str(path).encode(), b"fuse", 0, options) != 0:
            os.close(self._server)
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
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


if __name__ == "__main__":
    mount = HangingMount(Path(sys.argv[1]), killable=False)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    mount.end()
