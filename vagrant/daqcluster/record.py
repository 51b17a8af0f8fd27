"""What is known of a cluster, in its folder: written before anything that it tells of is started."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Iterator

from daqcluster.errors import ClusterError
from daqcluster.member import Member
from daqcluster.progress import Say

_FORMAT = 1


@dataclass
class Record:
    """``cluster.json``."""

    #: The mark of its processes; empty: there is no cluster.
    id: str = ""
    #: Whether an `up` has come to its end. One that was cut off is not continued but cleared away.
    complete: bool = False
    launcher: str = ""
    #: Somebody else's Elasticsearch.
    external: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    #: Folders outside of ours that belong to it.
    folders: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Record:
        """What was written last; an empty one where nothing was."""
        try:
            raw = json.loads(path.read_text())
        except FileNotFoundError:
            return cls()
        except (ValueError, OSError) as error:
            raise ClusterError(f"{path} can't be read: {error}; remove the folder if it is of no cluster") from error
        if not isinstance(raw, dict) or raw.pop("format", None) != _FORMAT:
            raise ClusterError(
                f"{path} was written by another version of daqcluster: take the cluster down with that one"
            )
        members = {name: Member(**member) for name, member in raw.pop("members").items()}
        return cls(members=members, **raw)

    def write(self, path: Path) -> None:
        """The whole, or not at all, whenever the machine stops."""
        path.parent.mkdir(parents=True, exist_ok=True)
        raw: dict[str, Any] = {"format": _FORMAT, **asdict(self)}
        new = path.with_suffix(".new")
        # an Elasticsearch of the user's may have its password in the URL
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(raw, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)

    @staticmethod
    def remove(path: Path) -> None:
        """No record any more, nor what an interrupted `write` left."""
        path.unlink(missing_ok=True)
        path.with_suffix(".new").unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, say: Say) -> Iterator[IO[str]]:
    """One at a time works on the cluster in the folder.

    The lock lies beside the folder, which may be removed meanwhile; so is the lock, once there is no folder any more. A
    child of ours between fork and exec holds it too: who has it can be sure that all processes carry their marks. Gives the
    open lock, for a program that is to keep it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    while True:
        with open(path, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another daqcluster that works on {folder}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not _same(path, lock.fileno()):
                continue  # its last holder has removed it
            try:
                yield lock
            finally:
                if not folder.exists():
                    path.unlink(missing_ok=True)
            return


def _same(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except FileNotFoundError:
        return False
