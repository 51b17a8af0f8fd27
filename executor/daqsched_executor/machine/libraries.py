"""Whether a program's shared libraries are found, without running it: its own loader is asked (ld.so(8), ``--list``).

To be called in a child process only, with the job's account, folder and environment: a library below a mount that hangs
never comes. A script is as good as the interpreter in its first line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from daqsched_executor.machine.account import CannotStart
from daqsched_executor.machine.no_exec import is_foreign, line_ends, why_not
from daqsched_executor.machine.probe import Unreadable, check_program, resolve, sentence

#: <elf.h>: the program header that names the loader.
PT_INTERP = 3

#: More of the loader's words than this is not read.
MOST = 1 << 16

#: What loaders say, glibc's and musl's.
_MISSING = (
    re.compile(r"error while loading shared libraries: ([^:\n]+): cannot open shared object file"),
    re.compile(r"Error loading shared library ([^:\n]+): No such file"),
    re.compile(r"^\s*(\S+) => not found", re.MULTILINE),
)
_OTHERS = (
    re.compile(r"error while loading shared libraries: (.+)"),
    re.compile(r"(\S+: version `\S+' not found \(required by .+\))"),
)
#: All of these have one of them; who finds none needs no `re`.
_TROUBLE = ("not found", "rror ")


def check_libraries(program: str, environment: Mapping[str, str], reached: Callable[[str], None]) -> None:
    """Raise `Unreadable` where the loader does not find what it needs, `CannotStart` where waiting is of no use; ``reached`` is
    called with whom we wait for.

    A loader that answers in words that we do not know does not prevent a start.
    """
    head = _head(program)
    if head.startswith(b"#!"):
        program, head = _interpreter(program, head, environment, reached)
    if is_foreign(head):
        return  # exec says whether something here runs it
    loader = _loader(program, head)
    if not loader:
        return
    reached(loader)
    if not os.path.exists(loader):
        raise Unreadable(f"{loader} is missing, which {program} is to be loaded by: is it for this machine?")
    reached(f"the loader of {program}")
    said = _ask(loader, program, environment)
    if not any(word in said for word in _TROUBLE):
        return
    missing = list(dict.fromkeys(name for pattern in _MISSING for name in pattern.findall(said)))
    if missing:
        names = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
        paths = environment.get("LD_LIBRARY_PATH", "")
        where = f"LD_LIBRARY_PATH is {paths}" if paths else "LD_LIBRARY_PATH is not set"
        raise Unreadable(f"{names} {'is' if len(missing) == 1 else 'are'} not found for {program} ({where})")
    for pattern in _OTHERS:
        found = pattern.search(said)
        if found:
            raise Unreadable(f"{program} can't be loaded: {found[1][:300]}")


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4096)
    except OSError as error:
        if isinstance(error, PermissionError):  # executable and not readable: exec may, and we can't know
            return b""
        raise Unreadable(sentence(path, error)) from error


def _interpreter(
    script: str, head: bytes, environment: Mapping[str, str], reached: Callable[[str], None]
) -> tuple[str, bytes]:
    """Whom the first line of a script names (execve(2)); behind ``env`` the command that this would look up."""
    words = os.fsdecode(head[2:].split(b"\n", 1)[0]).split()
    wrong = line_ends(script, head)
    if wrong and words and not os.path.exists(f"{words[0]}\r"):
        raise CannotStart(wrong)
    if not words:
        return script, b""
    program = words[0]
    reached(program)
    if not os.path.exists(program):
        raise Unreadable(f"{program} is missing, which the first line of {script} asks for")
    check_program(program)
    if os.path.basename(program) == "env" and len(words) > 1 and not words[1].startswith("-") and "=" not in words[1]:
        program = resolve(words[1], environment, os.getcwd())
        reached(program)
        check_program(program)
    return program, _head(program)


def _loader(program: str, head: bytes) -> str:
    """The path in PT_INTERP; empty for what is static, or no ELF file (elf(5))."""
    if head[:4] != b"\x7fELF" or len(head) < 64 or head[4] not in (1, 2) or head[5] not in (1, 2):
        return ""
    wide = head[4] == 2

    def number(place: int, size: int) -> int:
        return int.from_bytes(head[place : place + size], "little" if head[5] == 1 else "big")

    table = number(32, 8) if wide else number(28, 4)
    size, count = number(54 if wide else 42, 2), number(56 if wide else 44, 2)
    for place in range(table, table + size * count, size or 1):
        if place + size > len(head) or size < (56 if wide else 32):
            return ""
        if number(place, 4) != PT_INTERP:
            continue
        start = number(place + 8, 8) if wide else number(place + 4, 4)
        length = number(place + 32, 8) if wide else number(place + 16, 4)
        with open(program, "rb") as file:
            file.seek(start)
            return os.fsdecode(file.read(min(length, 4096)).rstrip(b"\0"))
    return ""


def _ask(loader: str, program: str, environment: Mapping[str, str]) -> str:
    ours, loaders = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, loaders, 1), (os.POSIX_SPAWN_DUP2, loaders, 2)]
    try:
        pid = os.posix_spawn(loader, [loader, "--list", program], dict(environment), file_actions=actions)
    except OSError as error:  # too many processes, too large an environment: as exec would say
        raise CannotStart(why_not(program, error)) from error
    os.close(loaders)
    said = b""
    while len(said) < MOST:
        heard = os.read(ours, MOST)
        if not heard:
            break
        said += heard
    os.close(ours)  # one that has more to say gets SIGPIPE
    os.waitpid(pid, 0)
    return said.decode("utf-8", "replace")
