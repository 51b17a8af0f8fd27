"""What passes between a daemon and an executor about a program's terminal: Mesos' messages, both ways.

Messages may be lost, and nothing here is told twice: what a person typed and nobody confirms is for that person to type again.
What the program printed has its place in the whole of it, so that whoever sees a gap asks for that once more.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from typing import Any

from daqsched_executor.contract.wire import VERSION, ContractError, build, load

#: What each of the two begins with, as no other message does.
MARK = b'{"console":'
#: So much is typed in one message at most, and printed in one.
KEYS_BYTES, PIECE_BYTES = 4096, 16384
#: So much of what was printed an executor keeps for those who attach late or miss something.
KEPT_BYTES = 65536
#: How long an executor tells of what is printed after it was asked; who watches asks again before that.
LEASE_S = 15.0
#: `ConsoleAsk.at`: from the first that is kept on, and as before.
LAST, ON = -1, -2
#: No window has more.
MOST_CELLS = 1000
_MOST = 1 << 53


@dataclass(frozen=True)
class ConsoleAsk:
    """To an executor: tell what is printed, for `LEASE_S`; and type this."""

    #: Whoever asks: a daemon, for all who are attached to it.
    id: str
    #: From where on what was printed is wanted, or `LAST`, or `ON`.
    at: int = ON
    #: What is typed.
    keys: bytes = b""
    #: Of these keys: counts up for each id.
    number: int = 0
    #: Who types.
    user: str = ""
    #: The window of who types; 0: as before.
    rows: int = 0
    columns: int = 0

    def to_json(self) -> bytes:
        """The text that travels as the message's data (before Mesos' base64)."""
        return _dump({**asdict(self), "keys": b64encode(self.keys).decode()})

    @classmethod
    def from_json(cls, data: bytes | str) -> ConsoleAsk:
        """Read what `to_json` wrote; raises `ContractError` on anything else."""
        ask = build(cls, _load(data, "keys"), "a question for a terminal")
        _check(ask, ("id", "user"), ("at", "number", "rows", "columns"))
        if (
            len(ask.keys) > KEYS_BYTES
            or ask.at < ON
            or min(ask.rows, ask.columns) < 0
            or max(ask.rows, ask.columns) > MOST_CELLS
        ):
            raise ContractError("a question for a terminal has a number that is out of its bounds")
        return ask


@dataclass(frozen=True)
class ConsoleSaid:
    """From an executor, to the `id` that asked."""

    id: str
    #: Where in all that was printed ``data`` begins.
    at: int = 0
    data: bytes = b""
    #: What was printed before that is kept no more.
    kept: int = 0
    #: The number of the keys that were taken last, and how many of these bytes the program's terminal had no room for.
    number: int = 0
    refused: int = 0
    #: Which start of the program this is, and whether it runs.
    start: int = 0
    runs: bool = False

    def to_json(self) -> bytes:
        """The text that travels as the message's data (before Mesos' base64)."""
        return _dump({**asdict(self), "data": b64encode(self.data).decode()})

    @classmethod
    def from_json(cls, data: bytes | str) -> ConsoleSaid:
        """Read what `to_json` wrote; raises `ContractError` on anything else: an executor may lie."""
        said = build(cls, _load(data, "data"), "the word of a terminal")
        _check(said, ("id",), ("at", "kept", "number", "refused", "start"))
        if len(said.data) > PIECE_BYTES or min(said.at, said.kept, said.number, said.refused, said.start) < 0:
            raise ContractError("the word of a terminal has a number that is out of its bounds")
        if type(said.runs) is not bool:
            raise ContractError("the word of a terminal does not say whether the program runs")
        return said


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps({"console": fields, "version": VERSION}, separators=(",", ":")).encode()


def _load(data: bytes | str, coded: str) -> dict[str, Any]:
    if len(data) > 4 * PIECE_BYTES:
        raise ContractError(f"a message about a terminal has {len(data)} bytes")
    fields = load(data, "a message about a terminal").get("console")
    if not isinstance(fields, dict):
        raise ContractError("a message about a terminal is none")
    try:
        return {**fields, coded: b64decode(fields.get(coded, ""), validate=True)}
    except (ValueError, TypeError) as error:
        raise ContractError(f"a message about a terminal can't be decoded: {error}") from error


def _check(value: Any, texts: tuple[str, ...], numbers: tuple[str, ...]) -> None:
    if not all(isinstance(getattr(value, name), str) and len(getattr(value, name)) <= 200 for name in texts):
        raise ContractError("a message about a terminal has a text that is none")
    if not all(type(getattr(value, name)) is int and abs(getattr(value, name)) < _MOST for name in numbers):
        raise ContractError("a message about a terminal has a number that is none")
