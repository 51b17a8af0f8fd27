"""The steps of which machines are made (vagrant/provision/common.sh), each twice: the second time nothing is changed."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from daqcluster.machines.cli import machines
from daqsched.passwords import Passwords, write

SCRIPTS = Path(__file__).resolve().parents[2] / "vagrant" / "provision"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files get owners, which takes root")


def run(code: str) -> list[str]:
    """What bash prints, with common.sh loaded; a step that fails ends it."""
    argv = ["bash", "-c", f". {SCRIPTS}/common.sh\n{code}\nfinish"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "step",
    [
        "put {0}/file nobody:root 640 <<<text",
        "folder {0}/folder nobody:root 750",
        "link {0}/link target",
        "tree {1} {0}/tree",
        "group root; account nobody /",
    ],
)
def test_a_step_that_is_done_again_changes_nothing(step: str, tmp_path: Path) -> None:
    """And says so."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "page").write_text("text")
    code = step.format(tmp_path, source)
    first = run(code)
    assert first[-1] in ("changed 1 thing", "unchanged")
    assert run(code) == ["unchanged"]


@pytest.mark.parametrize(
    "step",
    [
        "put {0}/file nobody:root 640 <<<text",
        "echo text | put {0}/file nobody:root 640",
        "{{ for i in 1; do echo $i; done; }} | put {0}/file root 644",
    ],
)
def test_a_change_is_counted_and_its_restart_due_whichever_shell_makes_it(step: str, tmp_path: Path) -> None:
    """A step behind a pipe is in a shell of its own; a run that is cut off before the restart leaves it to the next."""
    step = f"due={tmp_path}/due; for=zookeeper; {step.format(tmp_path)}"
    assert run(step)[-1] == "changed 1 thing"
    assert os.listdir(tmp_path / "due") == ["zookeeper"]
    services = f"""
        due={tmp_path}/due
        systemctl() {{ [ "$1" != is-active ] || return 0; echo "systemctl $*"; }}
        running zookeeper mesos-master"""
    assert "restarted: zookeeper" in run(f"{step}\n{services}")
    assert run(f"{step}\n{services}")[-1] == "unchanged" and os.listdir(tmp_path / "due") == []


@pytest.mark.parametrize(
    ("was", "hosts", "refused"),
    [
        ("", "control", False),
        ("", "control control2 hlt01", True),
        ("control control2 hlt01", "control control2 hlt01", False),
        ("control control2 hlt01", "control", True),
        ("control control2 hlt01", "control control3 hlt01", True),
        ("control control2 hlt01", "control2 control hlt01", True),
    ],
)
@pytest.mark.parametrize("state", [True, False])
def test_a_zookeeper_with_a_state_goes_into_no_other_ensemble(
    was: str, hosts: str, refused: bool, state: bool, tmp_path: Path
) -> None:
    """Empty servers elected one of themselves, and the farm's state was gone; where there is none it may be any."""
    if state:
        (tmp_path / "version-2").mkdir()
    servers = [f"server.{number}={host}:2888:3888\n" for number, host in enumerate(was.split(), 1)]
    (tmp_path / "zoo.cfg").write_text("".join(["tickTime=500\n", *servers]))
    argv = ["bash", "-c", f". {SCRIPTS}/common.sh\nsame_ensemble {tmp_path} {tmp_path}/zoo.cfg {hosts}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (done.returncode != 0) == (refused and state), done.stderr
    assert not done.returncode or "the ZooKeeper here has the farm's state" in done.stderr


@pytest.mark.parametrize(
    "harm", ["echo other >{0}", "chmod 666 {0}", "chown root {0}", "rm {0}", "ln -sf /etc/passwd {0}"]
)
def test_what_somebody_changed_is_put_right(harm: str, tmp_path: Path) -> None:
    """Contents, mode, owner; a link is not written through."""
    file = tmp_path / "file"
    code = f"put {file} nobody:root 640 <<<text"
    run(code)
    subprocess.run(["bash", "-c", harm.format(file)], check=True)
    assert run(code) == [f"changed: {file}", "changed 1 thing"]
    assert (file.read_text(), file.stat().st_mode & 0o777, file.is_symlink()) == ("text\n", 0o640, False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_changed_restarts_the_service_that_it_is_for_and_no_other(tmp_path: Path) -> None:
    """`for` says which."""
    due = tmp_path / "due"
    code = f"due={due}; for=one; put {tmp_path}/a root 600 <<<a; for=two; put {tmp_path}/b root 600 <<<{{}}"
    for text, expected in (("b", {"one", "two"}), ("c", {"two"}), ("c", set())):
        run(code.format(text))
        assert {one.name for one in due.iterdir()} == expected
        for one in due.iterdir():
            one.unlink()


def test_a_secret_is_never_readable_for_others_on_its_way(tmp_path: Path) -> None:
    """It is written into a file of root's alone, which then gets its owner and mode."""
    file = tmp_path / "secret"
    seen = run(f'chown() {{ stat -c %a "$2"; command chown "$@"; }}; put {file} nobody:root 600 <<<secret')
    assert seen[0] == "600"


def test_a_password_is_set_once_and_anew_with_each_new_secret(tmp_path: Path) -> None:
    """One that the crew set itself is kept over a second call, and one that was removed comes back."""
    daqsched, file, secret = Path(sys.executable).with_name("daqsched"), tmp_path / "passwords", tmp_path / "secret"
    code = f'/opt/daqsched/bin/daqsched() {{ {daqsched} "$@"; }}; password crew {secret} {file}'
    changed, unchanged = ["changed: the password of crew", "changed 1 thing"], ["unchanged"]

    def right(text: str) -> bool:
        passwords = Passwords(file)
        try:
            return passwords.check("crew", text) is not None
        finally:
            passwords.close()

    for text in ("the first secret", "the second secret"):
        secret.write_text(f"{text}\n")
        assert (run(code), run(code)) == (changed, unchanged) and right(text)
    assert not right("the first secret")
    write(file, "crew", "one of our own")
    assert run(code) == unchanged and right("one of our own")
    write(file, "crew", None)
    assert run(code) == changed and right("the second secret")
    beside = tmp_path / "passwords.crew"
    assert beside.stat().st_mode & 0o777 == 0o600 and "second" not in beside.read_text()
    beside.unlink()  # machines that were made before
    assert (run(code), run(code)) == (changed, unchanged)


#: In the place of `daqsched`: what `history` says, and what else is asked.
ASKED = """#!/bin/bash
[ "$1" = history ] || { printf '<%s>' "$@"; exit; }
[ -n "$HISTORY" ] || { echo 'no daemon' >&2; exit 7; }
echo "$HISTORY"
"""
MARKED = "<apply></srv/daqsched/jobs/vagrant.py><--set><hosts=hlt[01-02]><--message><make vagrant>"
STAYS = (
    "revision 3 by alice of hlt is not of make vagrant, and stays; for its jobs instead, in control: daqsched apply "
    "/srv/daqsched/jobs/vagrant.py --set 'hosts=hlt[01-02]' --message 'make vagrant'"
)


@pytest.mark.parametrize(
    ("history", "status", "said"),
    [
        ([], 0, MARKED),
        ([{"message": "make vagrant"}], 0, f"{MARKED}<--if-unchanged><d3>"),
        ([{"message": ""}], 0, STAYS),
        ([{"message": "make vagrant\nagain"}], 0, STAYS),
        ([{"message": "a new release"}], 0, STAYS),
        (None, 7, ""),
    ],
)
def test_what_somebody_has_applied_stays(
    history: list[dict[str, str]] | None, status: int, said: str, tmp_path: Path
) -> None:
    """Only over nothing, or over its own, are the jobs of `make vagrant` applied; between the look and that nobody comes."""
    (tmp_path / "daqsched").write_text(ASKED)
    (tmp_path / "daqsched").chmod(0o755)
    told = [{"number": 3, "digest": "d3", "user": "alice of hlt", **one} for one in history or []]
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HISTORY": "" if history is None else json.dumps(told)}
    argv = ["bash", str(SCRIPTS / "apply.sh"), "hlt[01-02]"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=environ)
    assert (done.returncode, done.stdout.strip()) == (status, said), done.stderr


@pytest.mark.parametrize("script", ["agent.sh", "control.sh"])
def test_a_script_that_is_told_too_little_says_what(script: str) -> None:
    """And does nothing."""
    done = subprocess.run(["bash", str(SCRIPTS / script)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{script}: which master?") or done.stderr.startswith(f"{script}: which machine")


def test_on_a_machine_with_rpm_the_other_column_of_packages_is_asked_for(tmp_path: Path) -> None:
    """EL 9, as far as that can be tried without one: with stand-ins of rpm and dnf."""
    (tmp_path / "rpm").write_text('#!/bin/sh\n[ "$3" = openssl ]\n')
    (tmp_path / "dnf").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\n')
    for name in ("rpm", "dnf"):
        (tmp_path / name).chmod(0o755)
    hidden = 'command() { [ "$2" != dpkg-query ] && builtin command "$@"; }'
    assert run(f"{hidden}; PATH={tmp_path}:$PATH packages")[-1] == "changed 1 thing"
    asked = (tmp_path / "asked").read_text()
    assert (
        asked.startswith("-q -y install python3.11 ") and "java-17-openjdk-headless" in asked and "openssl" not in asked
    )


def test_an_account_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    """Its number and its group, which may have another name: no group of the account's own name is asked for."""
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrgid(nobody.pw_gid).gr_name
    assert group != "nobody"
    (tmp_path / "owned").write_text("")
    steps = ("put {}/file nobody 640 <<<text", "folder {}/folder nobody 750", "owner {}/owned nobody")
    code = "; ".join(["account nobody /", *(step.format(tmp_path) for step in steps)])
    assert run(code)[-1] == "changed 3 things" and run(code) == ["unchanged"]
    for path in tmp_path.iterdir():
        assert (path.owner(), path.group()) == ("nobody", group)
    assert pwd.getpwnam("nobody") == nobody


@pytest.mark.parametrize("name", ["agent.sh", "control.sh"])
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_a_script_says_how_it_is_called(name: str, word: str) -> None:
    """With the options that it takes, and the command that makes the secrets; a word that it does not know leads there."""
    done = subprocess.run(["bash", str(SCRIPTS / name), word], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "") and "shellcheck" not in done.stdout
    taken = re.findall(r"^    (--[a-z-]+)\) ", (SCRIPTS / name).read_text(), re.MULTILINE)
    assert len(taken) > 5 and all(option in done.stdout for option in taken)
    (command,) = re.findall(r"`daqcluster machines (\w+)`", done.stdout)
    assert command in machines.commands
    wrong = subprocess.run(["bash", str(SCRIPTS / name), "--hlep"], capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 1 and wrong.stderr == f"{name}: what is --hlep? --help says what there is\n"
