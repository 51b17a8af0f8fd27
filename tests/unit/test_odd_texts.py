"""Job files, variables and environments as editors, shells and listings of folders make them: each works, or is a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional

import pytest

from daqsched import Job
from daqsched.errors import JobError, JobFileError, UserError
from daqsched.fill import payload
from daqsched.jobfile.load import load
from daqsched.jobfile.variables import parse
from daqsched.spec import Spec, decode, encode
from daqsched_executor.contract import Payload

TEXT = "from daqsched import Job\njobs = [Job('a', '/bin/true', hosts='h1', owner='Zo\u00eb')]\n"
BOM = b"\xef\xbb\xbf"
UTF_16 = "is text in UTF-16 or UTF-32, as some editors of Windows save it: save it as UTF-8"
NUL = "holds NUL characters, as text in UTF-16 does: save it as UTF-8"
NO_NAME = "is not UTF-8 text, and names no other encoding in its first two lines: save it as UTF-8"
NOT_SO = "says that its encoding is {}, which it is not, or which Python does not know: save it as UTF-8"
BOTH = "begins as UTF-8 does (with a byte order mark), and says that its encoding is 'latin-1': remove that line"

#: What a file holds, and what is said of it; None: it works.
FILES: dict[str, tuple[bytes, Optional[str]]] = {
    "UTF-8": (TEXT.encode(), None),
    "a byte order mark": (BOM + TEXT.encode(), None),
    "a byte order mark and its name": (BOM + b"# coding: utf-8\n" + TEXT.encode(), None),
    "Windows' ends of lines": (BOM + TEXT.replace("\n", "\r\n").encode(), None),
    "an encoding of its own": (b"# coding: latin-1\n" + TEXT.encode("latin-1"), None),
    "that in the second line": (b"#!/usr/bin/python\n# vim: fileencoding=latin-1\n" + TEXT.encode("latin-1"), None),
    "a byte order mark and another name": (BOM + b"# coding: latin-1\n" + TEXT.encode(), BOTH),
    "UTF-16": (TEXT.encode("utf-16"), UTF_16),
    "UTF-16, the other order": (b"\xfe\xff" + TEXT.encode("utf-16-be"), UTF_16),
    "UTF-16 without a mark": (TEXT.replace("\u00eb", "e").encode("utf-16-le"), NUL),
    "UTF-32": (TEXT.encode("utf-32"), UTF_16),
    "UTF-32, the other order": (b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be"), UTF_16),
    "a NUL": (TEXT.encode() + b"\0", NUL),
    "no name, at the beginning": ("# Zo\u00eb\n".encode("latin-1") + TEXT.encode(), NO_NAME),
    "no name, later": (b"#\n" * 5 + TEXT.encode("latin-1"), "is not UTF-8 text: invalid continuation byte"),
    "an encoding that there is none": (b"# coding: klingon\n" + TEXT.encode(), NOT_SO.format("'klingon'")),
    "one that is no text": (b"# coding: rot13\n" + TEXT.encode(), NOT_SO.format("'rot13'")),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_works_or_its_encoding_is_named(tmp_path: Path, name: str) -> None:
    """With what to do about it."""
    data, sentence = FILES[name]
    path = tmp_path / "jobs.py"
    path.write_bytes(data)
    if sentence is None:
        assert load(path).jobs[0].owner == "Zo\u00eb"
        return
    with pytest.raises(JobFileError) as raised:
        load(path)
    assert raised.value.lines == [f"{path}: {sentence}"]


NO_TEXT = "is not text: it is not valid Unicode (a name of bytes that are not UTF-8?)"
NO_NAME_OF_A_VARIABLE = "is not a valid name for an environment variable: no '=', no blank"

#: An environment, the field and what is said of it.
WRONG: list[tuple[Any, str, str]] = [
    ({"": "x"}, "env", f"'' {NO_NAME_OF_A_VARIABLE}"),
    ({"A B": "x"}, "env", f"'A B' {NO_NAME_OF_A_VARIABLE}"),
    ({"A=B": "x"}, "env", f"'A=B' {NO_NAME_OF_A_VARIABLE}"),
    ({"A\0": "x"}, "env", r"the name 'A\x00' holds a NUL character"),
    ({"A\n": "x"}, "env", r"the name 'A\n' must be one line, without control characters"),
    ({"A\u2028": "x"}, "env", r"the name 'A\u2028' must be one line, without control characters"),
    ({"A\u200b": "x"}, "env", r"the name 'A\u200b' must be one line, without control characters"),
    ({"\udcff": "x"}, "env", rf"the name '\udcff' {NO_TEXT}"),
    ({"A": "\udcff"}, "env[A]", f"the value {NO_TEXT}"),
    ({"A": "\ud800"}, "env[A]", f"the value {NO_TEXT}"),
    ({"A": os.fsdecode(b"/data/Zo\xeb")}, "env[A]", f"the value {NO_TEXT}"),
    ({"A": "x\0secret"}, "env[A]", "the value holds a NUL character"),
    ({"A": 1}, "env[A]", "expected str, got int: 1"),
    ({"A": None}, "env[A]", "expected str, got null: None"),
    ({"A": ["secret"]}, "env[A]", "expected str, got array"),
    ({"OK": "secret", 1: "secret"}, "env", "a name must be text, not int 1"),
    ({b"A": b"secret"}, "env", "a name must be text, not bytes b'A'"),
    ([("A", "secret")], "env", "expected object, got array"),
    ("A=secret", "env", "expected object, got str"),
]


@pytest.mark.parametrize(("env", "field", "sentence"), WRONG, ids=ascii)
def test_an_environment_that_can_not_be_is_a_sentence_without_its_values(env: Any, field: str, sentence: str) -> None:
    """Which may be secrets."""
    with pytest.raises(JobError) as raised:
        Job("a", "/bin/true", hosts="h1", env=env)
    assert (raised.value.field, str(raised.value)) == (field, sentence)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["A-B", "a.b()", "1A", "\u00e4", "LD_PRELOAD", "_", "\U0001f600"])
@pytest.mark.parametrize("value", ["", " ", "a b", "two\nlines", "=x", "\u00e4", "\U0001f600", "'\"$HOME`;"])
def test_an_odd_environment_comes_to_the_executor_as_it_is(name: str, value: str) -> None:
    """Over the store and the wire."""
    spec = Job("a", "/bin/true", hosts="h1", env={name: value}).spec
    (kept,) = decode(encode(Spec(jobs=(spec,)))).jobs
    assert Payload.from_json(payload(kept, "h1", "a@h1.t").to_json()).env == {name: value}


def test_a_name_of_any_table_is_text() -> None:
    """Not of the environment alone."""
    for field in ("labels", "limits", "actions", "attributes"):
        table: dict[str, Any] = {field: {7: "x"}}
        with pytest.raises(JobError, match=r"a name must be text, not int 7"):
            Job("a", "/bin/true", hosts="h1", **table)


def test_a_name_that_the_file_gives_a_value_of_its_own_is_told_with_its_line(tmp_path: Path) -> None:
    """And what would have to stand there."""
    path = tmp_path / "jobs.py"
    path.write_text("from daqsched import Job\nversion = 'r1'\njobs = [Job('a', '/bin/true', hosts='h1')]\n")
    with pytest.raises(UserError) as raised:
        load(path, parse(["version=r2"]))
    assert str(raised.value) == (
        f"{path}:2: declares no variable 'version' that could be set; it has: none; "
        'write version = variable("version", ...) here'
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("=x", "'=x' sets nothing: write --set NAME=VALUE"),
        ("v", "'v' sets nothing: write --set NAME=VALUE"),
        ("", "'' sets nothing: write --set NAME=VALUE"),
        (" v=x", "declares no variable ' v' that could be set; it has: v"),
        ("v =x", "declares no variable 'v ' that could be set; it has: v"),
        ("V=x", "declares no variable 'V' that could be set; it has: v"),
        ("--v=x", "declares no variable '--v' that could be set; it has: v"),
        ("v\u200b=x", r"declares no variable 'v\u200b' that could be set; it has: v"),
        ("\udcff=x", r"declares no variable '\udcff' that could be set; it has: v"),
        ("v=\udcff", f"env[A]: the value {NO_TEXT}"),
        ("v=", None),
        ("v==x", None),
        ("v= a b ", None),
        ("v=two\nlines", None),
        ("v=\U0001f600", None),
    ],
    ids=ascii,
)
def test_what_is_set_by_an_odd_word_is_what_was_written_or_a_sentence(
    tmp_path: Path, word: str, said: Optional[str]
) -> None:
    """All behind the first ``=``."""
    path = tmp_path / "jobs.py"
    path.write_text(
        "from daqsched import Job, variable\nv = variable('v', '')\njobs = [Job('a', '/bin/true', hosts='h1', env={'A': v})]\n"
    )
    if said is None:
        assert load(path, parse([word])).jobs[0].env == {"A": word.partition("=")[2]}
        return
    with pytest.raises(UserError) as raised:
        load(path, parse([word]))
    assert said in str(raised.value)
