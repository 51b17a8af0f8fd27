"""Which machines are desired, in which network, and who may do what: `daqcluster.machines` where it is pure."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from pathlib import Path

import pytest

from daqcluster.errors import ClusterError
from daqcluster.machines import network, parts, secrets
from daqcluster.machines.desired import DEFAULTS, EARLIER, desired, names
from daqsched.passwords import LEAST_LETTERS

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
        ("DAQCLUSTER_NETWORK", "8.8.8.0/24"), ("DAQCLUSTER_NETWORK", "172.32.0.0/24"), ("DAQCLUSTER_NETWORK", "0.0.0.0/24"),
        ("DAQCLUSTER_NETWORK", "127.0.0.0/24"), ("DAQCLUSTER_NODES", "\N{ARABIC-INDIC DIGIT TWO}"),
        ("DAQCLUSTER_MIRROR", "mirror.example"), ("VAGRANT_DEFAULT_PROVIDER", "podman"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(name: str, value: str) -> None:
    """With its value, and what it can be; also that somebody said it at another time."""
    with pytest.raises(ClusterError, match=f"^{name}='{re.escape(value)}': it has to be ") as now:
        desired({name: value}, {}, somewhere)
    with pytest.raises(ClusterError) as later:
        desired({}, {"desired": {name: value}}, somewhere)
    assert str(later.value) == str(now.value).replace(":", f" {EARLIER}:", 1)
    if name == "DAQCLUSTER_MEMORY":
        assert "MiB" in str(now.value)


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_empty_variable_is_as_if_nothing_had_been_said(name: str) -> None:
    """The way back from each."""
    said = {
        "DAQCLUSTER_NODES": "3", "DAQCLUSTER_CONTROL2": "1", "DAQCLUSTER_MEMORY": "4096", "DAQCLUSTER_NETWORK": "10.9.8.0/24",
        "DAQCLUSTER_BOX": "almalinux/9", "DAQCLUSTER_MIRROR": "file:/mirror", "VAGRANT_DEFAULT_PROVIDER": "libvirt",
    }  # fmt: skip
    assert set(said) == set(DEFAULTS)
    before = desired(said, {}, somewhere)
    without = {other: value for other, value in said.items() if other != name}
    assert desired({}, before, somewhere) == before
    assert desired({name: ""}, before, somewhere) == desired(without, {}, somewhere) != before


#: As `ip -o -4 route show table all` prints it: a default, one of a VPN's in two halves, a cable, ours, one to nowhere.
ROUTES = """\
default via 10.1.0.1 dev eth0
0.0.0.0/1 via 10.8.0.1 dev tun0
10.1.0.0/16 dev eth0 proto kernel scope link src 10.1.2.3
172.30.7.0/24 dev daq-0000000a proto kernel scope link src 172.30.7.1
unreachable 192.168.0.0/20 metric 1024
local 10.1.2.3 dev eth0 table local proto kernel scope host src 10.1.2.3
local 172.30.7.1 dev daq-0000000a table local proto kernel scope host src 172.30.7.1
"""


@pytest.mark.parametrize(
    "subnet, ours, others",
    [
        ("10.1.5.0/24", False, False),
        ("192.168.3.0/24", False, False),
        ("172.30.7.0/24", True, False),
        ("172.30.8.0/24", True, True),
        ("10.2.0.0/24", True, True),
    ],
)
def test_a_network_is_in_use_where_a_route_leads_that_is_not_ours(subnet: str, ours: bool, others: bool) -> None:
    """Whether it is free for who has that bridge, and for another checkout."""
    wanted = ipaddress.IPv4Network(subnet)

    def is_free(bridge: str) -> bool:
        return not any(wanted.overlaps(one) for one in network.used(ROUTES, bridge))

    assert (is_free("daq-0000000a"), is_free("daq-0000000b")) == (ours, others)


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


def test_who_copies_the_audit_file_and_who_reads_the_copy_have_the_rights_of_the_page_and_no_others() -> None:
    """docs/operate/audit.md, which tests/cluster/test_audit_copy.py tries."""
    line = next(
        line for line in (DOCS / "operate" / "audit.md").read_text().splitlines() if "It has rights of its own" in line
    )
    copier = re.findall(r"`(\w+)`", line.partition("for the copy")[0])
    assert {"audit": ([], copier), "auditor": ([], ["read"])} == secrets.AUDIT_ROLES and len(copier) == 2


def all_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_passwords(folder: Path) -> None:
    """Each user's file has the password of which Elasticsearch has the hash; nobody else is known there."""
    known = dict(line.split(":") for line in (folder / "control/elasticsearch/users").read_text().splitlines())
    assert set(known) == set(secrets.USERS)
    for file in [*(folder / "control" / f"{role}.user" for role in known), folder / "agent" / "forward.user"]:
        role, password = file.read_text().strip().split(":")
        salt, digest = (base64.b64decode(part) for part in known[role].split("$")[1:])
        assert hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 1000, 32) == digest, file
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lacking", [("audit", "auditor"), *((role,) for role in secrets.USERS if role != "forward")])
def test_a_newer_version_adds_users_to_secrets_that_were_made_before(
    lacking: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else stays as it was, or daemons, agents and people would have to be told anew; the second time nothing is written."""
    with monkeypatch.context() as older:
        older.setattr(secrets, "USERS", tuple(role for role in secrets.USERS if role not in lacking))
        secrets.make(tmp_path, "ctl1", "10.0.0.5")
    before = all_of(tmp_path)
    secrets.make(tmp_path, "ctl1", "10.0.0.5")
    after = all_of(tmp_path)
    assert set(after) - set(before) == {f"control/{role}.user" for role in lacking}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {f"control/elasticsearch/{name}" for name in ("users", "users_roles", "roles.yml")}
    check_passwords(tmp_path)
    secrets.make(tmp_path, "ctl1", "10.0.0.5")
    assert all_of(tmp_path) == after


def test_a_newer_version_adds_the_password_of_the_page_and_keeps_it(tmp_path: Path) -> None:
    """To secrets that were made before there was one; only their owner reads it."""
    file = tmp_path / "control" / secrets.PAGE_FILE
    secrets.make(tmp_path, "ctl1", "10.0.0.5")
    first = file.read_text()
    file.unlink()
    before = all_of(tmp_path)
    secrets.make(tmp_path, "ctl1", "10.0.0.5")
    second = file.read_text()
    assert (
        first != second and min(len(first), len(second)) >= LEAST_LETTERS + 1 and file.stat().st_mode & 0o777 == 0o600
    )
    assert all_of(tmp_path) == {**before, f"control/{secrets.PAGE_FILE}": second.encode()}
    secrets.make(tmp_path, "ctl1", "10.0.0.5")
    assert file.read_text() == second


def test_rights_that_are_others_in_a_newer_version_reach_users_that_were_made_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the passwords that they have."""
    with monkeypatch.context() as older:
        older.setattr(secrets, "ROLES", {**secrets.ROLES, "forward": ([], ["create_doc"])})
        secrets.make(tmp_path, "ctl1", "10.0.0.5")
    before = all_of(tmp_path)
    secrets.make(tmp_path, "ctl1", "10.0.0.5")
    after = all_of(tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"control/elasticsearch/users", "control/elasticsearch/roles.yml"} and set(before) == set(after)
    assert "view_index_metadata" in after["control/elasticsearch/roles.yml"].decode()
    check_passwords(tmp_path)


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


@pytest.mark.parametrize(("name", "other"), [("README.md", False), ("framework/a.py", True), ("setup.py", True)])
def test_a_machine_gets_daqsched_anew_for_its_programs_alone(name: str, other: bool, tmp_path: Path) -> None:
    """Not for what is only read."""
    for one in ("source/README.md", "source/framework/a.py", "source/setup.py", "wheels/a"):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).write_text("1")
    before = parts.programs(tmp_path)
    (tmp_path / "source" / name).write_text("2")
    assert (parts.programs(tmp_path) != before) == other
