"""Packed files: read whole, whatever packed them, or set aside; a bomb takes neither disk nor memory nor time."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from daqsched_executor.forward.inputs.compressed import MEMORY, TooMuch, unpacking
from daqsched_executor.forward.inputs.salvage import BEFORE, DiskBudget, unpacked

TEXT = b"".join(b"line %06d\n" % number for number in range(50_000))


PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def written(folder: Path, end: str, data: bytes) -> str:
    """A packed file."""
    path = folder / f"app.log.1{end}"
    path.write_bytes(data)
    return str(path)


def whole(path: str) -> bytes:
    """All that a packed file holds."""
    with unpacking(path) as reads:
        return b"".join(iter(lambda: reads.read(10_000), b""))


@pytest.mark.parametrize("end", PACKERS)
def test_all_of_it_is_read_also_of_several_parts(end: str, tmp_path: Path) -> None:
    """Two packed files behind each other are one, as their programs have it."""
    pack = PACKERS[end]
    assert whole(written(tmp_path, end, pack(TEXT) + pack(b"more\n"))) == TEXT + b"more\n"
    assert whole(written(tmp_path, end, pack(b""))) == b""


@pytest.mark.parametrize("end", PACKERS)
def test_a_torn_file_is_no_end_and_a_bomb_is_cut_short(end: str, tmp_path: Path) -> None:
    """It is refused before it has taken anything; whatever the unpacker says of it."""
    pack = PACKERS[end]
    with pytest.raises((OSError, EOFError, ValueError, lzma.LZMAError)):
        whole(written(tmp_path, end, pack(TEXT)[:-20]))
    if end != ".gz":  # that one holds at most a thousand times what it takes
        bomb = written(tmp_path, end, pack(bytes(110_000_000)))
        room = DiskBudget(str(tmp_path), 1e9)
        with pytest.raises(TooMuch, match="times its own size"):
            unpacked(bomb, str(tmp_path / "x.rest"), bool, 0, room)
    assert not list(tmp_path.glob("*.rest*"))


def test_what_it_holds_is_bounded_by_the_disk_that_we_may_use(tmp_path: Path) -> None:
    """More than all of it: never; more than is left at present: later."""
    path = written(tmp_path, ".gz", gzip.compress(TEXT * 10))
    target = str(tmp_path / "x.rest")
    with pytest.raises(TooMuch, match="that the forwarder may use"):
        unpacked(path, target, bool, 0, DiskBudget(str(tmp_path), 1e6))
    (tmp_path / "other.rest").write_bytes(b"x" * 4_000_000)
    with pytest.raises(OSError, match="there is no space to decompress it"):
        unpacked(path, target, bool, 0, DiskBudget(str(tmp_path), 8e6))
    assert not os.path.exists(target) and not os.path.exists(target + ".new")
    handle = unpacked(path, target, bool, len(TEXT) * 9, DiskBudget(str(tmp_path), 1e9))
    assert os.pread(handle, 100, len(TEXT) * 9) == TEXT[:100]
    assert os.fstat(handle).st_blocks * 512 < BEFORE + len(TEXT) + 1_000_000
    os.close(handle)


def test_a_dictionary_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """`xz -9` asks for 65 MiB."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2 * MEMORY}]
    path = written(tmp_path, ".xz", lzma.compress(TEXT, filters=filters))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(lzma.LZMAError, match="emory"):
        whole(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY // 1024
