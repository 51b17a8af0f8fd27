"""Modules that are imported by what we import, but not needed here: kept out of an executor's memory until used.

Twenty executors on a machine must stay small, and a hundred start quickly. Measured on Python 3.11 (private memory of
one executor, CPU of its start): inspect, with ast, dis and tokenize behind it, 1.0 MB; traceback and ipaddress 0.3 MB;
ssl 1.2 MB, and 6 MB of address space; http.client, with email behind it, 0.6 MB and 9 ms of 70; uuid, with platform
behind it, 2 ms; dataclasses 25 ms for our own classes, see `values`.
"""

from __future__ import annotations

import importlib
import sys
from http import HTTPStatus
from types import ModuleType
from typing import Any

#: Loaded when something of them is used for the first time.
DEFERRED = ("inspect", "ipaddress", "traceback", "uuid")

#: Their importers cope with an ImportError; no executor speaks TLS.
ABSENT = ("ssl",)


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
