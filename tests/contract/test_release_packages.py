"""The packages of a release: what is staged for Debian 12 and EL 9, what dpkg reads of it, and what the recipe of RPM says."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.version import Version

from daqsched_executor import __version__
from release import deb, folder, packages, pythons, rpm
from release.pythons import DEBIAN, EL
from release.source import VERSION_FILE, Source, next_of, of_commit, version_of
from release.steps import ReleaseError

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def source() -> Source:
    """This checkout, as it is."""
    return Source(ROOT, 1_700_000_000, __version__)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Small ones, with code of both systems' Pythons in them."""
    made = []
    for command, before in (("daqsched-executor", ""), ("daqsched", "serve-")):
        place = tmp_path / "folders" / command
        folder.start(ROOT, command, place / "bin" / command)
        package = place / "lib" / command.replace("-", "_")
        (package / "__pycache__").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        for version in (EL, DEBIAN):
            (package / "__pycache__" / f"__init__.cpython-{version.replace('.', '')}.pyc").write_text(version)
            (place / "lib" / f"{before}{folder.place_of(version)}" / "module").mkdir(parents=True)
        made.append(place)
    return made[0], made[1]


def staged(source: Source, folders: tuple[Path, Path], version: str, target: Path) -> dict[str, set[str]]:
    """The files of each package, by its name."""
    packages.stage(source, *folders, version, target)
    return {
        package.name: {
            str(path.relative_to(target / package.name))
            for path in (target / package.name).rglob("*")
            if not path.is_dir() or path.is_symlink()
        }
        for package in packages.PACKAGES
    }


def test_where_a_python_is_missing_it_is_said_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever a machine has: Debian 12 has no 3.9, and makes a release for itself."""
    for has in itertools.chain.from_iterable(itertools.combinations((9, 10, 11, 12), count) for count in range(5)):
        every = {f"3.{minor}": f"/python3.{minor}" for minor in has}

        def candidates(minor: int, there: Mapping[str, str] = every) -> Iterator[str]:
            return iter([there[f"3.{minor}"]] if f"3.{minor}" in there else [])

        monkeypatch.setattr(pythons, "_candidates", candidates)
        for alone, needed in ((False, {EL, DEBIAN}), (True, {DEBIAN})):
            missing = needed - set(every)
            try:
                found = pythons.found(alone)
            except ReleaseError as error:
                assert missing and all(f" {version} " in str(error) for version in missing)
                assert ("scripts/release --debian" in str(error)) == (missing == {EL})
            else:
                assert not missing
                assert found == {version: place for version, place in every.items() if not (alone and version == EL)}


@pytest.mark.parametrize(("version", "other"), [(DEBIAN, EL), (EL, DEBIAN)])
def test_a_package_has_what_is_for_its_python_alone(
    source: Source, folders: tuple[Path, Path], tmp_path: Path, version: str, other: str
) -> None:
    """And no file is in two of them."""
    found = staged(source, folders, version, tmp_path / "staged")
    every = [name for names in found.values() for name in names]
    assert len(every) == len(set(every))
    tag, foreign = (f"cpython-{one.replace('.', '')}" for one in (version, other))
    assert any(tag in name for name in found["daqsched"]) and any(tag in name for name in found["daqsched-executor"])
    assert not [name for name in every if foreign in name]
    assert (tmp_path / "staged/daqsched/opt/daqsched/lib" / f"serve-{folder.place_of(version)}").is_dir()
    assert not list((tmp_path / "staged").rglob(f"*{folder.place_of(other)}"))


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="Debian's tool")
def test_dpkg_reads_what_must_be_kept_and_needed(source: Source, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Owners, modes, settings, and versions that fit each other."""
    staged(source, folders, DEBIAN, tmp_path / "staged")
    debs = {path.name.partition("_")[0]: path for path in deb.make_debs(source, tmp_path / "staged", tmp_path)}
    assert list(debs) == ["daqsched-executor", "daqsched", "daqsched-forward"]

    def told(*words: str) -> str:
        return subprocess.run(["dpkg-deb", *words], capture_output=True, text=True, check=True, timeout=60).stdout

    listed = {line.split()[-1]: line.split()[:2] for line in told("-c", str(debs["daqsched"])).splitlines()}
    assert listed["./etc/daqsched/serve.env"] == ["-rw-------", "root/root"]
    assert listed["./opt/daqsched/bin/daqsched"] == ["-rwxr-xr-x", "root/root"]
    assert all(mode[0] == "d" or mode[1:3] == "rw" for mode, _ in listed.values())
    assert {owner for _, owner in listed.values()} == {"root/root"}
    assert told("-f", str(debs["daqsched"]), "Depends") == (
        f"python3 (>= 3.11~), python3 (<< 3.12~), daqsched-executor (= {__version__}), passwd\n"
    )
    assert told("-f", str(debs["daqsched-forward"]), "Depends") == f"daqsched-executor (= {__version__})\n"
    kept = {
        name: told("-I", str(path), "conffiles").split() for name, path in debs.items() if name != "daqsched-executor"
    }
    assert kept == {
        "daqsched": ["/etc/daqsched/serve.env", "/etc/daqsched/audit-copy.env", "/etc/profile.d/daqsched.sh"],
        "daqsched-forward": ["/etc/daqsched/forward.yaml"],
    }
    for name in ("preinst", "postinst", "prerm"):
        script = tmp_path / "staged" / "daqsched" / "DEBIAN" / name
        subprocess.run(["sh", "-n", str(script)], check=True, timeout=60)
        # what dpkg calls it for besides changes nothing
        subprocess.run([str(script), "abort-upgrade", "1"], check=True, timeout=60)


def test_a_package_is_the_same_whenever_it_is_made(source: Source, folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Byte for byte, by SOURCE_DATE_EPOCH."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("Debian's tool")
    made = []
    for place in ("first", "second"):
        staged(source, folders, DEBIAN, tmp_path / place)
        (tmp_path / f"{place}-out").mkdir()
        made.append([path.read_bytes() for path in deb.make_debs(source, tmp_path / place, tmp_path / f"{place}-out")])
    assert made[0] == made[1]


def test_the_recipe_of_rpm_names_each_file_once_and_keeps_the_same_settings(
    source: Source, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """Nothing of the words in capitals is left."""
    staged(source, folders, EL, tmp_path / "staged")
    text = rpm.spec(source, tmp_path / "staged")
    rows = [line for line in text.splitlines() if line.startswith(("/", "%attr", "%config"))]
    assert len(rows) == len(set(rows))
    kept = {row.split()[-1] for row in rows if row.startswith("%config(noreplace)")}
    assert kept == {f"/{name}" for package in packages.PACKAGES for name in package.kept}
    assert "%config(noreplace) %attr(600,root,root) /etc/daqsched/serve.env" in rows
    assert "Requires: python(abi) = 3.9\n" in text and f"Version: {__version__}\n" in text
    assert "useradd --system --user-group --groups daq" in text
    assert text.count("%pre\n") == text.count("%pre -n daqsched-executor\n") == 1
    assert text.count("pyvenv.cfg") == 2  # before each that goes to /opt/daqsched
    for word in ("SUMMARY", "TEXT", "PRE", "POST", "GONE", "FILES", "STAGED"):
        assert f"{word} " not in text


#: What is in the folder before -> whether packages are unpacked there.
BEFORE: dict[str, bool] = {"": True, "./": True, "pyvenv.cfg": False, "bin/daqsched": False, "lib/left": False}


@pytest.mark.skipif(not shutil.which("dpkg-deb") or os.geteuid() != 0, reason="Debian's tool, by root")
@pytest.mark.parametrize("order", [("daqsched-executor", "daqsched"), ("daqsched", "daqsched-executor")])
@pytest.mark.parametrize("before", BEFORE)
def test_a_folder_that_is_not_of_packages_is_refused(
    source: Source, folders: tuple[Path, Path], tmp_path: Path, before: str, order: tuple[str, str]
) -> None:
    """By dpkg in an empty root: nothing is unpacked over what no package made, whichever package comes first. All else goes on, an
    upgrade, too, but for a folder that is both. And `scripts/install` refuses what is of packages."""
    staged(source, folders, DEBIAN, tmp_path / "staged")
    debs = {path.name.partition("_")[0]: path for path in deb.make_debs(source, tmp_path / "staged", tmp_path)}
    root = tmp_path / "root"
    for name in ("info", "updates"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text("")
    place = root / "opt/daqsched"
    if before:
        os.makedirs(os.path.dirname(f"{place}/{before}"))
    if before and before != "./":
        (place / before).write_text("")

    def unpack(*names: str) -> subprocess.CompletedProcess[str]:
        # scripts run outside, and find the root by DPKG_ROOT
        argv = ["dpkg", f"--root={root}", "--force-script-chrootless", "--force-unsafe-io", "--unpack"]
        argv += [str(debs[name]) for name in names]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    done = unpack(*order)
    assert (done.returncode == 0) == BEFORE[before], done.stderr
    assert (place / "bin/daqsched-executor").exists() == BEFORE[before]
    if not BEFORE[before]:
        assert done.stderr.count("/opt/daqsched is there, and no package made it") == 2
        place.rename(root / "opt/daqsched.before")
        assert unpack(*order).returncode == 0
    assert unpack(*order).returncode == 0, "an upgrade"
    (place / "pyvenv.cfg").write_text("")
    assert unpack(*order).returncode != 0, "both are in there"
    # the other way round
    query = tmp_path / "dpkg-query"
    query.write_text(f'#!/bin/sh\nexec {shutil.which("dpkg-query")} --root={root} "$1" "${{2#{root}}}"\n')
    query.chmod(0o755)
    argv = [str(ROOT / "scripts/install"), "daqsched-executor", str(place)]
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is of packages (" in done.stderr and "upgrade these, or remove them first" in done.stderr


def test_the_version_of_a_commit_rises_and_names_it(tmp_path: Path) -> None:
    """As pip and dpkg compare versions, up to the next number; with its tag it is the release. What was edited is called
    so, and copies are told: a release's is of what was committed alone."""
    checkout = tmp_path / "checkout"
    for name in ("scripts/version", VERSION_FILE):
        (checkout / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, checkout / name)
    built_of = [checkout / name for name in ("setup.py", "setup.cfg", "pyproject.toml", "requirements/daqsched.txt")]
    for path in (*built_of, checkout / "README.md"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    number = version_of(checkout)

    def said(argv: list[str], environ: dict[str, str]) -> str:
        return subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def git(*words: str, time: int = 0) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        environ = {**os.environ, "GIT_AUTHOR_DATE": f"{time} +0900", "GIT_COMMITTER_DATE": f"{time} +0900"}
        return said(["git", "-C", str(checkout), *who, *words], environ)

    def version(*words: str) -> str:
        return said([str(checkout / "scripts/version"), *words], {**os.environ, "TZ": "Asia/Tokyo"})

    assert version() == number, "no commit is known"
    git("init", "-q")
    git("add", ".")
    found = [number]
    for time in (1_700_000_000, 1_700_000_001, 1_703_980_800):
        git("commit", "-q", "--allow-empty", "-m", "more", time=time)
        found.append(version())
    head = git("rev-parse", "HEAD")
    assert (
        found[1].startswith(f"{number}+git20231114221320.g") and found[3] == f"{number}+git20231231000000.g{head[:8]}"
    )
    for path in built_of:
        path.write_text("edited")
        assert version() == f"{found[3]}.edited", path
        path.write_text("")
    (checkout / "README.md").write_text("of what people read nothing is built")
    assert version() == found[3]
    file = checkout / VERSION_FILE
    file.write_text(file.read_text() + "# edited\n")
    found += [f"{found[3]}.edited", f"{number}.post1"]
    assert version() == found[4]
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    version(str(copy))
    assert version_of(copy) == found[4] and version() == found[4]
    assert found == sorted(set(found), key=Version)
    versions = [packages.version_for(one) for one in found]
    if shutil.which("dpkg"):
        for one, other in zip(versions, versions[1:]):
            subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=True, timeout=60)
    made = of_commit(checkout, tmp_path / "made")
    assert (made.version, made.epoch) == (found[3], 1_703_980_800)
    assert next_of(made, tmp_path / "next").version == found[5]
    git("tag", f"v{number}")
    assert (version("--commit"), version()) == (number, found[4])
    assert of_commit(checkout, tmp_path / "tagged").version == number


def test_what_comes_before_a_release_is_older_than_it() -> None:
    """For both: a tilde sorts before everything."""
    assert packages.version_for("0.2rc1+git20261129112727.g2afba448") == "0.2~rc1+git20261129112727.g2afba448"
    assert [packages.version_for(text) for text in ("1.2", "1.2rc1", "1.2.dev3", "1.2.post1", "0.1a2")] == [
        "1.2", "1.2~rc1", "1.2~dev3", "1.2.post1", "0.1~a2",
    ]  # fmt: skip


def test_units_and_packages_speak_of_the_same_places() -> None:
    """The commands that the units start are those that the packages install, and so are files of settings."""
    files = {place for package in packages.PACKAGES for _, place, _ in package.files}
    units = [
        ROOT / name
        for name, place, _ in (one for package in packages.PACKAGES for one in package.files)
        if ".service" in place
    ]
    assert {one.name for one in units} == {one.name for one in ROOT.glob("*/systemd/*.service")}
    for unit in units:
        lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and line[0] != "#")
        command = lines["ExecStart"].split()[0]
        assert command.startswith(f"/{packages.PLACE}/bin/") and Path(command).name in folder.COMMANDS
        assert lines["Documentation"].removeprefix("file:/") in files
        # an upgrade restarts each, and a removal ends it
        scripts = [
            (ROOT / f"release/packages/{name}.{kind}").read_text()
            for name in ("daqsched", "daqsched-forward")
            for kind in ("post", "gone")
        ]
        assert sum(unit.name in text for text in scripts) == 2, unit
    account = (ROOT / "release/packages/daqsched.post").read_text()
    assert "useradd" in account and " daqsched\n" in account.replace(" \\\n", " ")
