"""`variable(...)` of a job file, and what `--set NAME=VALUE` binds them to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Optional, TypeVar

from daqsched.choices import ChoiceVariable, kind_of, name_mistake, settings_of, value_of, values_mistake, written
from daqsched.errors import JobError

Value = TypeVar("Value", str, int, float, bool)


class Bindings:
    """What the variables of one evaluation of a file are set to, and which it declares."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given
        #: name -> what it is in this evaluation.
        self.declared: dict[str, Any] = {}
        #: Those that a shifter may set, by name.
        self.shifter: dict[str, ChoiceVariable] = {}

    @property
    def unknown(self) -> list[str]:
        """What was set and is not declared."""
        return [name for name in self.given if name not in self.declared]


#: Of the file that is being evaluated.
_current: Optional[Bindings] = None


def variable(name: str, default: Value, shifter: Sequence[Value] = ()) -> Value:
    """What ``--set NAME=VALUE`` gives for this name, as a value of the default's type; else the default.

    ``version = variable("version", "release-01")`` lets the crew say ``daqsched apply jobs.py --set version=release-02``.
    With ``shifter=["release-01", "release-02"]`` a shifter may set it to one of these, by ``daqsched set version=release-02``.
    """
    if not isinstance(default, (str, int, float, bool)):
        raise JobError(f"variable {name!r}: the default must be a text, a number or True or False, not {default!r}")
    if _current is not None and name in _current.declared and type(_current.declared[name]) is not type(default):
        raise JobError(f"variable {name!r} is declared twice, as values of two kinds")
    value: Any = default
    if _current is not None:
        known = _current.shifter.get(name)
        listed = _listed(name, default, shifter) if shifter != () else None
        if name in _current.declared and listed != known:
            raise JobError(f"variable {name!r} is declared twice, and not with the same values that a shifter may set")
        if listed is not None:
            _current.shifter[name] = listed
        if name in _current.given:
            value = _read(name, _current.given[name], default)
        _current.declared[name] = value
    return value  # type: ignore[no-any-return]  # of the kind of ``default``


def _listed(name: str, default: Any, values: Any) -> ChoiceVariable:
    """What a shifter may set it to."""
    if not isinstance(values, (list, tuple)):
        raise JobError(f"variable {name!r}: shifter is a list of the values that a shifter may set, not {values!r}")
    others = [one for one in values if type(one) is not type(default)]
    if others:
        raise JobError(f"variable {name!r}: a shifter may set it to values of the default's kind, not to {others[0]!r}")
    texts = tuple(written(one) for one in values)
    wrong = name_mistake(name) or values_mistake(texts)
    if wrong:
        raise JobError(f"variable {name!r}: {wrong}")
    if written(default) not in texts:
        raise JobError(f"variable {name!r}: the default {default!r} is not among what a shifter may set it to")
    return ChoiceVariable(name=name, values=texts, kind=kind_of(default))


def _read(name: str, text: str, default: Any) -> Any:
    try:
        return value_of(kind_of(default), text)
    except ValueError as error:
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(default)]
        raise JobError(f"variable {name!r} is {kind} (by default {default!r}), but was set to {text!r}") from error


def parse(words: Iterable[str]) -> dict[str, str]:
    """``NAME=VALUE`` each; raises `UserError`."""
    return settings_of(words, "--set ")


class binding:  # noqa: N801 (used as a word: with binding(...))
    """Within it `variable` knows these."""

    def __init__(self, bindings: Bindings) -> None:
        self._bindings = bindings

    def __enter__(self) -> None:
        global _current
        self._outer, _current = _current, self._bindings

    def __exit__(self, *error: object) -> None:
        global _current
        _current = self._outer
