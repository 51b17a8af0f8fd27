"""What `daqsched logs setup` and `expire` do: templates, retention and replicas of the indices of lines.

An Elasticsearch with index lifecycle management (ILM) deletes old indices itself; for one without it, `expire` does, which
the daemon calls each hour. What was chosen stands in the template's ``_meta``, so that a second call without options changes
nothing, and a forwarder that brings a newer template keeps it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import msgspec

from daqsched.errors import Refused, UserError
from daqsched.logs.answers import foreign_words
from daqsched.logs.elastic import Elastic
from daqsched.logs.retention import ended, expired, indices_of, kept, policy
from daqsched.times import span
from daqsched_executor.contract.template import TEMPLATE_VERSION, Chosen, chosen, templates

#: What became of a step.
DONE, WOULD, ALREADY, REFUSED, NOTE = "done", "would", "already", "refused", "note"


class _Settings(msgspec.Struct):
    settings: dict[str, Any] = {}


class _Phase(msgspec.Struct):
    min_age: Optional[str] = None


class _Phases(msgspec.Struct):
    phases: dict[str, _Phase] = {}


class _Policy(msgspec.Struct):
    policy: _Phases = msgspec.field(default_factory=_Phases)


class _Template(msgspec.Struct, rename={"meta": "_meta"}):
    index_patterns: list[str] = []
    meta: Optional[dict[str, Any]] = None


class _Installed(msgspec.Struct):
    index_template: _Template = msgspec.field(default_factory=_Template)


class _Templates(msgspec.Struct):
    index_templates: list[_Installed] = []


class Step(NamedTuple):
    """One thing that was seen to."""

    outcome: str
    what: str
    detail: str = ""


class Setup:
    """Steps towards the wanted state; ``dry_run`` takes none, and tells which it would take."""

    def __init__(self, client: Elastic, prefix: str, dry_run: bool) -> None:
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
        wanted = self._chosen().keep if keep is None else keep
        if not wanted or not kept(wanted):
            raise UserError(
                "nobody has said how long lines are kept: daqsched logs setup --keep 30d, or expire --keep 30d"
            )
        for name in expired(self._made(), self._prefix, span(wanted), now):
            self._do(f"delete the index {name}", "DELETE", f"/{name}")
        if not self.steps:
            self._say(ALREADY, "retention", f"no index is older than {wanted}")
        return self.steps

    # ------------------------------------------------------------------ the parts

    def _chosen(self) -> Chosen:
        answer = self._client.ask("GET", f"/_index_template/{self._prefix}")
        if answer.status == 403:
            raise Refused(f"Elasticsearch does not let us look at the template {self._prefix}: {answer.why}")
        if answer.status not in (200, 404):
            raise Refused(f"Elasticsearch does not tell the template {self._prefix}: {answer.why}")
        return chosen(self._client.read(answer.body, dict[str, Any]))[1] if answer.status == 200 else Chosen()

    def _has_ilm(self) -> bool:
        """Whether old indices can be deleted by Elasticsearch: one without it knows no such address (400, 404, 405)."""
        answer = self._client.ask("GET", "/_ilm/status")
        if answer.status == 403:
            self._say(REFUSED, "index lifecycle management", answer.why)
        return answer.status == 200

    def _policy(self, new: Chosen) -> None:
        body = policy(new.keep)
        found = self._client.ask("GET", f"/_ilm/policy/{new.policy}")
        what = f"lifecycle policy {new.policy}"
        age = None
        if found.status == 200:
            there = self._client.read(found.body, dict[str, _Policy]).get(new.policy, _Policy())
            age = there.policy.phases.get("delete", _Phase()).min_age
        if age == new.keep:
            self._say(ALREADY, what, f"deletes indices after {new.keep}")
        else:
            self._do(what, "PUT", f"/_ilm/policy/{new.policy}", body, f"deletes indices after {new.keep}")

    def _template(self, name: str, body: dict[str, Any]) -> None:
        found = self._client.ask("GET", f"/_index_template/{name}")
        there = _Template()
        if found.status == 200:
            there = next(
                (one.index_template for one in self._client.read(found.body, _Templates).index_templates), there
            )
        what, meta = f"index template {name}", there.meta or {}
        detail = f"version {TEMPLATE_VERSION}, indices {', '.join(body['index_patterns'])}"
        if isinstance(meta.get("version"), int) and meta["version"] > TEMPLATE_VERSION:
            self._say(NOTE, what, f"is of version {meta['version']}, newer than ours: left alone")
        elif meta == body["_meta"] and there.index_patterns == body["index_patterns"]:
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
        there = self._settings("index.*") if settings else {}
        names = sorted(name for name in there if ended(name, self._prefix) is not None)
        behind = [name for name in names if any(there[name].get(key) != value for key, value in settings.items())]
        for name in behind:
            self._do(f"settings of the index {name}", "PUT", f"/{name}/_settings", settings)
        if names and not behind:
            self._say(ALREADY, f"settings of {len(names)} indices")
        wrong = self._client.foreign(self._prefix)
        if wrong:
            self._say(NOTE, "indices that are there", foreign_words(wrong))

    def _made(self) -> dict[str, float]:
        """When each index was made."""
        made = {}
        for name, settings in self._settings("index.creation_date").items():
            date = settings.get("index.creation_date") or ""
            # nobody knows when: it is not deleted
            made[name] = int(date) / 1000 if date.isdecimal() and len(date) < 16 else float("inf")
        return made

    def _settings(self, which: str) -> dict[str, dict[str, Optional[str]]]:
        options = "flat_settings=true&expand_wildcards=all&ignore_unavailable=true&allow_no_indices=true"
        answer = self._client.ask("GET", f"/{indices_of(self._prefix)}/_settings/{which}?{options}")
        if answer.status == 404:
            return {}
        if answer.status != 200:
            raise Refused(f"Elasticsearch does not let us list {self._prefix}-*: {answer.why}")
        found = self._client.read(answer.body, dict[str, _Settings])
        return {
            name: {key: value if isinstance(value, str) else None for key, value in one.settings.items()}
            for name, one in found.items()
        }

    # ------------------------------------------------------------------ doing

    def _do(self, what: str, method: str, path: str, body: Any = None, detail: str = "") -> None:
        if self._dry_run:
            return self._say(WOULD, what, detail)
        answer = self._client.ask(method, path, body)
        if answer.status < 300:
            self._say(DONE, what, detail)
        else:
            self._say(REFUSED, what, answer.why)

    def _say(self, outcome: str, what: str, detail: str = "") -> None:
        self.steps.append(Step(outcome, what, detail))
