"""What ``--state`` names, and what keeps it: the one module that knows each kind of state, and what people are told of it.

A folder is one daemon's: SQLite keeps it, and the file's lock keeps a second daemon out. A place with a scheme is shared by two or
more: its coordination says who leads, and gives the leader the store. A further kind of either is entered here, and what keeps
it stands behind the protocols `store.base.Store` and `store.coordination.Coordination`; nobody else is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from daqsched.errors import UserError
from daqsched.settings import is_folder

if TYPE_CHECKING:
    from daqsched.store import Store
    from daqsched.store.coordination import Coordination

#: For ``--help``: what may be written, how a place begins that daemons share, and whose servers it is on.
PLACES, SHARED, SERVERS = "a folder, or zk://HOST:PORT,.../PATH", "zk://", "ZooKeeper"


def _zookeeper(state: str, credentials: Optional[Path]) -> Coordination:
    # kazoo is read by those who need it
    from daqsched.store.zookeeper.coordination import ZooKeeperCoordination
    from daqsched.store.zookeeper.place import place_of

    return ZooKeeperCoordination(place_of(state, credentials))


#: By its scheme, each kind of place that daemons share.
_COORDINATIONS: dict[str, Callable[[str, Optional[Path]], Coordination]] = {"zk": _zookeeper}


def coordination(state: str, credentials: Optional[Path] = None) -> Optional[Coordination]:
    """How daemons agree who leads at that place; None: it is a folder, see `folder_store`. Asks nothing of anybody; raises
    `UserError` where it names no place, or the file with the credentials can't be used."""
    if is_folder(state):
        return None
    kind = _COORDINATIONS.get(state.partition("://")[0])
    if kind is None:
        raise UserError(f"there can't be a state at {state!r}: write {PLACES}")
    return kind(state, credentials)


def folder_store(folder: Path, most: int = 0o700, new: bool = True) -> Store:
    """The state in that folder, made if it is missing and ``new``, and open to others as far as ``most`` allows. Raises
    `DaqschedError` where another daemon uses it or it can't be read, and `UserError` where there is none."""
    from daqsched.store.sqlite import FILE, SqliteStore

    if not new and not (folder / FILE).exists():
        raise UserError(f"there is no state in {folder}: give --state")
    return SqliteStore(folder, most)
