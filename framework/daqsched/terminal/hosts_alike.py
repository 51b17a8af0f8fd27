"""A reason that is the same on several hosts, told once; a command in it can be typed as it stands, and means all of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence

from daqsched.hosts import fold

#: Their word is one host, or one program: each has a line of its own.
_OF_ONE = ("replace", "console", "borrow")


def alike(why: str, host: str) -> str:
    """What is equal of a reason on another host, where that can be told of both at once."""
    return "`".join(_parts(why, host, lambda command: re.sub(_name(host), "\0", command))) if host else why


def of_all(why: str, host: str, hosts: Sequence[str]) -> str:
    """The reason of one of these hosts, as that of all."""
    if len(hosts) < 2:
        return why

    ranges = fold(hosts).split(", ")

    def typed(command: str) -> str:
        words = []
        for word in shlex.split(command):
            before, *after = re.split(_name(host), word, maxsplit=1)
            words += [f"{before}{one}{after[0]}" for one in ranges] if after else [word]
        return shlex.join(words)

    return "`".join(_parts(why, host, typed))


def its_host(why: str, host: str) -> str:
    """The sentence as it is on every host; a name within a path stays, because there it makes a difference."""
    return re.sub(_name(host), "its host", re.sub(f"@{_name(host)}", "", why))


def _parts(why: str, host: str, typed: Callable[[str], str]) -> Iterator[str]:
    for at, part in enumerate(why.split("`")):
        command = at % 2 and part.startswith("daqsched ") and re.search(_name(host), part)
        if not command:
            yield part if at % 2 else its_host(part, host)
        elif part.split()[1] in _OF_ONE:
            yield part
        else:
            try:
                yield typed(part)
            except ValueError:  # no command of ours has a quote without its end
                yield part


def _name(host: str) -> str:
    return rf"(?<![\w./-]){re.escape(host)}(?![\w/@-]|\.\w)"
