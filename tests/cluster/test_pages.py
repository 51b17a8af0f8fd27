"""What the pages of the documentation show is typed on a farm, and what is printed is compared.

One farm for all of them: each page begins with the job file below in force, in a folder of its own, and may bring its own in blocks
that no reader sees (`tests/pages.py`). The tour of docs/start/ has a farm of its own: test_tutorials.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from daqsched_executor.contract import Stream
from daqsched_executor.contract.template import template, templates
from daqsched_executor.forward.delivery.dead_letter import RefusedLines, letter
from daqsched_executor.forward.documents.batch import BODY
from daqsched_executor.forward.documents.record import index_of
from daqsched_executor.forward.forms import Text
from daqsched_executor.forward.journal.position import Position
from farm import BIN, Farm
from forwarding import Index
from pages import PAGES, ROOT, TOUR, name, read
from tutorial import Reader, steps

#: As the pages have it, where nobody says otherwise.
INDEX = "daqsched-logs"

#: What runs when a page begins.
JOBS = """\
import os

from daqsched import Job, OutputCheck, Resources, Rollout, variable

version = variable("version", "release-08")
bin_ = os.environ["CVMFS"] + "/daq.example.org/{version}/bin"
small = Resources(cpus=0.1, mem=64)

jobs = [
    Job("nsmd2", f"{bin_}/nsmd2", hosts="hlt[01-03]", version=version, resources=small),
    Job(
        "readout",
        f"{bin_}/readout --host {{host}}",
        hosts="hlt[01-03]",
        version=version,
        resources=small,
        check=OutputCheck(silence_s=60),
        actions={"dump": "/bin/echo 37 channels, run 1201"},
    ),
]
rollout = Rollout(batches=["100%"], ready_s=0.2)
"""


def typed(page: Path) -> bool:
    """Whether anything of it is."""
    return page.stem not in TOUR and bool(steps(read(page), all_of_it=False))


#: In the order of their names; but one shows the first revisions, and one leaves snoozes and a host aside.
TYPED = sorted(
    (page for page in PAGES if typed(page)), key=lambda page: (page.stem != "changes", page.stem == "shift", name(page))
)


class Lines(Index):
    """Lines that are made up, at times of their own, stored as a forwarder would."""

    def put(self, job: str, host: str, begin: float, every_s: float, texts: list[str]) -> None:
        """The first line at ``begin``, each other so many seconds later."""
        at = round(begin * 1e6)
        stream = Stream(f"{job}{host}{at}{len(texts[0])}", "stdout", "", 0, f"{job}@{host}.1", job, host)
        rows = b""
        for number, text in enumerate(texts):
            place, seen = Position(0, number * 500), at + round(number * every_s * 1e6)
            rows += Text(stream, 0).encode(f"{text}\n".encode(), place, seen, True, 4 * BODY).documents.body()
        self.ask("PUT", f"/_index_template/{self.prefix}", template(self.prefix))
        assert self.ask_raw("POST", f"/{index_of(self.prefix, at)}/_bulk?refresh=true", rows)["errors"] is False


def lines_of_logs(lines: Lines) -> None:
    """docs/operate/logs.md: a mirror of cvmfs that two hosts share failed for nine minutes; a new message a minute ago."""
    day = datetime(2026, 11, 23).timestamp()
    for host in ("hlt03", "hlt07"):
        for at in range(5):
            texts = ["[ERROR] cvmfs: catalog 14 failed: mirror cvmfs-s1.example.org does not answer"] * 15
            lines.put("cvmfs2", host, day + (5 * 60 + 57 + 2 * at) * 60, 0.1, texts)
    events = "[INFO] event {} built in 0.626 ms, node 0xe36a545"
    lines.put("evb", "hlt04", day + (5 * 60 + 27) * 60, 0.8, [events.format(931_758 + at) for at in range(4685)])
    for text in ("[INFO] run 12 begins", "[WARNING] link 3 was slow", "[INFO] heartbeat"):
        lines.put("evb", "hlt02", day + 6 * 3600, 1.0, [text] * 32)
    lines.put("evb", "hlt04", time.time() - 300, 0.2, [events.format(940_000 + at) for at in range(633)])
    lines.put("readout", "hlt05", time.time() - 60, 1.0, ["[ERROR] segfault in module trk at 0xdeadbeef"])


def letter_of_elasticsearch(lines: Lines) -> None:
    """docs/reference/elasticsearch.md: a line that was refused, whose index is well by now."""
    at = round(time.time() * 1e6)
    stream = Stream("dead", "stdout", "", 0, "readout@hlt01.1", "readout", "hlt01")
    document = Text(stream, 0).encode(b"run 7 started\n", Position(0, 0), at, True, 4 * BODY).documents.body()
    reason = "document_parsing_exception: [1:312] failed to parse field [labels] of type [long] (400)"
    dead = letter(RefusedLines(index_of(lines.prefix, at), document, reason), lines.prefix)
    for one, body in templates(lines.prefix).items():
        lines.ask("PUT", f"/_index_template/{one}", body)
    assert lines.ask_raw("POST", f"/{dead.target}/_bulk?refresh=true", dead.document)["errors"] is False


#: What Elasticsearch has of a page's before it begins.
STORED = {"logs": lines_of_logs, "elasticsearch": letter_of_elasticsearch}


@pytest.fixture(scope="module")
def farm(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A daemon with its forwarders."""
    made = Farm(tmp_path_factory.mktemp("pages"), cluster.master_url, cluster.elasticsearch_url, INDEX)
    try:
        made.serve()
        yield made
    finally:
        made.clear()


@pytest.fixture(scope="module")
def reader(farm: Farm) -> Reader:
    """Somebody at a shell that knows the farm."""
    releases = farm.folder / "cvmfs" / "daq.example.org"
    releases.mkdir(parents=True)
    for release, made_of in (("08", "01"), ("09", "02")):
        (releases / f"release-{release}").symlink_to(ROOT / "jobs" / "cvmfs" / "daq.example.org" / f"release-{made_of}")
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "CVMFS": str(farm.folder / "cvmfs"),
        "DAQSCHED_STATE": farm.env["DAQSCHED_STATE"],
        "DAQSCHED_ELASTICSEARCH": farm.elasticsearch,
        "S": str(Path(farm.env["DAQSCHED_STATE"]) / "daqsched.sock"),
        "COLUMNS": "200",
    }
    (farm.folder / "home").mkdir()
    return Reader(farm.folder / "home", farm.folder / "home", environment)


@pytest.mark.parametrize("page", TYPED, ids=name)
def test_a_page_is_as_it_says(page: Path, reader: Reader, farm: Farm) -> None:
    """Each command, and what it prints."""
    folder = farm.folder / "home" / page.stem
    folder.mkdir()
    reader.go(folder)
    (folder / "jobs.py").write_text(JOBS)
    farm.env["CVMFS"] = str(farm.folder / "cvmfs")
    farm.run("start", "*", check=False)
    farm.run("apply", str(folder / "jobs.py"), "--batches", "all", "--settle", "0.1")
    if page.stem in STORED:
        STORED[page.stem](Lines(farm.elasticsearch, INDEX))
    for step in steps(read(page), all_of_it=False):
        reader.do(step)
