"""The index templates: which fields a line's document has, their types in Elasticsearch, and how long lines are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: Raised with every change of `template`; a forwarder replaces an older one and leaves a newer one alone.
TEMPLATE_VERSION = 3

_KEYWORD = {"type": "keyword", "ignore_above": 1024}

#: Fields by their dotted ECS names. `daqsched.*` is our own corner, as ECS asks for fields that it does not know.
FIELDS: dict[str, dict[str, Any]] = {
    "@timestamp": {"type": "date_nanos"},
    "message": {"type": "text", "norms": False},
    "log.level": _KEYWORD,
    "log.offset": {"type": "long"},
    "log.flags": _KEYWORD,
    "host.name": _KEYWORD,
    "service.name": _KEYWORD,
    "service.version": _KEYWORD,
    "service.node.name": _KEYWORD,
    "orchestrator.type": _KEYWORD,
    "orchestrator.resource.type": _KEYWORD,
    "orchestrator.resource.id": _KEYWORD,
    "daqsched.stream": _KEYWORD,
    # which start of the program within its task printed it, from 1
    "daqsched.start": {"type": "integer"},
    # the same for messages that differ in numbers and ids alone
    "daqsched.fingerprint": _KEYWORD,
    # of a document that stands for lines that were dropped: how many, their bytes
    "daqsched.dropped.lines": {"type": "long"},
    "daqsched.dropped.bytes": {"type": "long"},
    # of a dead letter: the index that refused it, and the document as it was sent
    "daqsched.deadletter.index": _KEYWORD,
    "event.original": {"type": "keyword", "index": False, "doc_values": False},
    "event.dataset": _KEYWORD,
    "event.created": {"type": "date"},
    "log.file.path": _KEYWORD,
    "log.logger": _KEYWORD,
    "log.syslog.facility.name": _KEYWORD,
    "log.syslog.severity.name": _KEYWORD,
    "log.syslog.appname": _KEYWORD,
    "log.syslog.hostname": _KEYWORD,
    "log.syslog.msgid": _KEYWORD,
    "process.pid": {"type": "long"},
    "process.name": _KEYWORD,
    "source.ip": {"type": "ip"},
    "error.message": {"type": "text", "norms": False},
    "labels": {"type": "flattened", "ignore_above": 1024},
    "ecs.version": _KEYWORD,
}


class Chosen(NamedTuple):
    """What somebody chose by ``daqsched logs setup``: it stands in the template's ``_meta`` and survives a newer template."""

    #: How long lines are kept, as ``30d``; empty: for ever.
    keep: str = ""
    #: Copies of each index beside the first; -1: one where there is a second node.
    replicas: int = -1
    #: The lifecycle policy (ILM) that deletes old indices; empty: ``daqsched logs expire`` does.
    policy: str = ""


NOTHING = Chosen()


def chosen(answer: Mapping[str, Any]) -> tuple[int, Chosen]:
    """The version of an installed template and what was chosen with it, out of the answer of ``GET _index_template/NAME``."""
    try:
        meta = answer["index_templates"][0]["index_template"]["_meta"]
        version, found = meta["version"], meta.get("chosen") or {}
        known = Chosen(str(found.get("keep", "")), int(found.get("replicas", -1)), str(found.get("policy", "")))
        return (version if isinstance(version, int) else 0), known
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return 0, Chosen()


def template(prefix: str, choice: Chosen = NOTHING) -> dict[str, Any]:
    """The body of ``PUT _index_template/<prefix>``; uses nothing that the smallest Elasticsearch 8 lacks.

    A strange field or value never refuses a document: what is unknown is kept unindexed, what does not parse is
    listed in ``_ignored``. The refresh interval is set on purpose, also because it keeps Elasticsearch from
    pausing refreshes of an index that nobody has searched for a while: a line is found within a second.
    """
    index: dict[str, Any] = {
        "number_of_shards": 1,
        "codec": "best_compression",
        "refresh_interval": "500ms",
        "mapping": {"ignore_malformed": True, "total_fields": {"ignore_dynamic_beyond_limit": True}},
    }
    if choice.replicas < 0:
        index["auto_expand_replicas"] = "0-1"
    else:
        index["number_of_replicas"] = choice.replicas
    if choice.policy:
        index["lifecycle"] = {"name": choice.policy}
    return {
        "index_patterns": [f"{prefix}-*"],
        # of two that fit an index that of the longer prefix is meant; two of one priority are refused
        "priority": 250 + len(prefix),
        "_meta": {
            "version": TEMPLATE_VERSION,
            "description": "Lines that daqsched's jobs print",
            "chosen": choice._asdict(),
        },
        "template": {
            "settings": {"index": index},
            "mappings": {"dynamic": False, "date_detection": False, "properties": _nested(FIELDS)},
        },
    }


def deadletter_template(prefix: str, choice: Chosen = NOTHING) -> dict[str, Any]:
    """The same for the indices of dead letters, above every other template: what was refused elsewhere fits there."""
    made = template(prefix, choice)
    made["index_patterns"] = [f"{prefix}-deadletter-*"]
    made["priority"] = 1_000_000 + len(prefix)
    made["_meta"]["description"] = "Lines of daqsched's jobs that were refused elsewhere"
    return made


def templates(prefix: str, choice: Chosen = NOTHING) -> dict[str, dict[str, Any]]:
    """All templates by their names."""
    return {prefix: template(prefix, choice), f"{prefix}-deadletter": deadletter_template(prefix, choice)}


def _nested(fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, kind in fields.items():
        *parents, last = name.split(".")
        level = properties
        for parent in parents:
            level = level.setdefault(parent, {"properties": {}})["properties"]
        level[last] = kind
    return properties
