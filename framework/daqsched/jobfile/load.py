"""From a job file to a spec. The only place where a crew's Python runs, and it runs on the crew's side."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
import tokenize
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

import msgspec

import daqsched
from daqsched import farm_parts
from daqsched.errors import JobError, JobFileError
from daqsched.jobfile.conflicts import conflicts
from daqsched.jobfile.convert import MODULE
from daqsched.jobfile.job import MISTAKES, Job, Mistake
from daqsched.jobfile.parts import Confirm, Logging, Rollout
from daqsched.jobfile.rules import logging_mistakes
from daqsched.jobfile.variables import Bindings, binding
from daqsched.limits import JOBS, shown
from daqsched.spec import Spec

#: The classes that a job file may call, by name.
_KINDS = {name: kind for name, kind in vars(daqsched).items() if inspect.isclass(kind)}


def load(path: str | Path, given: Optional[Mapping[str, str]] = None) -> Spec:
    """Evaluate the file and return what it asks for; raises `JobFileError` with file, line and a sentence for each mistake.

    The file is a Python module that assigns ``jobs = [Job(...), ...]`` and may assign ``logging = Logging(...)``,
    ``rollout = Rollout(...)``, ``confirm = Confirm(...)`` and ``farm = "NAME"``, the part of the farm that it is. Modules
    beside it can be imported. ``given`` binds its variables (`daqsched.variable`).
    """
    path = Path(path)
    bindings = Bindings(dict(given or {}))
    tree = _parse(path)
    module = ModuleType(MODULE)
    mistakes: list[Mistake] = []
    module.__dict__.update({"__file__": str(path), MISTAKES: mistakes})
    found = []
    try:
        with binding(bindings):
            _run(module, path, tree)
    except JobFileError as error:
        found.append(error)
    else:
        for name in bindings.unknown:
            has = ", ".join(sorted(bindings.declared)) or "none"
            found.append(JobFileError(str(path), 0, f"declares no variable {name!r} that could be set; it has: {has}"))
    found += _tell_all(path, tree, mistakes)
    if found:
        raise _all_of(found)
    spec = _spec(module, path, tree)
    settings = "".join(f" --set {name}={value}" for name, value in sorted(bindings.given.items()))
    return msgspec.structs.replace(spec, source=f"{spec.source}{settings}")


def _all_of(found: Sequence[JobFileError]) -> JobFileError:
    """Several mistakes as one error, in the order of the file."""
    each = sorted(found, key=lambda one: one.line)
    return JobFileError(each[0].path, each[0].line, each[0].sentence, each[1:])


def _parse(path: Path) -> ast.Module:
    try:
        with tokenize.open(path) as file:  # as Python reads it: a byte order mark, a line that names the encoding
            source = file.read()
    except OSError as error:
        raise JobFileError(str(path), 0, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise JobFileError(str(path), 0, f"is not UTF-8 text: {error.reason}") from error
    except SyntaxError as error:
        raise JobFileError(str(path), 0, f"syntax error: {error.msg}") from error
    try:
        return ast.parse(source, str(path))
    except SyntaxError as error:
        raise JobFileError(str(path), error.lineno or 0, f"syntax error: {error.msg}") from error
    except ValueError as error:  # NUL bytes, on Python before 3.12
        raise JobFileError(str(path), 0, f"syntax error: {error}") from error


def _run(module: ModuleType, path: Path, tree: ast.Module) -> None:
    # dataclasses and pickle look a class's module up by name
    sys.modules[MODULE] = module
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a job file that calls sys.exit() is a mistake in it, too
        raise _explain(error, path, tree) from error
    finally:
        sys.path.remove(str(path.parent))


def _explain(error: BaseException, path: Path, tree: ast.Module) -> JobFileError:
    """The innermost line of the job file on the way to the error, and the error in a sentence."""
    lines = [at.lineno or 0 for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
    line = lines[-1] if lines else 0
    if isinstance(error, JobError):
        line = _line_of_field(tree, lines, error.field) or line
        return JobFileError(str(path), line, f"{error.field}: {error}" if error.field else str(error))
    if isinstance(error, SyntaxError):
        return JobFileError(error.filename or str(path), error.lineno or 0, f"syntax error: {error.msg}")
    unknown = re.search(r"__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if isinstance(error, TypeError) and unknown is not None:
        field = unknown.group(1)
        line = _line_of_field(tree, lines, field) or line
        return JobFileError(str(path), line, f"unknown field {field!r}{_did_you_mean(field, tree, line)}")
    return JobFileError(str(path), line, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _tell_all(path: Path, tree: ast.Module, mistakes: Iterable[Mistake]) -> Iterator[JobFileError]:
    """One sentence for a mistake that several jobs share, as those of a function do."""
    groups: dict[tuple[int, str, str], list[str]] = {}
    for mistake in mistakes:
        line = _line_of_field(tree, mistake.lines, mistake.error.field) or mistake.lines[-1]
        groups.setdefault((line, mistake.error.field, str(mistake.error)), []).append(shown(mistake.job))
    for (line, field, sentence), names in groups.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        who = f"job {names[0]}" if len(names) == 1 else f"jobs {', '.join(names[:3])}{more}"
        yield JobFileError(str(path), line, f"{who}: {field}: {sentence}" if field else f"{who}: {sentence}")


def _did_you_mean(field: str, tree: ast.Module, line: int) -> str:
    """A word of the class that was called there; of a Job, where a function of the file stands between."""
    called = [
        call.func.id
        for call in _calls(tree, line)
        if isinstance(call.func, ast.Name) and any(keyword.arg == field for keyword in call.keywords)
    ]
    kind = next((_KINDS[name] for name in called if name in _KINDS), Job)
    words = list(inspect.signature(kind).parameters)
    close = difflib.get_close_matches(field, words, 1)
    return f": did you mean {close[0]!r}?" if close else f"; a {kind.__name__} has {', '.join(words)}"


def _calls(tree: ast.Module, line: int) -> list[ast.Call]:
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return sorted(found, key=lambda node: (node.end_lineno or 0) - node.lineno)


def _line_of_field(tree: ast.Module, lines: Sequence[int], field: str) -> Optional[int]:
    """Where the field is written: in the call that failed, or in one of those that led to it (a function that makes jobs).

    ``check[http].path`` is looked for as deep as the file shows it: the argument ``check``, in it the call for the check
    of that name, in that the argument ``path``.
    """
    steps = re.findall(r"[^.\[\]]+", field)
    for line in reversed(lines):
        for call in _calls(tree, line):
            found = _argument(call, steps[0]) if steps else None
            if found is not None:
                for step in steps[1:]:
                    found = _part(found, step) or found
                return found.lineno
    return None


def _argument(node: ast.AST, name: str) -> Optional[ast.expr]:
    if not isinstance(node, ast.Call):
        return None
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    kind = _KINDS.get(node.func.id) if isinstance(node.func, ast.Name) else None
    order = list(inspect.signature(kind).parameters) if kind is not None else []
    place = order.index(name) if name in order else len(node.args)
    written = node.args[place] if place < len(node.args) else None
    return None if isinstance(written, ast.Starred) else written


def _part(node: ast.expr, name: str) -> Optional[ast.expr]:
    """Of a call its argument, of a list the check of that name, of a dictionary the value of that key."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return next((part for part in node.elts if _name_of_check(part) == name), None)
    if isinstance(node, ast.Dict):
        keys = zip(node.keys, node.values)
        return next((value for key, value in keys if isinstance(key, ast.Constant) and key.value == name), None)
    return _argument(node, name)


def _name_of_check(node: ast.expr) -> object:
    named = _argument(node, "name")
    if isinstance(named, ast.Constant):
        return named.value
    kind = _KINDS.get(node.func.id) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
    return getattr(kind, "name", "")


def _spec(module: ModuleType, path: Path, tree: ast.Module) -> Spec:
    jobs = getattr(module, "jobs", None)
    if jobs is None:
        raise JobFileError(str(path), 0, "assigns no jobs: a job file says jobs = [Job(...), ...]")
    if isinstance(jobs, Job) or not isinstance(jobs, (list, tuple)):
        raise JobFileError(str(path), _line_of_name(tree, "jobs"), "jobs must be a list of Job(...)")
    if len(jobs) > JOBS.most:
        sentence = f"jobs has {len(jobs):,} entries, at most {JOBS.most:,.0f} are allowed"
        raise JobFileError(str(path), _line_of_name(tree, "jobs"), sentence)
    found = list(_wrong_together(jobs, path, tree))
    logging: Any = getattr(module, "logging", None)
    if isinstance(logging, ModuleType) or logging is None:  # a file may well import the library of that name
        logging = Logging()
    line = _line_of_name(tree, "logging")
    if not isinstance(logging, Logging):
        raise _all_of([*found, JobFileError(str(path), line, "logging must be Logging(...)")])
    try:
        logging_spec = logging.spec
    except JobError as error:
        found.append(_of_logging(error, path, tree, line))
    else:
        found += [_of_logging(error, path, tree, line) for error in logging_mistakes(logging_spec)]
    wrong = farm_parts.mistake(module.farm) if hasattr(module, "farm") else ""
    if wrong:
        found.append(JobFileError(str(path), _line_of_name(tree, "farm"), f"farm: {wrong}"))
    words: dict[str, Any] = {}
    for name, kind in (("rollout", Rollout), ("confirm", Confirm)):
        try:
            words[name] = _word(module, path, tree, name, kind)
        except JobFileError as error:
            found.append(error)
    if found:
        raise _all_of(found)
    part = getattr(module, "farm", "")
    jobs = tuple(job.spec for job in jobs)
    return Spec(jobs=jobs, logging=logging_spec, part=part, source=str(path), **words)


def _word(module: ModuleType, path: Path, tree: ast.Module, name: str, kind: type[Any]) -> Any:
    """What the file says by this name, as data; None: nothing."""
    value: Any = getattr(module, name, None)
    if value is None:
        return None
    line = _line_of_name(tree, name)
    if not isinstance(value, kind):
        raise JobFileError(str(path), line, f"{name} must be {kind.__name__}(...)")
    try:
        return value.spec
    except JobError as error:
        line = _line_of_field(tree, [line], error.field) or line
        raise JobFileError(str(path), line, f"{name}.{error.field}: {error}") from error


def _of_logging(error: JobError, path: Path, tree: ast.Module, line: int) -> JobFileError:
    return JobFileError(str(path), _line_of_field(tree, [line], error.field) or line, f"logging.{error.field}: {error}")


def _wrong_together(jobs: Sequence[Any], path: Path, tree: ast.Module) -> Iterator[JobFileError]:
    """What is wrong with the list, though each job in it is right."""
    first: dict[str, Job] = {}
    for job in jobs:
        if not isinstance(job, Job):
            sentence = f"jobs holds {type(job).__name__} {shown(job)}, which is not a Job(...)"
            yield JobFileError(str(path), _line_of_name(tree, "jobs"), sentence)
        elif first.setdefault(job.name, job) is not job:
            line = first[job.name].lines[0]
            sentence = f"two jobs are named {job.name!r}, the first in line {line}"
            yield JobFileError(str(path), job.lines[0], sentence)
    wrong = conflicts([job.spec for job in first.values()])
    yield from _tell_all(path, tree, (Mistake(name, first[name].lines, error) for name, error in wrong))


def _line_of_name(tree: ast.Module, name: str) -> int:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return node.lineno
    return 0
