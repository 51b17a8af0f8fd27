"""What is fetched is what it was when somebody looked at it: byte for byte, from no address of its own, and no script of it is run.

Of Python's packages `tests/contract/test_setup.py` says the same, of what a page loads `tests/cluster/test_login_browser.py`.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path

import pytest

from daqcluster import elasticsearch, maven, mesos_build, zookeeper
from daqcluster.errors import ClusterError

ROOT = Path(__file__).resolve().parent.parent.parent
WEB = ROOT / "framework" / "web"


def files() -> list[Path]:
    """All that git keeps."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_each_package_of_the_page_has_its_digest_and_no_address() -> None:
    """SHA-512, also of those for one kind of machine; what was asked for is what is locked."""
    lock = json.loads((WEB / "package-lock.json").read_text())
    asked = json.loads((WEB / "package.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert len(packages) > 5
    for name, one in packages.items():
        kind, _, digest = one["integrity"].partition("-")
        assert kind == "sha512" and len(base64.b64decode(digest)) == 64, name
        assert "resolved" not in one and "link" not in one, name
    for name, version in {**asked["dependencies"], **asked["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version) and packages[f"node_modules/{name}"]["version"] == version, name


@pytest.mark.once
def test_no_script_of_a_package_is_run() -> None:
    """By whoever calls npm, and by what we do."""
    assert "ignore-scripts=true" in (WEB / ".npmrc").read_text().split()
    calls = [
        line for path in files() if path.suffix in ("", ".sh", ".py", ".yml", ".yaml") and path != Path(__file__)
        for line in path.read_text(errors="replace").splitlines()
        if re.search(r"\bnpm (?:ci|install|i)\b", line) and not line.lstrip().startswith(("#", '"""'))
    ]  # fmt: skip
    assert calls and all("npm ci --ignore-scripts" in line for line in calls), calls


def test_what_is_fetched_by_itself_has_its_digest() -> None:
    """Of Maven's index and of Python's; other bytes are refused."""
    digests = {
        elasticsearch.ARTIFACT: elasticsearch.SHA256,
        **zookeeper._ARTIFACTS,
        mesos_build.FILE: mesos_build.SHA256,
    }
    assert len(digests) > 5
    for what, digest in digests.items():
        assert re.fullmatch(r"[0-9a-f]{64}", digest), what


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    """In a sentence that names both digests."""
    file = tmp_path / "x.jar"
    file.write_bytes(b"other")
    with pytest.raises(ClusterError, match="is not what it was: its sha256 is"):
        maven.check_digest(file, "x", "0" * 64)


def test_each_go_module_has_its_sums() -> None:
    """Each that is named, as an archive and by its go.mod."""
    modules = [path for path in files() if path.name == "go.mod"]
    assert modules
    for path in modules:
        sums = (path.parent / "go.sum").read_text().splitlines()
        assert all(re.fullmatch(r"\S+ v\S+ h1:[A-Za-z0-9+/]{43}=", line) for line in sums)
        for name, version in re.findall(
            r"^\s*(?:require )?([\w./-]+\.[\w./-]+) (v\S+)", path.read_text(), re.MULTILINE
        ):
            assert any(line.startswith(f"{name} {version} ") for line in sums), name
