"""Kibana's saved objects, as its import API takes them: data views, Lens panels, a saved search, a dashboard. Pure.

The form is that of Kibana 8's own exports (https://www.elastic.co/guide/en/kibana/8.19/saved-objects-api-import.html). Newer
versions take it, and migrate it by the version that each object names. What an object refers to stands in its `references`, never
inside.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.kibana.panels import PANELS, Panel
from shared.telemetry_store.records import DEFAULT_RETENTION
from shared.telemetry_store.streams import Kind, kinds_of, pattern_of_kind

SavedObject = dict[str, Any]

CORE_VERSION = "8.8.0"
TYPE_VERSIONS = {"index-pattern": "8.0.0", "lens": "8.9.0", "search": "8.0.0", "dashboard": "8.9.0"}
"""The version of Kibana whose form each type has here."""
TITLES = {
    "traces": "Plumbline spans",
    "logs": "Plumbline logs",
    "metrics": "Plumbline metrics",
    "events": "Plumbline lifecycle events",
}
LAYER = "layer"
COLUMNS = 48
"""The width of a dashboard's grid."""
PANEL_WIDTH, PANEL_HEIGHT = 24, 12
DASHBOARD = "plumbline-dashboard"
NEWEST_LOGS = "plumbline-newest-logs"
NO_QUERY = {"query": {"query": "", "language": "kuery"}, "filter": []}


def saved_objects(prefix: str) -> tuple[SavedObject, ...]:
    """Return all objects, what is referred to first.

    Args:
        prefix: How the names of the store's data streams begin.
    """
    views = [data_view(kind, prefix) for kind in kinds_of(DEFAULT_RETENTION) if kind.name in TITLES]
    panels = [lens(panel) for panel in PANELS]
    return (*views, *panels, newest_logs(), dashboard([*panels, newest_logs()]))


def ndjson(objects: Iterable[SavedObject]) -> bytes:
    """Return the file that the import API takes: an object a line."""
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in objects).encode()


def data_view(kind: Kind, prefix: str) -> SavedObject:
    """Return the data view of a kind of record; `index-pattern` is what Kibana calls it still."""
    attributes = {"title": pattern_of_kind(prefix, kind), "name": TITLES[kind.name], "timeFieldName": "@timestamp"}
    return _saved("index-pattern", view_id(kind.name), attributes, [])


def view_id(kind: str) -> str:
    """Return the id of a kind's data view."""
    return f"plumbline-{kind}-view"


def lens(panel: Panel) -> SavedObject:
    """Return a Lens visualization."""
    layer = {"columns": panel.columns, "columnOrder": list(panel.columns), "incompleteColumns": {}}
    state = {
        "visualization": {**panel.visualization(LAYER)},
        "query": {"query": panel.query, "language": "kuery"},
        "filters": [],
        "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
        "internalReferences": [],
        "adHocDataViews": {},
    }
    attributes = {
        "title": panel.title, "description": panel.why, "visualizationType": panel.kind, "state": state,
    }  # fmt: skip
    view = _reference(f"indexpattern-datasource-layer-{LAYER}", "index-pattern", view_id(panel.records))
    return _saved("lens", f"plumbline-{panel.name}", attributes, [view])


def newest_logs() -> SavedObject:
    """Return the saved search that lists log records, newest first."""
    named = "kibanaSavedObjectMeta.searchSourceJSON.index"
    attributes = {
        "title": "Newest log records",
        "description": "",
        "columns": ["service.name", "log.level", "message", "trace.id"],
        "sort": [["@timestamp", "desc"]],
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps({**NO_QUERY, "indexRefName": named})},
    }
    return _saved("search", NEWEST_LOGS, attributes, [_reference(named, "index-pattern", view_id("logs"))])


def dashboard(shown: list[SavedObject]) -> SavedObject:
    """Return the dashboard, two panels a row."""
    attributes = {
        "title": "Plumbline",
        "description": "Answers, releases' events, trainings, errors. Alerts are decided by the monitor, not here.",
        "panelsJSON": json.dumps(list(_placed(shown))),
        "optionsJSON": json.dumps({"useMargins": True, "syncColors": True, "hidePanelTitles": False}),
        "version": 1,
        "timeRestore": True,
        "timeFrom": "now-1h",
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 10_000},
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(NO_QUERY)},
    }
    references = [_reference(f"{one['id']}:panel_{one['id']}", one["type"], one["id"]) for one in shown]
    return _saved("dashboard", DASHBOARD, attributes, references)


def _placed(shown: list[SavedObject]) -> Iterator[dict[str, Any]]:
    per_row = COLUMNS // PANEL_WIDTH
    for number, one in enumerate(shown):
        row, column = divmod(number, per_row)
        place = {
            "x": column * PANEL_WIDTH,
            "y": row * PANEL_HEIGHT,
            "w": PANEL_WIDTH,
            "h": PANEL_HEIGHT,
            "i": one["id"],
        }
        yield {
            "version": TYPE_VERSIONS["dashboard"], "type": one["type"], "gridData": place, "panelIndex": one["id"],
            "embeddableConfig": {"enhancements": {}}, "panelRefName": f"panel_{one['id']}",
        }  # fmt: skip


def _saved(kind: str, identity: str, attributes: Mapping[str, Any], references: list[dict[str, str]]) -> SavedObject:
    return {
        "type": kind, "id": identity, "attributes": dict(attributes), "references": references, "managed": False,
        "coreMigrationVersion": CORE_VERSION, "typeMigrationVersion": TYPE_VERSIONS[kind],
    }  # fmt: skip


def _reference(name: str, kind: str, identity: str) -> dict[str, str]:
    return {"name": name, "type": kind, "id": identity}
