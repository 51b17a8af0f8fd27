"""From a job file to a spec. The only place where a crew's Python runs, and it runs on the crew's side."""

from __future__ import annotations

import ast
import codecs
import re
import sys
import tokenize
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

import msgspec

from daqsched import farm_parts
from daqsched.errors import JobError, JobFileError
from daqsched.jobfile.caught_errors import CAUGHT, CaughtErrors
from daqsched.jobfile.conflicts import conflicts
from daqsched.jobfile.convert import MODULE
from daqsched.jobfile.job import MISTAKES, Job, Mistake
from daqsched.jobfile.parts import Confirm, Logging, Rollout
from daqsched.jobfile.rules import logging_mistakes
from daqsched.jobfile.source import KINDS, Source, missing_field, parameters, unknown_field
from daqsched.jobfile.unknown_fields import REACHED, Unknown
from daqsched.jobfile.unused import unused
from daqsched.jobfile.variables import Bindings, binding
from daqsched.limits import JOBS, shown
from daqsched.spec import LoggingSpec, Spec

#: A line that names the encoding (PEP 263) is one of the first two, which are looked for so far.
_HEAD, _ENCODING = 4096, re.compile(rb"(?:\xef\xbb\xbf)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)


def load(path: str | Path, given: Optional[Mapping[str, str]] = None) -> Spec:
    """Evaluate the file and return what it asks for; raises `JobFileError` with file, line and a sentence for each mistake.

    The file is a Python module that assigns ``jobs = [Job(...), ...]`` and may assign ``logging = Logging(...)``,
    ``rollout = Rollout(...)``, ``confirm = Confirm(...)`` and ``farm = "NAME"``, the part of the farm that it is. Modules
    beside it can be imported. ``given`` binds its variables (`daqsched.variable`).
    """
    return evaluated(path, given)[0]


def evaluated(path: str | Path, given: Optional[Mapping[str, str]] = None) -> tuple[Spec, Bindings]:
    """The same, and which variables it declares."""
    path = Path(path)
    bindings = Bindings(dict(given or {}))
    source = Source(_parse(path))
    module = ModuleType(MODULE)
    mistakes: list[Mistake] = []
    caught = CaughtErrors(source.tree)
    unknown = Unknown(source, caught)
    module.__dict__.update({"__file__": str(path), MISTAKES: mistakes, CAUGHT: caught, REACHED: unknown.reach})
    found: list[JobFileError] = []
    spec, ended = None, True
    try:
        with binding(bindings):
            _run(module, path, source)
    except JobFileError as error:
        found.append(error)
    else:
        ended = False
        for name in bindings.unknown:
            has = ", ".join(sorted(bindings.declared)) or "none"
            line = _assigned(source.tree, name)
            how = f'; write {name} = variable("{name}", ...) here' if line else ""
            found.append(
                JobFileError(str(path), line, f"declares no variable {name!r} that could be set; it has: {has}{how}")
            )
        spec = _spec(module, path, source, caught, found)
    told = unknown.told(ended)
    found[:0] = [JobFileError(str(path), one.line, one.sentence) for one in told]
    found += _tell_all(path, source, mistakes, {(one.line, one.taken_for) for one in told})
    if found or spec is None:
        raise _all_of(found)
    settings = "".join(f" --set {name}={value}" for name, value in sorted(bindings.given.items()))
    return msgspec.structs.replace(spec, source=f"{spec.source}{settings}"), bindings


def _assigned(tree: ast.Module, name: str) -> int:
    """The line in which the file gives the name a value of its own; 0: it does not."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            return node.lineno
    return 0


def _all_of(found: Sequence[JobFileError]) -> JobFileError:
    """Several mistakes as one error, in the order of the file."""
    each = sorted(found, key=lambda one: one.line)
    return JobFileError(each[0].path, each[0].line, each[0].sentence, each[1:])


def _parse(path: Path) -> ast.Module:
    try:
        with tokenize.open(path) as file:  # as Python reads it: a byte order mark, a line that names the encoding
            source = file.read()
    except OSError as error:
        empty = " (is a variable empty?)" if str(path) == "." else ""
        raise JobFileError(str(path), 0, f"can't be read: {error.strerror}{empty}") from error
    except UnicodeDecodeError as error:
        raise JobFileError(str(path), 0, f"is not UTF-8 text: {error.reason}") from error
    except (SyntaxError, LookupError) as error:
        raise JobFileError(str(path), 0, _no_text(path)) from error
    if "\0" in source:
        raise JobFileError(str(path), 0, "holds NUL characters, as text in UTF-16 does: save it as UTF-8")
    try:
        return ast.parse(source, str(path))
    except SyntaxError as error:
        raise JobFileError(str(path), error.lineno or 0, f"syntax error: {error.msg}") from error


def _no_text(path: Path) -> str:
    """Why a file's encoding can't be told: what `tokenize.open` refuses."""
    head = path.read_bytes()[:_HEAD]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return "is text in UTF-16 or UTF-32, as some editors of Windows save it: save it as UTF-8"
    named = next(filter(None, map(_ENCODING.match, head.splitlines()[:2])), None)
    if named is None:
        return "is not UTF-8 text, and names no other encoding in its first two lines: save it as UTF-8"
    name = shown(named[1].decode())
    if head.startswith(codecs.BOM_UTF8):
        return f"begins as UTF-8 does (with a byte order mark), and says that its encoding is {name}: remove that line"
    return f"says that its encoding is {name}, which it is not, or which Python does not know: save it as UTF-8"


def _run(module: ModuleType, path: Path, source: Source) -> None:
    # dataclasses and pickle look a class's module up by name
    sys.modules[MODULE] = module
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(source.tree, str(path), "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a job file that calls sys.exit() is a mistake in it, too
        raise _explain(error, path, source) from error
    finally:
        sys.path.remove(str(path.parent))


def _explain(error: BaseException, path: Path, source: Source) -> JobFileError:
    """The innermost line of the job file on the way to the error, and the error in a sentence."""
    lines = [at.lineno or 0 for at in traceback.extract_tb(error.__traceback__) if at.filename == str(path)]
    line = lines[-1] if lines else 0
    if isinstance(error, JobError):
        line = source.line_of_field(lines, error.field) or line
        return JobFileError(str(path), line, f"{error.field}: {error}" if error.field else str(error))
    if isinstance(error, SyntaxError):
        return JobFileError(error.filename or str(path), error.lineno or 0, f"syntax error: {error.msg}")
    unknown = re.search(r"__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if isinstance(error, TypeError) and unknown is not None:
        field = unknown.group(1)
        line = source.line_of_field(lines, field) or line
        kind = source.word_of_field(field, line)
        return JobFileError(str(path), line, unknown_field(field, kind, parameters(kind)))
    missing = re.search(r"(?:(\w+)\.)?__init__\(\) missing \d+ required positional arguments?: '(\w+)'", str(error))
    if isinstance(error, TypeError) and missing is not None:
        field = missing[2]
        kind_called = KINDS.get(missing[1]) if missing[1] else source.word_that_lacks(field, line)  # 3.9 names no class
        if kind_called is not None:
            return JobFileError(str(path), line, missing_field(field, kind_called))
    return JobFileError(str(path), line, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _tell_all(
    path: Path, source: Source, mistakes: Iterable[Mistake], told: Collection[tuple[int, str]] = ()
) -> Iterator[JobFileError]:
    """One sentence for a mistake that several jobs share, as those of a function do; not for the lines and fields that were
    ``told`` already."""
    groups: dict[tuple[int, str, str], list[str]] = {}
    for mistake in mistakes:
        line = source.line_of_field(mistake.lines, mistake.error.field) or mistake.lines[-1]
        if (line, re.split(r"[.\[]", mistake.error.field, maxsplit=1)[0]) in told:
            continue
        groups.setdefault((line, mistake.error.field, str(mistake.error)), []).append(shown(mistake.job))
    for (line, field, sentence), names in groups.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        who = f"job {names[0]}" if len(names) == 1 else f"jobs {', '.join(names[:3])}{more}"
        yield JobFileError(str(path), line, f"{who}: {field}: {sentence}" if field else f"{who}: {sentence}")


def _spec(
    module: ModuleType, path: Path, source: Source, caught: CaughtErrors, found: list[JobFileError]
) -> Optional[Spec]:
    """What the evaluated file says; ``found`` takes what is wrong with it beside its jobs, each for itself."""

    def wrong(line: int, sentence: str) -> None:
        found.append(JobFileError(str(path), line, sentence))

    jobs = getattr(module, "jobs", None)
    if jobs is None:
        wrong(0, "assigns no jobs: a job file says jobs = [Job(...), ...]")
    elif isinstance(jobs, Job) or not isinstance(jobs, (list, tuple)):
        wrong(source.line_of_name("jobs"), "jobs must be a list of Job(...)")
    elif len(jobs) > JOBS.most:
        wrong(source.line_of_name("jobs"), f"jobs has {len(jobs):,} entries, at most {JOBS.most:,.0f} are allowed")
    else:
        found += _wrong_together(jobs, path, source)
        for line, sentence in unused(source, vars(module), caught):
            wrong(line, sentence)
    part = getattr(module, "farm", None)
    if part is None or callable(part) or isinstance(part, ModuleType):  # a function that makes jobs may be called so
        part, no_part = "", ""
    else:
        no_part = farm_parts.mistake(part)
    if no_part:
        wrong(source.line_of_name("farm"), f"farm: {no_part}")
    words: dict[str, Any] = {}
    for name, kind in (("logging", Logging), ("rollout", Rollout), ("confirm", Confirm)):
        value: Any = getattr(module, name, None)
        if value is None or (kind is Logging and isinstance(value, ModuleType)):
            continue  # a file may well import the library of that name
        line = source.line_of_name(name)
        if not isinstance(value, kind):
            wrong(line, f"{name} must be {kind.__name__}(...)")
            continue
        try:
            words[name] = value.spec
        except JobError as error:
            wrong(source.line_of_field([line], error.field) or line, f"{name}.{error.field}: {error}")
    for mistake in logging_mistakes(words.get("logging", LoggingSpec())):
        line = source.line_of_name("logging")
        wrong(source.line_of_field([line], mistake.field) or line, f"logging.{mistake.field}: {mistake}")
    if found or not all(map(_is_right, jobs or ())):
        return None
    return Spec(jobs=tuple(job.spec for job in jobs or ()), part=part, source=str(path), **words)


def _is_right(job: Job) -> bool:
    return hasattr(job, "spec")


def _wrong_together(jobs: Sequence[Any], path: Path, source: Source) -> Iterator[JobFileError]:
    """What is wrong with the list, though each job in it is right; of those that are not, the name is known."""
    first: dict[str, Job] = {}
    for job in jobs:
        if not isinstance(job, Job):
            sentence = f"jobs holds {type(job).__name__} {shown(job)}, which is not a Job(...)"
            yield JobFileError(str(path), source.line_of_name("jobs"), sentence)
        elif isinstance(job.name, str) and first.setdefault(job.name, job) is not job:
            line = first[job.name].lines[0]
            sentence = f"two jobs are named {job.name!r}, the first in line {line}"
            yield JobFileError(str(path), job.lines[0], sentence)
    right = [job.spec for job in first.values() if _is_right(job)]
    wrong = conflicts(right, [name for name, job in first.items() if not _is_right(job)])
    yield from _tell_all(path, source, (Mistake(name, first[name].lines, error) for name, error in wrong))
