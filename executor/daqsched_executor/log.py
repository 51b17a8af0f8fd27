"""executor.log: the executor's own words about its job, one line per event, in the sandbox beside the job's lines."""

from __future__ import annotations

import os
import sys
import time

from daqsched_executor.contract.foreign import printable


class Log:
    """``2025-11-22T14:02:11.041+0100 runs: pid 4711 ...``: a time, a sentence. A full disk is no reason to stop."""

    def __init__(self, file: int) -> None:
        self._file = file

    def say(self, sentence: str) -> None:
        """Append one line."""
        now = time.time()
        local = time.localtime(now)
        millis = f".{int(now * 1000) % 1000:03d}"
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", local) + millis + time.strftime("%z", local)
        try:
            os.write(
                self._file,
                f"{stamp} {printable(' '.join(sentence.splitlines()))}\n".encode("utf-8", "backslashreplace"),
            )
        except OSError:
            pass


def place_of(error: BaseException) -> str:
    """A mistake of ours in one line: what, and where, innermost first. It reads no source file: that may be gone. A module that
    is not found is no mistake, but an installation that is away."""
    if isinstance(error, ImportError):
        return f"the executor's own installation can't be read: {error}"
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"a bug, please report it: {type(error).__name__}: {error} ({', '.join(reversed(places))})"


class Logger:
    """What pymesos logs becomes lines of executor.log, with the last line of an exception and not its whole trace."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def warning(self, text: str, *args: object) -> None:
        """A sentence, but for lost connections, which `mesos.Link` tells itself."""
        if not text.startswith("Remote %s closed"):
            self._log.say(f"pymesos: {text % args if args else text}")

    error = warning

    def exception(self, text: str, *args: object) -> None:
        """The same, with the exception that is being handled."""
        self.warning("%s (%r)", text % args if args else text, sys.exc_info()[1])

    def debug(self, text: str, *args: object) -> None:
        """Nothing."""
