"""Which machines are desired, in which network, and who may do what: `daqcluster.machines` where it is pure."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest

from daqcluster.errors import ClusterError
from daqcluster.machines import network, parts, secrets
from daqcluster.machines.desired import DEFAULTS, desired, names

DOCS = Path(__file__).resolve().parents[2] / "docs"


def somewhere() -> str:
    return "172.30.7.0/24"


def test_without_a_word_there_are_two_farm_machines_in_a_network_that_is_free() -> None:
    """The defaults."""
    setting = desired({}, {}, somewhere)
    assert names(setting) == ["control", "hlt01", "hlt02"]
    assert (setting["prefix"], setting["memory"], setting["provider"]) == ("172.30.7", 2048, "docker")


def test_what_was_said_once_holds_until_something_else_is_said() -> None:
    """So `vagrant ssh hlt03` needs no variable."""
    first = desired({"DAQCLUSTER_NODES": "3", "DAQCLUSTER_CONTROL2": "1"}, {}, somewhere)
    assert names(first) == ["control", "control2", "hlt01", "hlt02", "hlt03"]
    again = desired({"DAQCLUSTER_MEMORY": "4096"}, first, lambda: pytest.fail("it has a network"))
    assert (names(again), again["memory"], again["prefix"]) == (names(first), 4096, "172.30.7")
    assert names(desired({"DAQCLUSTER_CONTROL2": "0"}, first, somewhere)) == ["control", "hlt01", "hlt02", "hlt03"]


@pytest.mark.parametrize(
    "name, value",
    [
        ("DAQCLUSTER_NODES", "0"), ("DAQCLUSTER_NODES", "51"), ("DAQCLUSTER_NODES", "two"), ("DAQCLUSTER_NODES", "-1"),
        ("DAQCLUSTER_MEMORY", "64"), ("DAQCLUSTER_MEMORY", "2g"), ("DAQCLUSTER_CONTROL2", "yes"),
        ("DAQCLUSTER_NETWORK", "172.30.8.0/16"), ("DAQCLUSTER_NETWORK", "172.30.8.1/24"), ("DAQCLUSTER_NETWORK", "here"),
        ("VAGRANT_DEFAULT_PROVIDER", "podman"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(name: str, value: str) -> None:
    """With its value."""
    with pytest.raises(ClusterError, match=f"{name}='{re.escape(value)}'"):
        desired({name: value}, {}, somewhere)


def test_the_page_has_each_variable_with_its_default() -> None:
    """docs/operate/vagrant.md."""
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \|", (DOCS / "operate" / "vagrant.md").read_text(), re.MULTILINE)
    page = {name: default.strip("`") for name, default in rows}
    assert set(page) == set(DEFAULTS)
    assert {name: page[name] for name, value in DEFAULTS.items() if value} == {n: v for n, v in DEFAULTS.items() if v}


def test_two_checkouts_have_two_networks_and_nobody_elses() -> None:
    """The next one where it is taken."""
    first = network.choose("0000000a", [])
    assert network.choose("0000000b", []) != first
    assert network.choose("0000000a", [ipaddress.IPv4Network(first)]) == network.choose("0000000b", [])
    with pytest.raises(ClusterError, match="DAQCLUSTER_NETWORK"):
        network.choose("0000000a", [ipaddress.IPv4Network("172.16.0.0/12")])


def test_the_users_of_elasticsearch_have_the_rights_of_the_page() -> None:
    """The table of docs/reference/elasticsearch.md, which tests/cluster/test_rights.py tries."""
    text = (DOCS / "reference" / "elasticsearch.md").read_text().partition("## Rights")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| `")]
    page = {role.strip("`"): tuple(re.findall(r"`(\w+)`", cell) for cell in cells) for role, _, *cells in rows}
    assert {role: tuple(rights) for role, rights in secrets.ROLES.items()} == page


def test_a_folder_of_parts_follows_its_source(tmp_path: Path) -> None:
    """What changed is copied, what is gone goes, what is left out stays out; in place."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a" / "__pycache__").mkdir(parents=True)
    (source / "a" / "one").write_text("1")
    (source / "a" / "two").write_text("2")
    (source / "a" / "__pycache__" / "x.pyc").write_text("")
    parts.mirror(source, ("a",), target)
    assert sorted(path.name for path in target.rglob("*")) == ["a", "one", "two"]
    folder = (target / "a").stat().st_ino
    before = parts.digest([target])
    (source / "a" / "two").unlink()
    (source / "a" / "one").write_text("3")
    (source / "a" / "two").mkdir()
    parts.mirror(source, ("a",), target)
    assert (target / "a" / "one").read_text() == "3" and (target / "a" / "two").is_dir()
    assert (target / "a").stat().st_ino == folder
    assert parts.digest([target]) != before
