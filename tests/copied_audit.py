"""An Elasticsearch that keeps documents of the audit file and fails as it is told, and a copier that sends there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from daqsched.logs.elastic import Answer
from daqsched.serve.audit_copy import AuditCopy


class Stored:
    """An Elasticsearch that keeps documents, and fails as it is told."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.indices: dict[str, Any] = {}
        #: What becomes of the next requests, the first first: an exception, after what was asked is done where ``late``.
        self.failures: list[tuple[Exception, bool]] = []
        #: Of a document: its status.
        self.refuse: Any = lambda document: 0

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        failure, late = self.failures.pop(0) if self.failures else (None, False)
        if failure is not None and not late:
            raise failure
        answer = self._answer(method, path, body)
        if failure is not None:
            raise failure
        return answer

    def _answer(self, method: str, path: str, body: Any) -> Answer:
        index = path.split("/")[1]
        if method == "PUT":
            if index in self.indices:
                return Answer(400, b'{"error":{"type":"resource_already_exists_exception"}}', "400")
            self.indices[index] = body
            return Answer(200, b"{}")
        assert index in self.indices, "nothing is stored where Elasticsearch would guess the fields"
        items = []
        for action, source in zip(body[::2], body[1::2]):
            key, made = (index, json.loads(action)["create"]["_id"]), json.loads(source)
            status = self.refuse(made) or (409 if key in self.documents else 201)
            if status == 201:
                self.documents[key] = made
            items.append({"create": {"status": status}})
        return Answer(200, json.dumps({"items": items}).encode())

    def read(self, body: bytes, kind: Any) -> Any:
        return msgspec.json.decode(body, type=kind)


def copying(path: Path, stored: Stored) -> AuditCopy:
    return AuditCopy(path, stored, "daqsched-audit", "ctl1")  # type: ignore[arg-type]  # as it is asked


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """All that was written, by its number."""
    files = [one for one in folder.iterdir() if re.fullmatch(r"audit\.ndjson(\.[0-9]+)?", one.name)]
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted(found, key=lambda one: int(one["seq"]))
