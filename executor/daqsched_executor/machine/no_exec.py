"""Why exec refused a file that is there and may be executed: what its errno says, and what its first bytes say.

For the child that could not become its program, with the job's account: nothing here is needed for a start that works.
"""

from __future__ import annotations

import errno
import os

#: By errno; ``{path}`` is filled in. For ENOENT and ENOEXEC the file itself says more.
SENTENCES = {
    errno.ENOENT: "{path} is there, but the interpreter in its first line, or its loader, is missing",
    errno.ENOEXEC: "{path} is not a program: neither a binary of this machine nor a script with a #! line",
    errno.EACCES: "{path}, or the interpreter that it names, may not be executed by this user (a mount with noexec?)",
    errno.EPERM: "{path} may not be executed: the kernel's security rules, or a lost file capability, refuse it",
    errno.ETXTBSY: "{path} is being written to",
    errno.E2BIG: "{path}: the job's arguments and environment are too large for this machine (see execve(2))",
    errno.EAGAIN: "{path} may not be executed: this user has more processes than the limit nproc allows",
    errno.ENOMEM: "{path} cannot be executed: out of memory, of this machine or of the job's limits",
    errno.EMFILE: "{path} cannot be executed: too many open files for this process (the limit nofile?)",
    errno.ENFILE: "{path} cannot be executed: too many open files on this machine",
    errno.ELIBBAD: "{path} is for another machine, or its loader is",
    errno.EINVAL: "{path} is broken: it names more than one loader",
    errno.ELOOP: "{path} names an interpreter that names another one, too often",
    errno.EIO: "{path} cannot be read (input/output error): is its mount (cvmfs?) healthy, its proxy reachable?",
}

#: <elf.h>: what a binary is for, and what this machine's kernel runs besides its own.
MACHINES = {3: "x86, 32 bit", 21: "PowerPC", 22: "s390", 40: "ARM, 32 bit", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
_ALSO = {62: (3,), 183: (40,)}

#: How much of a file's first line a sentence shows.
MOST = 100


def why_not(path: str, error: OSError) -> str:
    """One sentence."""
    own = _by_content(path) if error.errno in (errno.ENOENT, errno.ENOEXEC) else ""
    template = SENTENCES.get(error.errno or 0, "{path} cannot be executed: " + str(error.strerror))
    return own or template.format(path=path)


def machine_of(head: bytes) -> int:
    """What an ELF file is for (elf(5)); 0: it is none."""
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return 0
    return int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")


def is_foreign(head: bytes) -> bool:
    """Whether a binary is for another machine than this one: exec alone knows whether something here runs such."""
    its, ours = machine_of(head), machine_of(_head("/proc/self/exe"))
    return bool(its and ours) and its != ours and its not in _ALSO.get(ours, ())


def line_ends(script: str, head: bytes) -> str:
    """A sentence where the first line ends as Windows' do, which makes the carriage return a part of the interpreter's name."""
    first = head.split(b"\n", 1)[0]
    if not (first.startswith(b"#!") and first.endswith(b"\r")):
        return ""
    return f"{script} has Windows line endings (CRLF): its #! line asks for {os.fsdecode(first[2:]).strip()}\\r; write it with LF"


def _by_content(path: str) -> str:
    head = _head(path)
    if head is _UNREADABLE:
        return ""
    if not head:
        return f"{path} is empty: was it published whole?"
    if head.startswith(b"#!"):
        words = os.fsdecode(head[2:].split(b"\n", 1)[0][:MOST]).split()
        if not words:
            return f"{path} has a #! line that names no interpreter"
        asked = (
            f"{words[0]} is missing, which the first line of {path} asks for" if not os.path.exists(words[0]) else ""
        )
        return line_ends(path, head) or asked
    if is_foreign(head):
        its, ours = (
            MACHINES.get(one, f"machine {one}") for one in (machine_of(head), machine_of(_head("/proc/self/exe")))
        )
        return f"{path} is a binary for another machine ({its}; this one is {ours})"
    return ""


_UNREADABLE = bytes(range(3))


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4096)
    except OSError:
        return _UNREADABLE
