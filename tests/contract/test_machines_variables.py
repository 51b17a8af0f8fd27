"""What somebody asks of `make vagrant` that can't be, or breaks off: told once, and nothing is begun anew behind his back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from waiting import until

ROOT = Path(__file__).resolve().parents[2]

#: In the place of `daqcluster machines vagrant`, which becomes Vagrant: notes how it was called, and does what stands in the
#: next line of `todo`. Like Vagrant it ends by itself when it is interrupted, and tells that by 1.
VAGRANT = """#!/bin/bash
echo "$3" >>{place}/called
todo=$(head -1 {place}/todo); sed -i 1d {place}/todo
[ "$todo" = wait ] || exit ${{todo:-0}}
trap 'exit 1' INT
touch {place}/waits
while true; do sleep 0.05; done
"""

INTERRUPTED = "[vagrant] interrupted; go on with `make vagrant`, undo with `make vagrant-down`"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One in which all is real but the set-up and Vagrant."""
    place = tmp_path / "checkout"
    (place / "scripts").mkdir(parents=True)
    for name in ("machines", "vagrant", "writable"):
        shutil.copy2(ROOT / "scripts" / name, place / "scripts" / name)
    shutil.copytree(ROOT / "vagrant" / "daqcluster", place / "vagrant" / "daqcluster")
    written = {"prefix": "172.30.7", "nodes": 2, "control2": False, "secrets": "/nowhere"}
    (place / "vagrant" / ".machines.json").write_text(json.dumps(written))
    (place / "scripts" / "setup").write_text(f"#!/bin/sh\necho set-up >>{tmp_path}/called\n")
    commands = place / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "daqcluster").write_text(VAGRANT.format(place=tmp_path))
    (commands / "python").write_text(f'#!/bin/sh\nPYTHONPATH={os.pathsep.join(sys.path)} exec {sys.executable} "$@"\n')
    for path in (place / "scripts" / "setup", *commands.iterdir()):
        path.chmod(0o755)
    return place


def machines(checkout: Path, *todo: str, **environ: str) -> subprocess.Popen[str]:
    """`make vagrant`, for whose first calls of Vagrant it says what happens: a status, or that it waits."""
    (checkout.parent / "todo").write_text("".join(f"{one}\n" for one in todo))
    (checkout.parent / "called").write_text("")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DAQCLUSTER_", "VAGRANT_"))}
    return subprocess.Popen(
        [str(checkout / "scripts" / "machines")],
        env={**clean, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        # what began in the background has it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def calls(checkout: Path) -> list[str]:
    """Of Vagrant, in order."""
    return [word for word in (checkout.parent / "called").read_text().split() if word != "set-up"]


@pytest.mark.parametrize(
    "todo, called",
    [
        (["wait"], ["up"]),
        (["1", "wait"], ["up", "up"]),
        (["0", "wait"], ["up", "ssh"]),
        (["0", "1", "wait"], ["up", "ssh", "ssh"]),
    ],
)
def test_ctrl_c_ends_it_and_nothing_is_started_again(checkout: Path, todo: list[str], called: list[str]) -> None:
    """Vagrant's status of an interrupted call is that of one that failed, which is tried once more: `make vagrant` began anew."""
    process = machines(checkout, *todo)
    try:
        until((checkout.parent / "waits").exists, "it waits")
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130 and said.splitlines()[-1] == INTERRUPTED and said.count("interrupted") == 1
    assert calls(checkout) == called


@pytest.mark.parametrize(
    "todo, status, called",
    [
        (["130"], 130, ["up"]),
        (["1", "130"], 130, ["up", "up"]),
        (["0", "130"], 130, ["up", "ssh"]),
        (["2"], 1, ["up"]),
        (["1", "1"], 1, ["up", "up"]),
        (["0", "2"], 1, ["up", "ssh"]),
        (["0", "3", "3", "3"], 1, ["up", "ssh", "ssh", "ssh"]),
        (["1", "0", "3", "0"], 0, ["up", "up", "ssh", "ssh"]),
    ],
)
def test_what_is_of_use_is_tried_again_and_nothing_else(
    checkout: Path, todo: list[str], status: int, called: list[str]
) -> None:
    """Not what was interrupted in ssh's terminal, which only the status tells, nor what a mistake has stopped."""
    process = machines(checkout, *todo)
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, calls(checkout)) == (status, called), said
    assert (INTERRUPTED in said) == (status == 130)


@pytest.mark.parametrize(
    "name, value, why",
    [
        ("DAQCLUSTER_NODES", "0", "Error: DAQCLUSTER_NODES='0': it has to be a number of farm machines from 1 to 50"),
        ("DAQCLUSTER_MEMORY", "2GB", "Error: DAQCLUSTER_MEMORY='2GB': it has to be a number of MiB from 1536 to 1048576"),
        ("VAGRANT_DEFAULT_PROVIDER", "vmware",
         "Error: VAGRANT_DEFAULT_PROVIDER='vmware': it has to be docker, libvirt or virtualbox"),
        pytest.param(
            "VAGRANT_DEFAULT_PROVIDER", "virtualbox",
            "Error: VAGRANT_DEFAULT_PROVIDER=virtualbox needs VirtualBox, and there is no VBoxManage here: "
            "install VirtualBox, or leave the variable out, for machines as containers",
            marks=pytest.mark.skipif(bool(shutil.which("VBoxManage")), reason="here it is"),
        ),
    ],
)  # fmt: skip
def test_a_variable_that_is_wrong_is_told_once_and_before_the_set_up(
    checkout: Path, name: str, value: str, why: str
) -> None:
    """With nothing but the system's Python."""
    process = machines(checkout, **{name: value})
    said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (1, f"{why}\n")
    assert (checkout.parent / "called").read_text() == ""


@pytest.fixture
def roots() -> Iterator[Path]:
    """A checkout of root's that everybody may read."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "scripts").mkdir()
        shutil.copy2(ROOT / "Makefile", place / "Makefile")
        for script in (ROOT / "scripts").iterdir():
            if script.is_file():
                shutil.copy2(script, place / "scripts" / script.name)
        # as its Python, which lies in root's home
        commands = place / ".venv" / "bin"
        commands.mkdir(parents=True)
        for command in ("daqcluster", "ruff", "python"):
            (commands / command).write_text("#!/root/nowhere/python\n")
            (commands / command).chmod(0o755)
        (place / "requirements").mkdir()
        (place / "requirements" / "docs.txt").write_text("")
        for folder in (place, place / "scripts"):
            folder.chmod(0o755)
        yield place


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
@pytest.mark.parametrize(
    "target",
    "run stop test vagrant vagrant-test vagrant-down lint format docs pictures bench faults release clean".split(),
)
def test_another_account_is_told_whose_checkout_it_is(roots: Path, target: str) -> None:
    """In one sentence, where the shell said which lock it may not write, or that its interpreter is bad."""
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "make", "-s", target]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(argv, cwd=roots, env=environ, capture_output=True, text=True, timeout=60)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make:")]
    assert done.returncode != 0
    assert lines == [
        "this checkout is root's, and nobody may not write there: call this as root, or in a clone of your own"
    ]
