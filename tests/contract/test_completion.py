"""What TAB offers: real daemon, real command, real bash; names that others chose, and daemons that do not answer."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from builders import job
from daqsched import protocol
from daqsched.cli import main
from daqsched.cli.completion import PATIENCE_S, VARIABLE, known
from daqsched.engine import events
from daqsched.spec import Spec
from foreign import HOSTILE, Answers, daemon
from served import Serve
from verbs import verbs
from waiting import until

#: The command as a shell finds it.
COMMAND = f"""#!{sys.executable}
import sys
sys.argv[0] = "daqsched"
from daqsched.cli import main
main()
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A daemon with some jobs on some hosts, in three parts."""
    made = Serve(tmp_path)
    made.daemon.put(events.Registered("fw", "m:5050"))
    made.client.apply(Spec(jobs=(job("readout", "hlt[01-02]"),)), "first; $(touch x)")
    made.client.apply(Spec(jobs=(job("recorder", "hlt03"),), part="hlt"), "second")
    made.client.apply(Spec(jobs=(job("monitor", "mon01"),), part="mon"), "third")
    made.client.aside(["hlt03"], 4e9, "cabling")
    yield made
    made.close()


def offered(path: Path, *words: str, shell: str = "bash") -> tuple[list[str], str, float]:
    """What a shell is told behind these words, the last of which is begun; what goes to the terminal; how long it took."""
    environment = {**os.environ, VARIABLE: f"{shell}_complete", "DAQSCHED_SOCKET": str(path)}
    environment.update(
        COMP_WORDS=" ".join(["daqsched", *words]), COMP_CWORD=words[-1] if shell == "fish" else str(len(words))
    )
    began = time.monotonic()
    command = [sys.executable, "-c", COMMAND.partition("\n")[2]]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return found.stdout.split(), found.stderr, time.monotonic() - began


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("stop re", ["readout", "recorder"]),
        ("stop readout@", ["readout@hlt01", "readout@hlt02"]),
        ("stop @hlt0", ["@hlt01", "@hlt02", "@hlt03"]),
        ("stop readout recorder@", ["recorder@hlt03"]),
        ("restart mon", ["monitor"]),
        ("status hlt0", ["hlt01", "hlt02", "hlt03"]),
        ("why r", ["readout", "recorder"]),
        ("apply jobs.py --only readout@hlt02", ["readout@hlt02"]),
        ("status --part m", ["mon"]),
        ("rollback ", ["1", "2", "3"]),
        ("diff 1", ["1"]),
        ("aside mo", ["mon01"]),
        ("return ", ["hlt03"]),
        ("borrow ", ["hlt03"]),
        ("stop nothing", []),
    ],
)
def test_it_offers_what_the_daemon_has(serve: Serve, words: str, names: list[str]) -> None:
    """Jobs, hosts, one on the other, parts, revisions."""
    found, errors, _ = offered(serve.path, *words.split(" "))
    assert sorted(found) == [f"plain,{name}" for name in names] and errors == ""


def test_fish_and_zsh_are_told_whose_a_revision_is(serve: Serve) -> None:
    """In the forms that click has for them."""
    fish = offered(serve.path, "rollback", "2", shell="fish")[0]
    assert fish[0] == "plain,2" and fish[-1] == "second", "a tab is between"
    zsh = offered(serve.path, "rollback", "2", shell="zsh")[0]
    assert zsh[:2] == ["plain", "2"] and zsh[-1] == "second"


def test_every_word_that_names_something_is_completed() -> None:
    """Also of a command that is added tomorrow."""
    wanted = {"select", "only", "part", "take", "hosts", "host", "without", "revision", "a", "b"}
    lacking = []
    for name, command in verbs(main).items():
        for one in [command, *getattr(command, "commands", {}).values()]:
            lacking += [
                f"{name} {parameter.name}"
                for parameter in one.params
                if parameter.name in wanted
                and not getattr(parameter, "is_flag", False)
                and parameter._custom_shell_complete is None
            ]
    assert lacking == []


def test_without_a_daemon_nothing_is_offered_and_nothing_is_said(tmp_path: Path) -> None:
    """Neither where there is no socket nor where nobody listens behind it any more."""
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "gone"))
    for path in (tmp_path / "none", tmp_path / "gone", tmp_path):
        assert offered(path, "stop", "re")[:2] == ([], "")


def test_nobody_waits_for_a_daemon_that_hangs(tmp_path: Path) -> None:
    """It takes the connection, and never answers; or has no time to take it."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen(1)
        began = time.monotonic()
        assert known(tmp_path / "s", "selection", "re") == []
        assert PATIENCE_S <= time.monotonic() - began < 1.0
        # of a command of its own
        assert offered(tmp_path / "s", "stop", "re")[:2] == ([], "")


def always(status: int, body: bytes) -> Answers:
    """A daemon that says the same to everybody."""
    return lambda method, path, asked: (status, body)


def test_what_the_daemon_answers_is_somebody_elses(tmp_path: Path) -> None:
    """A shell expands what it is given: only plain names are, and no line is forged; also where the answer is no answer."""
    bad = [
        HOSTILE,
        "re$(touch x)",
        "re`x`",
        "re;x",
        "re*",
        "re x",
        "re,x",
        "re\nplain,forged",
        "-re",
        "other",
        "re'",
        "re~",
    ]
    answer = protocol.NamesAnswer([protocol.KnownName(one, HOSTILE) for one in [*bad, "ready"]])
    for reply in ((200, msgspec.json.encode(answer)), (200, b"{"), (403, b"x"), (500, b"")):
        with daemon(tmp_path / "s", always(*reply)):
            for shell in ("bash", "fish", "zsh"):
                found, errors, _ = offered(tmp_path / "s", "stop", "re", shell=shell)
                text = "\n".join(found)
                assert errors == "" and "forged" not in text and "touch" not in text and "\x1b" not in text
                assert ("ready" in text) == (len(reply[1]) > 10)
        (tmp_path / "s").unlink()


#: Each shell as a person has it: the file that it reads of her own account, and the line of docs/reference/commands.md in it.
SHELLS = {
    "bash": (".bashrc", 'eval "$(_DAQSCHED_COMPLETE=bash_source daqsched)"', ["--noprofile", "-i"]),
    "zsh": (".zshrc", 'eval "$(_DAQSCHED_COMPLETE=zsh_source daqsched)"', ["-i"]),
    "fish": (".config/fish/completions/daqsched.fish", "_DAQSCHED_COMPLETE=fish_source daqsched | source", ["-i"]),
}


def typed(shell: str, environment: dict[str, str], begin: str, done: str) -> str:
    """What stands on the command line of a shell after these keys, until it is there."""
    path = shutil.which(shell)
    assert path is not None
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(path, [shell, *SHELLS[shell][2]], environment)
    try:
        seen = b""

        def has(text: bytes) -> bool:
            nonlocal seen
            while select.select([screen], [], [], 0.05)[0]:
                seen += os.read(screen, 4096)
            return text in seen.replace(b"\a", b"")  # it rings where there is more than one

        until(lambda: has(b"> "), "the shell is there")
        os.write(screen, begin.encode() + b"\t")
        until(lambda: has(done.encode()), f"{begin} has become {done}")
        return seen.replace(b"\a", b"").decode()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("begin", "done"),
    [
        ("daqsched stop rea", "daqsched stop readout "),
        ("daqsched stop recorder@", "daqsched stop recorder@hlt03 "),
        ("daqsched stop readout@hl", "daqsched stop readout@hlt0"),
        ("daqsched stop readout@hlt02 @mo", "daqsched stop readout@hlt02 @mon01 "),
        ("daqsched stop --message x mon", "daqsched stop --message x monitor "),
    ],
)
def test_a_shell_completes_the_word_as_it_stands(
    serve: Serve, tmp_path: Path, shell: str, begin: str, done: str
) -> None:
    """With the documented line in its own file, and nothing else. An @ is a place at which bash begins a new word."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    name, line, _ = SHELLS[shell]
    assert line in (Path(__file__).parents[2] / "docs/reference/commands.md").read_text()
    home, folder = tmp_path / "home", tmp_path / "bin"
    (home / name).parent.mkdir(parents=True)
    prompt = "function fish_prompt; echo -n '> '; end\n" if shell == "fish" else "PS1='> '\n"
    (home / name).write_text(f"{line}\n" + prompt * (shell != "fish"))
    if shell == "fish":
        (home / ".config/fish/config.fish").write_text(prompt + "set -g fish_greeting\n")
    folder.mkdir()
    (folder / "daqsched").write_text(COMMAND)
    (folder / "daqsched").chmod(0o755)
    environment = {
        **os.environ,
        "HOME": str(home),
        "ZDOTDIR": str(home),
        "PATH": f"{folder}:{os.environ['PATH']}",
        "DAQSCHED_SOCKET": str(serve.path),
    }
    environment.pop("XDG_CONFIG_HOME", None)
    environment.update(TERM="dumb", HISTFILE="/dev/null")
    seen = typed(shell, environment, begin, done)
    assert done in seen and "not found" not in seen


def test_click_has_what_we_change_in_its_scripts() -> None:
    """Its own words, with a line or two before them."""
    command = [sys.executable, "-c", COMMAND.partition("\n")[2]]

    def script(shell: str) -> str:
        environment = {**os.environ, VARIABLE: f"{shell}_source"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout

    bash, zsh = script("bash"), script("zsh")
    assert bash.startswith("shopt -u hostcomplete\nCOMP_WORDBREAKS=${COMP_WORDBREAKS//@}\n") and click.__name__
    assert subprocess.run(["bash", "-n"], input=bash, text=True, check=False).returncode == 0
    assert zsh.startswith("#compdef daqsched\n")
    assert "autoload -Uz compinit && compinit -i }\n    compdef _daqsched_completion daqsched\n" in zsh
