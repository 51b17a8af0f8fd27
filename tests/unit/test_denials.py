"""What the documentation says that daqsched does not do, has not, or refuses, and that no other test shows.

A page names a test of these behind the sentence (`tests/pages.py`). Where one fails because somebody built the thing, the page
that denied it has to say so now.
"""

from __future__ import annotations

import ast
import os
import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from builders import World, job, of
from daqsched import Job, Logging
from daqsched.engine import commands, events
from daqsched.errors import JobError, JobFileError
from daqsched.jobfile.load import load
from daqsched.mesos.outgoing import Framework, task_info
from daqsched.mesos.subscription import is_address
from daqsched_executor.contract.template import templates
from daqsched_executor.life.events import Notice, Notified, StopAsked
from daqsched_executor.machine.account import CannotStart, account_of
from story import Story, payload
from trees import nodes

ROOT = Path(__file__).resolve().parent.parent.parent
#: What a job may say.
FIELDS = {field.name for field in fields(Job)}


def test_a_job_that_names_no_machine_is_refused() -> None:
    """Nobody chooses one for it."""
    with pytest.raises(JobError, match="names no host"):
        Job("readout", "/bin/true")


def test_a_star_is_no_host() -> None:
    """A host is named, or it is not meant."""
    with pytest.raises(JobError, match=re.escape("'hlt*'")):
        Job("readout", "/bin/true", hosts="hlt*")


def test_a_job_has_no_queue_priority_or_share() -> None:
    """Nor does anything wait for a turn: what has its host's offer is launched."""
    assert not {word for word in FIELDS if re.search("queue|priorit|share|weight|quota|preempt", word)}
    world = World(("hlt01",))
    world.start(job("first"), job("second"))
    assert all(instance.record.task is not None for instance in world.engine.instances.values())


def test_a_task_has_nothing_fetched() -> None:
    """The program is on its machine, or is not."""
    assert not {word for word in FIELDS if re.search("fetch|uri|package|install|artifact", word)}
    world = World(("hlt01",))
    world.apply(job("readout"))
    launches = [task for launch in of(world.offers(), commands.Launch) for task in launch.tasks]
    assert launches and all("uris" not in str(task_info(Framework("root"), task, "agent")) for task in launches)


@pytest.mark.parametrize("address", ["https://ctl1:5050", "http://ctl1:5050", "ssl://ctl1:5050"])
def test_a_master_behind_tls_is_refused(address: str) -> None:
    """A master is HOST:PORT, asked in clear text; an executor does not know TLS at all."""
    assert is_address("ctl1:5050") and not is_address(address)
    for source in ("run", "life"):
        for file in (ROOT / "executor" / "daqsched_executor" / source).rglob("*.py"):
            assert not re.search(r"^\s*(import ssl|from ssl)\b|HTTPSConnection", file.read_text(), re.M), file


def test_the_daemon_evaluates_no_job_file() -> None:
    """What evaluates one is imported by the crew's commands alone, and by what evaluates one with each choice."""
    users = {
        str(file.relative_to(ROOT / "framework" / "daqsched").parts[0])
        for file in (ROOT / "framework" / "daqsched").rglob("*.py")
        for node in nodes(file)
        if isinstance(node, ast.ImportFrom)
        and node.module in ("daqsched.jobfile.load", "daqsched.jobfile.alternatives")
    }
    assert users == {"cli", "jobfile"}


#: What the engine's rights are made of.
OF_RIGHTS = ("permission.py", "job_owners.py")


def test_nothing_acts_on_critical_and_rights_alone_on_owner() -> None:
    """They are kept, compared, shown, and written into labels: no other decision of the engine reads one."""
    for file in (ROOT / "framework" / "daqsched" / "engine").rglob("*.py"):
        for node in nodes(file):
            assert not (isinstance(node, ast.Attribute) and node.attr == "critical"), file
            decides = isinstance(node, (ast.If, ast.IfExp, ast.Compare)) and file.name not in OF_RIGHTS
            assert not (decides and "owner" in names(node)), file


def names(node: ast.AST) -> set[str]:
    """The attributes that a condition looks at."""
    test = node.test if isinstance(node, (ast.If, ast.IfExp)) else node
    return {one.attr for one in ast.walk(test) if isinstance(one, ast.Attribute)}


def test_a_start_of_what_runs_does_nothing() -> None:
    """It lets run what does not."""
    world = World(("hlt01",))
    world.start(job("readout"))
    task = world.task_of("readout")
    world.say(events.Released((("readout", "hlt01"),), "alice"))
    world.offers()
    assert world.task_of("readout") == task and task not in world.told


def test_a_start_keeps_no_message() -> None:
    """What it says to the engine has no place for one."""
    assert {field.name for field in msgspec.structs.fields(events.Released)} == {
        *("keys", "user", "everyones", "anyway", "unnamed")
    }


def test_an_executor_that_is_not_root_starts_nobody_else() -> None:
    """The kernel would not let it, and the sentence says so."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(CannotStart, match="not root"):
            account_of("root", "/sandbox")
    finally:
        if own == 0:
            os.seteuid(0)


def test_a_job_file_takes_no_password(tmp_path: Path) -> None:
    """Not in an address; and no field is for one, but for the names of files."""
    path = tmp_path / "jobs.py"
    path.write_text(
        'from daqsched import *\njobs = [Job("a", "/bin/true", hosts="h1")]\n'
        'logging = Logging(elasticsearch="http://daq:secret@es1:9200")\n'
    )
    with pytest.raises(JobFileError, match="user_file"):
        load(path)
    assert not {field.name for field in fields(Logging) if re.search("password|secret|key", field.name)} - {
        "api_key_file"
    }


def test_the_template_makes_no_data_stream() -> None:
    """A document has to be replaced under its id, which a data stream refuses."""
    assert all("data_stream" not in one and "rollover" not in str(one) for one in templates("daqsched-logs").values())


def test_log_files_of_services_are_never_linked() -> None:
    """A file with two names is one that logrotate leaves alone: only what executors hand over is linked."""
    for file in (ROOT / "executor" / "daqsched_executor" / "forward" / "inputs").rglob("*.py"):
        assert not re.search(r"os\.link\(|hardlink_to\(", file.read_text(encoding="utf-8")), file


def test_a_program_can_not_lengthen_its_stop() -> None:
    """EXTEND_TIMEOUT_USEC is for its start and its heartbeats."""
    story = Story(payload())
    story.run()
    story.happen(StopAsked("the scheduler"))
    at = story.state.wake_at
    story.happen(Notified(Notice(extend_s=3600.0)))
    assert at is not None and story.state.wake_at == at


def test_a_container_has_no_store_of_files() -> None:
    """What it is given would be handed over by its engine, which can't."""
    source = (ROOT / "executor" / "daqsched_executor" / "run" / "checks.py").read_text(encoding="utf-8")
    assert "if payload.container is None and self._program.store is None" in source


def test_the_image_of_serve_asks_for_nothing() -> None:
    """An account of its own, two volumes, no port, no capability."""
    recipe = (ROOT / "release" / "oci" / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)", recipe, re.M) == ["990:990"]
    assert re.findall(r"^VOLUME (.*)", recipe, re.M) == ['["/var/lib/daqsched", "/run/daqsched"]']
    assert not re.search(r"^EXPOSE|setcap|sudo", recipe, re.M)


def test_an_installation_enables_and_starts_nothing() -> None:
    """It restarts what runs; a removal disables what was enabled."""
    scripts = [*(ROOT / "release" / "packages").glob("*.post"), *(ROOT / "release" / "packages").glob("*.gone")]
    verbs = {verb for file in scripts for verb in re.findall(r"systemctl (?:--\w+ )?([\w-]+)", file.read_text())}
    assert len(scripts) == 4 and verbs == {"daemon-reload", "try-restart", "disable"}


def test_what_is_compiled_is_not_compared_with_its_source() -> None:
    """PEP 552: a cvmfs gives files other times."""
    recipe = (ROOT / "release" / "folder.py").read_text(encoding="utf-8")
    assert '"--invalidation-mode", "unchecked-hash"' in recipe
