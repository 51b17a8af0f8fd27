"""What others wrote, on its way to a terminal, a log, or JSON."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daqsched.errors import UserError
from daqsched.foreign import Painted, Printing, as_printed, check_message, joined, paint
from daqsched.serve.log import Plain
from daqsched_executor.contract.foreign import MOST_MARKS, ascii_json, printable
from daqsched_executor.log import Log
from daqsched_executor.out import say
from foreign import HOSTILE, look

EVERYTHING = "".join(map(chr, range(sys.maxunicode + 1)))
#: Surrogates, controls and accents more often than they would come by themselves.
TEXTS = st.text(st.one_of(st.characters(), st.characters(categories=["Cs", "Cc", "Cf", "Mn"])))


def test_no_character_of_unicode_acts_on_a_terminal() -> None:
    """Each of them; letters, marks, numbers, signs and blanks stay what they are."""
    shown = printable(EVERYTHING.replace("e", ""))
    assert look(shown.encode(), terminal=False) == []
    plain = "Zürich 雨 Ω שלום 🙂 ⚠️ naïve Việt\u00a05\u202f%"
    assert printable(plain) == plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\x1b[31m\x7f", "a␉b␊c␛[31m␡"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("\u202egnp\u2066\u200b", r"\u202egnp\u2066\u200b"),
        ("é\ud800\U000e0041", r"é\ud800\U000e0041"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + r"\u0301\u0301"),
        ("\u3164\ufe01", r"\u3164\ufe01"),
    ],
)
def test_what_would_act_is_shown(text: str, shown: str) -> None:
    """A picture for a control character that has one, the code of all others: nothing is left out in silence."""
    assert printable(text) == shown


@given(TEXTS)
def test_any_text_is_one_line_without_anything_to_obey(text: str) -> None:
    """And shown twice it is the same."""
    shown = printable(text)
    kinds = [unicodedata.category(one) for one in shown]
    assert not {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} & set(kinds)
    assert "M" * (MOST_MARKS + 1) not in "".join(kind[0] for kind in kinds)
    assert printable(shown) == shown
    shown.encode()  # no half of a surrogate pair is left


@given(st.recursive(TEXTS | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_json_in_ascii_is_the_same_value(value: object) -> None:
    """Also of halves of surrogate pairs, which Elasticsearch's words may have."""
    text = ascii_json(json.dumps(value, ensure_ascii=False))
    assert all(" " <= one < "\x7f" for one in text)
    assert json.loads(text) == json.loads(json.dumps(value))


def test_a_line_has_our_colours_and_no_others() -> None:
    """A text that is put into a painted line by hand is somebody else's again."""
    line = joined(paint("\x1b[31mhost", "32"), "job\n", paint("text"))
    assert line == "\x1b[32m␛[31mhost\x1b[0m job␊ text" and isinstance(line, Painted)
    assert paint(f"{line}") == line.replace("\x1b", "␛").replace("\n", "␊")
    assert paint(as_printed("\x1b[1m")) == "\x1b[1m"


@given(st.lists(st.binary()))
def test_a_programs_lines_stay_lines_however_they_come(pieces: list[bytes]) -> None:
    """In whatever pieces they are read; only where a line ends is the program's to say."""
    printing, whole = Printing(), Printing()
    text = "".join(map(printing.take, pieces))
    assert text == whole.take(b"".join(pieces))
    assert all(printable(line, tabs=True) == line for line in text.split("\n"))


def test_what_a_program_prints_is_shown_at_once_and_whole() -> None:
    """A prompt without a line's end, characters in two pieces, the line ends of DOS; raw is raw."""
    printing = Printing()
    assert [printing.take(part) for part in (b"a> ", b"\xc3", b"\xa9\r", b"\n\tb\r", b"c\n")] == [
        "a> ",
        "",
        "é",
        "\n\tb",
        "␍c\n",
    ]
    assert Printing(raw=True).take(b"\x1b[1m\r\n") == "\x1b[1m\r\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("look\n2026-11-27 INFO forged", "the message has a line break at its character 5: write one line"),
        ("a\u2028b", "a line break at its character 2"),
        ("\x1b]0;t\x07", "a character that can't be shown (␛) at its character 1"),
        ("x\u202e", r"(\u202e) at its character 2"),
        ("e" + "\u0301" * 9, "too many accents at its character 6"),
    ],
)
def test_a_message_is_one_line_of_plain_text(text: str, sentence: str) -> None:
    """Else it is refused, in a sentence."""
    with pytest.raises(UserError) as refused:
        check_message(text)
    assert sentence in str(refused.value)


def test_a_message_may_be_in_any_language() -> None:
    """And empty."""
    for text in ("", "Strahl weg, Zürich 雨", "שלום"):
        assert check_message(text) == text


def test_no_word_of_others_begins_a_line_of_the_daemons_log() -> None:
    """Neither in the message nor in the trace of a bug."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(Plain())
    logger = logging.Logger("daqsched.test")
    logger.addHandler(handler)
    logger.info("stopped by %s: %s", "alice", f"{HOSTILE}\n2026-11-27 00:00:00,000 INFO root stopped all")
    try:
        raise ValueError(f"{HOSTILE}\n2026-11-27 00:00:00,000 INFO root stopped all")
    except ValueError:
        logger.exception("GET %s failed", HOSTILE, stack_info=True)
    entries = [line for line in out.getvalue().split("\n") if line[:1].isdigit()]
    assert len(entries) == 2 and look(out.getvalue().encode(), terminal=False) == []


def test_the_trace_of_a_bug_has_the_programs_lines_and_no_others() -> None:
    """In the executor, the forwarder and the commands alike, in any thread."""
    code = """
import sys, threading
from daqsched_executor.out import catch
if sys.argv[2] == "commands":
    from daqsched.terminal.out import prepare as catch
catch()
def fail():
    raise ValueError(sys.argv[1])
if sys.argv[2] == "thread":
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
else:
    fail()
"""
    hostile = HOSTILE.replace("\0", "")
    for where in ("main", "thread", "commands"):
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code, hostile, where], env=environ, capture_output=True, check=False
        )
        assert look(done.stderr, terminal=False) == []
        assert b"ValueError: " in done.stderr.splitlines()[-1] and b"FORGED" in done.stderr


def test_what_the_executor_says_is_one_line(tmp_path: Path) -> None:
    """In executor.log, and on stdout and stderr of the forwarder and the warden, also where they speak ASCII."""
    file = os.open(tmp_path / "executor.log", os.O_WRONLY | os.O_CREAT)
    Log(file).say(HOSTILE)
    os.close(file)
    said = (tmp_path / "executor.log").read_bytes()
    assert said.count(b"\n") == 1 and look(said, terminal=False) == []
    for encoding in ("utf-8", "ascii"):
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding)
        say(f"host {HOSTILE}", "second", file=out)
        assert raw.getvalue().count(b"\n") == 2 and look(raw.getvalue(), terminal=False) == []
