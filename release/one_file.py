"""All code that an executor starts with, in one file of a release's folder: `daqsched_executor.preloaded` has it found there.

    python release/one_file.py LIB PLACE TARGET

To be run by the Python that it is for: LIB has our packages, PLACE what they need of others for this Python. What is in the
file: each module out of these two folders that a start imports, and of the packages `WHOLE` those that an executor may need
later. What nobody asks for at run time is left out of the code, as there are thousands of executors: docstrings, and the
annotations of functions.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import importlib.util
import marshal
import subprocess
import sys
from pathlib import Path
from typing import Any, Union

#: Packages whose modules are all in it: an executor may need them when its installation is away.
WHOLE = ("daqsched_executor.run", "daqsched_executor.life", "daqsched_executor.machine")
#: What a start imports: its command, then what it has the modules of, and what comes when its program is started.
FIRST = "daqsched_executor.preloaded"
STARTS = (
    "daqsched_executor.__main__",
    "daqsched_executor.out",
    "daqsched_executor.run.main",
    "daqsched_executor.run.moving",
    "daqsched_executor.machine.relay",
    "daqsched_executor.machine.detached",
    "daqsched_executor.machine.libraries",
)
#: Its front is never run: `daqsched_executor.lean`.
FRONTLESS = "pymesos"


class Leaner(ast.NodeTransformer):
    """Leaves out what nobody asks for at run time."""

    def __init__(self) -> None:
        self.flags = 0

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Union[ast.AST, None]:
        """`from __future__` is for the compiler, who is told."""
        if node.module != "__future__":
            return node
        for name in node.names:
            self.flags |= getattr(__future__, name.name).compiler_flag
        return None

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Without its docstring."""
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Without its docstring; the annotations of its fields are what some classes are made of."""
        return self._without_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Without docstring and annotations."""
        node.returns = None
        return self._without_docstring(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """A parameter."""
        node.annotation = None
        return node

    def _without_docstring(self, node: Any) -> ast.AST:
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        self.generic_visit(node)
        if not node.body and not isinstance(node, ast.Module):
            node.body = [ast.Pass()]
        return node  # type: ignore[no-any-return]  # it is what came in


def code_of(source: bytes, name: str) -> Any:
    """Compiled; ``name`` is what tracebacks call the file."""
    leaner = Leaner()
    tree = ast.fix_missing_locations(leaner.visit(ast.parse(source)))
    return compile(tree, name, "exec", flags=leaner.flags, dont_inherit=True)


def files(lib: Path, place: Path) -> dict[str, Path]:
    """The modules of both folders that a start imports. Makes this process one that is an executor and nothing more."""
    sys.path[:] = [path for path in sys.path if Path(path) != Path(__file__).parent] + [str(lib), str(place)]
    from daqsched_executor.lean import keep_out

    keep_out()
    for name in (FIRST, *STARTS):
        importlib.import_module(name)
    found = {}
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if origin and origin.endswith(".py") and lib in Path(origin).parents and module.__name__ == name:
            found[name] = Path(origin)
    return found


def content(lib: Path, place: Path) -> tuple[Any, ...]:
    """What `daqsched_executor.preloaded` begins with, and what runs that: see `release/start.in`."""
    codes: dict[str, tuple[Any, str]] = {}
    found = files(lib, place)
    for name, path in sorted(found.items()):
        within = path.relative_to(lib)
        front = path.name == "__init__.py"
        codes[name] = code_of(path.read_bytes(), str(within)), str(within.parent) if front else ""
    codes[FRONTLESS] = code_of(b"", FRONTLESS), codes[FRONTLESS][1]
    for package in WHOLE:
        for path in sorted(lib.joinpath(*package.split(".")).glob("*.py")):
            name = f"{package}.{path.stem}"
            if path.stem != "__init__" and name not in codes:
                codes[name] = marshal.dumps(code_of(path.read_bytes(), str(path.relative_to(lib)))), ""
    return FIRST, codes.pop(FIRST)[0], codes, WHOLE


#: Writes what it reads in the same way wherever it is run.
_ANEW = """
import marshal, sys
first, code, codes, whole = marshal.load(sys.stdin.buffer)
for name, (one, folder) in codes.items():
    if isinstance(one, bytes):
        codes[name] = marshal.dumps(marshal.loads(one)), folder
sys.stdout.buffer.write(marshal.dumps((first, code, codes, whole)))
"""


def written(made: tuple[Any, ...]) -> bytes:
    """The same bytes for the same content: marshal marks what somebody else refers to as well, such as a name that is also that
    of a folder in a path of this process. So another one writes it, which knows no path; not isolated: PYTHONHASHSEED counts."""
    argv = [sys.executable, "-sSBX", "no_debug_ranges", "-c", _ANEW]
    done = subprocess.run(argv, input=marshal.dumps(made), stdout=subprocess.PIPE, check=True, timeout=60, cwd="/")
    return importlib.util.MAGIC_NUMBER + done.stdout


def main() -> None:
    """Write it."""
    lib, place, target = map(Path, sys.argv[1:])
    target.write_bytes(written(content(lib, place)))


if __name__ == "__main__":
    main()
