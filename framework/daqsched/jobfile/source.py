"""A job file's text: which of our words is called where, in which line a field or a name is written."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Optional

import daqsched
from daqsched.jobfile.convert import WORDS

#: The classes that a job file may call, by name.
KINDS: dict[str, type[Any]] = {
    name: kind for name in daqsched.__all__ if inspect.isclass(kind := getattr(daqsched, name))
}


def parameters(kind: type[Any]) -> list[str]:
    """The fields that a word takes, in their order."""
    return list(inspect.signature(kind).parameters)


def needed(kind: type[Any]) -> list[str]:
    """Those of them that it does not go without."""
    known = inspect.signature(kind).parameters.values()
    return [one.name for one in known if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]


def meant(field: str, words: Iterable[str], nearness: float = 0.6) -> str:
    """The one of these words that was probably meant; empty: none is close."""
    close = difflib.get_close_matches(field, list(words), 1, nearness)
    return close[0] if close else ""


def unknown_field(field: str, kind: type[Any], words: Sequence[str]) -> str:
    """The sentence about a field that there is none."""
    close = meant(field, words)
    return f"unknown field {field!r}" + (
        f": did you mean {close!r}?" if close else f"; a {kind.__name__} has {', '.join(words)}"
    )


def missing_field(field: str, kind: type[Any]) -> str:
    """The sentence about a field that has to be given."""
    return f"{field!r} is missing: a {kind.__name__} needs {' and '.join(needed(kind))}"


class Source:
    """See the module."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree

    @cached_property
    def words(self) -> dict[str, type[Any]]:
        """What our words are called here, as far as nothing else is called so."""
        found: dict[str, type[Any]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module == "daqsched":
                for alias in node.names:
                    if alias.name == "*":
                        found.update(KINDS)
                    elif alias.name in KINDS:
                        found[alias.asname or alias.name] = KINDS[alias.name]
        for name in self._defined:
            found.pop(name, None)
        return found

    @cached_property
    def _modules(self) -> set[str]:
        """What `daqsched` itself is called here."""
        imports = [node for node in ast.walk(self.tree) if isinstance(node, ast.Import)]
        return {alias.asname or alias.name for node in imports for alias in node.names if alias.name == "daqsched"}

    @cached_property
    def _defined(self) -> set[str]:
        nodes = list(ast.walk(self.tree))
        made = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
        made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module != "daqsched":
                for alias in node.names:  # a site's words may have the names of ours
                    made.update(KINDS if alias.name == "*" else [alias.asname or alias.name])
        return made | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}

    def kind_of(self, function: ast.expr) -> Optional[type[Any]]:
        """The word that is called by this; None: it is none of ours."""
        if isinstance(function, ast.Name):
            return self.words.get(function.id)
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            return KINDS.get(function.attr) if function.value.id in self._modules else None
        return None

    def calls(self, line: int) -> list[ast.Call]:
        """Those that the line is within, the innermost first."""
        found = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call) and node.lineno <= line <= (node.end_lineno or node.lineno)
        ]
        return sorted(found, key=lambda node: (node.end_lineno or 0) - node.lineno)

    def line_of_name(self, name: str) -> int:
        """Where it is first assigned; 0: nowhere."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
                return node.lineno
        return 0

    def line_of_field(self, lines: Sequence[int], field: str) -> Optional[int]:
        """Where the field is written: in the call that failed, or in one of those that led to it (a function that makes jobs).

        ``check[http].path`` is looked for as deep as the file shows it: the argument ``check``, in it the call for the check
        of that name, in that the argument ``path``.
        """
        steps = re.findall(r"[^.\[\]]+", field)
        for line in reversed(lines):
            for call in self.calls(line):
                found = self._argument(call, steps[0]) if steps else None
                if found is not None:
                    for step in steps[1:]:
                        found = self._part(found, step) or found
                    return found.lineno
        return None

    def word_of_field(self, field: str, line: int) -> type[Any]:
        """The class that was called with the field there; `Job` where a function of the file stands between."""
        for call in self.calls(line):
            kind = self.kind_of(call.func)
            if kind is not None and any(keyword.arg == field for keyword in call.keywords):
                return kind
        return KINDS["Job"]

    def word_that_lacks(self, field: str, line: int) -> Optional[type[Any]]:
        """The class that needs the field, and is called without it there; None: no class of ours is."""
        for call in self.calls(line):
            kind = self.kind_of(call.func)
            if kind is not None and field in needed(kind) and all(keyword.arg != field for keyword in call.keywords):
                return kind
        return None

    def _argument(self, node: ast.AST, name: str) -> Optional[ast.expr]:
        if not isinstance(node, ast.Call):
            return None
        for keyword in node.keywords:
            if keyword.arg is not None and name in (keyword.arg, WORDS.get(keyword.arg)):
                return keyword.value
        kind = self.kind_of(node.func)
        order = parameters(kind) if kind is not None else []
        place = order.index(name) if name in order else len(node.args)
        written = node.args[place] if place < len(node.args) else None
        return None if isinstance(written, ast.Starred) else written

    def _part(self, node: ast.expr, name: str) -> Optional[ast.expr]:
        """Of a call its argument, of a list the check of that name, of a dictionary the value of that key."""
        if isinstance(node, (ast.List, ast.Tuple)):
            return next((part for part in node.elts if self._name_of_check(part) == name), None)
        if isinstance(node, ast.Dict):
            keys = zip(node.keys, node.values)
            return next((value for key, value in keys if isinstance(key, ast.Constant) and key.value == name), None)
        return self._argument(node, name)

    def _name_of_check(self, node: ast.expr) -> object:
        named = self._argument(node, "name")
        if isinstance(named, ast.Constant):
            return named.value
        kind = self.kind_of(node.func) if isinstance(node, ast.Call) else None
        return getattr(kind, "name", "")

    def assigned(self) -> Iterator[ast.Name]:
        """The names that the file itself assigns, outside of its functions, in the order of its lines."""
        nodes: list[ast.AST] = list(self.tree.body)
        found: list[ast.Name] = []
        while nodes:
            node = nodes.pop()
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.append(node)
            elif not isinstance(node, _OWN_NAMES):
                nodes += ast.iter_child_nodes(node)
        yield from sorted(found, key=lambda name: name.lineno)

    def read(self) -> set[str]:
        """The names that the file reads anywhere, or lets others read (``__all__``). What is only put into one is no use of it:
        ``more.append(...)``, ``more["x"] = ...``."""
        filled: set[int] = set()
        exported: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = node.value.func
                if isinstance(called, ast.Attribute) and called.attr in _FILLING:
                    filled.add(id(called.value))
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                filled.add(id(node.value))
            elif isinstance(node, ast.Assign) and any(
                isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets
            ):
                exported.update(str(one.value) for one in ast.walk(node.value) if isinstance(one, ast.Constant))
        names = (node for node in ast.walk(self.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
        return exported | {name.id for name in names if id(name) not in filled}


#: What has names of its own.
_OWN_NAMES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)

#: Methods that put something in, and give nothing back.
_FILLING = frozenset(["append", "extend", "insert", "add", "update"])
