"""For tests of the forwarder: a program that prints into registered streams, the real forwarder as a process, and an
index of the test's own on the real Elasticsearch."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.request import Request

from daqsched_executor.contract import FORWARDING_VARIABLE, LINKS_DIR, STREAMS_DIR, Forwarding, Stream
from opened import opened
from waiting import until

EXECUTOR = Path(__file__).parent.parent / "executor"


class Printer:
    """A stream as an executor keeps it: registration under a shared lock, file in a sandbox, link in the spool."""

    def __init__(
        self,
        spool: Path,
        job: str = "readout",
        host: str = "hlt01",
        name: str = "stdout",
        start: int = 0,
        labels: Mapping[str, str] | None = None,
        release: str = "",
        farm: str = "",
    ) -> None:
        """``farm``: the id of its framework, which Mesos has in the path of its sandbox."""
        self.id = secrets.token_urlsafe(8)
        self.sandbox = spool.parent / (f"frameworks/{farm}" if farm else "") / f"sandbox-{self.id}"
        self.path = self.sandbox / name
        self.registration = spool / STREAMS_DIR / f"{self.id}.json"
        self.link = spool / LINKS_DIR / self.id
        for folder in (self.sandbox, self.registration.parent, self.link.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.link(self.path, self.link)
        self.stream = Stream(
            id=self.id,
            name=name,
            path=str(self.path),
            start=start,
            task_id=f"{job}@{host}.{self.id}",
            job=job,
            host=host,
            release=release,
            labels=labels or {},
            created=time.time(),
            inode=os.fstat(self._file).st_ino,
        )
        fresh = self.registration.with_suffix(".new")
        fresh.write_bytes(self.stream.to_json())
        self._lock = os.open(fresh, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        os.rename(fresh, self.registration)

    def print(self, text: str | bytes) -> None:
        """Write these bytes at the file's end."""
        data = text.encode() if isinstance(text, str) else text
        while data:
            data = data[os.write(self._file, data) :]

    def die(self) -> None:
        """The executor and its program are gone, however."""
        os.close(self._lock)
        os.close(self._file)

    def gone(self) -> bool:
        """Whether the forwarder has taken registration and link away."""
        return not self.registration.exists() and not self.link.exists()


class ForwarderProcess:
    """`daqsched-executor forward`, as a machine runs it."""

    #: All that were begun.
    begun: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(
        self,
        spool: Path,
        url: str,
        prefix: str,
        *options: str,
        python: str = sys.executable,
        config: Forwarding = Forwarding(),  # noqa: B008 - it is frozen
        errors: Path | None = None,
    ) -> None:
        """``errors``: the file for stderr; none: ``forward.stderr`` beside the spool."""
        self.spool = spool
        spool.parent.mkdir(exist_ok=True)
        self._errors = errors or spool.parent / "forward.stderr"
        with self._errors.open("ab") as file:
            self.process = subprocess.Popen(
                [python, "-m", "daqsched_executor.forward"]
                + ["--spool", str(spool), "--elasticsearch", url, "--index", prefix, *options],
                env={**os.environ, "PYTHONPATH": str(EXECUTOR), FORWARDING_VARIABLE: config.to_json()},
                stdout=subprocess.DEVNULL,
                stderr=file,
            )
        self.begun.append(self.process)

    def counts(self) -> dict[str, Any]:
        """What it says of itself, as soon as it does, checked: each line that was read is accounted for."""
        path = self.spool / "forward" / "status.json"
        until(path.exists, "the forwarder has written its counts")
        found: dict[str, Any] = json.loads(path.read_text())
        parts = ("stored", "duplicates", "dead", "dropped", "under_way")
        assert found["read"] == sum(found[part] for part in parts), found
        return found

    @property
    def errors(self) -> str:
        """All that forwarders of this spool's folder wrote to stderr."""
        return self._errors.read_text()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=20)


class Index:
    """A prefix of this test's own on the real server."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self.url = url
        self.prefix = prefix or f"test-forward-{secrets.token_hex(4)}"

    def open(self, request: Request) -> Any:
        """One request to the server."""
        return opened(request, 60)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request, its answer as JSON."""
        return self.ask_raw(method, path, None if body is None else json.dumps(body).encode())

    def ask_raw(self, method: str, path: str, body: bytes | None) -> Any:
        """One request with a body as it is. A server that answers 503 (an index that was made this moment has no shard to
        search yet) is asked again."""
        request = Request(self.url + path, body, {"Content-Type": "application/json"}, method=method)
        answers: list[Any] = []

        def answered() -> bool:
            try:
                with self.open(request) as response:
                    answers.append(json.load(response))
            except HTTPError as error:
                if error.code != 503:
                    raise
            return bool(answers)

        until(answered, f"{method} {path} is answered")
        return answers[0]

    def count(self) -> int:
        """How many documents can be found."""
        answer = self.ask("GET", f"/{self.prefix}-*/_count")
        return int(answer["count"])

    def documents(self) -> list[dict[str, Any]]:
        """All hits that there are at the first look, in the order in which people see them; they may grow in number."""
        self.ask("POST", f"/{self.prefix}-*/_refresh")
        sort = ["@timestamp", {"service.node.name": {"missing": ""}}, {"daqsched.stream": {"missing": ""}}]
        search: dict[str, Any] = {
            "size": 5000,
            "track_total_hits": True,
            "sort": [*sort, {"log.offset": {"missing": 0}}],
        }
        found: list[dict[str, Any]] = []
        total = -1
        while True:
            answer = self.ask("POST", f"/{self.prefix}-*/_search", search)["hits"]
            total = answer["total"]["value"] if total < 0 else total
            found += answer["hits"]
            if not answer["hits"] or len(found) >= total:
                return found
            search["search_after"] = answer["hits"][-1]["sort"]

    def messages(self) -> list[str]:
        """The texts of all documents, in order."""
        return [hit["_source"]["message"] for hit in self.documents()]

    def remove(self) -> None:
        """Delete all indices and the templates, where there are any."""
        for name in self.ask("GET", f"/{self.prefix}-*"):
            self.ask("DELETE", f"/{name}")
        for one in self.ask("GET", "/_index_template")["index_templates"]:
            if one["name"].startswith(self.prefix):
                self.ask("DELETE", f"/_index_template/{one['name']}")
