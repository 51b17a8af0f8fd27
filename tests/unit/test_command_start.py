"""What a command imports before it does anything: who types it at three in the morning waits for that."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import daqsched.cli
from daqsched.cli import main
from daqsched.cli.group import MODULES

#: What only the daemon needs, or takes long and is not needed by most.
NOT_FOR_ALL = ("daqsched.engine.engine", "daqsched.serve", "elasticsearch", "httpx", "pymesos", "starlette", "yaml")


def test_each_command_is_found_in_its_module() -> None:
    """The table is that of the modules: none is missing, and none stands there that is not."""
    for info in pkgutil.iter_modules(daqsched.cli.__path__):
        if info.name != "__main__":
            importlib.import_module(f"daqsched.cli.{info.name}")
    assert main.list_commands(click.Context(main)) == sorted(main.commands)
    for name, command in main.commands.items():
        assert command.callback is not None
        assert command.callback.__module__ == f"daqsched.cli.{MODULES[name].split()[0]}"


@pytest.mark.parametrize("words", ["status", "why", "stop readout", "history", "logs"])
def test_a_command_imports_what_it_needs_alone(tmp_path: Path, words: str) -> None:
    """Nothing of the daemon, where none is there to be asked."""
    program = (
        "import sys\nfrom daqsched.cli import main\n"
        f"try: main(['--socket', '{tmp_path}/none', *{words.split()!r}])\n"
        "except SystemExit: pass\n"
        f"print(*(one for one in {NOT_FOR_ALL!r} if one in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1:] == [""], done.stdout + done.stderr
