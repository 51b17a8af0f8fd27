"""Modules that are imported by what we import, but not needed here: kept out of an executor's memory until used.

Twenty executors on a machine must stay small. Measured on Python 3.11 (private memory of one executor): inspect,
with ast, dis and tokenize behind it, 1.0 MB (dataclasses imports it for classes without a docstring; from 3.13 on it
uses it for all, and it is loaded after all); traceback and ipaddress 0.3 MB; ssl 1.2 MB, and 6 MB of address space.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

#: Loaded when something of them is used for the first time.
DEFERRED = ("inspect", "ipaddress", "traceback")

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


def keep_out() -> None:
    """Call this before anything else is imported, in a process that is an executor and nothing more."""
    for name in DEFERRED:
        sys.modules.setdefault(name, Deferred(name))
    for name in ABSENT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
