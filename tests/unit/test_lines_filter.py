"""Which lines of a job somebody may read whose name was another's, by the filter as by the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from builders import job
from daqsched.logs import permitted
from daqsched.logs.lines import seconds
from daqsched.rights.grants import Grants
from daqsched.rights.principal import Principal
from daqsched.rights.rules import read
from daqsched.spec import Spec

SPEC = Spec(jobs=(job("mine", owner="daq"), job("was_theirs", owner="daq"), job("other", owner="x")))
TAKEN = {"was_theirs": 1.8e9}

RULES = {
    "by owner": '{to: known, role: viewer, owner: daq, logs: "*"}',
    "all": '{to: known, role: viewer, logs: "*"}',
    "all but an owner's": '{to: known, role: viewer, logs: "*"}, {to: known, deny: "*", owner: secretcorp}',
    "all but a part's": '{to: known, role: viewer, logs: "*"}, {to: known, deny: lines, part: secretpart}',
    "all but what is not seen": '{to: known, role: viewer, logs: "*"}, {to: known, deny: see, owner: x}',
}


def document(name: str, at: str, dataset: str = "daqsched.task") -> dict[str, Any]:
    return {
        "@timestamp": at,
        "service": {"name": name},
        "host": {"name": "hlt01"},
        "event": {"dataset": dataset},
    }


#: Before and after the job was its owner's.
TIMES = ("2027-01-15T07:59:59.999Z", "2027-01-15T08:00:00.000Z")
DOCUMENTS = [document(name, at) for name in ("mine", "was_theirs", "other", "gone") for at in TIMES]

#: Whose lines are told then: of each job before and after.
TOLD = {
    "by owner": "mine mine was_theirs",
    "all": "mine mine was_theirs was_theirs other other gone gone",
    "all but an owner's": "mine mine was_theirs other other",
    "all but a part's": "mine mine was_theirs other other",
    "all but what is not seen": "mine mine was_theirs",
}


def fits(query: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    """What Elasticsearch makes of a filter of ours."""
    (kind, what), *_ = query.items()
    if kind == "bool":
        if not all(fits(one, source) for one in what.get("filter", ())):
            return False
        if any(fits(one, source) for one in what.get("must_not", ())):
            return False
        return "should" not in what or any(fits(one, source) for one in what["should"])
    if kind == "match_none":
        return False
    if kind == "exists":
        return value(source, what["field"]) is not None
    ((field, wanted),) = what.items()
    found = value(source, field)
    if kind == "term":
        return bool(found == wanted)
    if kind == "terms":
        return found in wanted
    assert kind == "range" and wanted["format"] == "epoch_millis"
    return bool(seconds(found) * 1000 < wanted["lt"])


def value(source: Mapping[str, Any], field: str) -> Any:
    if field == "@timestamp":
        return source[field]
    found: Any = source
    for name in field.split("."):
        found = found.get(name, {})
    return found or None


@pytest.mark.parametrize("rules", RULES)
def test_lines_of_a_job_whose_name_was_anothers_are_as_of_one_that_is_gone(rules: str) -> None:
    """To the filter, and to the test of what it found; of many such moments the oldest are one."""
    grants = Grants(read(f"version: 1\nrules: [{RULES[rules]}]", "r"), Principal("bob", frozenset(["unix:bob"])))
    for more, apart in ((0, 0), (permitted.MOST_TAKEN, 0), (permitted.MOST_TAKEN, 1)):
        taken = {**TAKEN, **{f"many{number}": 1.7e9 + number * apart for number in range(more)}}
        query = permitted.filter_of(grants, SPEC, taken)
        permits = permitted.test_of(grants, SPEC, taken)
        assert query is not None
        by_filter = [one["service"]["name"] for one in DOCUMENTS if fits(query, one)]
        assert by_filter == TOLD[rules].split() == [one["service"]["name"] for one in DOCUMENTS if permits(one)]
