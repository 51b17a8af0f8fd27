"""Objects to import into Kibana: a data view, searches and a dashboard, out of the list of fields.

The forms are those of Kibana 8's saved objects (``type``, ``id``, ``attributes``, ``references``), JSON inside JSON as
text. Later Kibanas migrate them by ``coreMigrationVersion`` and ``typeMigrationVersion``, as for Kibana's own sample data.
No Kibana was at hand when this was written: tests check the structure, nobody has imported it yet.
"""

from __future__ import annotations

import json
from typing import Any

from daqsched_executor.contract.template import FIELDS

CORE_VERSION = "8.8.0"
TYPE_VERSIONS = {"index-pattern": "8.0.0", "search": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}

#: Columns of a list of lines.
COLUMNS = ("host.name", "service.name", "daqsched.stream", "log.level", "message")

#: Saved searches: id, title, filter in Kibana's query language, columns.
SEARCHES = (
    ("lines", "All lines", "", COLUMNS),
    ("errors", "Errors and worse", "log.level: (error or critical)", COLUMNS),
    ("executor", "What executors say of jobs", "daqsched.stream: executor", COLUMNS),
    ("services", "Services, syslog and journal", "not event.dataset: daqsched.task", COLUMNS),
    (
        "dropped",
        "Lines that were dropped or refused",
        "event.dataset: (daqsched.dropped or daqsched.deadletter)",
        ("host.name", "service.name", "daqsched.dropped.lines", "daqsched.dropped.bytes", "message", "error.message"),
    ),
)

#: Diagrams: id, title, kind, field of the rows (or of the colours, over time), filter.
DIAGRAMS = (
    ("by-level", "Lines by level", "bars", "log.level", ""),
    ("by-host", "Lines by host", "bars", "host.name", ""),
    ("errors-by-job", "Errors by job", "bars", "service.name", "log.level: (error or critical)"),
    ("errors-host-time", "Errors: hosts × time", "heat", "host.name", "log.level: (error or critical)"),
)

#: How high and wide (of 48) a diagram on the dashboard is, and the list of lines below them.
_HIGH, _WIDE, _LIST_HIGH = 12, 24, 24


def ndjson(prefix: str = "daqsched-logs") -> str:
    """One object per line, each after those that it refers to."""
    view = f"{prefix}-view"
    made = [_data_view(view, prefix)]
    made += [_search(prefix, view, *search) for search in SEARCHES]
    made += [_lens(prefix, view, *diagram) for diagram in DIAGRAMS]
    made.append(_dashboard(prefix))
    return "".join(json.dumps(one, sort_keys=True) + "\n" for one in made)


def _object(kind: str, name: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": kind,
        "id": name,
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": CORE_VERSION,
        "typeMigrationVersion": TYPE_VERSIONS[kind],
    }


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _data_view(view: str, prefix: str) -> dict[str, Any]:
    attributes = {
        "title": f"{prefix}-*",
        "name": f"daqsched: {prefix}",
        "timeFieldName": "@timestamp",
        "fields": "[]",
        "allowNoIndex": True,
        "sourceFilters": "[]",
        # a field that is named here is shown among the popular ones
        "fieldAttrs": _text({name: {"count": 1} for name in FIELDS if name in COLUMNS}),
        "fieldFormatMap": _text({name: {"id": "bytes"} for name in FIELDS if name.endswith(".bytes")}),
        "runtimeFieldMap": "{}",
    }
    return _object("index-pattern", view, attributes, [])


def _source(filter_text: str, **more: Any) -> dict[str, Any]:
    return {"query": {"query": filter_text, "language": "kuery"}, "filter": [], **more}


def _search(
    prefix: str, view: str, name: str, title: str, filter_text: str, columns: tuple[str, ...]
) -> dict[str, Any]:
    reference = "kibanaSavedObjectMeta.searchSourceJSON.index"
    source = _source(filter_text, indexRefName=reference, highlightAll=True, version=True)
    attributes = {
        "title": f"daqsched: {title}",
        "description": "",
        "columns": list(columns),
        "sort": [["@timestamp", "desc"]],
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "timeRestore": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(source)},
    }
    return _object("search", f"{prefix}-{name}", attributes, [{"type": "index-pattern", "id": view, "name": reference}])


def _lens(prefix: str, view: str, name: str, title: str, kind: str, field: str, filter_text: str) -> dict[str, Any]:
    layer = "lines"
    columns = {
        "time": {
            "dataType": "date",
            "isBucketed": True,
            "label": "@timestamp",
            "operationType": "date_histogram",
            "params": {"interval": "auto", "includeEmptyRows": True},
            "scale": "interval",
            "sourceField": "@timestamp",
        },
        "split": {
            "dataType": "string",
            "isBucketed": True,
            "label": field,
            "operationType": "terms",
            "params": {
                "missingBucket": False,
                "orderBy": {"columnId": "number", "type": "column"},
                "orderDirection": "desc",
                "otherBucket": True,
                "size": 50 if kind == "heat" else 10,
            },
            "scale": "ordinal",
            "sourceField": field,
        },
        "number": {
            "dataType": "number",
            "isBucketed": False,
            "label": "lines",
            "operationType": "count",
            "params": {"emptyAsNull": True},
            "scale": "ratio",
            "sourceField": "___records___",
        },
    }
    assert field in FIELDS, f"no such field: {field}"
    order = ["split", "time", "number"]
    state = {
        **_source(filter_text),
        "datasourceStates": {"formBased": {"layers": {layer: {"columnOrder": order, "columns": columns}}}},
        "visualization": _bars(layer) if kind == "bars" else _heat(layer),
        "internalReferences": [],
        "adHocDataViews": {},
    }
    attributes = {
        "title": f"daqsched: {title}",
        "description": "",
        "visualizationType": "lnsXY" if kind == "bars" else "lnsHeatmap",
        "state": state,
    }
    reference = {"type": "index-pattern", "id": view, "name": f"indexpattern-datasource-layer-{layer}"}
    return _object("lens", f"{prefix}-{name}", attributes, [reference])


def _bars(layer: str) -> dict[str, Any]:
    return {
        "legend": {"isVisible": True, "position": "right"},
        "preferredSeriesType": "bar_stacked",
        "layers": [
            {
                "layerId": layer,
                "layerType": "data",
                "seriesType": "bar_stacked",
                "accessors": ["number"],
                "splitAccessor": "split",
                "xAccessor": "time",
            }
        ],
    }


def _heat(layer: str) -> dict[str, Any]:
    return {
        "layerId": layer,
        "layerType": "data",
        "shape": "heatmap",
        "legend": {"isVisible": True, "position": "right", "type": "heatmap_legend"},
        "gridConfig": {
            "type": "heatmap_grid",
            "isCellLabelVisible": False,
            "isXAxisLabelVisible": True,
            "isXAxisTitleVisible": False,
            "isYAxisLabelVisible": True,
            "isYAxisTitleVisible": False,
        },
        "xAccessor": "time",
        "yAccessor": "split",
        "valueAccessor": "number",
    }


def _dashboard(prefix: str) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    references = []
    high = 0
    for at, (kind, name) in enumerate([*(("lens", one[0]) for one in DIAGRAMS), ("search", "lines")]):
        x, y = at % 2 * _WIDE, at // 2 * _HIGH
        wide = 2 * _WIDE if kind == "search" else _WIDE
        high = _LIST_HIGH if kind == "search" else _HIGH
        panels.append(
            {
                "type": kind,
                "panelIndex": name,
                "panelRefName": f"panel_{name}",
                "gridData": {"x": x, "y": y, "w": wide, "h": high, "i": name},
                "embeddableConfig": {},
            }
        )
        references.append({"type": kind, "id": f"{prefix}-{name}", "name": f"{name}:panel_{name}"})
    attributes = {
        "title": f"daqsched: lines of {prefix}",
        "description": "What the jobs of the farm print: how much, from where, how bad.",
        "panelsJSON": _text(panels),
        "optionsJSON": _text({"useMargins": True, "syncColors": True, "hidePanelTitles": False}),
        "timeRestore": True,
        "timeFrom": "now-1h",
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 10_000},
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(_source(""))},
    }
    return _object("dashboard", f"{prefix}-dashboard", attributes, references)
