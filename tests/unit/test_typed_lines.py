"""Commands that a sentence of ours tells somebody to type: each can be typed as it stands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_lines import mistake, ours
from daqsched.hosts import expand
from daqsched.select import selection
from daqsched.terminal.hosts_alike import alike, of_all
from trees import nodes

ROOT = Path(__file__).resolve().parent.parent.parent

#: What whoever reads it knows, and we do not: a backup's file, or that which was planned; the name of somebody; one of a list.
THEIRS = {"FILE", "NAME", "NUMBER"}

#: Names of a command and no advice to type it: what it does is told, or what kind of daemon there must be.
NAMES = {
    *("daqsched serve --audit", "daqsched serve --rights", "daqsched serve --web", "daqsched serve --web-name"),
    *("daqsched password", "daqsched plan", "daqsched apply", "daqsched start"),
}


#: Those with a text in which there may be a command.
MODULES = [
    path
    for root in ("framework", "executor")
    for path in sorted((ROOT / root).rglob("*.py"))
    if "`daqsched" in path.read_text(encoding="utf-8")
]


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """All texts of a module but docstrings, with a word for each value in them."""
    inner = {id(part) for node in nodes(path) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    docs = {
        id(node.body[0].value)
        for node in nodes(path)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes(path):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "x1" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | docs:
            yield node.lineno, node.value


def commands(path: Path) -> list[tuple[int, str]]:
    """Those in a module's sentences, by their lines."""
    return [(line, command) for line, text in sentences(path) for command in re.findall(r"`(daqsched[ -][^`]*)`", text)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_in_a_sentence_can_be_typed(path: Path) -> None:
    """By its own parser, with nothing left out; and no word of it stands for something that we know."""
    for line, command in commands(path):
        for words in ours(command):
            assert mistake(words, whole=command not in NAMES) == "" or command in NAMES, f"{line}: {command}"
        assert set(re.findall(r"\b[A-Z]{2,}\b", command)) <= THEIRS, f"{line}: {command}: a placeholder"


def test_they_are_found() -> None:
    """Many, some with values."""
    found = [command for path in MODULES for _, command in commands(path)]
    assert len(found) > 60 and any("x1" in one for one in found)


HOSTS = st.lists(
    st.sampled_from([f"hlt{number:02d}" for number in range(1, 20)] + ["ctl", "h.a.org"]), min_size=2, unique=True
)


@given(hosts=HOSTS, job=st.sampled_from(["rc", "hlt01", "a.b"]))
def test_what_is_told_of_several_hosts_is_typed_for_all_of_them(hosts: list[str], job: str) -> None:
    """And for no other, where a host's name is in the command: the words around say its host."""
    whys = {
        host: f"waits for old@{host}, {host} is away; `daqsched start {job}@{host} --anyway` or `daqsched return {host}` ends that"
        for host in hosts
    }
    assert len({alike(whys[host], host) for host in hosts if host != job}) == 1
    told = of_all(whys[hosts[0]], hosts[0], hosts)
    (start,), (back,) = (list(ours(one)) for one in re.findall(r"`([^`]*)`", told))
    assert [mistake(words, whole=True) for words in (start, back)] == ["", ""]
    meant = selection([word for word in start[2:] if word != "--anyway"])
    assert all(meant(job, host) for host in hosts) and not meant(job, "other") and not meant("other", hosts[0])
    assert sorted(expand(back[2:])) == sorted(hosts)
    assert "waits for old, its host is away" in told


def test_a_command_for_one_host_alone_stays_so() -> None:
    """No range can be given to it, so each host has a line of its own; and one host is told as it was."""
    why = "another agent calls itself {0}; `daqsched replace {0}`"
    assert alike(why.format("hlt01"), "hlt01") != alike(why.format("hlt02"), "hlt02")
    one = "no offer from hlt01; `daqsched start rc@hlt01`"
    assert of_all(one, "hlt01", ["hlt01"]) == one
    assert alike("/data/hlt01/x is missing on hlt01", "hlt01") == "/data/hlt01/x is missing on its host"
