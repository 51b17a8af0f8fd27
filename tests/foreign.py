"""A world in which every text is hostile: answers of the daemon, documents, files, built from their types; a terminal to look at.

`made` fills any of our types with a text wherever one can be, so a field that is added tomorrow is hostile, too. `shown`
calls a command with a real terminal or a pipe at its end, and `look` says what in its output should never have got there.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import os
import re
import socketserver
import sys
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Callable

from msgspec import inspect

#: Window title, clipboard, colours (that we never use), C1 controls, a forged line, reading direction, what can't be seen,
#: accents that flood the lines above, markup of rich's.
PARTS = (
    "\x1b]0;title\x07",
    "\x1b]52;c;cHduZWQ=\x07",
    "\x1b[35;45m",
    "\x1b[2J\x1b[1;1H",
    "\x9b35;45m",
    "\x9d0;t\x9c\x90\x9f",
    "\r\nFORGED line\n",
    "FORGED\rFORGED\x08\x08\x0b\x0c",
    "\u2028FORGED\u2029\x85",
    "\u202egnp\u2066x\u061c\u200f",
    "\u200b\u200d\u2060\ufeff\xad",
    "\U000e0041\U000e007f\ue000\ufff9",
    "\u115f\u3164\u034f\ufe01",
    "e" + "\u0301" * 60,
    "[/red][bold][/]:boom:[link=x]",
    "\x00\x01\x1a\x7f\t",
    "%s%n{0}{host}",
)
HOSTILE = "".join(PARTS)
#: No name of an index, as the other is none.
HARMLESS = "Harmless"

#: What a type can't tell of its texts, by type and field.
GIVEN: dict[tuple[str, str], Any] = {
    ("Story", "state"): "FAILED",
    ("Sandbox", "files"): {"stdout": [1 << 20, 1.0], "stderr": [1 << 20, 1.0], "executor": [1 << 20, 1.0]},
    ("JobSpec", "hosts"): ["hlt[01-02]"],
    ("Strategy", "batches"): [1, "10%"],
    ("Problem", "exit_code"): 5,
}


#: It looks at a type and all that is in it, each time.
_type_info = cache(inspect.type_info)


def made(kind: Any, text: str, more: Mapping[tuple[str, str], Any] = {}, pick: int = 0) -> Any:  # noqa: B006  it is only read
    """JSON for a value of this type with ``text`` in the place of each string; ``pick`` chooses among words and kinds."""
    return _made(_type_info(kind), text, {**GIVEN, **more}, pick)


def _made(kind: Any, text: str, given: Mapping[tuple[str, str], Any], pick: int) -> Any:
    def inner(other: Any) -> Any:
        return _made(other, text, given, pick)

    if isinstance(kind, (inspect.StructType, inspect.DataclassType)):
        found = {}
        for field in kind.fields:
            key = (kind.cls.__name__, field.name)
            found[field.encode_name] = given[key] if key in given else inner(field.type)
        return found
    if isinstance(kind, inspect.UnionType):
        kinds = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return inner(kinds[pick % len(kinds)])
    if isinstance(kind, (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)):
        return [inner(kind.item_type)]
    if isinstance(kind, inspect.TupleType):
        return [inner(one) for one in kind.item_types]
    if isinstance(kind, inspect.DictType):
        return {inner(kind.key_type): inner(kind.value_type)}
    if isinstance(kind, inspect.LiteralType):
        return kind.values[pick % len(kind.values)]
    plain: dict[type[inspect.Type], object] = {
        inspect.StrType: text,
        inspect.IntType: 1,
        inspect.FloatType: 1.0,
        inspect.BoolType: pick == 0,
        inspect.AnyType: text,
    }
    if isinstance(kind, inspect.BytesType):
        import base64

        return base64.b64encode(text.encode()).decode()
    return plain[type(kind)]


Answers = Callable[[str, str, bytes], tuple[int, bytes]]


@contextlib.contextmanager
def daemon(path: Path, answer: Answers) -> Iterator[None]:
    """Answers on a Unix socket as ``answer(method, path, body)`` says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = answer(self.command, self.path.partition("?")[0], body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = any

        def log_message(self, *words: object) -> None:
            pass

        def address_string(self) -> str:
            return ""

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


#: Written behind a command's last byte: a terminal that is closed at once may drop what nobody has read yet.
_END = b"\0all of it\0"


def shown(words: Sequence[str], terminal: bool) -> tuple[int, bytes]:
    """Call `daqsched` with these words; its exit status, and all that it wrote to the terminal, or the pipe, at its end."""
    from daqsched.cli import main

    ours, theirs = os.openpty() if terminal else os.pipe()
    if terminal:
        import termios

        attributes = termios.tcgetattr(theirs)
        attributes[1] &= ~termios.OPOST  # as it was written: no "\r\n" for "\n"
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    got = bytearray()

    def read() -> None:
        while not got.endswith(_END):
            got.extend(os.read(ours, 65536))

    reader = threading.Thread(target=read)
    reader.start()
    before, handlers = (sys.stdout, sys.stderr, sys.excepthook), list(logging.getLogger().handlers)
    writer = open(theirs, "w", encoding="utf-8", newline="\n", closefd=True)  # noqa: SIM115
    sys.stdout = sys.stderr = writer
    try:
        status = main(list(words), prog_name="daqsched", standalone_mode=True) or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout, sys.stderr, sys.excepthook = before
        logging.getLogger().handlers[:] = handlers  # what `serve` logs went to that terminal
        writer.flush()
        os.write(theirs, _END)
        reader.join(10)
        writer.close()
        os.close(ours)
    assert got.endswith(_END), "the reader got all"
    return int(status), bytes(got[: -len(_END)])


#: What is ours: colours, and the cursor's moves while a live display is redrawn.
_COLOURS = re.compile(r"\x1b\[(?:0|1|2|3[1-6]|7|9[0-7]|1;3[1-6]|38;5;\d+|38;2;\d+;\d+;\d+|;|(?:\d;)?3\d)?m")
_LIVE = re.compile(r"\x1b\[\?25[lh]|\x1b\[\d*[AGK]|\x1b\[2K|\r")
_MARKS = re.compile(r"e(\u0301*)")


def look(output: bytes, terminal: bool, tabs: bool = False) -> list[str]:
    """What should not be in it, in words; nothing: all is well. ``tabs``: a program's own may be."""
    text = output.decode("utf-8")
    found = ["a colour of theirs"] if "\x1b[35;45m" in text else []
    text = _COLOURS.sub("", text)
    if terminal:
        text = _LIVE.sub("", text)
    kinds = {one: unicodedata.category(one) for one in set(text)}
    found += [
        repr(one)
        for one, kind in kinds.items()
        if kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and one not in ("\n\t" if tabs else "\n")
    ]
    found += [repr(one) for one in "\u115f\u3164\u034f\ufe01" if one in text]
    if any(len(run) > 4 for run in _MARKS.findall(text)):
        found.append("a flood of accents")
    if any(line.lstrip(" |").startswith("FORGED") for line in text.split("\n")):
        found.append("a forged line")
    return found
