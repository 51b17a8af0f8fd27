"""Who guesses what is hidden from him can't confirm it by what the daemon tells: no digest there can be made without its key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from builders import job
from daqsched import protocol
from daqsched.digests import digest, older_rules_digest, older_run_digests, rules_digest, run_digest
from daqsched.errors import Refused
from daqsched.redaction import mark
from daqsched.serve import callers as callers_module
from daqsched.serve.rights_in_force import RightsInForce
from daqsched.spec import EMPTY, PartSpec, Spec, encode
from rights_door import Door
from served import Serve

#: Alice sees what is hers, and no value; bob may all.
RULES = """
version: 1
rules:
  - {to: "unix-group:daq", role: shifter, owner: daq}
  - {to: "unix-group:all", role: admin}
"""

#: In force, and what is proposed instead; `hv` is hidden.
HIDDEN = job("hv", "hlt02", argv=("/bin/hv", "--volts", "1500"), owner="hv", env={"PIN": "1234"})
OWN = job("readout", "hlt01", owner="daq", env={"PIN": "1234"})
FIRST, SECOND = Spec(jobs=(OWN, HIDDEN)), Spec(jobs=(msgspec.structs.replace(OWN, env={"PIN": "5678"}), HIDDEN))
SPECS = (FIRST, SECOND, EMPTY)


def guesses() -> Iterator[bytes]:
    """What an outsider would take a digest of, who has guessed all."""
    for spec in SPECS:
        yield encode(spec)
        yield encode(msgspec.structs.replace(spec, source=""))
        for one in spec.jobs:
            yield encode(Spec(jobs=(one,)))
            for value in one.env.values():
                yield from (text.encode() for text in (f"PIN={value}", value, f"{one.name}\0PIN\0{value}"))


def made_without_a_key() -> set[str]:
    """All that can be made of them."""
    found = {one(data).hexdigest() for data in guesses() for one in (hashlib.sha256, hashlib.blake2b, hashlib.md5)}
    found |= {hashlib.blake2b(data, digest_size=12).hexdigest() for data in guesses()}
    for spec in SPECS:
        found.add(digest(spec))
        for one in spec.jobs:
            found |= {run_digest(one), rules_digest(one), older_rules_digest(one), *older_run_digests(one)}
            found |= {mark(b"", one.name, name, value)[len("(hidden ") : -1] for name, value in one.env.items()}
    return found


class Asked:
    """A farm with a proposal, and all that it says of itself."""

    #: What of it are digests and marks: another farm's are others.
    NAMED = re.compile(r'"(?:digest|base)":"(\w+)"|\(hidden (\w+)\)|([0-9a-f]{12}) is in force|proposal 1 is (\w+)')

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "rights.yaml").write_text(RULES)
        self.serve = Serve(folder)
        self.door = Door(self.serve, folder, RightsInForce(folder / "rights.yaml", look_s=0.02))
        self.serve.client.apply(FIRST)
        self.door.come("all")
        self.door.client.propose(SECOND)

    def told(self, *groups: str) -> tuple[dict[str, set[str]], set[str]]:
        """Route -> every word there that may be a digest, also of its headers; and all that are."""
        self.door.come(*groups)
        found: dict[str, set[str]] = {}
        named: set[str] = set()
        bodies = [protocol.PlanRequest(spec) for spec in (FIRST, SECOND)]
        asked: list[tuple[str, str, Any]] = [
            ("GET", path, None) for path in "status board history revisions/0 proposals proposals/1 why".split()
        ]
        asked += [("POST", "plan", one) for one in bodies]
        asked += [("POST", "apply", protocol.ApplyRequest(SECOND, if_unchanged="x", stops=9, no_look=True))]
        asked += [("POST", "approve", protocol.ApproveRequest(1, "x", "x", stops=9, no_look=True))]
        for method, path, body in asked:
            content = msgspec.json.encode(body) if body is not None else None
            headers = {"if-match": '"abc"'} if path == "apply" else {}
            answer = self.door.http.request(method, f"/v1/{path}", content=content, headers=headers)
            text = answer.text + answer.headers.get("etag", "")
            found.setdefault(path, set()).update(re.findall(r"(?<![0-9a-f])[0-9a-f]{6,128}(?![0-9a-f])", text))
            named.update(word for words in self.NAMED.findall(text) for word in words if word)
        return found, named

    def close(self) -> None:
        self.door.close()
        self.serve.close()


@pytest.fixture
def farms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Asked, Asked]]:
    """Two with the same in force."""
    monkeypatch.setattr(callers_module, "is_owner", lambda uid: False)
    both = Asked(tmp_path / "one"), Asked(tmp_path / "other")
    yield both
    for one in both:
        one.close()


def test_no_digest_that_is_told_can_be_made_of_a_guess(farms: tuple[Asked, Asked]) -> None:
    """By whoever sees some of the farm, or all of it; and another farm's are others, of the same content."""
    guessed = {found[:length] for found in made_without_a_key() for length in (6, 12, 24, 32, 64, 128)}
    for group in ("daq", "all"):
        (one, named), (_, others) = (farm.told(group) for farm in farms)
        assert {path for path, words in one.items() if words} >= {"status", "board", "history", "revisions/0", "plan"}
        for path, words in one.items():
            assert not words & guessed, (group, path)
        # in force, proposed, and the two values of `PIN`
        assert len(named) == len(others) == 4 and not named & others


def test_what_was_told_is_compared_with_what_is_so_after_a_restart(tmp_path: Path) -> None:
    """Of a plan, of a proposal, of a value that is hidden; the key is made once."""
    serve = Serve(tmp_path)
    try:
        serve.client.apply(FIRST)
        plan, hidden = serve.client.plan(SECOND), serve.client.hidden(FIRST)
        serve.client.propose(SECOND)
        proposed = serve.client.proposals().waiting[0].digest
        status = serve.client.status().digest
    finally:
        serve.close()
    again = Serve(tmp_path)
    try:
        assert again.client.hidden(FIRST) == hidden != again.client.hidden(SECOND)
        assert plan.base == status == again.client.status().digest == again.client.plan(FIRST).base
        with pytest.raises(Refused, match=f"{plan.base} is in force and not"):
            again.client.apply(SECOND, if_unchanged=digest(FIRST))
        with pytest.raises(Refused, match=f"proposal 1 is {proposed}, and not"):
            again.client.approve(1, digest(SECOND), plan.base, stops=9)
        assert again.client.approve(1, proposed, plan.base, stops=9).digest == plan.digest
    finally:
        again.close()


MARK = re.compile(r"\(hidden [0-9a-f]{6}\)")


@pytest.mark.parametrize(("jobs", "status"), [(1, 200), (2, 400), (5000, 400)])
def test_one_request_is_one_guess(farms: tuple[Asked, Asked], jobs: int, status: int) -> None:
    """Of a job's variable: who is shown its mark could try all values at once else."""
    door = farms[0].door
    door.come("daq")
    guessed = tuple(msgspec.structs.replace(OWN, env={"PIN": str(number)}) for number in range(jobs))
    body = msgspec.json.encode(protocol.HideRequest(Spec(jobs=guessed)))
    answer = door.http.request("POST", "/v1/plan/hidden", content=body)
    if status == 200:
        (told,) = answer.json()["marks"]["readout"].items()
        assert answer.json().keys() == {"marks"} and told[0] == "PIN" and MARK.fullmatch(told[1]), answer.text
    assert answer.status_code == status and ("two jobs are named 'readout': names must differ" in answer.text) == (
        status == 400
    ), answer.text


def test_marks_are_asked_for_of_jobs_that_are_in_several_ways_on_the_farm(tmp_path: Path) -> None:
    """Which no file says, and a revision does: those of its other ways stay as they were told."""
    serve = Serve(tmp_path)
    try:
        serve.client.apply(FIRST)
        ways = (msgspec.structs.replace(OWN, hosts="hlt03", part="trk"),)
        own = msgspec.structs.replace(OWN, part="trk")
        mixed = Spec(jobs=(own,), variants=ways, parts={"trk": PartSpec()}, logging_part="trk")
        hidden = serve.client.hidden(mixed)
        assert hidden == msgspec.structs.replace(mixed, jobs=hidden.jobs) != mixed
        assert hidden.jobs[0].env == serve.client.hidden(Spec(jobs=(OWN,))).jobs[0].env != OWN.env
    finally:
        serve.close()
