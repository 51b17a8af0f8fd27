"""Modules that are imported by what we import, but not needed here: kept out of an executor's memory until used.

Twenty executors on a machine must stay small, and a hundred start quickly. Measured on Python 3.11 (private memory of
one executor, CPU of its start): inspect, with ast, dis and tokenize behind it, 1.0 MB; traceback and ipaddress 0.3 MB;
ssl 1.2 MB, and 6 MB of address space; http.client, with email behind it, 0.6 MB and 9 ms of 70; uuid, with platform
behind it, 2 ms; dataclasses 25 ms for our own classes, see `values`.

What an executor may need later stands ready all the same: its own modules, as code that has not run (`keep`), 0.2 MB and 2 ms.
An installation that is replaced, or whose file system is away, is no matter to an executor that runs.
"""

from __future__ import annotations

import importlib
import marshal
import os
import sys
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

#: Loaded when something of them is used for the first time.
DEFERRED = ("inspect", "ipaddress", "traceback", "uuid")

#: Their importers cope with an ImportError; no executor speaks TLS.
ABSENT = ("ssl",)

#: In compiled code: made of its source's hash, and never compared with it. So is that of a release's folder.
UNCHECKED = (0b01).to_bytes(4, "little")


class Deferred(ModuleType):
    """Stands for a module until an attribute of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import machinery looks at these; they are no use of the module
            raise AttributeError(name)
        sys.modules.pop(self.__name__, None)
        self.__dict__.update(importlib.import_module(self.__name__).__dict__)
        return self.__dict__[name]


class DeferredHttp(Deferred):
    """``http.client`` as pymesos imports it: three numbers, and a class that the executor never makes one of, since its
    requests go through `run.call`. Whoever does make one gets a real one."""

    OK, TEMPORARY_REDIRECT, SERVICE_UNAVAILABLE = (
        HTTPStatus.OK,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )

    @staticmethod
    def HTTPConnection(*args: Any, **options: Any) -> Any:  # noqa: N802 (the name is not ours)
        """A real connection."""
        if isinstance(sys.modules.get("http.client"), DeferredHttp):
            del sys.modules["http.client"]
        return importlib.import_module("http.client").HTTPConnection(*args, **options)


def keep_out() -> None:
    """Call this before anything else is imported, in a process that is an executor and nothing more."""
    for name in DEFERRED:
        sys.modules.setdefault(name, Deferred(name))
    sys.modules.setdefault("http.client", DeferredHttp("http.client"))
    sys.modules.setdefault("dataclasses", importlib.import_module("daqsched_executor.values"))
    for name in ABSENT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


class Kept:
    """A finder and loader (importlib.abc) of modules whose code is in memory."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def add(self, name: str, path: Sequence[str]) -> None:
        """Read the module's code, which lies in one of the folders."""
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            self._codes[name] = _code_of(name, spec)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Called by the import machinery."""
        return ModuleSpec(name, self) if name in self._codes else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
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


def _code_of(name: str, spec: ModuleSpec) -> bytes:
    """The marshalled code, as it lies beside the source if that has not changed since, or may not change (PEP 552): 20 times
    as quick as to make it again."""
    loader: Any = spec.loader
    try:
        data: bytes = loader.get_data(spec.cached)
        if data[:8] == importlib._bootstrap_external.MAGIC_NUMBER + UNCHECKED:
            return data[16:]
        source = loader.path_stats(spec.origin)
        numbers = 0, int(source["mtime"]), source["size"]
        head = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
        if data[:16] == importlib._bootstrap_external.MAGIC_NUMBER + head:
            return data[16:]
    except (AttributeError, OSError, TypeError):  # there is none, or the package is not in files
        pass
    return marshal.dumps(loader.get_code(name))
