"""Which lines somebody may read, as a filter of Elasticsearch's: it means what `Grants.why_not` says of each line. Pure.

It is put beside whatever is asked for (`Elastic.within`), so nothing in a question widens it. A document that no forwarder
wrote, or that does not say what it is of (a job and a host), is for nobody but who may all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

from daqsched.hosts import expand
from daqsched.logs.lines import seconds
from daqsched.merge import Desired
from daqsched.rights.grants import Grants, LineRule, Target
from daqsched.spec import JobSpec, Spec
from daqsched_executor.contract.globs import fits

#: So many moments since when jobs are whose they are, whose names were others', are told apart.
MOST_TAKEN = 200

#: What no document is.
NOTHING: dict[str, Any] = {"match_none": {}}

#: What is no job's comes in one of these.
FORMS = ("file", "syslog", "json", "journald")

#: Lines of jobs are those that executors registered: what comes in by other ways may call itself like a job.
_JOBS_DATASET = "daqsched.task"
#: What stands for lines, and says what these were of.
_INSTEAD = ("daqsched.dropped", "daqsched.deadletter")
_OF_JOBS: dict[str, Any] = {
    "bool": {
        "should": [
            {"term": {"event.dataset": _JOBS_DATASET}},
            {
                "bool": {
                    "filter": [
                        {"terms": {"event.dataset": list(_INSTEAD)}},
                        {"term": {"orchestrator.type": "daqsched"}},
                    ]
                }
            },
        ],
        "minimum_should_match": 1,
    }
}
#: What forwarders write: each document of theirs names one job, or service, and one host.
_OURS: dict[str, Any] = {"terms": {"event.dataset": [_JOBS_DATASET, *(f"daqsched.{one}" for one in FORMS), *_INSTEAD]}}
_JOB, _HOST = "service.name", "host.name"


def filter_of(grants: Grants, spec: Spec, taken: Mapping[str, float] = {}) -> Optional[dict[str, Any]]:
    """The filter for somebody; None: he may read all. ``spec`` says whose each job is, ``taken`` since when where others had a
    job of that name before (`engine.job_owners`): of lines of before nobody knows whose they were."""
    if grants.who.owner:
        return None
    rules = grants.line_rules
    desired = Desired(spec)
    gives = [one for rule in rules if rule.gives for one in _clauses(rule, desired, taken)]
    if not gives:
        return NOTHING
    said: dict[str, Any] = {
        "filter": [_OURS, {"exists": {"field": _JOB}}, {"exists": {"field": _HOST}}, _any(gives)],
    }
    denies = [one for rule in rules if not rule.gives for one in _clauses(rule, desired, taken)]
    if denies:
        said["must_not"] = denies
    return {"bool": said}


def test_of(grants: Grants, spec: Spec, taken: Mapping[str, float] = {}) -> Callable[[Mapping[str, Any]], bool]:
    """The same as a test of a document, for those that were found: should a filter ever let one through."""
    desired = Desired(spec)

    def permits(source: Mapping[str, Any]) -> bool:
        job, host, service = whose(source)
        meant = [target(desired, job, host, service)]
        if not service and seconds(str(source.get("@timestamp", ""))) < begins.get(job, float("-inf")):
            meant.append(Target(job, host, forgotten=True))
        return bool(job and host) and not any(grants.why_not("lines", one) for one in meant)

    begins = _begins(taken)
    return permits


def target(desired: Desired, job: str, host: str, service: bool) -> Target:
    """Whose a line is, as rules know it: of what is no job, nobody's; of a job that is gone nobody knows that."""
    found = None if service else desired.of(job, host)
    if found is None:
        return Target(job, host, service=service, forgotten=not service)
    return Target(job, host, found.owner, found.part)


def whose(source: Mapping[str, Any]) -> tuple[str, str, bool]:
    """The job (or service) and host of a document, and whether it is a service; empty where it does not say."""

    def text(*path: str) -> str:
        value: Any = source
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value if isinstance(value, str) else ""

    dataset = text("event", "dataset")
    job = dataset == _JOBS_DATASET or (dataset in _INSTEAD and text("orchestrator", "type") == "daqsched")
    return text("service", "name"), text("host", "name"), not job


def _clauses(rule: LineRule, desired: Desired, taken: Mapping[str, float]) -> list[dict[str, Any]]:
    """What a rule is about: of jobs, of services."""
    found = []
    if rule.jobs is not None:
        filters = [_OF_JOBS, *_selected(rule.on), *_selected(rule.jobs)]
        if rule.owners or rule.parts:
            whose, before = _owned(rule, desired), _before(taken)
            filters.append(whose if rule.gives else _any([whose, _gone(desired), *before]))
            if rule.gives and before:
                filters.append({"bool": {"must_not": before}})
        found.append({"bool": {"filter": filters}})
    # what is no job is nobody's
    if rule.services is not None and not rule.owners and not rule.parts:
        filters = [*_selected(rule.on), *_selected(rule.services)]
        found.append({"bool": {"filter": filters, "must_not": [_OF_JOBS]}})
    return found


def _owned(rule: LineRule, desired: Desired) -> dict[str, Any]:
    """The jobs of an owner, or of a part, as the farm is now."""

    def fits(job: JobSpec) -> bool:
        return (not rule.owners or job.owner in rule.owners) and (not rule.parts or job.part in rule.parts)

    whole: list[str] = []
    tests: list[dict[str, Any]] = []
    for name, job in desired.jobs.items():
        there = desired.variants.get(name, {})
        others = [host for host, one in there.items() if fits(one) is not fits(job)]
        if not others:
            whole += [name] if fits(job) else []
        elif fits(job):
            tests.append({"bool": {"filter": [{"term": {_JOB: name}}], "must_not": [{"terms": {_HOST: others}}]}})
        else:
            tests.append({"bool": {"filter": [{"term": {_JOB: name}}, {"terms": {_HOST: others}}]}})
    if whole:
        tests.append({"terms": {_JOB: whole}})
    return _any(tests) if tests else NOTHING


def _gone(desired: Desired) -> dict[str, Any]:
    """Jobs that are not in the farm: of which nobody knows whose they were."""
    return {"bool": {"must_not": [{"terms": {_JOB: list(desired.jobs)}}]}}


def _begins(taken: Mapping[str, float]) -> Mapping[str, float]:
    """Of very many the oldest are as the oldest of the others, as a filter has a clause for each."""
    begins = {name: int(since * 1000) / 1000 for name, since in taken.items()}
    oldest = min(sorted(set(begins.values()))[-MOST_TAKEN:], default=0.0)
    return {name: max(since, oldest) for name, since in begins.items()}


def _before(taken: Mapping[str, float]) -> list[dict[str, Any]]:
    """Lines of jobs from before these were whose they are."""
    names: dict[float, list[str]] = {}
    for name, since in _begins(taken).items():
        names.setdefault(since, []).append(name)

    def of(since: float) -> dict[str, Any]:
        return {"range": {"@timestamp": {"lt": round(since * 1000), "format": "epoch_millis"}}}

    return [{"bool": {"filter": [{"terms": {_JOB: jobs}}, of(since)]}} for since, jobs in names.items()]


def _selected(words: Sequence[str]) -> list[dict[str, Any]]:
    """What `select.selection` means by these words; empty: everything."""
    jobs: list[str] = []
    hosts: list[str] = []
    tests: list[dict[str, Any]] = []
    for word in words:
        job, _, host = word.partition("@")
        if job in ("", "*") and host in ("", "*"):
            return []
        if host in ("", "*") and not _is_pattern(job):
            jobs.append(job)
        elif job in ("", "*") and not _is_pattern(host):
            hosts += expand(host) if "[" in host else [host]
        else:
            both = [] if job in ("", "*") else [_named(_JOB, job)]
            both += [] if host in ("", "*") else [_named(_HOST, host)]
            tests.append(both[0] if len(both) == 1 else {"bool": {"filter": both}})
    tests += [{"terms": {_JOB: jobs}}] if jobs else []
    tests += [{"terms": {_HOST: hosts}}] if hosts else []
    return [_any(tests)] if tests else []


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _named(field: str, text: str) -> dict[str, Any]:
    if _is_pattern(text):
        if "[" in text:
            return {"regexp": {field: {"value": _regular(text), "flags": "NONE"}}}
        return {"wildcard": {field: {"value": text.replace("\\", "\\\\")}}}
    if field == _HOST and "[" in text:
        return {"terms": {field: list(expand(text))}}
    return {"term": {field: text}}


def _regular(text: str) -> str:
    """A pattern with a class of characters (``hv_[12]*``, as `fnmatch` reads it) in Lucene's language of regular expressions."""
    found, at = [], 0
    while at < len(text):
        letter = text[at]
        at += 1
        end = text.find("]", at + 1 + text.startswith("!", at)) if letter == "[" else -1
        if end >= 0:
            inner = text[at:end]
            # names are of these letters; what else the class may hold stands in it
            letters = dict.fromkeys([*map(chr, range(0x21, 0x7F)), *inner])
            each = [escaped(one) for one in letters if fits(one, f"[{inner}]")]
            found.append(f"[{''.join(each)}]" if each else "\uffff")
            at = end + 1
        else:
            found.append(".*" if letter == "*" else "." if letter == "?" else escaped(letter))
    return "".join(found)


def escaped(letter: str) -> str:
    """As it stands in a regular expression of Lucene's, also within a class of letters."""
    return letter if letter.isalnum() or letter in "_ " else f"\\{letter}"


def _any(tests: list[dict[str, Any]]) -> dict[str, Any]:
    return tests[0] if len(tests) == 1 else {"bool": {"should": tests, "minimum_should_match": 1}}
