"""What a shifter may set: variables that a job file lists values of, and what its jobs are with each combination of these.

The daemon evaluates no job file. So whoever applies one evaluates it once for each combination and sends what differs; each is
named by the SHA-256 of the whole spec that it leads to, and nothing else can come of it. Pure: command, API and engine ask
the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Optional

import msgspec
from msgspec import structs

from daqsched.errors import UserError
from daqsched.limits import NAME, shown, some, unprintable
from daqsched.spec import JobSpec, Spec, canonical, encode

#: So many combinations, of so many variables.
MOST_CHOICES, MOST_VARIABLES = 64, 16

Kind = Literal["text", "whole number", "number", "truth"]

#: What `--set` and `daqsched set` take for true and false.
TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class ChoiceVariable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A variable, and what a shifter may set it to."""

    name: str
    #: Each as `written`.
    values: tuple[str, ...]
    kind: Kind = "text"


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One combination."""

    #: In the order of the variables.
    values: tuple[str, ...]
    #: Which of `ChoiceSet.jobs` there are then.
    takes: tuple[int, ...] = ()
    #: `sha256_of` the whole.
    sha256: str


class ChoiceSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """All that a shifter may make of one job file."""

    variables: tuple[ChoiceVariable, ...]
    choices: tuple[Choice, ...]
    #: As the file was applied; the values may be others than those listed.
    given: Choice
    #: Jobs that are not the same in all of these, in each of their forms.
    jobs: tuple[JobSpec, ...] = ()
    #: The file, with what else was set.
    source: str = ""


def kind_of(value: object) -> Kind:
    """What a variable with this default takes."""
    kinds: dict[type, Kind] = {bool: "truth", int: "whole number", float: "number"}
    return kinds.get(type(value), "text")


def written(value: object) -> str:
    """A value as a command line has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_of(kind: Kind, text: str) -> Any:
    """What a text is to a variable; raises `ValueError` where it is none."""
    if kind == "truth":
        if text.lower() not in TRUTHS:
            raise ValueError(text)
        return TRUTHS[text.lower()]
    return int(text) if kind == "whole number" else float(text) if kind == "number" else text


def settings_of(typed: Iterable[str], before: str = "") -> dict[str, str]:
    """``NAME=VALUE`` each; raises `UserError`. ``before``: what one writes before it."""
    found: dict[str, str] = {}
    for word in typed:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UserError(f"{shown(word)} sets nothing: write {before}NAME=VALUE")
        if found.setdefault(name, value) != value:
            raise UserError(f"{name} is set twice, to {shown(found[name])} and {shown(value)}")
    return found


def sha256_of(spec: Spec) -> str:
    """Of all that a job file says of its part, but for where lines go, which no choice changes; in whatever order its jobs are."""
    jobs = sorted(spec.jobs, key=lambda job: job.name)
    whole = Spec(jobs=_labelled(jobs, spec.part), part=spec.part, rollout=spec.rollout, confirm=spec.confirm)
    return hashlib.sha256(encode(whole)).hexdigest()


def made(
    spec: Spec, variables: Sequence[ChoiceVariable], given: Sequence[str], found: Mapping[tuple[str, ...], Spec]
) -> ChoiceSet:
    """What is sent of a file that was evaluated with each combination; ``spec`` is what it was with the ``given`` values. Raises
    `UserError` where something else than jobs differs."""
    every = {**found, tuple(given): spec}
    names = [variable.name for variable in variables]
    for values, one in every.items():
        _look_at_rest(spec, one, f"with {said(names, values)}")
    by_name = {values: {job.name: job for job in one.jobs} for values, one in every.items()}
    first = by_name[tuple(given)]
    concerned = {name for jobs in by_name.values() for name in {**jobs, **first} if jobs.get(name) != first.get(name)}
    pool: dict[bytes, int] = {}
    forms: list[JobSpec] = []

    def takes(jobs: Mapping[str, JobSpec]) -> tuple[int, ...]:
        taken = []
        for job in (job for name, job in jobs.items() if name in concerned):
            at = pool.setdefault(canonical(job), len(forms))
            if at == len(forms):
                forms.append(job)
            taken.append(at)
        return tuple(taken)

    choices = {
        values: Choice(values=values, takes=takes(by_name[values]), sha256=sha256_of(one))
        for values, one in every.items()
    }
    return ChoiceSet(
        variables=tuple(variables),
        choices=tuple(choices[values] for values in found),
        given=choices[tuple(given)],
        jobs=tuple(forms),
        source=spec.source,
    )


def _look_at_rest(spec: Spec, one: Spec, when: str) -> None:
    for field in ("part", "logging", "rollout", "confirm"):
        if getattr(spec, field) != getattr(one, field):
            word = {"part": "farm"}.get(field, field)
            raise UserError(f"{when} the file says another {word}: what a shifter sets changes jobs alone")


def check(found: ChoiceSet) -> None:
    """Raise `UserError` for what can't have been made of a job file."""
    if not 0 < len(found.variables) <= MOST_VARIABLES:
        raise UserError(f"choices: there are {len(found.variables)} variables, 1 to {MOST_VARIABLES} can be")
    if len({variable.name for variable in found.variables}) != len(found.variables):
        raise UserError("choices: a variable is there twice")
    for variable in found.variables:
        wrong = name_mistake(variable.name) or values_mistake(variable.values)
        if wrong:
            raise UserError(f"choices: variable {shown(variable.name)}: {wrong}")
    wanted = math.prod(len(variable.values) for variable in found.variables)
    if wanted > MOST_CHOICES:
        raise UserError(f"choices: {too_many(wanted, [variable.name for variable in found.variables])}")
    if len({choice.values for choice in found.choices}) != wanted or len(found.choices) != wanted:
        raise UserError(f"choices: there are {len(found.choices)}, and of these values there are {wanted}")
    for choice in found.choices:
        if len(choice.values) != len(found.variables) or any(
            value not in variable.values for value, variable in zip(choice.values, found.variables)
        ):
            raise UserError("choices: one has values that are not listed")
    for choice in (*found.choices, found.given):
        names = [found.jobs[at].name for at in choice.takes if 0 <= at < len(found.jobs)]
        if len(names) != len(choice.takes) or len(set(names)) != len(names):
            raise UserError("choices: one takes a job that is not there, or one twice")
    if len(found.given.values) != len(found.variables) or any(map(_text_mistake, found.given.values)):
        raise UserError("choices: what is given is not a value for each variable")


def too_many(count: int, names: Sequence[str]) -> str:
    """Why so many combinations are refused."""
    return f"{' and '.join(names)} have {count} combinations, at most {MOST_CHOICES} can be a shifter's choice: list fewer values"


def name_mistake(name: str) -> str:
    """Why a shifter could not type it; empty: can."""
    if not 0 < len(name) <= NAME.most or "=" in name or name != name.strip() or unprintable(name):
        return f"its name is one line without '=', at most {NAME}"
    return ""


def values_mistake(values: Sequence[str]) -> str:
    """Why these can't be listed; empty: they can."""
    if not values:
        return "it lists no value that a shifter may set"
    if len(set(values)) != len(values):
        return "it lists a value twice"
    return next(filter(None, map(_text_mistake, values)), "")


def _text_mistake(value: str) -> str:
    return f"{shown(value)} is not one line of at most {NAME}" if len(value) > NAME.most or unprintable(value) else ""


def said(names: Iterable[str], values: Iterable[str]) -> str:
    """``version=r2 mode=fast``."""
    return " ".join(f"{name}={value}" for name, value in zip(names, values))


def words_of(found: ChoiceSet, choice: Choice) -> str:
    """The same of one of these."""
    return said((variable.name for variable in found.variables), choice.values)


def with_choice(spec: Spec, found: ChoiceSet, choice: Choice) -> Spec:
    """The file ``spec``, or what is in force of its part, as it is with that choice; nothing but its jobs is another."""
    taken = {found.jobs[at].name: found.jobs[at] for at in choice.takes}
    concerned = {job.name for job in found.jobs}
    jobs = [taken.pop(job.name, None) if job.name in concerned else job for job in spec.jobs]
    whole = [job for job in (*jobs, *taken.values()) if job is not None]
    names = [variable.name for variable in found.variables]
    settings = "".join(f" --set {name}={value}" for name, value in zip(names, choice.values))
    return structs.replace(spec, jobs=_labelled(whole, spec.part), source=f"{found.source}{settings}")


def ensure(spec: Spec, found: ChoiceSet, choice: Choice) -> Spec:
    """The same; raises `UserError` where that is not what was evaluated."""
    made = with_choice(spec, found, choice)
    if sha256_of(made) != choice.sha256:
        raise UserError(f"choices: {words_of(found, choice)} is not what its digest says")
    return made


def in_force(spec: Spec, found: ChoiceSet, last: Sequence[str] = ()) -> Optional[Choice]:
    """Which of the choices a part is, as it is in force (`farm_parts.of_part`); None: none, something else was applied since.
    ``last``: the values that were set last, where several come to the same."""
    if spec.variants:
        return None
    names = {job.name for job in found.jobs}
    there = {job.name: job for job in spec.jobs if job.name in names}
    known = sorted((found.given, *found.choices), key=lambda one: one.values != tuple(last))
    for choice in known:
        forms = (found.jobs[at] for at in choice.takes)
        if {job.name: job for job in _labelled(forms, spec.part)} == there:
            return choice if sha256_of(with_choice(spec, found, choice)) == choice.sha256 else None
    return None


#: Why nothing can be set, of a part that is none of the choices.
ANOTHER = (
    "what is in force is not what the file with these choices says, nor one of them: somebody has applied a part of it, or "
    "something else, since; who applies the file again lets shifters set them again"
)


def chosen(found: ChoiceSet, now: Choice, settings: Mapping[str, str]) -> Choice:
    """What comes of these settings, all else as it is ``now``; raises `UserError` for what is not listed."""
    wanted = dict(zip((variable.name for variable in found.variables), now.values))
    for name, text in settings.items():
        variable = next((one for one in found.variables if one.name == name), None)
        if variable is None:
            raise UserError(
                f"{shown(name)} is not for a shifter to set: {some([one.name for one in found.variables])} may be set"
            )
        try:
            value = written(value_of(variable.kind, text))
        except ValueError:
            value = text
        if value not in variable.values:
            raise UserError(f"{name} may be set to {some(variable.values)}, and not to {shown(text)}")
        wanted[name] = value
    choice = next((one for one in found.choices if one.values == tuple(wanted.values())), None)
    if choice is None:
        others = [
            f"{variable.name} is {wanted[variable.name]}, which is not one of {some(variable.values)}"
            for variable in found.variables
            if wanted[variable.name] not in variable.values
        ]
        raise UserError(f"{'; '.join(others)}: set it, too")
    return choice


def _labelled(jobs: Iterable[JobSpec], part: str) -> tuple[JobSpec, ...]:
    return tuple(job if job.part == part else structs.replace(job, part=part) for job in jobs)
