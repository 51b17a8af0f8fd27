"""How daqsched comes onto a machine: what is taken from the package index is locked, units are hardened, and no document has
root install a name that is not ours."""

from __future__ import annotations

import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from daqsched_executor.contract.sysctl import unprotected

ROOT = Path(__file__).resolve().parent.parent.parent

#: Each lock: whose setup.cfg it has to fit, and which extras.
LOCKS = {
    "daqsched.txt": ((".", "compat/http_parser"), ()),
    "daqsched-executor.txt": (("executor", "compat/http_parser"), ("containers", "forward")),
    "checkout.txt": ((".", "compat/http_parser", "vagrant"), ("containers", "forward", "dev")),
}
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")

#: Comes out of the checkout.
OURS = {"http-parser"}


def locked(name: str) -> list[tuple[Requirement, int]]:
    """Each package of a lock, and how many hashes it has."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", "")
    rows = [row for row in text.splitlines() if row and not row.startswith("#")]
    return [(Requirement(row.split(" --hash", 1)[0]), row.count("--hash=sha256:")) for row in rows]


def of_python(name: str, python: str) -> dict[str, Requirement]:
    """What an interpreter of that version takes, on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    return {
        canonicalize_name(one.name): one
        for one, _ in locked(name)
        if one.marker is None or one.marker.evaluate(environment)
    }


def asked(folders: tuple[str, ...], extras: tuple[str, ...], python: str) -> list[Requirement]:
    """What setup.cfg says for this Python."""
    found = []
    for folder in folders:
        config = ConfigParser()
        config.read(ROOT / folder / "setup.cfg")
        sections = [config["options"].get("install_requires", "")]
        if config.has_section("options.extras_require"):
            sections += [config["options.extras_require"].get(extra, "") for extra in extras]
        lines = (line.strip() for section in sections for line in section.splitlines())
        found += [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [one for one in found if one.marker is None or one.marker.evaluate({"python_version": python})]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_fits_what_is_asked_for(name: str, python: str) -> None:
    """`scripts/lock` was called after setup.cfg had changed."""
    there = of_python(name, python)
    for one in asked(*LOCKS[name], python):
        pin = there[canonicalize_name(one.name)]
        (version,) = pin.specifier
        assert version.operator == "==" and one.specifier.contains(version.version), f"{one}: {pin}; call scripts/lock"
    assert not OURS & set(there)


@pytest.mark.parametrize("python", PYTHONS)
def test_make_run_has_what_the_tests_have(python: str) -> None:
    """It installs three locks side by side, so no package may be in two versions; and what is tested is what runs."""
    tested = of_python("checkout.txt", python)
    for name in ("daqsched.txt", "daqsched-executor.txt", "daqcluster.txt"):
        for package, pin in of_python(name, python).items():
            assert pin.specifier == tested[package].specifier, f"{name}: {pin}; call scripts/lock"


@pytest.mark.parametrize("name", [*LOCKS, "build.txt", "docs.txt", "node.txt"])
def test_every_package_has_its_hashes_and_no_address(name: str) -> None:
    """Byte for byte, wherever it comes from."""
    assert all(hashes for _, hashes in locked(name)) and len(locked(name)) > (0 if name == "node.txt" else 2)
    assert "://" not in (ROOT / "requirements" / name).read_text()


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_no_document_installs_a_name_from_the_index() -> None:
    """`daqsched` and `daqsched-executor` are not ours there: whoever has the name could be root on each machine."""
    for document in documents():
        for words in re.findall(r"pip3? install ([^`\n#|]+)", document.read_text()):
            named = [word.strip("'\"") for word in words.split() if not word.startswith("-")]
            for name in named:
                assert name.startswith((".", "/", "compat", "vagrant", "dist", "requirements", "FOLDER", "pymesos")), (
                    f"{document}: pip install {words}"
                )


@pytest.mark.parametrize("unit", sorted(str(one.relative_to(ROOT)) for one in ROOT.glob("*/systemd/*.service")))
def test_units_are_hardened(unit: str) -> None:
    """Below 3 of 10 by systemd's own measure (252, that of Debian 12)."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=29", str(ROOT / unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "unit",
    [
        str(one.relative_to(ROOT))
        for part in ("framework", "executor", "vagrant")
        for one in (ROOT / part).rglob("*.service")
    ],
)
def test_a_unit_can_be_started_where_systemd_may_not_trace(unit: str) -> None:
    """In a container without CAP_SYS_PTRACE: to make a name space of accounts systemd looks at a process that ProtectProc hides."""
    lines = (ROOT / unit).read_text().splitlines()
    assert not ({"PrivateUsers=yes", "PrivateUsers=true"} & set(lines) and "ProtectProc=invisible" in lines)


def setting(**values: str) -> str:
    def read(path: str) -> str:
        name = path.rpartition("/")[2]
        if name not in values:
            raise FileNotFoundError(path)
        return values[name] + "\n"

    return unprotected(read)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"protected_symlinks": "1", "protected_hardlinks": "1"}, None),
        ({}, None),
        ({"protected_symlinks": "0", "protected_hardlinks": "1"}, "fs.protected_symlinks is off"),
        ({"protected_symlinks": "0", "protected_hardlinks": "0"}, "sysctl -w fs.protected_symlinks=1 fs.protected_hardlinks=1"),
    ],
)  # fmt: skip
def test_what_the_kernel_does_not_refuse_is_said(values: dict[str, str], words: str | None) -> None:
    """Only what is off, with the way out; nothing where it can't be seen."""
    said = setting(**values)
    assert (words in said) if words else not said
