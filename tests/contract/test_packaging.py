"""What our distributions hold, need and promise: built from a copy of the checkout, as a release builds them."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from release import wheels
from release.source import Source, version_of
from release.steps import ReleaseError, step
from trees import nodes
from waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent

#: Each distribution: where it is built, and which folders its packages come from.
PARTS = {
    "daqsched": (".", ("framework/daqsched", "executor/daqsched_executor")),
    "daqsched_executor": ("executor", ("executor/daqsched_executor",)),
    "daqcluster": ("vagrant", ("vagrant/daqcluster",)),
    "http_parser": ("compat/http_parser", ("compat/http_parser/http_parser",)),
}

#: What has another name in a package index than in an import.
INDEX_NAMES = {
    "argon2": "argon2-cffi",
    "elastic_transport": "elastic-transport",
    "http_parser": "http-parser",
    "jwt": "pyjwt",
    "yaml": "pyyaml",
}


class Wheel:
    """A wheel as pip would read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self.contents = {name: archive.read(name) for name in archive.namelist()}
        self._info = next(name for name in self.contents if name.endswith(".dist-info/METADATA")).rpartition("/")[0]

    @property
    def metadata(self) -> Message:
        return Parser().parsestr(self.contents[f"{self._info}/METADATA"].decode())

    @property
    def requirements(self) -> dict[str, Requirement]:
        """By name; what extras need is left out."""
        every = [Requirement(text) for text in self.metadata.get_all("Requires-Dist", [])]
        return {requirement.name: requirement for requirement in every if requirement.marker is None}

    def extra(self, name: str) -> dict[str, Requirement]:
        """What the extra of that name needs besides."""
        every = [Requirement(text) for text in self.metadata.get_all("Requires-Dist", [])]
        return {
            requirement.name: requirement
            for requirement in every
            if requirement.marker is not None and requirement.marker.evaluate({"extra": name})
        }

    @property
    def commands(self) -> dict[str, str]:
        points = ConfigParser()
        points.read_string(self.contents[f"{self._info}/entry_points.txt"].decode())
        return dict(points["console_scripts"])

    @property
    def files(self) -> set[str]:
        return {name for name in self.contents if not name.startswith(self._info)}

    @property
    def has_licence(self) -> bool:
        return any(name.startswith(self._info) and name.endswith("/LICENSE") for name in self.contents)


def copied(folder: Path) -> Path:
    """A copy of the checkout: setuptools puts what a `build/` of earlier days holds into a new wheel."""
    checkout = folder / "checkout"
    unwanted = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__")
    for name in ("framework", "executor", "compat", "vagrant"):
        shutil.copytree(ROOT / name, checkout / name, ignore=unwanted, symlinks=False)
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    return checkout


def built(folder: Path) -> dict[str, Wheel]:
    """All our wheels, as pip makes them."""
    checkout = copied(folder)
    # nothing is downloaded: setuptools is one of the tests' own needs
    offline = ["--no-build-isolation", "--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    parts = [str(checkout / place) for place, _ in PARTS.values()]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *offline, "-w", str(folder / "dist"), *parts],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"no wheels; {sys.executable} -m pip install -e '.[dev]' may help\n{done.stderr}"
    return wheels_in(folder / "dist")


def wheels_in(folder: Path) -> dict[str, Wheel]:
    """By their names."""
    return {path.name.partition("-")[0]: Wheel(path) for path in folder.glob("*.whl")}


def made(folder: Path) -> Path:
    """The folder with wheels and source distributions, as a release makes them."""
    source = Source(copied(folder), 1_700_000_000, version_of(ROOT))
    (folder / "dist").mkdir()
    wheels.make_ours(source, folder / "dist", folder / "dist")
    return folder / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a release ships."""
    return made(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def release(dist: Path) -> dict[str, Wheel]:
    """The wheels in it, which were made of the source distributions in it."""
    return wheels_in(dist)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Wheel]:
    """The wheels that `pip install .` makes on its way."""
    return built(tmp_path_factory.mktemp("local"))


@pytest.mark.parametrize("name", PARTS)
def test_a_wheel_holds_its_packages_whole_and_nothing_else(release: dict[str, Wheel], name: str) -> None:
    """Every file of the folders: a module, py.typed or a template that setup.cfg does not name would be missing."""
    expected = set()
    for place in PARTS[name][1]:
        package = ROOT / place
        expected |= {
            path.relative_to(package.parent).as_posix()
            for path in package.rglob("*")
            if path.is_file() and not re.search(r"/(__pycache__|\.)", path.as_posix()[len(str(ROOT)) :])
        }
    assert release[name].files == expected
    assert {f"{Path(place).name}/py.typed" for place in PARTS[name][1]} <= release[name].files
    assert release[name].has_licence


@pytest.mark.parametrize("name", PARTS)
def test_a_wheel_runs_on_every_python_and_machine(release: dict[str, Wheel], name: str) -> None:
    """Pure Python from 3.9 on: one wheel for the farm."""
    assert release[name].path.name.endswith("-py3-none-any.whl")
    assert release[name].metadata["Requires-Python"] == ">=3.9"


def test_a_release_holds_no_path_of_the_machine_that_built_it(release: dict[str, Wheel]) -> None:
    """Neither in the metadata nor anywhere else."""
    for wheel in release.values():
        folder = str(wheel.path.parent.parent).encode()
        for name, content in wheel.contents.items():
            assert folder not in content, name
            assert str(ROOT).encode() not in content, name
        assert not [requirement for requirement in wheel.requirements.values() if requirement.url]


def test_a_release_is_the_same_wherever_it_is_made(dist: Path, tmp_path: Path) -> None:
    """Under another umask, in another folder: byte for byte."""
    umask = os.umask(0o077)
    try:
        again = made(tmp_path / "elsewhere")
    finally:
        os.umask(umask)
    first = {path.name: wheels.sha256(path) for path in dist.iterdir()}
    assert {path.name: wheels.sha256(path) for path in again.iterdir()} == first and len(first) == 8


def test_the_version_stands_in_one_place(release: dict[str, Wheel]) -> None:
    """The stand-in alone has one of its own, which says what it stands for."""
    assert {wheel.metadata["Version"] for name, wheel in release.items() if name != "http_parser"} == {version_of(ROOT)}
    for name in ("setup.cfg", "executor/setup.cfg", "vagrant/setup.cfg", "framework/daqsched/__init__.py"):
        assert version_of(ROOT) not in (ROOT / name).read_text()


def test_a_source_distribution_has_the_units_and_the_licence(dist: Path) -> None:
    """What is no module gets in by MANIFEST.in."""
    for name, unit in (
        ("daqsched", "framework/systemd/daqsched-serve.service"),
        ("daqsched_executor", "systemd/forward.yaml"),
    ):
        (path,) = dist.glob(f"{name}-*.tar.gz")
        with tarfile.open(path) as archive:
            names = {member.partition("/")[2] for member in archive.getnames()}
        assert {unit, "LICENSE", "setup.py"} <= names


def test_a_lock_of_a_release_names_the_very_files_that_are_in_it(dist: Path, tmp_path: Path) -> None:
    """Ours, and of others what requirements/ has for the Pythons that it was made for; one that lacks is named."""
    shelf = tmp_path / "shelf"
    shutil.copytree(dist, shelf)
    source = Source(ROOT, 0, version_of(ROOT))
    with pytest.raises(ReleaseError, match="no wheel of "):
        wheels.lock(source, "daqsched-executor", shelf)
    for row in wheels.rows_of(ROOT / "requirements" / "daqsched-executor.txt"):
        (shelf / f"{row.wanted.name.replace('-', '_')}-{str(row.wanted.specifier)[2:]}-py3-none-any.whl").write_text(
            row.hashes
        )
    lines = wheels.lock(source, "daqsched-executor", shelf).read_text()
    for part in (f"daqsched-executor=={version_of(ROOT)}", "http-parser==0.9.0.post1", "pymesos==0.3.15"):
        assert f"\n{part} \\\n    --hash=sha256:" in lines
    (ours,) = shelf.glob("daqsched_executor-*.whl")
    assert wheels.sha256(ours) in lines
    # two of the same name, for older and newer Pythons
    assert {row.wanted.name for row in wheels.rows_of(shelf / "daqsched-executor.txt")} >= {"orjson", "urllib3"}


def test_a_release_names_an_http_parser_that_can_only_be_ours(release: dict[str, Wheel]) -> None:
    """The wheel that is shipped satisfies it, the original 0.9.0 does not."""
    ours = release["http_parser"].metadata["Version"]
    for name in ("daqsched", "daqsched_executor"):
        specifier = release[name].requirements["http-parser"].specifier
        assert specifier.contains(ours)
        assert not specifier.contains("0.9.0")


def test_a_checkout_names_its_own_http_parser_by_its_place(local: dict[str, Wheel]) -> None:
    """So one pip command does; and in a folder without a dash, or pip's cache would outlive a change of the source."""
    for name in ("daqsched", "daqsched_executor"):
        url = local[name].requirements["http-parser"].url
        place = local[name].path.parent.parent / "checkout" / "compat" / "http_parser"
        assert url == place.as_uri()
        assert not re.search(r"[a-z0-9_.]+-[a-z0-9_.!+-]+", place.name, re.IGNORECASE)


def test_the_commands(release: dict[str, Wheel]) -> None:
    """The control machine has both, a farm machine its one."""
    executor = {"daqsched-executor": "daqsched_executor.__main__:main"}
    assert release["daqsched"].commands == {"daqsched": "daqsched.cli:main", **executor}
    assert release["daqsched_executor"].commands == executor


def test_both_distributions_are_one_version_with_one_set_of_needs(release: dict[str, Wheel]) -> None:
    """The framework's distribution holds the executor: whatever that needs, and in which version, is the same."""
    whole, part = release["daqsched"], release["daqsched_executor"]
    assert whole.metadata["Version"] == part.metadata["Version"]
    assert part.requirements.items() <= whole.requirements.items()


@pytest.mark.parametrize("name", ["daqsched", "daqsched_executor"])
def test_whatever_is_imported_is_named_as_a_need(release: dict[str, Wheel], name: str) -> None:
    """A package that is there only because another one brings it is gone one day."""
    if sys.version_info < (3, 10):
        pytest.skip("sys.stdlib_module_names came with Python 3.10")
    ours = {"daqsched", "daqsched_executor"}
    imported: set[str] = set()
    for place in PARTS[name][1]:
        for path in (ROOT / place).rglob("*.py"):
            for node in nodes(path):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    imported.add((node.module or "").partition(".")[0])
    foreign = imported - ours - set(sys.stdlib_module_names) - {"__future__"}
    extras = {extra: release[name].extra(extra).keys() for extra in ("containers", "forward", "keyring", "oidc")}
    needs = release[name].requirements.keys() | {need for extra in extras.values() for need in extra}
    assert {INDEX_NAMES.get(module, module) for module in foreign} <= needs
    # a machine without containers, with an agent, or without people who log in does without the package for them
    own = {"keyring": {"keyring"}, "oidc": {"pyjwt"}} if name == "daqsched" else {"keyring": set(), "oidc": set()}
    assert extras == {"containers": {"docker"}, "forward": {"pyyaml"}, **own}


#: Imports every module of the wheel that it is given, where nothing of the framework's needs can be imported.
ALONE = """
import importlib.abc, pkgutil, sys

wheel, refused = sys.argv[1], set(sys.argv[2:])


class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ImportError(f"a farm machine has no {name}")
        return None


sys.meta_path.insert(0, Refuse())
sys.path.insert(0, wheel)
import daqsched_executor

assert daqsched_executor.__file__.startswith(wheel), daqsched_executor.__file__
for module in pkgutil.walk_packages(daqsched_executor.__path__, "daqsched_executor."):
    if not module.name.endswith("__main__"):
        __import__(module.name)

from daqsched_executor.__main__ import main

sys.exit(main(["--version"]))
"""


def test_the_executor_starts_without_the_framework_and_its_needs(release: dict[str, Wheel]) -> None:
    """A farm machine has the executor's distribution and the few that it names."""
    whole, part = release["daqsched"], release["daqsched_executor"]
    refused = {
        "daqsched",
        *(whole.requirements.keys() - part.requirements.keys() - {"httptools"}),
    }  # http-parser needs it
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(part.path), *sorted(refused)], capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout == f"daqsched-executor {part.metadata['Version']}\n"


def test_a_step_of_a_release_that_takes_long_is_named_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    """With the time that it has taken; one that is quick is named once, one that fails not as done."""
    with step("quick"):
        pass
    assert re.fullmatch(r"\[release\] quick \(0\.\d s\)\n", capsys.readouterr().out)
    said = ""

    def named() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "[release] under way, 0 s: slow\n" in said

    with pytest.raises(ReleaseError), step("slow", remind_s=0.01):
        until(named, "it is named while it goes on")
        raise ReleaseError("it went wrong")
    assert "[release] slow (" not in said + capsys.readouterr().out


def test_without_a_node_a_release_goes_nowhere_and_a_set_up_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the system nor to be had: one sentence with what to type, and the daemon has its plain page."""
    source = Source(tmp_path / "source", 1_700_000_000, version_of(ROOT))
    for place in ("scripts/web", "requirements/node.txt", "framework/daqsched/pages/place.js"):
        (source.folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / place, source.folder / place)
    shutil.copytree(ROOT / "framework" / "web", source.folder / "framework" / "web")
    built = source.folder / "framework" / "daqsched" / "built"
    built.mkdir()
    (built / "farm.js").write_text("of other sources")
    (tmp_path / "bin").mkdir()
    for name in ("bash", "cat", "dirname", "env", "flock", "rm", "sha256sum"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ReleaseError, match="apt-get install nodejs npm"):
        wheels.make_page(source)
    done = subprocess.run([source.folder / "scripts" / "web"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "the page of the farm is left out" in done.stdout
    assert not built.exists(), "a page of other sources is none"
