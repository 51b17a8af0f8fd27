"""What was brought up is taken down, also by whoever removed .venv meanwhile: `make stop`, `make vagrant-down`, `make clean`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: A set-up in no time: what is set up says what it is asked.
SETUP = """#!/bin/sh
echo "set up $*"
mkdir -p .venv/bin
printf '#!/bin/sh\\n[ $1 != env ] && echo asked: $*\\n' >.venv/bin/daqcluster
chmod 755 .venv/bin/daqcluster
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One without .venv; HOME is beside it."""
    place = tmp_path / "checkout"
    (place / "scripts").mkdir(parents=True)
    (place / "vagrant").mkdir()
    for name in ("Makefile", "scripts/stop", "scripts/brought-up", "scripts/machines", "scripts/writable"):
        shutil.copy2(ROOT / name, place / name)
    (place / "scripts" / "setup").write_text(SETUP)
    (place / "scripts" / "setup").chmod(0o755)
    return place


def make(checkout: Path, target: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("DAQCLUSTER_DIR", "XDG_STATE_HOME")}
    return subprocess.run(
        ["make", "-s", target],
        cwd=checkout,
        env={**clean, "HOME": str(checkout.parent), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "target, trace, environ, asked",
    [
        ("vagrant-down", "checkout/vagrant/.machines.json", {}, "set up --vagrant\nasked: machines down\n"),
        ("stop", ".local/state/daqcluster/default/cluster.json", {}, "set up --cluster\nasked: down\n"),
        ("stop", "state/daqcluster/default/cluster.json", {"XDG_STATE_HOME": "{}/state"}, "set up --cluster\nasked: down\n"),
        ("stop", "mine/cluster.json", {"DAQCLUSTER_DIR": "{}/mine"}, "set up --cluster\nasked: down\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("up", [True, False])
def test_without_what_was_set_up_all_that_is_up_is_found(
    checkout: Path, target: str, trace: str, environ: dict[str, str], asked: str, up: bool
) -> None:
    """It said that nothing was set up, and left machines or servers running. Where nothing is up it still says so."""
    if up:
        (checkout.parent / trace).parent.mkdir(parents=True, exist_ok=True)
        (checkout.parent / trace).write_text("{}")
    done = make(checkout, target, **{name: value.format(checkout.parent) for name, value in environ.items()})
    assert (done.returncode, done.stdout) == (0, asked if up else "nothing was set up\n"), done.stderr


def test_clean_removes_nothing_that_is_needed_to_take_machines_down(checkout: Path) -> None:
    """It says what to type first."""
    kept = checkout / ".venv" / "kept"
    kept.mkdir(parents=True)
    (checkout / "vagrant" / ".machines.json").write_text("{}")
    done = make(checkout, "clean")
    assert done.returncode != 0 and "make vagrant-down first" in done.stdout and kept.exists()
    (checkout / "vagrant" / ".machines.json").unlink()
    assert make(checkout, "clean").returncode == 0 and not kept.exists()


#: Of a checkout that is set up, all but Python: says what it is asked, and where the state is.
STUB = """#!/bin/sh
case "$(basename "$0") $*" in
  "daqcluster env") echo "export DAQSCHED_STATE={state}" ;;
  "daqcluster status --json") echo '{{"webui": "http://page"}}' ;;
  *) echo "$(basename "$0") $*" ;;
esac
"""

#: A daemon, as far as it is looked for.
LISTEN = """
import socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("up", flush=True)
while True:
    listening.accept()
"""


@pytest.mark.parametrize("mark", ["", "other", "own", "gone"])
@pytest.mark.parametrize("whose", ["nobody", "other", "own"])
def test_a_cluster_that_another_checkout_uses_is_left_alone(
    checkout: Path, tmp_path: Path, whose: str, mark: str
) -> None:
    """`make run` would have that one's daemon replace its programs; also where it is up and its daemon is not."""
    state, commands = tmp_path / "state", checkout / ".venv" / "bin"
    state.mkdir()
    cluster, other = tmp_path / "cluster", tmp_path / "elsewhere"
    (cluster / "work").mkdir(parents=True)
    (cluster / "cluster.json").write_text("{}")
    (other / "scripts").mkdir(parents=True)
    (other / "scripts" / "stop").touch(0o755)
    if mark:
        (cluster / "work" / "checkout").write_text(str({"other": other, "own": checkout}.get(mark, tmp_path / "gone")))
    commands.mkdir(parents=True)
    for name in ("run", "listening"):
        shutil.copy2(ROOT / "scripts" / name, checkout / "scripts" / name)
    (checkout / "scripts" / "setup").write_text("#!/bin/sh\n")
    for name in ("daqcluster", "daqsched"):
        (commands / name).write_text(STUB.format(state=state))
    (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for path in commands.iterdir():
        path.chmod(0o755)
    daemon = None
    if whose != "nobody":
        place = checkout if whose == "own" else other
        argv0 = f"{place}/.venv/bin/python"
        daemon = subprocess.Popen(
            [argv0, "-c", LISTEN, str(state / "daqsched.sock")],
            executable=sys.executable,
            stdout=subprocess.PIPE,
        )
        assert daemon.stdout is not None and daemon.stdout.readline() == b"up\n"
    try:
        done = make(checkout, "run", PYTHONPATH=os.pathsep.join(sys.path), DAQCLUSTER_DIR=str(cluster))
    finally:
        if daemon is not None:
            daemon.kill()
            daemon.communicate()
    said = done.stdout
    if whose == "other" or mark == "other":
        named = f"of {other}" if whose == "other" else f"{other} brought it up"
        assert done.returncode != 0 and (named in said or whose == "own") and "make stop there" in said, done.stderr
        assert "daqcluster up" not in said and "daqsched apply" not in said
    else:
        assert done.returncode == 0 and "daqsched apply jobs/quickstart.py" in said, said + done.stderr
