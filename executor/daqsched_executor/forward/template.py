"""The index template: which fields a line's document has, and their types in Elasticsearch."""

from __future__ import annotations

from typing import Any

#: Raised with every change of `template`; a forwarder replaces an older one and leaves a newer one alone.
TEMPLATE_VERSION = 2

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


def template(prefix: str) -> dict[str, Any]:
    """The body of ``PUT _index_template/<prefix>``; uses nothing that the smallest Elasticsearch 8 lacks.

    A strange field or value never refuses a document: what is unknown is kept unindexed, what does not parse is
    listed in ``_ignored``. The refresh interval is set on purpose, also because it keeps Elasticsearch from
    pausing refreshes of an index that nobody has searched for a while: a line is found within a second.
    """
    return {
        "index_patterns": [f"{prefix}-*"],
        "priority": 250,
        "_meta": {"version": TEMPLATE_VERSION, "description": "Lines that daqsched's jobs print"},
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": 1,
                    "auto_expand_replicas": "0-1",
                    "codec": "best_compression",
                    "refresh_interval": "1s",
                    "mapping": {"ignore_malformed": True, "total_fields": {"ignore_dynamic_beyond_limit": True}},
                }
            },
            "mappings": {"dynamic": False, "date_detection": False, "properties": _nested(FIELDS)},
        },
    }


def _nested(fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, kind in fields.items():
        *parents, last = name.split(".")
        level = properties
        for parent in parents:
            level = level.setdefault(parent, {"properties": {}})["properties"]
        level[last] = kind
    return properties
