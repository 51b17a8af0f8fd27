"""The cluster in machines as a test has it: up from nothing, harmed, looked at, down."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import HTTPSHandler, Request

from daqcluster.machines import harm, parts
from daqcluster.machines.farm import VAGRANT, Farm, vagrant_environ
from daqcluster.machines.parts import CHECKOUT
from daqsched.client import Client
from daqsched.errors import DaqschedError
from daqsched.protocol import StatusAnswer
from daqsched.views.rows import Row
from forwarding import Index
from opened import opened, trusting
from waiting import until

JOBS = Path(__file__).parent / "jobs.py"
CONTROLS, AGENTS = ("control", "control2"), ("hlt01", "hlt02")

#: What there is: two farm machines, and two control machines, so that a standby can take over.
WANTED = {"DAQCLUSTER_NODES": str(len(AGENTS)), "DAQCLUSTER_CONTROL2": "1", "DAQCLUSTER_NETWORK": ""}

#: Vagrant, on a machine that is busy with other things.
VAGRANT_S = 900.0


class Machines:
    """Those of this checkout."""

    def __init__(self) -> None:
        #: What takes time -> seconds, in order; and what tests have measured, in sentences.
        self.spent: dict[str, float] = {}
        self.measured: list[str] = []
        self._began, self._doing = time.monotonic(), ""
        self._made = Farm(self._say)
        self._environ = {**os.environ, **WANTED}
        self.setting: dict[str, Any] = {}

    def up(self) -> None:
        """From what there is, which may be nothing, until all that is provisioned answers."""
        self._say("preparing")
        self.setting = self._made.prepare(self._environ)
        self._say("vagrant up")
        self.vagrant("up", "--provision")
        if self.rows():  # they were kept
            self.inside("control", "sh", "-c", "echo jobs = [] >/root/none.py")
            self.crew("apply", "/root/none.py", "--allow-empty", "--yes")
            until(lambda: not self.rows(), "nothing of it runs", 60.0)
        self._say("")

    def down(self) -> None:
        self._say("down")
        self._made.down()
        self._say("")

    @property
    def folder(self) -> Path:
        """Where all is that they are made of."""
        return self._made.folder

    @property
    def ident(self) -> str:
        """What is in the names of all that belongs to them."""
        return self._made.ident

    @property
    def bridge(self) -> str:
        return self._made.bridge

    def _say(self, sentence: str) -> None:
        """What begins now, and so ends what began before."""
        if sentence.startswith("still "):
            return
        now = time.monotonic()
        if self._doing:
            self.spent[self._doing] = self.spent.get(self._doing, 0.0) + now - self._began
        self._began, self._doing = now, sentence.partition(" (")[0]

    def vagrant(self, *words: str) -> str:
        """What `scripts/vagrant` prints."""
        return self._said([str(CHECKOUT / "scripts" / "vagrant"), *words], self._environ)

    def refused(self, *words: str) -> str:
        """What `scripts/vagrant` says where it does nothing."""
        argv = [str(CHECKOUT / "scripts" / "vagrant"), *words]
        done = subprocess.run(argv, env=self._environ, capture_output=True, text=True, timeout=VAGRANT_S)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    @staticmethod
    def _said(argv: list[str], environ: Mapping[str, str]) -> str:
        done = subprocess.run(
            argv, cwd=VAGRANT, env=environ, capture_output=True, text=True, timeout=VAGRANT_S, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{' '.join(argv)}:\n{(done.stdout + done.stderr)[-4000:]}"
        return done.stdout

    def take(self, version: str) -> str:
        """Provision all with a daqsched that says it is of that version, until the next `scripts/vagrant provision` brings the
        checkout's again; what Vagrant prints."""
        place = self.folder / "parts"
        file = place / "source" / "executor" / "daqsched_executor" / "__init__.py"
        text, times = re.subn(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', file.read_text())
        assert times == 1, file
        file.write_text(text)
        (place / "versions" / "daqsched").write_text(parts.programs(place) + "\n")
        return self._said(["vagrant", "provision"], vagrant_environ(self._environ))

    # one machine

    def inside(self, name: str, *argv: str) -> str:
        """What a command of root's prints there."""
        return self._made.engine.command("exec", name, *argv, limit_s=120.0)

    def pid(self, name: str) -> int:
        """The machine's first process, as this machine sees it; 0: it does not run."""
        return int(self._made.engine.command("inspect", "-f", "{{.State.Pid}}", name))

    def ident_of(self, name: str) -> str:
        """The container's id, which stands in its processes' cgroups."""
        return self._made.engine.command("inspect", "-f", "{{.Id}}", name).strip()

    def kill(self, name: str) -> None:
        """The power goes: kill -9 of all that runs there."""
        self._made.engine.command("kill", name)

    def cut(self, name: str) -> None:
        harm.cut(self._made.engine, name)

    def mend(self, name: str) -> None:
        harm.mend(self._made.engine, name, self.bridge)

    def hang(self, name: str) -> None:
        harm.hang(self._made.engine, name)

    def answer(self, name: str) -> None:
        harm.answer(self._made.engine, name)

    # the farm

    def crew(self, *words: str, on: str = "control") -> str:
        """What one of the crew's commands prints on a control machine."""
        return self.inside(on, "bash", "-c", '. /etc/profile.d/daqsched.sh && exec daqsched "$@"', "-", *words)

    def apply(self, *options: str, on: str = "control") -> str:
        """Until all of it runs."""
        # docker cp reaches no tmpfs, and needs none: this is on the machine's disk
        self._made.engine.command("cp", str(JOBS), f"{on}:/root/jobs.py")
        return self.crew("apply", "/root/jobs.py", "--timeout", "180", *options, on=on)

    def answer_of(self, name: str) -> StatusAnswer:
        """What the `serve` of a control machine says."""
        client = Client(Path(f"/proc/{self.pid(name)}/root/run/daqsched/daqsched.sock"))
        try:
            return client.status()
        finally:
            client.close()

    def leader(self) -> str:
        """The control machine whose `serve` leads, has the master, and is not read-only; empty where none does."""
        for name in CONTROLS:
            try:
                found = self.answer_of(name)
            except DaqschedError:
                continue
            if found.connected and not found.read_only and found.leader.startswith(f"{name} ("):
                return name
        return ""

    def rows(self) -> dict[str, Row]:
        """``job@host`` -> its row, for the jobs that count."""
        name = until(self.leader, "somebody leads", 120.0)
        return {f"{row.job}@{row.host}": row for row in self.answer_of(name).rows if row.job in ("readout", "monitor")}

    def forwarders(self) -> dict[str, tuple[str, int, int]]:
        """Of the same, for what the framework itself runs: host -> its forwarder."""
        rows = self.answer_of(until(self.leader, "somebody leads", 120.0)).rows
        return {row.host: (row.task_id, row.pid, row.restarts) for row in rows if row.job == "daqsched-forward"}

    def states(self) -> dict[str, str]:
        return {name: row.state for name, row in self.rows().items()}

    def pids(self) -> dict[str, tuple[str, int, int]]:
        """``job@host`` -> which task, which program of it, and which start of that."""
        return {name: (row.task_id, row.pid, row.restarts) for name, row in self.rows().items()}

    def all_run(self, within_s: float = 180.0) -> None:
        """Until each of them runs, and what was applied."""
        until(
            lambda: all(row.state == "RUNNING" and not row.outdated and not row.behind for row in self.rows().values()),
            "all run",
            within_s,
        )

    def begun(self) -> Counter[str]:
        """``job@host`` -> how many of its tasks ever had an executor: its agent makes a folder for each."""
        found: Counter[str] = Counter()
        for name in AGENTS:
            if self.pid(name):
                shown = self.inside(
                    name, "sh", "-c", "ls -d /var/lib/mesos/slaves/*/frameworks/*/executors/*/ 2>/dev/null || true"
                )
                tasks = (Path(line).name.rpartition(".")[0] for line in shown.split())
                found.update(task for task in tasks if task.startswith(("readout@", "monitor@")))
        return found

    # what it left

    def ledgers(self) -> list[list[str]]:
        """All that the programs noted of themselves, as words."""
        script = "cat /var/lib/mesos/slaves/*/frameworks/*/executors/*/runs/latest/ledger"
        return [line.split() for name in AGENTS for line in self.inside(name, "sh", "-c", script).splitlines()]

    def index(self) -> Index:
        """All that is stored."""
        return Stored(f"https://{self.setting['prefix']}.10:9200", self.folder / "secrets" / "control")

    def lines(self) -> list[dict[str, Any]]:
        """All documents; while Elasticsearch does not answer, none."""
        try:
            return [hit["_source"] for hit in self.index().documents()]
        except OSError:
            return []

    def audit(self) -> list[str]:
        """The hash of each line that the control machines' daemons wrote of who changed what."""
        script = "cat /var/lib/daqsched/audit.ndjson /var/lib/daqsched/audit.ndjson.[0-9]* 2>/dev/null || true"
        lines = [line for name in CONTROLS for line in self.inside(name, "sh", "-c", script).splitlines()]
        return [json.loads(line)["hash"] for line in lines]

    def copied(self) -> list[str]:
        """The same of what is in Elasticsearch."""
        index = Stored(self.index().url, self.folder / "secrets" / "control", "daqsched-audit")
        index.ask("POST", "/daqsched-audit-*/_refresh")
        found = index.ask("POST", "/daqsched-audit-*/_search", {"size": 10_000, "_source": ["event.hash"]})
        return [hit["_source"]["event"]["hash"] for hit in found["hits"]["hits"]]

    def told(self) -> str:
        """For whoever looks why a test failed."""
        texts = [
            self._told("control", "bash", "-c", ". /etc/profile.d/daqsched.sh; daqsched status --wide; daqsched why"),
            *(self._told(name, "journalctl", "-qn", "25", "-o", "cat", "-u", "daqsched-serve") for name in CONTROLS),
            *(
                self._told(name, "journalctl", "-qn", "10", "-o", "cat", "-u", "daqsched-audit-copy")
                for name in CONTROLS
            ),
            *(self._told(name, "sh", "-c", "cat /var/lib/mesos/daqsched.*/forward/status.json") for name in AGENTS),
            *(self._told(name, "journalctl", "-qn", "15", "-o", "cat", "-u", "mesos-agent") for name in AGENTS),
        ]
        return "\n".join(texts)

    def _told(self, name: str, *argv: str) -> str:
        try:
            return f"--- {name}: {' '.join(argv)}\n{self.inside(name, *argv)}"
        except Exception as error:
            return f"--- {name}: {error}"


class Stored(Index):
    """An index on a server with TLS, asked as its administrator."""

    def __init__(self, url: str, secrets: Path, prefix: str = "daqsched-logs") -> None:
        super().__init__(url, prefix)
        context = ssl.create_default_context(cafile=str(secrets / "elasticsearch" / "ca.pem"))
        self._opener = trusting(HTTPSHandler(context=context))
        self._authorization = "Basic " + b64encode((secrets / "admin.user").read_bytes().strip()).decode()

    def open(self, request: Request) -> Any:
        request.add_header("Authorization", self._authorization)
        return opened(request, 60, self._opener)
