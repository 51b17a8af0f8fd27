"""Where everything leaves that the commands print: nothing reaches a terminal, a pipe or a file past this module.

A text counts as somebody else's unless it is `Painted`, so that who forgets about it is safe: it is one line, whatever is in
it, and nothing in it moves a cursor. `tests/unit/test_boundaries.py` lets no other module print.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Optional, TextIO

import msgspec

from daqsched.errors import JobFileWarning
from daqsched.foreign import Painted, paint
from daqsched_executor.contract.foreign import ascii_json, printable, trace

#: How wide a pipe or file is where COLUMNS does not say: what a program wants to grep is not folded.
PIPE_WIDTH = 240


def prepare() -> None:
    """Before anything is printed: what the terminal's encoding lacks is shown as a code, and a bug's trace is escaped, too."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever called closed it (``>&-``): nobody wants to read it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for as long as we are)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _bug
    # a library's: Elasticsearch's own warnings come with its answers
    warnings.formatwarning = lambda message, category, *place: f"{printable(f'{_kind(category)}: {message}')}\n"


def _kind(category: type[Warning]) -> str:
    """What a warning is called: ours is about what somebody wrote, and says where that is."""
    return "Warning" if issubclass(category, JobFileWarning) else category.__name__


@contextmanager
def unheard() -> Iterator[None]:
    """What goes wrong is said within it. Where nobody reads that any more (``2>&1 | head -1``) the exit status says it alone."""
    try:
        yield
    except BrokenPipeError:
        to_nobody(sys.stderr)


def to_nobody(stream: TextIO) -> None:
    """Its reader has gone: what is still to be printed there goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(*lines: str, err: bool = False, flush: bool = True) -> None:
    """Print each of these as one line."""
    text = "".join(f"{paint(line)}\n" for line in lines)
    if err:
        with unheard():
            sys.stderr.write(text)
            sys.stderr.flush()
        return
    sys.stdout.write(text)
    if flush:
        sys.stdout.flush()


def capital(words: str) -> str:
    """The same as it begins a sentence."""
    return words[:1].upper() + words[1:]


def colours(err: bool = False) -> bool:
    """Whether who reads it sees colours."""
    return (sys.stderr if err else sys.stdout).isatty() and not os.environ.get("NO_COLOR")


def interactive() -> bool:
    """Whether somebody sits there who can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def said_yes(question: str) -> bool:
    """Ask; anything but y or yes is no, the end of input, too."""
    show(paint(question), err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show(text: Painted, err: bool = False) -> None:
    """Print what may end within a line."""
    file = sys.stderr if err else sys.stdout
    file.write(text)
    file.flush()


def print_json(value: Any) -> None:
    """A value of ours as JSON for people and programs."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # half of a surrogate pair: Elasticsearch's words may have one
        text = json.dumps(msgspec.to_builtins(value), indent=2)
    print_json_text(f"{text}\n")


def print_json_text(text: str, flush: bool = True) -> None:
    """JSON that is written already, with its lines' ends."""
    sys.stdout.write(ascii_json(text))
    if flush:
        sys.stdout.flush()


def canvas(stderr: bool = False) -> Any:
    """Where tables and colours are printed (a rich Console). rich is read by those who need it."""
    from daqsched.terminal.canvas import Canvas

    return Canvas(stderr, None if sys.stdout.isatty() else width(PIPE_WIDTH))


def width(pipe: int) -> int:
    """How wide the terminal is; a pipe is as wide as COLUMNS says, else ``pipe``."""
    return shutil.get_terminal_size((pipe, 24)).columns


def _bug(kind: type[BaseException], error: BaseException, where: Optional[TracebackType]) -> None:
    say(*trace(error), err=True)
