"""Readers for the table of `parsers` that need a folder: what is written down of log files, and what rotation packed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from daqsched_executor.contract import LogFiles
from daqsched_executor.forward.inputs.compressed import RATIO, SMALL, TooMuch, unpacking
from daqsched_executor.forward.inputs.journald import _cursor_of, _noted, _valid
from daqsched_executor.forward.inputs.registry import PATTERNS, Registry
from daqsched_executor.forward.inputs.salvage import DiskBudget
from daqsched_executor.forward.inputs.tailed_files import TailedFiles

ONE = LogFiles("app", ("/nowhere/app.log",))

#: The fields and options of a log file's registration.
FIELDS = "id name path start task_id job host release labels created format options dataset version".split()
OPTIONS = "identity real time level multiline charset whole".split()

PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}

#: What an unpacker says of a file that is none of its own, or damaged.
REFUSED = (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, TooMuch)


def registrations(value: tuple[bytes, str, Any]) -> None:
    """Any bytes, or a good one with anything in one field: followed or named in a sentence; the good one beside it is used."""
    raw, name, anything = value
    with TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        log.write_text("a line\n")
        registry = Registry(folder, "hlt01")
        registry.prepare()
        handle = os.open(log, os.O_RDONLY)
        text = registry.stream(ONE, str(log), "AAAAAAAAAAA", 0, handle).to_json()
        os.close(handle)
        Path(registry.path("AAAAAAAAAAA")).write_bytes(text)
        bad = json.loads(text)
        bad["id"], bad["options"]["identity"] = "BBBBBBBBBBB", [1, 2, 3, 4]
        (bad["options"] if name in OPTIONS else bad)[name] = anything
        Path(registry.path("BBBBBBBBBBB")).write_text(json.dumps(bad))
        Path(registry.path("CCCCCCCCCCC")).write_bytes(raw)
        said: list[str] = []
        followed = TailedFiles(
            registry, {}, lambda about, sentence: said.append(sentence), DiskBudget(registry.folder, 1e6)
        )
        followed.resume([(str(log), os.stat(log).st_ino)])
        for file in followed.files.values():
            os.close(file.file)
        assert any(file.stream.id == "AAAAAAAAAAA" for file in followed.files.values())
        assert any("CCCCCCCCCCC" in sentence for sentence in said)


def notes(raw: bytes) -> None:
    """The list of patterns, and where we are in the journal: what is none is as if it were not there."""
    with TemporaryDirectory() as folder:
        registry = Registry(folder, "hlt01")
        registry.prepare()
        (Path(registry.folder) / PATTERNS).write_bytes(raw)
        registry.known([ONE])
        registry.use([ONE], 1.0)
        assert registry.known([ONE]) == [ONE]
        note = Path(folder) / "cursor"
        note.write_bytes(raw)
        for found in (_noted(str(note)), _cursor_of(raw)):
            assert found == _valid(found)


def packed(value: tuple[str, bytes, int, bytes]) -> None:
    """A packed file with a damage: it ends, in bytes or in what an unpacker says of such."""
    end, data, at, damage = value
    made = PACKERS[end](data)
    at %= len(made) + 1
    made = made[:at] + damage + made[at + len(damage) :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"app.log.1{end}"
        path.write_bytes(made)
        with unpacking(str(path)) as reads:
            size = sum(map(len, iter(lambda: reads.read(65536), b"")))
        assert size <= SMALL + RATIO * len(made)
