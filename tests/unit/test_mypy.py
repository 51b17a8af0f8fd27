"""What mypy is told to look at is all, and what is taken from it has a reason."""

from __future__ import annotations

import configparser
import io
import re
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

#: What mypy cannot look at, and why.
UNCHECKED = {
    "setup.py": "setuptools has no types, and modules cannot share the name setup",
    "executor/setup.py": "the same",
    "vagrant/setup.py": "the same",
}

#: Folders that are made, or somebody else's.
MADE = {"build", "dist", "node_modules", "typings"}


def python_files() -> Iterator[Path]:
    """All of the checkout, programs without a suffix among them."""
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if not MADE.intersection(parts) and not any(part.startswith(".") for part in parts):
            if path.suffix == ".py" or (not path.suffix and not path.is_symlink() and _is_python(path)):
                yield path


def _is_python(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return bool(re.match(rb"#!.*python", file.readline(200)))


def test_mypy_looks_at_all_that_is_python() -> None:
    """Tests, benchmarks and programs as well: a file that setup.cfg leaves out is named here, with the reason."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    looked_at = [one.strip() for one in config["mypy"]["files"].split(",")]
    files = {str(path.relative_to(ROOT)) for path in python_files()}
    assert {"scripts/lock", "tests/waiting.py", "bench/scale.py"} <= files
    left_out = {
        file for file in files if not any(fnmatch(file, one) or file.startswith(f"{one}/") for one in looked_at)
    }
    assert left_out == set(UNCHECKED)


def test_what_mypy_does_not_look_at_says_what_and_why() -> None:
    """An ignored error has its code, and the reason behind it."""
    wrong = []
    for path in python_files():
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        for token in tokens:
            if token.type == tokenize.COMMENT and re.search(r"#\s*(type|mypy):\s*ignore", token.string):
                if not re.match(r"# type: ignore\[[a-z, -]+\]  # \w.*\w", token.string):
                    wrong.append(f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}")
    assert not wrong, "\n".join(wrong)
