"""The packages, tried in a fresh Debian: what they put there, an upgrade, the way back, and what a removal leaves."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from release.image import debian
from release.steps import ReleaseError, run, say, step

#: What is looked at after each step: path, mode, owner's name, and what it must be.
FILES = (
    ("etc/daqsched/serve.env", 0o600),
    ("etc/daqsched/audit-copy.env", 0o600),
    ("etc/daqsched/forward.yaml", 0o644),
    ("etc/profile.d/daqsched.sh", 0o644),
    ("usr/lib/systemd/system/daqsched-serve.service", 0o644),
    ("usr/lib/systemd/system/daqsched-audit-copy.service", 0o644),
    ("usr/lib/systemd/system/daqsched-forward.service", 0o644),
    ("opt/daqsched/bin/daqsched", 0o755),
    ("opt/daqsched/bin/daqsched-executor", 0o755),
)

#: What somebody wrote, and what the daemon did.
MASTER, STATE = "DAQSCHED_MASTER=ctl7:5050\n", "var/lib/daqsched/state.sqlite"


class Root:
    """A fresh Debian in a folder; commands run in it without a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        run(["tar", "-xpf", debian(), "-C", folder])

    def run(self, *words: str, user: str = "") -> str:
        """As root, or somebody else."""
        who = [f"--userspec={user}"] if user else []
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        return run([*clean, "unshare", "--net", "chroot", *who, self.folder, *words])

    def take(self, packages: Sequence[Path]) -> list[str]:
        """Copies of the packages in it."""
        place = self.folder / "tmp"
        for package in packages:
            (place / package.name).write_bytes(package.read_bytes())
        return [f"/tmp/{package.name}" for package in packages]

    def apt(self, debs: Sequence[Path]) -> None:
        """As docs/operate/install.md says; there is nothing else that apt could fetch."""
        fast = ["-o", "Dpkg::Options::=--force-unsafe-io"]
        self.run("apt-get", "-q", "install", "-y", "--no-install-recommends", *fast, *self.take(debs))

    def look(self, version: str) -> None:
        """Files, modes, account and commands are as they should be."""
        for name, mode in FILES:
            found = (self.folder / name).lstat()
            if stat.S_IMODE(found.st_mode) != mode or found.st_uid != 0:
                raise ReleaseError(f"/{name} has mode {stat.S_IMODE(found.st_mode):o} and owner {found.st_uid}")
        if "daq" not in self.run("id", "-nG", "daqsched").split():
            raise ReleaseError("the account daqsched is not in the group daq")

    def mark(self) -> None:
        """What a farm has after a while: a setting, and a state."""
        with open(self.folder / "etc/daqsched/serve.env", "a") as file:
            file.write(MASTER)
        (self.folder / STATE).parent.mkdir(mode=0o700)
        (self.folder / STATE).write_text("what it knows")

    def refuses(self, install: Callable[[], object]) -> None:
        """Raises `ReleaseError` where packages are unpacked over what `scripts/install` made."""
        marker = self.folder / "opt/daqsched/pyvenv.cfg"
        marker.parent.mkdir()
        marker.write_text("")
        try:
            install()
        except ReleaseError as error:
            if "no package made it" not in str(error):
                raise
        else:
            raise ReleaseError("packages are installed over what scripts/install made")
        marker.unlink()
        marker.parent.rmdir()  # nothing else is in there

    def kept(self, name: str = "etc/daqsched/serve.env") -> None:
        """Raises `ReleaseError` where setting or state is not as it was."""
        if MASTER not in (self.folder / name).read_text() or (self.folder / STATE).read_text() != "what it knows":
            raise ReleaseError(f"/{name} or /{STATE} is not what it was")


def try_debs(debs: Sequence[Path], later: Sequence[Path], versions: tuple[str, str], scratch: Path) -> None:
    """By apt and dpkg in a chroot."""
    if os.geteuid() != 0:
        return say("not root: the packages were not installed")
    root = Root(scratch / "debian")
    names = [path.name.partition("_")[0] for path in debs]
    with step("over what scripts/install made the packages are not installed"):
        root.refuses(partial(root.apt, debs[:2]))
    with step(f"{', '.join(names)} are installed in a fresh Debian 12, and run there"):
        root.apt(debs)
        root.look(versions[0])
        _runs(root, versions[0])
        if root.run("dpkg", "--verify", *names):
            raise ReleaseError("dpkg --verify finds differences")
        _verify_units(root)
    with step("an upgrade of the packages and the way back keep settings and state"):
        root.mark()
        root.apt(later)
        root.kept()
        root.look(versions[1])
        _runs(root, versions[1])
        root.run("dpkg", "-i", *root.take(debs))
        root.kept()
        _runs(root, versions[0])
    with step("a removal leaves settings and state, a purge the state"):
        root.run("dpkg", "-r", *names)
        root.kept()
        root.run("dpkg", "-P", *names)
        left = [name for name, _ in FILES if (root.folder / name).exists()]
        if left or (root.folder / STATE).read_text() != "what it knows" or (root.folder / "opt/daqsched").exists():
            raise ReleaseError(f"after a purge: {left}")
    run(["rm", "-rf", "--one-file-system", root.folder])


def _verify_units(root: Root) -> None:
    """By this machine's systemd, whose targets stand in for those of a whole Debian."""
    theirs = Path("/usr/lib/systemd/system")
    if not theirs.is_dir():
        return say("no systemd here: the units were not looked at")
    run(["cp", "-a", "-n", "-T", theirs, root.folder / "usr/lib/systemd/system"])
    argv: list[str | Path] = ["systemd-analyze", "verify", "--man=no", f"--root={root.folder}"]
    run([*argv, "daqsched-serve.service", "daqsched-audit-copy.service", "daqsched-forward.service"])


def _runs(root: Root, version: str) -> None:
    """As an account that owns nothing."""
    for command in ("/usr/bin/daqsched", "/opt/daqsched/bin/daqsched-executor"):
        said = root.run(command, "--version", user="nobody")
        if not said.strip().endswith(version):
            raise ReleaseError(f"{command} is not {version}: {said}")


def try_rpms(
    rpms: Sequence[Path], later: Sequence[Path], versions: tuple[str, str], python: str, scratch: Path
) -> None:
    """By rpm into a Debian, whose accounts are made by the same commands; run by this machine's Python 3.9."""
    if os.geteuid() != 0:
        return say("not root: the RPM packages were not installed")
    root = Root(scratch / "rpm")
    rpm: list[str | Path] = ["rpm", "--root", root.folder, "--nodeps"]
    names = [path.name.partition(f"-{versions[0]}")[0] for path in rpms]
    with step(f"{', '.join(names)} as RPM: refused, unpacked, run by Python 3.9, upgraded, put back, removed"):
        for one in rpms[:2]:
            root.refuses(partial(run, [*rpm, "-i", one]))
        run([*rpm, "-i", *rpms])
        root.look(versions[0])
        run([*rpm, "-V", *names])
        for command in ("daqsched", "daqsched-executor"):
            said = run([python, "-ISB", root.folder / "opt/daqsched/bin" / command, "--version"])
            if not said.strip().endswith(versions[0]):
                raise ReleaseError(f"{command} is not {versions[0]}: {said}")
        root.mark()
        run([*rpm, "-U", *later])
        root.kept()
        root.look(versions[1])
        run([*rpm, "-U", "--oldpackage", *rpms])
        root.kept()
        run([*rpm, "-e", *names])
        root.kept("etc/daqsched/serve.env.rpmsave")
        if (root.folder / "opt/daqsched").exists():
            raise ReleaseError("something is left in /opt/daqsched")
    run(["rm", "-rf", "--one-file-system", root.folder])
