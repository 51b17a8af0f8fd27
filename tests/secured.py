"""Whom an Elasticsearch with its security on knows: one server for all tests that want one (`workers.TOGETHER`), which have no
user in common but the administrator."""

from __future__ import annotations

import re
from pathlib import Path

from daqcluster import Cluster
from daqcluster.elasticsearch import User
from stored_lines import ask

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "elasticsearch.md"
PASSWORD = "s3cret-of-a-test"
ADMIN = f"admin:{PASSWORD}"

#: Identities that rules name (test_reader_roles), by their names.
WHO = {
    "alice": "unix:alice",
    "bob": "unix:bob",
    "carol": "unix:carol",
    "boss": "unix:boss",
    "shifter": "unix-group:daq-shift",
}

#: As docs/operate/audit.md says, and who may read lines of jobs.
AUDIT = {
    "audit": User(PASSWORD, [], {"daqsched-audit-*": ["create_doc", "create_index"]}),
    "audit-expire": User(PASSWORD, ["monitor"], {"daqsched-audit-*": ["monitor", "delete_index"]}),
    "auditor": User(PASSWORD, [], {"daqsched-audit-*": ["read"]}),
    "audit-none": User(PASSWORD, [], {"daqsched-logs-*": ["read", "view_index_metadata"]}),
}


def table() -> dict[str, User]:
    """Each role with the rights that docs/reference/elasticsearch.md gives it."""
    text = PAGE.read_text(encoding="utf-8").partition("## Rights")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| `")]
    (pattern,) = re.findall(r"on the indices `([^`]+)`", text)
    return {
        re.findall(r"`(\w+)`", role)[0]: User(
            PASSWORD, re.findall(r"`(\w+)`", cluster), {pattern: re.findall(r"`(\w+)`", indices)}
        )
        for role, _, cluster, indices in rows
    }


def users() -> dict[str, User]:
    """All of them."""
    return {
        "admin": User(PASSWORD),
        "daqsched": User(PASSWORD, (), {"daqsched-logs-*": ["read", "view_index_metadata"]}),
        **{f"file-{name}": User(PASSWORD, (), {"none": ["read"]}) for name in WHO},
        "keeper": User(PASSWORD, ["manage_security", "monitor"]),
        "blind": User(PASSWORD, ["manage_security"]),
        **AUDIT,
        **table(),
    }


def known(cluster: Cluster) -> bool:
    """Whether it answers the administrator by now."""
    try:
        return bool(ask(cluster.elasticsearch_url, ADMIN, "GET", "/_cluster/health")["status"] in ("green", "yellow"))
    except OSError:  # it has not read its users yet
        return False


def clear(cluster: Cluster) -> None:
    """No lines, no templates of ours."""
    url = cluster.elasticsearch_url
    for name in ask(url, ADMIN, "GET", "/*?expand_wildcards=open,closed"):
        ask(url, ADMIN, "DELETE", f"/{name}")
    for one in ask(url, ADMIN, "GET", "/_index_template")["index_templates"]:
        if one["name"].startswith(("daqsched-", "followed-")):
            ask(url, ADMIN, "DELETE", f"/_index_template/{one['name']}")
