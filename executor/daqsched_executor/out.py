"""Where executor, warden and forwarder print: sentences, each on one line whatever others' words are in it."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from .contract.foreign import ascii_json, printable, trace


def say(*sentences: str, file: TextIO | None = None) -> None:
    """Print each as one line, at once, on stdout unless told otherwise; raises OSError as print does."""
    out = sys.stdout if file is None else file
    if out is None:
        return  # whoever started us closed it
    text = "".join(f"{printable(sentence)}\n" for sentence in sentences)
    try:
        out.write(text)
    except UnicodeEncodeError:  # an agent's environment need not name a locale
        out.write(text.encode("ascii", "backslashreplace").decode())
    out.flush()


def catch() -> None:
    """From now on the trace of a bug, in any thread, is printed by `say`, too."""
    sys.excepthook = lambda kind, error, where: say(*trace(error), file=sys.stderr)
    threading.excepthook = _in_a_thread


def _in_a_thread(what: threading.ExceptHookArgs) -> None:
    error = what.exc_value if what.exc_value is not None else what.exc_type()
    say(f"in thread {what.thread.name if what.thread else '?'}:", *trace(error), file=sys.stderr)


def say_json(text: str) -> None:
    """Print JSON."""
    if sys.stdout is None:
        return
    sys.stdout.write(f"{ascii_json(text)}\n")
    sys.stdout.flush()
