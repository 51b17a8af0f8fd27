"""Modules that are imported by what we import, but not needed here: kept out of an executor's memory until used.

Twenty executors on a machine must stay small, and a hundred start quickly. `standins` has what is used of the larger ones,
`values` what is used of dataclasses. What was measured on Python 3.11, CPU of a start: see docs/performance.md.

What an executor may need later stands ready all the same: see `kept`.
"""

from __future__ import annotations

import _frozen_importlib
import sys

from daqsched_executor.standins import all_of_them

#: Their importers cope with an ImportError; no executor speaks TLS.
ABSENT = ("ssl",)


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
    found = (finder.find_spec(package, None) for finder in sys.meta_path)
    spec = next((spec for spec in found if spec is not None), None)
    if spec is not None and package not in sys.modules:
        sys.modules[package] = _frozen_importlib.module_from_spec(spec)
