"""The secrets of a farm: who may do what in Elasticsearch, ZooKeeper and Mesos. Made once, then kept; a newer version adds its own.

Two folders: `control` for control machines, `agent` for farm machines, which get nothing that they do not need.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from daqcluster import elasticsearch
from daqcluster.elasticsearch import User, rights
from daqcluster.errors import ClusterError

#: A role -> its rights on the cluster, and on our indices: the table of docs/reference/elasticsearch.md.
ROLES = {
    "setup": (["manage_index_templates", "manage_ilm"], ["manage"]),
    "expire": (["monitor"], ["monitor", "delete_index"]),
    "forward": ([], ["create_doc", "create_index", "view_index_metadata"]),
    "read": ([], ["read", "view_index_metadata"]),
    "replay": ([], ["read", "view_index_metadata", "create_doc", "delete"]),
}
INDICES = "daqsched-logs-*"

#: The same of the copy of the audit file: docs/operate/audit.md. Nobody above has any right there.
AUDIT_ROLES: Mapping[str, tuple[list[str], list[str]]] = {
    "audit": ([], ["create_doc", "create_index"]),
    "auditor": ([], ["read"]),
}
AUDIT_INDICES = "daqsched-audit-*"

#: Who logs in to the farm's own page, and the file that has the password.
CREW, PAGE_FILE = "crew", "page.password"

#: All that Elasticsearch knows; `admin` may everything.
USERS = ("admin", *ROLES, *AUDIT_ROLES)


def make(folder: Path, control: str, address: str) -> None:
    """Make what is missing in the folder. ``control``: the machine that has Elasticsearch, and where it is."""
    done = folder / ".made"
    if done.exists() and done.read_text() == f"{control} {address}\n":
        _users(folder, _kept(folder))
        _page(folder)
        return
    # in place: machines have the folders mounted
    done.unlink(missing_ok=True)
    for place in ("control/elasticsearch", "agent"):
        (folder / place).mkdir(mode=0o700, parents=True, exist_ok=True)
    _users(folder, {})
    _write(folder / "control" / "zookeeper", f"daq:{secrets.token_urlsafe(24)}\n")
    framework = {"principal": "daqsched", "secret": secrets.token_urlsafe(24)}
    _write(folder / "control" / "framework.json", json.dumps(framework) + "\n")
    _write(folder / "control" / "frameworks.json", json.dumps({"credentials": [framework]}) + "\n")
    _page(folder)
    _certificates(folder, control, address)
    _write(done, f"{control} {address}\n")


def _users(folder: Path, kept: Mapping[str, str]) -> None:
    """Those of Elasticsearch, with the passwords that are kept; nothing is written where all are there with their rights."""
    place = folder / "control" / "elasticsearch"
    users = {role: User(kept.get(role) or secrets.token_urlsafe(24), *_rights(role)) for role in USERS}
    same = all((place / file).exists() and (place / file).read_text() == text for file, text in rights(users).items())
    if same and set(kept) == set(users):
        return
    elasticsearch.know(place, users)
    for role, user in users.items():
        if role not in kept:
            _write(folder / "control" / f"{role}.user", f"{role}:{user.password}\n")
    _write(folder / "agent" / "forward.user", f"forward:{users['forward'].password}\n")


def _page(folder: Path) -> None:
    """The password of `CREW`: on each control machine `daqsched password` gets it."""
    file = folder / "control" / PAGE_FILE
    if not file.exists():
        _write(file, f"{secrets.token_urlsafe(12)}\n")


def _kept(folder: Path) -> dict[str, str]:
    """Role -> the password that was made before, of those that have one."""
    files = {role: folder / "control" / f"{role}.user" for role in USERS}
    found = {role: file.read_text().strip().partition(":")[2] for role, file in files.items() if file.exists()}
    return {role: password for role, password in found.items() if password}


def _rights(role: str) -> tuple[list[str], dict[str, list[str]]]:
    for roles, names in ((ROLES, INDICES), (AUDIT_ROLES, AUDIT_INDICES)):
        if role in roles:
            cluster, indices = roles[role]
            return cluster, {names: indices}
    return [], {}


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _certificates(folder: Path, control: str, address: str) -> None:
    """An authority for this farm alone, Elasticsearch's certificate by it, and that of the daemons among themselves."""
    place = folder / "control" / "elasticsearch"
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7300"]
    key = folder / "ca.key"
    _run(*new, "-x509", "-subj", "/CN=farm authority", "-keyout", str(key), "-out", str(place / "ca.pem"))
    _run(
        *new, "-x509", "-subj", f"/CN={control}", "-addext", f"subjectAltName=DNS:{control},IP:{address}",
        "-addext", "basicConstraints=critical,CA:FALSE", "-CA", str(place / "ca.pem"), "-CAkey", str(key),
        "-keyout", str(place / "http.key"), "-out", str(place / "http.pem"),
    )  # fmt: skip
    key.unlink()  # nobody signs anything more
    peers = str(folder / "control" / "peers.pem")
    _run(*new, "-x509", "-subj", "/CN=daqsched-peers", "-keyout", peers, "-out", f"{peers}.certificate")
    with open(peers, "a") as file:
        file.write(Path(f"{peers}.certificate").read_text())
    Path(f"{peers}.certificate").unlink()
    _write(folder / "agent" / "ca.pem", (place / "ca.pem").read_text())


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"openssl: {done.stderr.strip()[-300:]}")
