"""From a job file to a spec. The only place where a crew's Python runs, and it runs on the crew's side."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from daqsched.errors import JobError, JobFileError
from daqsched.job import Job, Logging, Resources, Restart, Stop
from daqsched.spec import Spec

_KINDS = {kind.__name__: kind for kind in (Job, Logging, Resources, Restart, Stop)}


def load(path: str | Path) -> Spec:
    """Evaluate the file and return what it asks for; raises `JobFileError` with file, line and one sentence.

    The file is a Python module that assigns ``jobs = [Job(...), ...]`` and may assign ``logging = Logging(...)``.
    Modules beside it can be imported.
    """
    path = Path(path)
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise JobFileError(str(path), 0, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise JobFileError(str(path), 0, f"is not UTF-8 text: {error.reason}") from error
    try:
        tree = ast.parse(source, str(path))
    except SyntaxError as error:
        raise JobFileError(str(path), error.lineno or 0, f"syntax error: {error.msg}") from error
    except ValueError as error:  # NUL bytes, on Python before 3.12
        raise JobFileError(str(path), 0, f"syntax error: {error}") from error
    return _spec(_run(path, tree), path, tree)


def _run(path: Path, tree: ast.Module) -> ModuleType:
    module = ModuleType("__jobs__")
    module.__file__ = str(path)
    # dataclasses and pickle look a class's module up by name
    sys.modules["__jobs__"] = module
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a job file that calls sys.exit() is a mistake in it, too
        raise _explain(error, path, tree) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _explain(error: BaseException, path: Path, tree: ast.Module) -> JobFileError:
    """The innermost line of the job file on the way to the error, and the error in a sentence."""
    lines = [at.lineno or 0 for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
    line = lines[-1] if lines else 0
    if isinstance(error, JobError):
        name = next(filter(None, (_name_at(tree, at) for at in reversed(lines))), "")
        line = _line_of_field(tree, lines, error.field) or line
        where = f"{name}: {error.field}" if error.field else name
        return JobFileError(str(path), line, f"{where}: {error}" if where else str(error))
    if isinstance(error, SyntaxError):
        return JobFileError(error.filename or str(path), error.lineno or 0, f"syntax error: {error.msg}")
    unknown = re.search(r"__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if isinstance(error, TypeError) and unknown is not None:
        field = unknown.group(1)
        line = _line_of_field(tree, lines, field) or line
        return JobFileError(str(path), line, f"unknown field {field!r}{_did_you_mean(field, tree, line)}")
    return JobFileError(str(path), line, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


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


def _line_of_field(tree: ast.Module, lines: list[int], field: str) -> int | None:
    """Where the field is written: in the call that failed, or in one of those that led to it (a function that makes jobs)."""
    words = {field.split(".")[-1].split("[")[0], field.split(".")[0].split("[")[0]}
    for line in reversed(lines):
        for call in _calls(tree, line):
            for keyword in call.keywords:
                if keyword.arg in words:
                    return keyword.value.lineno
    return None


def _name_at(tree: ast.Module, line: int) -> str:
    """``job 'readout'`` where the call at the line says its name as a plain text."""
    for call in _calls(tree, line):
        if isinstance(call.func, ast.Name) and call.func.id == "Job":
            named = [call.args[0]] if call.args else [k.value for k in call.keywords if k.arg == "name"]
            if named and isinstance(named[0], ast.Constant) and isinstance(named[0].value, str):
                return f"job {named[0].value!r}"
    return ""


def _spec(module: ModuleType, path: Path, tree: ast.Module) -> Spec:
    jobs = getattr(module, "jobs", None)
    if jobs is None:
        raise JobFileError(str(path), 0, "assigns no jobs: a job file says jobs = [Job(...), ...]")
    if isinstance(jobs, Job) or not isinstance(jobs, (list, tuple)):
        raise JobFileError(str(path), _line_of_name(tree, "jobs"), "jobs must be a list of Job(...)")
    seen: dict[str, Job] = {}
    for job in jobs:
        if not isinstance(job, Job):
            sentence = f"jobs holds {type(job).__name__} {job!r}, which is no Job(...)"
            raise JobFileError(str(path), _line_of_name(tree, "jobs"), sentence)
        if job.name in seen:
            first = seen[job.name].line
            raise JobFileError(str(path), job.line, f"two jobs are named {job.name!r}, the first in line {first}")
        seen[job.name] = job
    logging: Any = getattr(module, "logging", None)
    if isinstance(logging, ModuleType) or logging is None:  # a file may well import the library of that name
        logging = Logging()
    if not isinstance(logging, Logging):
        raise JobFileError(str(path), _line_of_name(tree, "logging"), "logging must be Logging(...)")
    return Spec(jobs=tuple(job.spec for job in jobs), logging=logging.spec, source=str(path))


def _line_of_name(tree: ast.Module, name: str) -> int:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return node.lineno
    return 0
