"""Who lives on the test machine, by instance: executors, wardens, programs, what they began. One look into /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Instance:
    """The living processes of one ``job@host``."""

    name: str
    #: Task id -> pids that carry it in their environment: the program and what it began.
    tasks: dict[str, list[int]] = field(default_factory=dict)
    #: Task id -> pids of executors, and of wardens.
    executors: dict[str, list[int]] = field(default_factory=dict)
    wardens: dict[str, list[int]] = field(default_factory=dict)
    #: What the agent itself started, the parent of the topmost of these: ``mesos-containerizer launch``.
    launchers: list[int] = field(default_factory=list)
    #: pids whose argv has the word that only the program itself has.
    programs: list[int] = field(default_factory=list)


def census(folder: Path, program: str) -> dict[str, Instance]:
    """All instances of the cluster in ``folder``; ``program`` is the word in the argv of each program itself."""
    found: dict[str, Instance] = {}
    inside = f"{folder}/"
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        place = Path("/proc", name)
        try:
            environ = dict(_pairs((place / "environ").read_bytes()))
            words = (place / "cmdline").read_bytes().split(b"\0")
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state in "ZX" or not words[0]:
            continue
        pid = int(name)
        if environ.get("DAQSCHED_SPOOL", "").startswith(inside) and "DAQSCHED_TASK_ID" in environ:
            one = found.setdefault(environ["DAQSCHED_INSTANCE"], Instance(environ["DAQSCHED_INSTANCE"]))
            one.tasks.setdefault(environ["DAQSCHED_TASK_ID"], []).append(pid)
            if program.encode() in words:
                one.programs.append(pid)
        elif environ.get("MESOS_DIRECTORY", "").startswith(inside) and "MESOS_EXECUTOR_ID" in environ:
            task_id = environ["MESOS_EXECUTOR_ID"]
            instance = task_id.rpartition(".")[0]
            one = found.setdefault(instance, Instance(instance))
            if words[0] == b"daqsched-warden" or any(b"import clear" in word for word in words):
                one.wardens.setdefault(task_id, []).append(pid)
            elif words[-2:] == [b"run", b""]:
                # the parent of one that looks the same is the executor, and this its child on the way to exec
                if _looks_so(parent):
                    continue
                one.executors.setdefault(task_id, []).append(pid)
            else:
                continue
            if _is_launcher(parent):
                one.launchers.append(int(parent))
    return found


def _looks_so(pid: str) -> bool:
    try:
        return Path("/proc", pid, "cmdline").read_bytes().split(b"\0")[-2:] == [b"run", b""]
    except OSError:
        return False


def _is_launcher(pid: str) -> bool:
    try:
        return b"mesos-containerizer" in Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False


def _pairs(environ: bytes) -> Iterator[tuple[str, str]]:
    for word in environ.decode("utf-8", "replace").split("\0"):
        name, found, value = word.partition("=")
        if found:
            yield name, value
