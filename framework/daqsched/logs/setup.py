"""What `daqsched logs setup` and `expire` do: templates, retention and replicas of the indices of lines.

An Elasticsearch with index lifecycle management (ILM) deletes old indices itself; for one without it, `expire` does, which
the daemon calls each hour. What was chosen stands in the template's ``_meta``, so that a second call without options changes
nothing, and a forwarder that brings a newer template keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from daqsched.errors import Refused, UserError
from daqsched.logs.elastic import Answer, ask
from daqsched.logs.retention import ended, expired, policy
from daqsched.times import span
from daqsched_executor.contract.template import TEMPLATE_VERSION, Chosen, chosen, templates

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

#: What became of a step.
DONE, WOULD, ALREADY, REFUSED, NOTE = "done", "would", "already", "refused", "note"


class Step(NamedTuple):
    """One thing that was seen to."""

    outcome: str
    what: str
    detail: str = ""


class Setup:
    """Steps towards the wanted state; ``dry_run`` takes none, and tells which it would take."""

    def __init__(self, client: Elasticsearch, prefix: str, dry_run: bool) -> None:
        self._client = client
        self._prefix = prefix
        self._dry_run = dry_run
        self.steps: list[Step] = []

    def run(self, keep: Optional[str], replicas: Optional[int]) -> list[Step]:
        """``keep`` as `retention.kept` gives it; None leaves what was chosen before. Raises `Unreachable`, `Refused`."""
        old = self._chosen()
        ilm = self._has_ilm()
        new = old._replace(
            keep=old.keep if keep is None else keep, replicas=old.replicas if replicas is None else replicas
        )
        new = new._replace(policy=self._prefix if ilm and new.keep else "")
        if new.policy:
            self._policy(new)
        for name, body in templates(self._prefix, new).items():
            self._template(name, body)
        self._indices(new, ilm, set_replicas=replicas is not None)
        if new.keep and not ilm:
            self._say(
                NOTE,
                "retention",
                f"this Elasticsearch has no index lifecycle management: daqsched serve deletes what is older than {new.keep}, "
                "hourly, and `daqsched logs expire` does it now",
            )
        elif not new.keep:
            self._say(NOTE, "retention", "lines are kept for ever: choose with --keep 30d")
        return self.steps

    def expire(self, keep: Optional[str], now: float) -> list[Step]:
        """Delete our indices whose every line is older than ``keep`` (None: what `setup` chose)."""
        old = self._chosen()
        wanted = old.keep if keep is None else keep
        if not wanted:
            raise UserError(
                "nobody has said how long lines are kept: daqsched logs setup --keep 30d, or expire --keep 30d"
            )
        for name in expired(self._names(), self._prefix, span(wanted), now):
            self._do(f"delete the index {name}", "DELETE", f"/{name}")
        if not self.steps:
            self._say(ALREADY, "retention", f"no index is older than {wanted}")
        return self.steps

    # ------------------------------------------------------------------ the parts

    def _chosen(self) -> Chosen:
        answer = ask(self._client, "GET", f"/_index_template/{self._prefix}")
        if answer.status == 403:
            raise Refused(f"Elasticsearch does not let us look at the template {self._prefix}: {answer.why}")
        return chosen(answer.body)[1] if answer.status == 200 else Chosen()

    def _has_ilm(self) -> bool:
        """Whether old indices can be deleted by Elasticsearch: one without it knows no such address (400, 404, 405)."""
        answer = ask(self._client, "GET", "/_ilm/status")
        if answer.status == 403:
            self._say(REFUSED, "index lifecycle management", answer.why)
        return answer.status == 200

    def _policy(self, new: Chosen) -> None:
        body = policy(new.keep)
        found = ask(self._client, "GET", f"/_ilm/policy/{new.policy}")
        what = f"lifecycle policy {new.policy}"
        there = found.body.get(new.policy, {}).get("policy", {}) if found.status == 200 else {}
        age = there.get("phases", {}).get("delete", {}).get("min_age")
        if age == new.keep:
            self._say(ALREADY, what, f"deletes indices after {new.keep}")
        else:
            self._do(what, "PUT", f"/_ilm/policy/{new.policy}", body, f"deletes indices after {new.keep}")

    def _template(self, name: str, body: dict[str, Any]) -> None:
        found = ask(self._client, "GET", f"/_index_template/{name}")
        there = {}
        if found.status == 200:
            there = found.body["index_templates"][0]["index_template"]
        what, meta = f"index template {name}", there.get("_meta") or {}
        detail = f"version {TEMPLATE_VERSION}, indices {', '.join(body['index_patterns'])}"
        if isinstance(meta.get("version"), int) and meta["version"] > TEMPLATE_VERSION:
            self._say(NOTE, what, f"is of version {meta['version']}, newer than ours: left alone")
        elif meta == body["_meta"] and there.get("index_patterns") == body["index_patterns"]:
            self._say(ALREADY, what, detail)
        else:
            self._do(what, "PUT", f"/_index_template/{name}", body, detail)

    def _indices(self, new: Chosen, ilm: bool, set_replicas: bool) -> None:
        """The indices that are there follow, too."""
        settings: dict[str, Any] = {}
        if ilm:
            settings["index.lifecycle.name"] = new.policy or None
        if set_replicas:
            settings["index.auto_expand_replicas"] = "0-1" if new.replicas < 0 else "false"
            if new.replicas >= 0:
                settings["index.number_of_replicas"] = str(new.replicas)
        names = self._names() if settings else []
        there = ask(self._client, "GET", f"/{self._prefix}-*/_settings?flat_settings=true").body if names else {}
        behind = [
            name
            for name in names
            if any(there.get(name, {}).get("settings", {}).get(key) != value for key, value in settings.items())
        ]
        for name in behind:
            self._do(f"settings of the index {name}", "PUT", f"/{name}/_settings", settings)
        if names and not behind:
            self._say(ALREADY, f"settings of {len(names)} indices")

    def _names(self) -> list[str]:
        answer = ask(self._client, "GET", f"/_cat/indices/{self._prefix}-*?format=json&h=index&expand_wildcards=all")
        if answer.status != 200:
            if answer.status == 404:
                return []
            raise Refused(f"Elasticsearch does not let us list {self._prefix}-*: {answer.why}")
        return sorted(row["index"] for row in answer.body if ended(row["index"], self._prefix) is not None)

    # ------------------------------------------------------------------ doing

    def _do(self, what: str, method: str, path: str, body: Any = None, detail: str = "") -> None:
        if self._dry_run:
            return self._say(WOULD, what, detail)
        answer: Answer = ask(self._client, method, path, body)
        if answer.status < 300:
            self._say(DONE, what, detail)
        else:
            self._say(REFUSED, what, answer.why)

    def _say(self, outcome: str, what: str, detail: str = "") -> None:
        self.steps.append(Step(outcome, what, detail))
