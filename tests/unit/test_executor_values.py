"""`daqsched_executor.values` against the library that it stands for, with the executor's own classes."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from typing import Any, NamedTuple

import pytest

from daqsched_executor import values

MODULES = (
    "contract.wire",
    "contract.job",
    "contract.report",
    "contract.stream",
    "life.events",
    "life.commands",
    "life.state",
)


def classes() -> list[type]:
    """All dataclasses of the modules that an executor cannot do without."""
    found: list[type] = []
    for name in MODULES:
        module = importlib.import_module(f"daqsched_executor.{name}")
        found += [
            one
            for _, one in inspect.getmembers(module, inspect.isclass)
            if dataclasses.is_dataclass(one) and one.__module__ == module.__name__
        ]
    return found


def light(cls: type) -> Any:
    """The same class, made by `values`."""
    body: dict[str, Any] = {
        "__annotations__": dict(cls.__dict__.get("__annotations__", {})),
        "__qualname__": cls.__qualname__,
    }
    for one in dataclasses.fields(cls):
        if one.default_factory is not dataclasses.MISSING:
            body[one.name] = values.field(default_factory=one.default_factory)
        elif one.default is not dataclasses.MISSING:
            body[one.name] = one.default
    return values.dataclass(frozen=True)(type(cls.__name__, (), body))


def arguments(cls: type) -> dict[str, Any]:
    """Something for each field that has no default."""
    none = dataclasses.MISSING
    return {one.name: f"a {one.name}" for one in dataclasses.fields(cls) if one.default is none is one.default_factory}


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_it_does_what_the_library_does(cls: Any) -> None:
    """Made by name and by place, shown, compared, hashed, changed, turned into plain values, and refused."""
    ours, given = light(cls), arguments(cls)
    theirs_one, one = cls(**given), ours(**given)
    assert repr(one) == repr(theirs_one) and repr(ours(*given.values())) == repr(theirs_one)
    assert values.asdict(one) == dataclasses.asdict(theirs_one)
    assert json.dumps(values.asdict(one), default=str) == json.dumps(dataclasses.asdict(theirs_one), default=str)
    assert [field.name for field in values.fields(ours)] == [field.name for field in dataclasses.fields(cls)]
    assert one == ours(**given) and one != theirs_one and one != object()
    for name in values.asdict(one):
        changed, theirs_changed = values.replace(one, **{name: "x"}), dataclasses.replace(theirs_one, **{name: "x"})
        assert repr(changed) == repr(theirs_changed) and changed != one
    try:
        expected = hash(theirs_one) == hash(cls(**given))
    except TypeError:  # a field that can't be hashed
        with pytest.raises(TypeError):
            hash(one)
    else:
        assert expected and hash(one) == hash(ours(**given))
    for wrong in ({**given, "nosuchfield": 1}, dict(list(given.items())[1:])):
        for kind in (cls, ours) if wrong != given else ():
            with pytest.raises(TypeError):
                kind(**wrong)
    with pytest.raises(TypeError):
        ours(*range(99))


class Pair(NamedTuple):
    """As `Moment` is one."""

    first: int
    second: list[int]


def test_containers_are_made_plain_all_the_way_down() -> None:
    """Tuples stay tuples, named ones too; mutable classes have no hash."""

    class Inner:
        number: int = 1

    class Outer:
        parts: Any

    inner, outer = values.dataclass(Inner), values.dataclass(frozen=True)(Outer)
    plain = values.asdict(outer({"a": [inner()], "b": (inner(2), Pair(1, [2]))}))
    assert plain == {"parts": {"a": [{"number": 1}], "b": ({"number": 2}, Pair(1, [2]))}}
    with pytest.raises(TypeError):
        hash(inner())
