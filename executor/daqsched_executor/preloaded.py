"""Code that is in memory before it is needed, and the finder that makes modules of it.

Two kinds. What an executor may need later is read when it starts (`preload`), as code that has not run, 0.5 MB and 3 ms: an
installation that is replaced, or whose file system is away, is no matter to an executor that runs. And a release's folder has
one file with all code that an executor starts with, for each Python (`begin`; release/one_file.py makes it): to find, open and
check eighty files is a third of a start. Nothing is read of it that another Python wrote: then modules are found as ever.
"""

from __future__ import annotations

import _frozen_importlib
import _frozen_importlib_external as machinery
import _imp
import marshal
import os
import sys

TYPE_CHECKING = False  # typing is not there yet
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from types import CodeType, ModuleType
    from typing import Any, Union

    #: A module's code, perhaps still marshalled, and its folder where it is a package.
    Entry = tuple[Union[CodeType, bytes], str]

#: In compiled code: made of its source's hash, and never compared with it. So is that of a release's folder.
UNCHECKED = (0b01).to_bytes(4, "little")

#: What a start takes of Python's own compiled modules. Where they lie is known, and no folder has to be listed for them; Pythons
#: that have them built in are asked before us.
LIBRARY = ("_ctypes", "_json", "_socket", "_struct", "binascii", "fcntl", "math", "resource", "select")

#: What `re` imports: children and checks look for words, and where the library lies may be away by then.
IMPORTED = ("collections", "copyreg", "enum", "functools", "heapq", "keyword", "operator", "reprlib", "types")
#: What it is made of itself, as a package (Python 3.11) and before that.
PARTS = ("re._casefix", "re._compiler", "re._constants", "re._parser")
FORMER_PARTS = ("sre_compile", "sre_constants", "sre_parse")


class PreloadedCode:
    """A finder and loader (importlib.abc)."""

    def __init__(self, entries: Mapping[str, Entry], whole: Collection[str] = (), compiled: str = "") -> None:
        """``whole``: packages that have all their modules here; ``compiled``: the folder of `LIBRARY`, which are found as ever
        where it is empty."""
        self._entries, self.whole = dict(entries), whole
        self._compiled = compiled

    def add(self, name: str, path: Sequence[str]) -> None:
        """Read the module's code, which lies in one of the folders."""
        spec = machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            self._entries[name] = _code_of(name, spec), (spec.submodule_search_locations or [""])[0]

    def folder_of(self, package: str) -> str:
        """Of one that was added; empty: it is none."""
        return self._entries.get(package, (b"", ""))[1]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Called by the import machinery."""
        entry = self._entries.get(name)
        if entry is None:
            return self._compiled_one(name) if self._compiled and name in LIBRARY else None
        spec = _frozen_importlib.ModuleSpec(name, self, is_package=bool(entry[1]))  # type: ignore[arg-type]  # as it needs it
        if entry[1]:
            spec.submodule_search_locations = [entry[1]]
        return spec

    def _compiled_one(self, name: str) -> Any:
        place = f"{self._compiled}/{name}{_imp.extension_suffixes()[0]}"
        if not os.path.isfile(place):
            return None
        loader = machinery.ExtensionFileLoader(name, place)
        return _frozen_importlib.ModuleSpec(name, loader, origin=place)

    def create_module(self, spec: Any) -> None:
        """The machinery's own will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Now it runs, this once."""
        code = self._entries.pop(module.__name__)[0]
        exec(marshal.loads(code) if isinstance(code, bytes) else code, module.__dict__)


def begin(lib: str, codes: Mapping[str, Entry], whole: Collection[str]) -> None:
    """Let modules be found in these; their folders are relative to ``lib``. Called before anything of ours is imported."""
    compiled = next((place for place in sys.path if place.endswith("/lib-dynload")), "")
    entries = {name: (code, folder and f"{lib}/{folder}") for name, (code, folder) in codes.items()}
    # after those for what is built in and frozen, which Python may have in the place of files
    sys.meta_path.insert(-1, PreloadedCode(entries, whole, compiled))


def preload(packages: Iterable[str]) -> None:
    """Read the code of all modules of these packages, which are imported, that are not imported yet. Raises OSError."""
    there = {package for one in sys.meta_path if isinstance(one, PreloadedCode) for package in one.whole}
    finder = PreloadedCode({})
    if not _is_there("re"):
        library = os.path.dirname(os.__file__)
        finder.add("re", [library])
        folder = finder.folder_of("re")
        for name in (*IMPORTED, *(PARTS if folder else FORMER_PARTS)):
            if not _is_there(name):
                finder.add(name, [folder if name in PARTS else library])
    for package in packages:
        if package in there:
            continue
        for folder in sys.modules[package].__path__:
            for file in os.listdir(folder):
                name, _, kind = file.rpartition(".")
                if kind == "py" and name != "__init__" and f"{package}.{name}" not in sys.modules:
                    finder.add(f"{package}.{name}", [folder])
    sys.meta_path.insert(0, finder)


def _is_there(name: str) -> bool:
    """Whether it has been imported; of what only stands in for it (`standins`) nothing says where it is from."""
    found = sys.modules.get(name)
    return found is not None and vars(found).get("__spec__") is not None


def _code_of(name: str, spec: Any) -> bytes:
    """The marshalled code, as it lies beside the source if that has not changed since, or may not change (PEP 552): 20 times
    as quick as to make it again."""
    loader: Any = spec.loader
    try:
        data: bytes = loader.get_data(spec.cached)
        if data[:8] == machinery.MAGIC_NUMBER + UNCHECKED:
            return data[16:]
        source = loader.path_stats(spec.origin)
        numbers = 0, int(source["mtime"]), source["size"]
        head = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
        if data[:16] == machinery.MAGIC_NUMBER + head:
            return data[16:]
    except (AttributeError, OSError, TypeError):  # there is none, or the package is not in files
        pass
    return marshal.dumps(loader.get_code(name))
