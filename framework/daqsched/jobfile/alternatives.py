"""A job file with each combination of the values that a shifter may set: evaluated once for each, on the crew's side."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple, Optional

from msgspec.structs import replace

from daqsched.choices import MOST_CHOICES, MOST_VARIABLES, ChoiceSet, ChoiceVariable, made, said, too_many, written
from daqsched.digests import digest
from daqsched.errors import JobFileError, UserError
from daqsched.jobfile.load import evaluated
from daqsched.spec import Spec

#: Folders of libraries, which are imported once.
_LIBRARIES = frozenset(["site-packages", "dist-packages"])


class Evaluated(NamedTuple):
    """A job file, and what a shifter may make of it."""

    spec: Spec
    choices: Optional[ChoiceSet]


def load_with_choices(path: str | Path, given: Mapping[str, str], part: Optional[str] = None) -> Evaluated:
    """As `load`; ``part`` is the one that a command says the file is, where the file does not. Raises `JobFileError` also for what
    is a mistake with some of the values alone."""
    path = Path(path)
    before = frozenset(sys.modules)
    spec, bindings = evaluated(path, given)
    variables = tuple(bindings.shifter.values())
    if not variables:
        return Evaluated(spec, None)
    names = [one.name for one in variables]
    count = math.prod(len(one.values) for one in variables)
    if count > MOST_CHOICES or len(names) > MOST_VARIABLES:
        raise JobFileError(str(path), 0, too_many(count, names))
    found: dict[tuple[str, ...], Spec] = {}
    for values in itertools.product(*(one.values for one in variables)):
        found[values] = _with(path, {**given, **dict(zip(names, values))}, said(names, values), variables, before)
    now = tuple(written(bindings.declared[name]) for name in names)
    again = found.get(now) or _with(path, given, "evaluated again", variables, before)
    if digest(again) != digest(spec):
        raise JobFileError(
            str(path),
            0,
            "says something else each time that it is evaluated (by the time, or by chance): what a shifter's choice comes to "
            "could not be told",
        )
    rest = {name: value for name, value in given.items() if name not in names}
    source = str(path) + "".join(f" --set {name}={value}" for name, value in sorted(rest.items()))
    named = {values: _of_part(one, part) for values, one in found.items()}
    try:
        choices = made(replace(_of_part(spec, part), source=source), variables, now, named)
    except UserError as error:
        raise JobFileError(str(path), 0, str(error)) from error
    return Evaluated(spec, choices)


def _of_part(spec: Spec, part: Optional[str]) -> Spec:
    return replace(spec, part=part) if part is not None and not spec.part else spec


def _with(
    path: Path,
    given: Mapping[str, str],
    how: str,
    variables: tuple[ChoiceVariable, ...],
    before: Collection[str],
) -> Spec:
    """The file with these values; a mistake says with which."""
    try:
        _forget_modules(path.resolve().parent, before)
        spec, bindings = evaluated(path, given)
    except JobFileError as error:
        mistakes = [JobFileError(one.path, one.line, f"with {how}: {one.sentence}") for one in error.mistakes]
        raise JobFileError(mistakes[0].path, mistakes[0].line, mistakes[0].sentence, mistakes[1:]) from error
    if tuple(bindings.shifter.values()) != variables:
        raise JobFileError(str(path), 0, f"with {how}: other variables are for a shifter to set, or other values")
    return spec


def _forget_modules(folder: Path, before: Collection[str]) -> None:
    """The crew's modules beside the file are evaluated anew, too: they may have variables of their own."""
    for name in [name for name in sys.modules if name not in before and name.partition(".")[0] != "daqsched"]:
        file = getattr(sys.modules[name], "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            place = Path(file).resolve()
            if folder in place.parents and not _LIBRARIES.intersection(place.parts):
                del sys.modules[name]
