"""How long lines are kept: which indices are ours, and which have ended."""

from __future__ import annotations

from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.errors import UserError
from daqsched.logs.retention import ended, expired, indices_of, kept, policy
from daqsched_executor.contract.template import NOTHING, TEMPLATE_VERSION, Chosen, chosen, template, templates
from daqsched_executor.forward.documents.record import index_of


def at(text: str) -> float:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("logs-2026.11.23", "2026-11-24"),
        ("logs-2026.11.30", "2026-12-01"),
        ("logs-2026.12", "2027-01-01"),
        ("logs-2028.02", "2028-03-01"),
        ("logs-2026.11.23.05", "2026-11-23T06:00"),
        ("logs-2026.11.23.0559", "2026-11-23T06:00"),
        ("logs-deadletter-2026.11", "2026-12-01"),
    ],
)
def test_an_index_ends_with_its_period(name: str, end: str) -> None:
    """Of every period that a forwarder knows."""
    assert ended(name, "logs") == at(end)


@pytest.mark.parametrize(
    "name",
    [
        "logs",
        "logs-",
        "logs-2026",
        "logs-2026.13",
        "logs-2026.11.31",
        "logs-2026.11.23-copy",
        "logs-x-2026.11.23",
        "logs2-2026.11.23",
        ".logs-2026.11.23",
        "other-2026.11.23",
        "logs-deadletter",
    ],
)
def test_what_is_not_named_as_we_name_it_is_not_ours(name: str) -> None:
    """And is never deleted."""
    assert ended(name, "logs") is None


def resolved(expression: str, there: set[str]) -> set[str]:
    """As Elasticsearch does: from the left, a word with a minus takes away."""
    found: set[str] = set()
    for word in expression.split(","):
        fits = {name for name in there if fnmatchcase(name, word.lstrip("-"))}
        found = found - fits if word.startswith("-") else found | fits
    return found


#: What a prefix is made of, with what is nearly one of another's indices.
PREFIXES = st.lists(
    st.sampled_from(["logs", "b", "deadletter", "2026.11", "2026.11.23", "x.y", "2"]), min_size=1, max_size=4
).map("-".join)


@given(st.lists(PREFIXES, min_size=1, unique=True), st.sampled_from(["month", "day", "hour", "minute"]))
def test_what_is_asked_for_are_our_indices_and_no_other_s(prefixes: list[str], period: Any) -> None:
    """Whatever others are called: those of ``logs-b`` are not those of ``logs``."""
    made = {
        prefix: {index_of(f"{prefix}{dead}", 1_795_000_000_000_000, period) for dead in ("", "-deadletter")}
        for prefix in prefixes
    }
    there = set().union(*made.values())
    for prefix, ours in made.items():
        others = {name for name in there - ours if ended(name, prefix) is not None}  # of one that calls itself so
        assert resolved(indices_of(prefix), there) - others == ours


@given(st.lists(PREFIXES.filter(lambda prefix: "deadletter" not in prefix), min_size=2, unique=True))
def test_no_two_templates_have_one_priority_where_both_fit_an_index(prefixes: list[str]) -> None:
    """Elasticsearch refuses the second then; that of the longer prefix is the one of its indices."""
    made = [body for prefix in prefixes for body in templates(prefix).values()]
    for prefix in prefixes:
        for name, body in templates(prefix).items():
            index = f"{name}-2026.11.23"
            fits = [one["priority"] for one in made if fnmatchcase(index, one["index_patterns"][0])]
            assert len(set(fits)) == len(fits) and max(fits) == body["priority"], index


@pytest.mark.parametrize("period", ["month", "day", "hour", "minute"])
def test_each_name_that_a_forwarder_gives_is_ours(period: str) -> None:
    """A line lies before its index's end."""
    now = at("2026-11-23T05:31:17")
    end = ended(index_of("a-b.c", int(now * 1e6), period), "a-b.c")
    assert end is not None and now < end


def test_only_what_ended_long_enough_ago_is_expired() -> None:
    """To the second, the oldest first."""
    names = ["logs-2026.11.03", "logs-2026.11.01", "logs-2026.11.02", "logs-2020.01.01x", "logs-2026.11.23"]
    day = 86400.0
    assert expired(names, "logs", 20 * day, at("2026-11-23")) == ["logs-2026.11.01", "logs-2026.11.02"]
    assert expired(names, "logs", 20 * day, at("2026-11-23") - 1) == ["logs-2026.11.01"]


def test_keep_is_a_length_of_time() -> None:
    """A slip of a key must not delete everything."""
    assert (kept("30d"), kept("12h"), kept("90min"), kept("forever")) == ("30d", "12h", "90m", "")
    for text in ("30", "30s", "59m", "0d", "-1d"):
        with pytest.raises(UserError):
            kept(text)
    assert policy("30d")["policy"]["phases"]["delete"]["min_age"] == "30d"


def test_what_was_chosen_is_read_back_out_of_the_template() -> None:
    """Whatever else stands there."""
    choice = Chosen("30d", 2, "logs")
    for name, body in templates("logs", choice).items():
        answer = {"index_templates": [{"name": name, "index_template": body}]}
        assert chosen(answer) == (TEMPLATE_VERSION, choice)
        index = body["template"]["settings"]["index"]
        assert index["number_of_replicas"] == 2 and index["lifecycle"] == {"name": "logs"}
        assert "auto_expand_replicas" not in index
    without: tuple[dict[str, Any], ...] = (
        {},
        {"index_templates": []},
        {"index_templates": [{"index_template": {"_meta": None}}]},
    )
    for broken in without:
        assert chosen(broken) == (0, NOTHING)
    assert template("logs")["template"]["settings"]["index"]["auto_expand_replicas"] == "0-1"
