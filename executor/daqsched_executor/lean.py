"""Modules that are imported by what we import, but not needed here: kept out of an executor's memory until used.

Twenty executors on a machine must stay small, and a hundred start quickly. `standins` has what is used of the larger ones,
`values` what is used of dataclasses. What was measured on Python 3.11, CPU of a start: see docs/performance.md.

What an executor may need later stands ready all the same: its own modules, as code that has not run (`keep`), 0.2 MB and 1 ms.
An installation that is replaced, or whose file system is away, is no matter to an executor that runs.
"""

from __future__ import annotations

import _frozen_importlib
import _frozen_importlib_external as machinery
import marshal
import os
import sys
from types import ModuleType

from daqsched_executor.standins import all_of_them

TYPE_CHECKING = False  # typing is one of them
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

#: Their importers cope with an ImportError; no executor speaks TLS.
ABSENT = ("ssl",)

#: In compiled code: made of its source's hash, and never compared with it. So is that of a release's folder.
UNCHECKED = (0b01).to_bytes(4, "little")


def keep_out() -> None:
    """Call this before anything else is imported, in a process that is an executor and nothing more."""
    for name, stand_in in all_of_them().items():
        there = sys.modules.setdefault(name, stand_in)
        package, _, part = name.rpartition(".")
        if package in sys.modules:  # `import a.b` does so
            vars(sys.modules[package]).setdefault(part, there)
    from daqsched_executor import values  # which has fewer to import by now

    sys.modules.setdefault("dataclasses", values)
    for name in ABSENT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # then its import fails
    _without_its_front("pymesos")


def _without_its_front(package: str) -> None:
    """Modules of the package can be imported, and what its ``__init__`` imports is not."""
    spec = machinery.PathFinder.find_spec(package)
    if spec is not None and package not in sys.modules:
        sys.modules[package] = _frozen_importlib.module_from_spec(spec)


class Kept:
    """A finder and loader (importlib.abc) of modules whose code is in memory."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def add(self, name: str, path: Sequence[str]) -> None:
        """Read the module's code, which lies in one of the folders."""
        spec = machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            self._codes[name] = _code_of(name, spec)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Called by the import machinery."""
        return _frozen_importlib.ModuleSpec(name, self) if name in self._codes else None  # type: ignore[arg-type]  # as it needs it

    def create_module(self, spec: Any) -> None:
        """The machinery's own will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Now it runs."""
        exec(marshal.loads(self._codes[module.__name__]), module.__dict__)


def keep(packages: Iterable[str]) -> None:
    """Keep all modules of these packages, which are imported, that are not imported yet. Raises OSError."""
    kept = Kept()
    for package in packages:
        for folder in sys.modules[package].__path__:
            for file in os.listdir(folder):
                name, _, kind = file.rpartition(".")
                if kind == "py" and name != "__init__" and f"{package}.{name}" not in sys.modules:
                    kept.add(f"{package}.{name}", [folder])
    sys.meta_path.insert(0, kept)


def _code_of(name: str, spec: Any) -> bytes:
    """The marshalled code, as it lies beside the source if that has not changed since, or may not change (PEP 552): 20 times
    as quick as to make it again."""
    loader: Any = spec.loader
    try:
        data: bytes = loader.get_data(spec.cached)
        if data[:8] == machinery.MAGIC_NUMBER + UNCHECKED:
            return data[16:]
        source = loader.path_stats(spec.origin)
        numbers = 0, int(source["mtime"]), source["size"]
        head = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
        if data[:16] == machinery.MAGIC_NUMBER + head:
            return data[16:]
    except (AttributeError, OSError, TypeError):  # there is none, or the package is not in files
        pass
    return marshal.dumps(loader.get_code(name))
