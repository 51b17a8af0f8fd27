"""Fields that there are none, or that are missing, all of a file at once: seen in its text, so that its evaluation goes on past
them.

Python ends at the first call with a keyword that is not known, or without one that is needed. So each is taken out of the call,
written as the field that was probably meant, or put in, and told if the call is reached: a file may ask whether there is such a
field (``hasattr(Job, "console")``) before it calls. Where it catches the error (`caught_errors`) it gets it. A function of the file
that passes what it does not know itself on to a word (``def daq(name, **more): return Job(name, ..., **more)``) takes the word's
fields, too.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

from daqsched.jobfile.caught_errors import CaughtErrors, frames
from daqsched.jobfile.source import Source, meant, missing_field, needed, parameters, unknown_field

#: What the module of a job file calls `Unknown.reach`.
REACHED = "__daqsched_unknown__"

#: Functions that call one another are followed so far.
_DEEPEST = 5


class UnknownField(NamedTuple):
    """Where it is written, and a sentence about it."""

    line: int
    sentence: str
    #: The field that its value was given to instead, to go on; empty: none.
    taken_for: str
    #: What Python says of it.
    error: str
    #: Whether what the file asks decides if the call is reached.
    conditional: bool


class Unknown:
    """Those of a file that is evaluated, and which of them were reached."""

    def __init__(self, source: Source, caught: CaughtErrors) -> None:
        self._caught = caught
        self._all = list(_without_unknown(source, caught))
        self._reached: set[int] = set()

    def reach(self, *which: int) -> dict[str, object]:
        """The call with these is made, and gets nothing instead; raises `TypeError` where the file waits for that."""
        if self._caught.catch((frame.f_lineno for frame in frames()), TypeError):
            raise TypeError(self._all[which[0]].error)
        self._reached.update(which)
        return {}

    def told(self, ended: bool) -> list[UnknownField]:
        """The mistakes among them. Of an evaluation that ``ended`` early nobody knows which calls it would have reached."""
        return [one for at, one in enumerate(self._all) if at in self._reached or (ended and not one.conditional)]


class _Takes(NamedTuple):
    """What may be written in a call: all of it, and the fields of the word that it ends in."""

    every: frozenset[str]
    kind: type[Any]
    words: Sequence[str]


def _without_unknown(source: Source, caught: CaughtErrors) -> Iterator[UnknownField]:
    """Each, which is no more in the tree afterwards."""
    conditional = set(_conditional(source.tree))
    count = 0
    nodes = list(ast.walk(source.tree))
    bound = Counter(
        node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    )
    bound.update(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    bound.update(node.arg for node in nodes if isinstance(node, ast.arg))
    # of a name that is given twice nobody knows by looking which is called
    functions = {
        node.name: node for node in source.tree.body if isinstance(node, ast.FunctionDef) and bound[node.name] == 1
    }
    for call in [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]:
        takes = _taken_by(call.func, source, functions, caught, 0)
        which: list[int] = []
        for keyword in list(call.keywords) if takes is not None else ():
            if takes is None or keyword.arg is None or keyword.arg in takes.every:
                continue
            close = meant(keyword.arg, takes.words)
            given = {other.arg for other in call.keywords} | set(takes.words[: len(call.args)])
            taken_for = close if close not in given else ""
            yield UnknownField(
                keyword.value.lineno,
                unknown_field(keyword.arg, takes.kind, takes.words),
                taken_for,
                f"{takes.kind.__name__}.__init__() got an unexpected keyword argument {keyword.arg!r}",
                call in conditional or caught.catch([call.lineno], TypeError),
            )
            which.append(count)
            count += 1
            if taken_for:
                keyword.arg = taken_for
            else:
                call.keywords.remove(keyword)
        for field in list(_missing(call, source)):
            kind = source.kind_of(call.func)
            assert kind is not None
            yield UnknownField(
                call.lineno,
                missing_field(field, kind),
                field,
                f"{kind.__name__}.__init__() missing 1 required positional argument: {field!r}",
                call in conditional or caught.catch([call.lineno], TypeError),
            )
            which.append(count)
            count += 1
            instead = ast.copy_location(ast.keyword(field, _stand_in(field, call.lineno)), call)
            call.keywords.append(ast.fix_missing_locations(instead))
        if which:
            told = ast.Call(ast.Name(REACHED, ast.Load()), [ast.Constant(one) for one in which], [])
            last = ast.copy_location(ast.keyword(None, told), call)
            call.keywords.append(ast.fix_missing_locations(last))


def _missing(call: ast.Call, source: Source) -> Iterator[str]:
    """The fields that the word which is called needs and is not given; what is given as ``*words`` or ``**more`` nobody knows."""
    kind = source.kind_of(call.func)
    given = [keyword.arg for keyword in call.keywords]
    if kind is None or None in given or any(isinstance(one, ast.Starred) for one in call.args):
        return
    yield from (
        field for field in needed(kind) if field not in given and field not in parameters(kind)[: len(call.args)]
    )


def _stand_in(field: str, line: int) -> ast.expr:
    """A right value for a field that is missing, with which the evaluation goes on."""
    values: dict[str, Any] = {"name": f"unnamed-{line}", "port": 1, "silence_s": 60.0, "paths": ("/",)}
    return ast.parse(repr(values.get(field, "/")), mode="eval").body


def _conditional(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.IfExp)):
            yield from ast.walk(node)


def _taken_by(
    function: ast.expr, source: Source, functions: dict[str, ast.FunctionDef], caught: CaughtErrors, depth: int
) -> Optional[_Takes]:
    """None: nobody knows, or Python tells better."""
    kind = source.kind_of(function)
    if kind is not None:
        words = parameters(kind)
        return _Takes(frozenset(words), kind, words)
    made = functions.get(function.id) if isinstance(function, ast.Name) else None
    if made is None or made.args.kwarg is None or made.decorator_list or depth == _DEEPEST:
        return None
    rest = made.args.kwarg.arg
    passed = [
        node
        for node in ast.walk(made)
        if isinstance(node, ast.Call)
        and any(one.arg is None and isinstance(one.value, ast.Name) and one.value.id == rest for one in node.keywords)
    ]
    uses = [node for node in ast.walk(made) if isinstance(node, ast.Name) and node.id == rest]
    if len(passed) != 1 or len(uses) != 1 or caught.catch([passed[0].lineno], TypeError):
        return None
    takes = _taken_by(passed[0].func, source, functions, caught, depth + 1)
    own = {one.arg for one in (*made.args.args, *made.args.kwonlyargs)}
    return None if takes is None else takes._replace(every=takes.every | own)
