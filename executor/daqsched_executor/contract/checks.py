"""An alive check, and the table of its types: what is known of a type, on either side, is its entry in `CHECK_TYPES`.

Besides the entry a type has two more: the word that a job file calls it by, in `daqsched.jobfile.checks`, and how it is
carried out, in `run.probes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

#: What an unhealthy program leads to: a restart under the rules of `Restart`, or a report only.
UNHEALTHY_WORDS = ("restart", "notify")


@dataclass(frozen=True)
class Check:
    """One way to see that a program is alive; fields that its type does not need stay as they are.

    What is asked is so every ``interval_s`` (until the first success sooner: after 0.2 s, 0.4 s, ...) and must answer
    within ``timeout_s``; what is looked for is so as often, or four times in ``silence_s``.
    A program is *ready* when each of its checks has passed once. Failures count from ``grace_s`` after its start, or
    from the first success if that is earlier; ``failures`` in a row (for silence: the first one) make it unhealthy.
    """

    #: Its type: a key of `CHECK_TYPES`.
    kind: str
    #: How people call it; unique within the job.
    name: str
    argv: tuple[str, ...] = ()
    address: str = "127.0.0.1"
    port: int = 0
    path: str = ""
    #: `STDOUT` or `STDERR`; empty: both.
    stream: str = ""
    #: A regular expression (Python's), searched in each line's bytes.
    pattern: str = ""
    silence_s: float = 0.0
    grace_s: float = 30.0
    interval_s: float = 10.0
    timeout_s: float = 5.0
    failures: int = 3
    unhealthy: str = "restart"

    @property
    def type(self) -> CheckType:
        """What is known of its type."""
        return CHECK_TYPES[self.kind]

    @property
    def place(self) -> str:
        """``127.0.0.1:8080``."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


#: The fields that placeholders are filled in, of any type. Not in a pattern: its braces are its own.
FILLED_IN = ("argv", "address", "path", "port")

#: How a check comes to know. `ASKED`: each answer passes or fails. The others wait for a sign of life, and fail when none
#: came for too long: `LOOKED`, it is looked for now and then, and always once more before that is called silence;
#: `HEARD`, the program gives it by itself, by the protocol of sd_notify(3).
ASKED, LOOKED, HEARD = "asked", "looked", "heard"

#: Says why a field's value, as it stands in a job file, can't be; empty: it can.
Rule = Callable[[Any], str]


def command(argv: tuple[str, ...]) -> str:
    """There is a program to run."""
    return "" if argv and argv[0] else "the command is empty"


def given(text: str) -> str:
    """There is something."""
    return "" if text else "is empty"


def port(number: int | str) -> str:
    """Of placeholders it is seen later what becomes of them."""
    return "is missing: a number, or the name of one of the job's ports" if number in (0, "0", "") else ""


def url_path(path: str) -> str:
    """As it stands in a request."""
    return "" if path.startswith("/") else f"{path!r} must begin with '/'"


def amount(value: float) -> str:
    """What JSON can't say (infinity, no number) is refused, too: it would travel as null."""
    return "" if 0 <= value < float("inf") else f"must be 0 or more, not {value:g}"


def positive(value: float) -> str:
    """As `amount`, and more than nothing."""
    return "" if 0 < value < float("inf") else f"must be more than 0, not {value:g}"


@dataclass(frozen=True)
class CheckType:
    """What is known of one way to see that a program is alive."""

    #: `ASKED`, `LOOKED` or `HEARD`.
    way: str
    #: The fields of `Check` that make it what it is, each with the rule that it has here; None: the one that it has in any check.
    fields: Mapping[str, Optional[Rule]]
    #: What has not happened before it passes for the first time: completes ``not ready yet: http ...``.
    not_yet: Callable[[Check], str]
    #: Who does not answer in time, and what is to be thought of then.
    who: Callable[[Check], str] = lambda check: "it"
    hint: str = ""
    #: What did not come in time, said of a check, of whether it came before, and of how long; None: it is `ASKED`.
    silence: Optional[Callable[[Check, bool, str], str]] = None
    #: How much later than `Check.timeout_s` the answer may come: what ends it at its time limit has to be heard.
    margin_s: float = 0.0


#: Each type by its name, which travels as `Check.kind`.
CHECK_TYPES: dict[str, CheckType] = {
    # ``argv`` exits with 0; its last line is the reason where it does not
    "command": CheckType(
        way=ASKED,
        fields={"argv": command},
        not_yet=lambda check: "has not succeeded",
        # what ends a command needs a moment, and 5 s where the command hangs in the kernel
        margin_s=8.0,
    ),
    # ``address``:``port`` takes a connection
    "tcp": CheckType(
        way=ASKED,
        fields={"port": port, "address": given},
        not_yet=lambda check: "takes no connection",
        who=lambda check: check.place,
    ),
    # GET ``path`` there answers with a status from 200 to 399
    "http": CheckType(
        way=ASKED,
        fields={"port": port, "address": given, "path": url_path},
        not_yet=lambda check: "has not answered",
        who=lambda check: check.place,
    ),
    # the program printed a line within ``silence_s`` (one that ``pattern`` is found in, if there is one)
    "output": CheckType(
        way=LOOKED,
        fields={"silence_s": positive, "pattern": None, "stream": None},
        not_yet=lambda check: f"has printed no line with {check.pattern!r}" if check.pattern else "has printed nothing",
        silence=lambda check, before, length: (
            f"no line with {check.pattern!r} for {length}" if check.pattern else f"nothing printed for {length}"
        ),
    ),
    # ``path`` was changed within ``silence_s``
    "file": CheckType(
        way=LOOKED,
        fields={"path": given, "silence_s": positive},
        not_yet=lambda check: "was not written",
        who=lambda check: check.path,
        hint="does its file system hang?",
        silence=lambda check, before, length: f"{check.path} unchanged for {length}",
    ),
    # the program sent READY=1 once, then WATCHDOG=1 within ``silence_s`` (0: as often as it likes)
    "heartbeat": CheckType(
        way=HEARD,
        fields={"silence_s": amount},
        not_yet=lambda check: "has not sent READY=1",
        silence=lambda check, before, length: (
            f"no WATCHDOG=1 for {length}" if before else f"no READY=1 within {length}"
        ),
    ),
}
