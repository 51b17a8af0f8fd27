"""Real executors with surveys: they look as a start would, start nothing, tell it, and leave."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Findings, Payload, Probe, Restart, Survey
from fake_agent import ExecutorUnderTest, FakeAgent, Start, processes_of
from hanging_mount import HangingMount
from strangers import open_way
from waiting import until


class Surveyor:
    """Hands a survey to a new executor and waits for what it found."""

    def __init__(self, agent: FakeAgent, sandbox: Path) -> None:
        self.agent, self.sandbox = agent, sandbox
        self.executor: ExecutorUnderTest | None = None

    def __call__(self, *probes: Probe) -> dict[str, str]:
        """Probe name -> what stands against a start."""
        self.executor = ExecutorUnderTest(self.agent, self.sandbox)
        self.executor.launch(Survey("preflight-1@hlt01.7", "hlt01", probes))
        status = self.agent.wait_update("TASK_FINISHED", limit_s=40.0)
        assert self.executor.leave() == 0
        return dict(Findings.from_json(base64.b64decode(status["data"])).found)


@pytest.fixture
def survey(agent: FakeAgent, tmp_path: Path) -> Iterator[Surveyor]:
    """As `Surveyor`; whatever the test does, the executor ends."""
    surveyor = Surveyor(agent, tmp_path / "survey")
    yield surveyor
    if surveyor.executor is not None:
        surveyor.executor.end()


def test_it_says_what_could_start_and_why_the_rest_could_not(
    agent: FakeAgent, survey: Surveyor, tmp_path: Path
) -> None:
    """Nothing is started, nothing else than one last report is sent, and no stream is registered."""
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    plain = tmp_path / "plain"
    plain.write_text("")
    found = survey(
        Probe("good", str(program), needs=(str(tmp_path),)),
        Probe("by name", "sh"),
        Probe("missing", f"{tmp_path}/release-99/bin/readout"),
        Probe("mode", str(plain)),
        Probe("need", str(program), needs=(str(tmp_path / "lib"),)),
        Probe("folder", str(program), cwd=str(tmp_path / "work")),
        Probe("user", str(program), user="no-such-user"),
        Probe("limit", str(program), limits={"nofiles": 1}),
    )
    assert found.pop("good") == "" and found.pop("by name") == ""
    assert found.pop("missing") == f"{tmp_path}/release-99 is missing: is the version published?"
    assert "is not executable" in found.pop("mode")
    assert found.pop("need") == f"{tmp_path}/lib is missing: is the version published?"
    assert found.pop("folder") == f"{tmp_path}/work is missing: is the version published?"
    assert found.pop("user") == "user 'no-such-user' is unknown on this machine"
    assert found.pop("limit").startswith("limit 'nofiles' is unknown")
    assert not found and not ran.exists()
    assert [update["state"] for update in agent.updates] == ["TASK_FINISHED"]
    assert survey.executor is not None and not survey.executor.spool.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"program": "/nowhere/readout"},
        {"program": "readout"},
        {"program": "/etc/passwd"},
        {"program": "/bin/true", "needs": ("/nowhere/lib",)},
        {"program": "/bin/true", "cwd": "/nowhere"},
        {"program": "/bin/true", "user": "no-such-user"},
    ],
    ids=str,
)
def test_it_says_what_a_start_says(agent: FakeAgent, survey: Surveyor, start: Start, fields: dict[str, Any]) -> None:
    """Word for word: one code looks at both."""
    words = survey(Probe("it", **fields))["it"]
    agent.subscriptions.clear()
    job = {name: value for name, value in fields.items() if name != "program"}
    start(str(fields["program"]), restart=Restart("never"), **job)
    agent.wait(lambda: [update for update in agent.updates if words and words in update["message"]][1:], words)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_it_looks_as_the_jobs_account(survey: Surveyor, tmp_path: Path) -> None:
    """What root may read, the job's user may not."""
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0o600)
    open_way(tmp_path)
    found = survey(
        Probe("root", "/bin/true", needs=(str(secret),)),
        Probe("nobody", "/bin/true", user="nobody"),
        Probe("nobody's secret", "/bin/true", needs=(str(secret),), user="nobody"),
    )
    assert found == {"root": "", "nobody": "", "nobody's secret": f"{secret} may not be read by uid 65534"}


@pytest.mark.parametrize("killable", [True, False], ids=["killable", "state-D"])
def test_a_mount_that_hangs_holds_up_neither_the_others_nor_the_end(
    survey: Surveyor, tmp_path: Path, killable: bool
) -> None:
    """Thirty paths below it are told of in the time of a few limits, one by one; what is well is seen as well."""
    mount = HangingMount(tmp_path / "cvmfs", killable)
    try:
        hanging = [Probe(f"h{n}", f"{mount.path}/v{n}/readout", timeout_s=0.5) for n in range(30)]
        began = time.monotonic()
        found = survey(*hanging[:15], Probe("good", "/bin/true"), *hanging[15:])
        assert time.monotonic() - began < 15.0
        assert found.pop("good") == ""
        assert found["h29"] == f"{mount.path}/v29/readout does not answer within 0.50 s (cvmfs hangs?)"
        assert len(found) == 30 and all("does not answer" in problem for problem in found.values())
        assert survey.executor is not None
        if killable:
            executor = survey.executor
            until(lambda: not processes_of(executor), "end of the probes")
    finally:
        mount.end()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_shared_libraries_are_looked_for_as_at_a_start(survey: Surveyor, tmp_path: Path) -> None:
    """Found, missing, and below a mount that hangs: then the loader that was asked is not left behind."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "daq.c").write_text("int daq(void) { return 7; }\n")
    (tmp_path / "main.c").write_text("int daq(void);\nint main(void) { return daq(); }\n")
    library, program = tmp_path / "lib" / "libdaq.so.3", tmp_path / "readout"
    command = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libdaq.so.3", "-o", str(library), str(tmp_path / "daq.c")]
    subprocess.run(command, check=True)
    subprocess.run(["gcc", "-o", str(program), str(tmp_path / "main.c"), str(library)], check=True)
    mount = HangingMount(tmp_path / "cvmfs", killable=True)
    try:
        found = survey(
            Probe("found", str(program), {"LD_LIBRARY_PATH": str(library.parent)}),
            Probe("missing", str(program)),
            Probe("not asked", str(program), libraries=False),
            Probe("hangs", str(program), {"LD_LIBRARY_PATH": f"{mount.path}/lib"}, timeout_s=1.0),
        )
        assert found == {
            "found": "",
            "missing": f"libdaq.so.3 is not found for {program} (LD_LIBRARY_PATH is not set)",
            "not asked": "",
            "hangs": f"the loader of {program} does not answer within 1.0 s",
        }
        executor = survey.executor
        assert executor is not None
        until(lambda: not processes_of(executor), "end of the loader")
    finally:
        mount.end()


def test_a_dead_mount_is_told_from_a_missing_path(survey: Surveyor, tmp_path: Path) -> None:
    """Its server died: every path gives ENOTCONN until it is mounted anew."""
    mount = HangingMount(tmp_path / "cvmfs", killable=False)
    try:
        mount.die()
        assert "whose server died" in survey(Probe("dead", f"{mount.path}/v7/readout"))["dead"]
    finally:
        mount.end()


def test_a_survey_of_a_newer_framework_is_refused_in_words(agent: FakeAgent, survey: Surveyor, tmp_path: Path) -> None:
    """Not guessed at."""
    survey.executor = ExecutorUnderTest(agent, tmp_path / "survey")
    asked = Survey("preflight-1@hlt01.7", "hlt01", (), version=99)
    survey.executor.launch(asked)
    assert "has version 99" in agent.wait_update("TASK_FAILED")["message"]
    assert survey.executor.leave() == 0


def test_a_survey_can_be_stopped(agent: FakeAgent, survey: Surveyor, tmp_path: Path) -> None:
    """While something hangs."""
    mount = HangingMount(tmp_path / "cvmfs", killable=True)
    try:
        survey.executor = ExecutorUnderTest(agent, tmp_path / "survey")
        survey.executor.launch(Survey("preflight-1@hlt01.7", "hlt01", (Probe("h", f"{mount.path}/v1", timeout_s=60),)))
        executor = survey.executor
        agent.wait(lambda: processes_of(executor), "child that looks")
        agent.kill("preflight-1@hlt01.7")
        assert "not looked at: stopped by the scheduler" in agent.wait_update("TASK_KILLED")["message"]
        assert survey.executor.leave() == 0
    finally:
        mount.end()


def test_a_probe_holds_what_a_job_holds() -> None:
    """A field of a job that a start looks at and a probe lacks would make preflight say less than the start."""
    looked_at = {"env", "cwd", "user", "limits", "needs", "libraries", "new_privileges"}
    assert looked_at < set(asdict(Probe("p", "x"))) and looked_at < set(Payload.__dataclass_fields__)
