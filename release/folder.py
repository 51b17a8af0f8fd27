"""The folder that runs where it lies: our packages, and for each Python what they need, compiled. For cvmfs, and for packages.

NAME-VERSION/bin/daqsched-executor     started as it is: finds its packages by its own place
             lib/daqsched_executor/    ours, one for all Pythons
             lib/cp39-x86_64/          what it needs of others, for this Python and machine; all code of a start in one file
             lib/serve-cp39-x86_64/    what `daqsched` needs besides, where that is in the folder
"""

from __future__ import annotations

import platform
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from release.source import Source
from release.steps import ReleaseError, run
from release.wheels import rows_of

#: Commands and what they call.
COMMANDS = {"daqsched": "daqsched.cli", "daqsched-executor": "daqsched_executor.__main__"}
#: What pip leaves beside a package that nobody needs there, or that tells of the machine.
_LEFT = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def executor(source: Source, shelf: Path, pips: Mapping[str, Path], target: Path) -> None:
    """That of `daqsched-executor`. ``pips`` has for each version such as ``3.9`` a Python that has pip and is of that version."""
    _make(source, shelf, pips, target, "daqsched-executor", "", _others(shelf, "daqsched-executor"))


def serve(source: Source, shelf: Path, pips: Mapping[str, Path], target: Path) -> None:
    """What `daqsched` needs besides that of the executor: both go into one place."""
    theirs = _others(shelf, "daqsched-executor")
    _make(
        source,
        shelf,
        pips,
        target,
        "daqsched",
        "serve-",
        [row for row in _others(shelf, "daqsched") if row not in theirs],
    )


def _make(
    source: Source, shelf: Path, pips: Mapping[str, Path], target: Path, command: str, before: str, rows: Iterable[str]
) -> None:
    lib = target / "lib"
    lib.mkdir(parents=True)
    _ours(shelf, command, lib)
    start(source.folder, command, target / "bin" / command)
    for version, python in pips.items():
        _install(python, shelf, rows, lib / f"{before}{place_of(version)}", target.parent)
        compile_all(python, source, target, version)
        if command == "daqsched-executor":
            one_file(python, source, target, version)
    even_modes(target)


def place_of(version: str) -> str:
    """As `start.in` calls what is for one Python."""
    return f"cp{version.replace('.', '')}-{platform.machine()}"


def start(checkout: Path, command: str, target: Path) -> None:
    """Write the command; with the executor's, which `daqsched` needs anyway, what both may import first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if command == "daqsched-executor":
        lib = target.parent.parent / "lib"
        lib.mkdir(exist_ok=True)
        shutil.copy(checkout / "release" / "start_folder.py", lib)
    text = (checkout / "release" / "start.in").read_text()
    target.write_text(text.replace("COMMAND", command).replace("MODULE", COMMANDS[command]))


def _ours(shelf: Path, command: str, lib: Path) -> None:
    """Our own package out of our wheel; that of `daqsched` has the executor's, too, which is there already or will be."""
    package = command.replace("-", "_")
    (wheel,) = shelf.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(lib, [name for name in archive.namelist() if name.startswith(f"{package}/")])


def _others(shelf: Path, lock: str) -> list[str]:
    """The rows of a lock beside the wheels, but for what is ours and lies in ``lib`` once."""
    rows = [(row.wanted, row.hashes) for row in rows_of(shelf / f"{lock}.txt")]
    return [f"{wanted} \\\n{hashes}\n" for wanted, hashes in rows if wanted.name not in COMMANDS]


def _install(python: Path, shelf: Path, rows: Iterable[str], target: Path, scratch: Path) -> None:
    asked = scratch / "asked.txt"
    asked.write_text("".join(rows))
    how: list[str | Path] = [
        "-q",
        "--no-deps",
        "--no-compile",
        "--no-index",
        "--find-links",
        shelf,
        "--only-binary=:all:",
    ]
    how += ["--require-hashes", "-r", asked, "--target", target]
    run([python, "-m", "pip", "--disable-pip-version-check", "install", *how])
    shutil.rmtree(target / "bin", ignore_errors=True)
    for info in target.glob("*.dist-info"):
        for name in _LEFT:
            (info / name).unlink(missing_ok=True)


def compile_all(python: Path, source: Source, folder: Path, version: str) -> None:
    """Code for this Python beside each module, never compared with it (PEP 552): nobody can write there, times may change."""
    ours, lib = place_of(version), folder / "lib"
    found = [path for path in sorted(lib.iterdir()) if path.name.startswith(("daqsched", ours, f"serve-{ours}"))]
    how: list[str | Path] = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", folder]
    # sets are written in the order of their hashes, which PYTHONHASHSEED fixes: so not isolated
    said = run([python, "-s", "-m", "compileall", *how, *found], {**source.environ, "PYTHONPATH": ""}, Path("/"))
    if said:
        raise ReleaseError(f"Python {version} can't compile all of it: {said[:2000]}")


def one_file(python: Path, source: Source, folder: Path, version: str) -> None:
    """What an executor starts with, for this Python."""
    lib = folder / "lib"
    place = lib / place_of(version)
    script = source.folder / "release" / "one_file.py"
    # without the columns of each instruction, which are a fifth of it
    argv: list[str | Path] = [python, "-sSBX", "no_debug_ranges", script, lib, place, place / "daqsched-executor.code"]
    run(argv, {**source.environ, "PYTHONPATH": ""}, Path("/"))


def even_modes(folder: Path) -> None:
    """Readable for all, whatever the umask and the archive said."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def pack(folder: Path, target: Path, epoch: int) -> None:
    """A tar file that says nothing of the machine it was made on."""
    how = ["--sort=name", f"--mtime=@{epoch}", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]
    run(["tar", *how, "-I", "gzip -n", "-cf", target, "-C", folder.parent, folder.name])
