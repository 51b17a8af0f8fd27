"""Whether exec would refuse a program, without an exec: for a survey, which starts nothing and says what a start would say.

What can't be seen from outside (a file that somebody writes to, a limit that is reached then) exec alone knows. To be called in a
child process only, with the job's account and folder: a file below a mount that hangs is never read.
"""

from __future__ import annotations

import errno
import os
import struct

from daqsched_executor.machine.no_exec import is_foreign, machine_of, why_not

#: What else the kernel hands to an interpreter (binfmt_misc): one file for each kind.
OTHERS = "/proc/sys/fs/binfmt_misc"

#: <elf.h>: the kinds of ELF file that are programs; the size of a program header, by class.
_PROGRAMS, _HEADERS = (2, 3), {1: 32, 2: 56}


def foretold(path: str, others: str = OTHERS) -> str:
    """The sentence of a start that fails for this; empty: nothing is known that speaks against it."""
    try:
        with open(path, "rb") as file:
            head, size = file.read(4096), os.fstat(file.fileno()).st_size
    except OSError:
        return ""  # it may be executed and not read
    number = _script(path, head) if head.startswith(b"#!") else _binary(head, size)
    if not number or _is_others(path, head, others):
        return ""
    return why_not(path, OSError(number, os.strerror(number)))


def _script(path: str, head: bytes) -> int:
    # the interpreter's name ends where a blank does (fs/binfmt_script.c), and a carriage return is none
    words = head[2:].split(b"\n", 1)[0].replace(b"\t", b" ").split(b" ")
    name = next(filter(None, words), b"")
    if not name:
        return errno.ENOEXEC
    if not os.path.exists(name):
        return errno.ENOENT
    return 0 if os.access(name, os.X_OK) else errno.EACCES


def _binary(head: bytes, size: int) -> int:
    its = machine_of(head)
    if not its or is_foreign(head) or head[4] not in _HEADERS or len(head) < 64:
        return errno.ENOEXEC
    order, wide = "<>"[head[5] == 2], head[4] == 2
    kind = struct.unpack_from(order + "H", head, 16)[0]
    table = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)[0]
    each, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    whole = each == _HEADERS[head[4]] and count > 0 and table + each * count <= size
    return 0 if kind in _PROGRAMS and whole else errno.ENOEXEC


def _is_others(path: str, head: bytes, folder: str) -> bool:
    """Whether the kernel has an interpreter for it besides its own kinds, or may have: what can't be read may be one."""
    try:
        names = [name for name in os.listdir(folder) if name not in ("register", "status")]
        return any(_fits(path, head, _read(os.path.join(folder, name))) for name in names if _read(f"{folder}/status"))
    except OSError:
        return False
    except (KeyError, ValueError, IndexError):
        return True


def _read(path: str) -> dict[str, str]:
    """``enabled``, ``offset 0``, ``magic 7f45``, ``mask ffff``, ``extension .jar``; empty where it is disabled."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    return dict(line.partition(" ")[::2] for line in lines) if lines[:1] == ["enabled"] else {}


def _fits(path: str, head: bytes, kind: dict[str, str]) -> bool:
    if not kind:
        return False
    if "extension" in kind:
        return path.endswith(kind["extension"])
    magic, at = bytes.fromhex(kind["magic"]), int(kind["offset"])
    mask = bytes.fromhex(kind["mask"]) if "mask" in kind else b"\xff" * len(magic)
    there = head[at : at + len(magic)]
    return len(there) == len(magic) and all((a ^ b) & c == 0 for a, b, c in zip(there, magic, mask))
