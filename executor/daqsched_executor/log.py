"""executor.log: the executor's own words about its job, one line per event, in the sandbox beside the job's lines."""

from __future__ import annotations

import logging
import os
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


class Handler(logging.Handler):
    """What pymesos logs becomes lines of executor.log, with the last line of an exception and not its whole trace."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as a sentence, but for lost connections, which `mesos.Link` tells itself."""
        if str(record.msg).startswith("Remote %s closed"):
            return
        cause = f" ({record.exc_info[1]!r})" if record.exc_info and record.exc_info[1] is not None else ""
        self._log.say(f"pymesos: {record.getMessage()}{cause}")
