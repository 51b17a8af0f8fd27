"""What is written down of log files and of the journal, spoilt in every way: it is used or put aside, and ends nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daqsched_executor.contract import LogFiles
from daqsched_executor.forward.inputs.followed import Followed
from daqsched_executor.forward.inputs.journald import _cursor_of, _noted, _valid
from daqsched_executor.forward.inputs.registry import PATTERNS, Registry
from daqsched_executor.forward.inputs.rest import Room

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)

ONE = LogFiles("app", ("/nowhere/app.log",))


def sound(registry: Registry, path: Path) -> dict[str, Any]:
    """A registration as it should be."""
    handle = os.open(path, os.O_RDONLY)
    try:
        text = registry.stream(ONE, str(path), "AAAAAAAAAAA", 0, handle).to_json()
    finally:
        os.close(handle)
    found: dict[str, Any] = json.loads(text)
    return found


@given(data=st.data(), raw=st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_registration_ends_the_forwarder(
    data: st.DataObject, raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any bytes, any type in any field: it is followed, or one sentence names it; the good one beside it is used."""
    folder = tmp_path_factory.mktemp("files")
    log = folder / "app.log"
    log.write_text("a line\n")
    registry = Registry(str(folder), "hlt01")
    registry.prepare()
    good = sound(registry, log)
    Path(registry.path("AAAAAAAAAAA")).write_text(json.dumps(good))
    bad = {**good, "id": "BBBBBBBBBBB", "options": {**good["options"], "identity": [1, 2, 3, 4]}}
    where = bad["options"] if data.draw(st.booleans()) else bad
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(VALUES)
    Path(registry.path("BBBBBBBBBBB")).write_text(json.dumps(bad))
    Path(registry.path("CCCCCCCCCCC")).write_bytes(raw)
    said: list[str] = []
    followed = Followed(registry, {}, lambda about, sentence: said.append(sentence), Room(registry.folder, 1e6))
    followed.resume([(str(log), os.stat(log).st_ino)])
    assert any(file.stream.id == "AAAAAAAAAAA" for file in followed.files.values())
    assert any("CCCCCCCCCCC" in sentence for sentence in said)
    for file in followed.files.values():
        os.close(file.file)


@given(raw=st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_list_of_patterns_and_no_cursor_ends_the_forwarder(raw: bytes, tmp_path: Path) -> None:
    """What is none is as if it were not there."""
    registry = Registry(str(tmp_path), "hlt01")
    registry.prepare()
    (Path(registry.folder) / PATTERNS).write_bytes(raw)
    registry.known([ONE])
    registry.use([ONE], 1.0)
    assert registry.known([ONE]) == [ONE]
    note = tmp_path / "cursor"
    note.write_bytes(raw)
    for found in (_noted(str(note)), _cursor_of(raw)):
        assert found == _valid(found)


def test_a_cursor_is_what_journalctl_takes() -> None:
    """And an option of its own is none."""
    assert _valid("s=0639;i=5a;b=8b;m=ff;t=5c;x=57c6")
    for text in ("", "x", "s=1;", "s=;i=1", "s=1 --follow", "s=1\n", "S=1", 5, None, ["s=1"]):
        assert _valid(text) == ""
