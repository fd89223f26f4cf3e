"""The saved objects against their documented form and the store's templates, and their loading against Kibana's documented API.

They were never run in a Kibana: there is none here.
"""

import email
import http.server
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from contracts.telemetry import METRICS
from shared.kibana import load as loading
from shared.kibana.load import KibanaRefused, Settings, load
from shared.kibana.objects import COLUMNS, DASHBOARD, LAYER, TYPE_VERSIONS, ndjson, saved_objects
from shared.kibana.panels import PANELS
from shared.telemetry_store.elastic_templates import FIELDS
from shared.telemetry_store.patterns import level_name, level_of
from shared.telemetry_store.records import DEFAULT_RETENTION
from shared.telemetry_store.streams import kinds_of, pattern_of_kind

PREFIX = "some"
OBJECTS = saved_objects(PREFIX)
BY_KEY = {(one["type"], one["id"]): one for one in OBJECTS}
LENS = [one for one in OBJECTS if one["type"] == "lens"]
NUMERIC = {"long", "double", "short"}


def kind_of(view: str) -> str:
    """Return the kind of record that a data view shows."""
    title = BY_KEY["index-pattern", view]["attributes"]["title"]
    patterns = {pattern_of_kind(PREFIX, kind): kind.name for kind in kinds_of(DEFAULT_RETENTION)}
    return patterns[title]


def fields_of(kind: str) -> dict[str, str]:
    """Return the types of a kind's searchable fields by their dotted names."""
    return {"@timestamp": "date", **dict(_leaves(FIELDS[kind], ""))}


def _leaves(fields: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in fields.items():
        if "properties" in field:
            yield from _leaves(field["properties"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field["type"]


def test_objects_have_what_an_export_has_and_an_id_of_their_own() -> None:
    assert len(BY_KEY) == len(OBJECTS)
    for one in OBJECTS:
        assert set(one) == {
            "type", "id", "attributes", "references", "managed", "coreMigrationVersion", "typeMigrationVersion",
        }  # fmt: skip
        assert one["typeMigrationVersion"] == TYPE_VERSIONS[one["type"]]
        assert one["attributes"]["title"]


def test_the_file_has_an_object_a_line() -> None:
    lines = ndjson(OBJECTS).decode().splitlines()
    assert [json.loads(line) for line in lines] == list(OBJECTS)


def test_what_is_referred_to_is_there_and_comes_first() -> None:
    seen: set[tuple[str, str]] = set()
    for one in OBJECTS:
        assert {(each["type"], each["id"]) for each in one["references"]} <= seen
        seen.add((one["type"], one["id"]))


def test_every_view_shows_streams_of_the_store() -> None:
    shown = {kind_of(one["id"]) for one in OBJECTS if one["type"] == "index-pattern"}
    assert shown == {"traces", "logs", "metrics", "events"}
    for one in OBJECTS:
        if one["type"] == "index-pattern":
            assert one["attributes"]["timeFieldName"] == "@timestamp"


@pytest.mark.parametrize("one", LENS, ids=lambda one: one["id"])
def test_a_panel_draws_fields_that_the_stores_template_has(one: dict[str, Any]) -> None:
    [view] = one["references"]
    assert view["name"] == f"indexpattern-datasource-layer-{LAYER}"
    fields = fields_of(kind_of(view["id"]))
    layer = one["attributes"]["state"]["datasourceStates"]["formBased"]["layers"][LAYER]
    assert list(layer["columns"]) == layer["columnOrder"]
    for column in layer["columns"].values():
        match column["operationType"]:
            case "count":
                assert column["sourceField"] == "___records___"
            case "date_histogram":
                assert fields[column["sourceField"]] == "date"
            case "terms":
                assert fields[column["sourceField"]] == "keyword"
                assert column["params"]["orderBy"]["columnId"] in layer["columns"]
            case _:
                assert fields[column["sourceField"]] in NUMERIC
    buckets = [column["isBucketed"] for column in layer["columns"].values()]
    assert buckets == sorted(buckets, reverse=True), "Lens wants buckets first"


@pytest.mark.parametrize("one", LENS, ids=lambda one: one["id"])
def test_a_drawing_names_only_its_columns(one: dict[str, Any]) -> None:
    state = one["attributes"]["state"]
    columns = set(state["datasourceStates"]["formBased"]["layers"][LAYER]["columns"])
    drawn = state["visualization"]
    if one["attributes"]["visualizationType"] == "lnsDatatable":
        assert {column["columnId"] for column in drawn["columns"]} == columns
        assert drawn["layerId"] == LAYER
    else:
        [layer] = drawn["layers"]
        assert {layer["xAccessor"], *layer["accessors"], layer.get("splitAccessor", layer["xAccessor"])} == columns
        assert layer["layerId"] == LAYER


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panels_query_asks_for_fields_that_are_there(panel: Any) -> None:
    if panel.query:
        field, _, value = panel.query.partition(" : ")
        assert fields_of(panel.records)[field] == "keyword"
        assert value


def test_levels_that_are_asked_for_are_levels_that_the_store_writes() -> None:
    asked = {
        level
        for panel in PANELS
        if panel.query.startswith("log.level")
        for level in re.findall(r'"(\w+)"', panel.query)
    }
    assert asked == {level_name(level_of(severity)) for severity in ("WARN", "ERROR", "FATAL")}


def test_metrics_that_are_asked_for_are_metrics_that_are_measured() -> None:
    asked = {panel.query.split('"')[1] for panel in PANELS if panel.records == "metrics"}
    assert asked <= {metric.name for metric in METRICS}


def test_the_saved_search_lists_fields_that_are_there() -> None:
    [search] = [one for one in OBJECTS if one["type"] == "search"]
    [view] = search["references"]
    source = json.loads(search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert source["indexRefName"] == view["name"]
    assert set(search["attributes"]["columns"]) <= set(fields_of(kind_of(view["id"])))


def test_the_dashboard_shows_every_panel_once_and_none_over_another() -> None:
    board = BY_KEY["dashboard", DASHBOARD]
    panels = json.loads(board["attributes"]["panelsJSON"])
    references = {each["name"]: (each["type"], each["id"]) for each in board["references"]}
    shown = [references[f"{panel['panelIndex']}:{panel['panelRefName']}"] for panel in panels]
    assert sorted(shown) == sorted(key for key in BY_KEY if key[0] in {"lens", "search"})
    assert [panel["type"] for panel in panels] == [kind for kind, _ in shown]
    cells: set[tuple[int, int]] = set()
    for place in (panel["gridData"] for panel in panels):
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells
        assert max(x for x, _ in own) < COLUMNS
        cells |= own


# ---- loading


class Kibana(http.server.ThreadingHTTPServer):
    """Takes what Kibana's documentation says that it takes."""

    level = "available"
    refuses = False
    taken: tuple[dict[str, Any], ...] = ()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Kibana

    def do_GET(self) -> None:
        assert self.path == "/api/status"
        self._answer(200, {"status": {"overall": {"level": self.server.level}}})

    def do_POST(self) -> None:
        assert self.path == "/api/saved_objects/_import?overwrite=true"
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["kbn-xsrf"] is None:
            self._answer(400, {"message": "Request must contain a kbn-xsrf header."})
            return
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        [part] = email.message_from_bytes(head + body).get_payload()
        assert part.get_param("name", header="content-disposition") == "file"
        assert str(part.get_filename()).endswith(".ndjson")
        self.server.taken = tuple(json.loads(line) for line in part.get_payload(decode=True).splitlines())
        if self.server.refuses:
            self._answer(
                200, {"success": False, "successCount": 1, "errors": [{"id": "x", "error": {"type": "unknown"}}]}
            )
        else:
            self._answer(200, {"success": True, "successCount": len(self.server.taken)})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def kibana(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Kibana, httpx.Client]]:
    monkeypatch.setattr(loading, "POLL_S", 0.01)
    with Kibana(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as client:
            yield server, client
        server.shutdown()


def settings(wait_s: float) -> Settings:
    return Settings.model_validate({"kibana": {"wait_s": wait_s}, "store": {"index_prefix": PREFIX}})


def test_all_objects_are_loaded_in_the_documented_form(kibana: tuple[Kibana, httpx.Client]) -> None:
    server, client = kibana
    assert load(client, settings(1)) == len(OBJECTS)
    assert server.taken == OBJECTS


def test_it_waits_until_kibana_is_available(kibana: tuple[Kibana, httpx.Client]) -> None:
    server, client = kibana
    server.level = "degraded"
    waiting = threading.Timer(0.1, lambda: setattr(server, "level", "available"))
    waiting.start()
    assert load(client, settings(10)) == len(OBJECTS)
    waiting.join()


def test_without_kibana_it_gives_up_without_an_error(kibana: tuple[Kibana, httpx.Client]) -> None:
    server, client = kibana
    server.level = "unavailable"
    assert load(client, settings(0.05)) is None
    with httpx.Client(base_url="http://127.0.0.1:9", trust_env=False) as nobody:
        assert load(nobody, settings(0.05)) is None
    assert server.taken == ()


def test_what_kibana_refuses_is_said(kibana: tuple[Kibana, httpx.Client]) -> None:
    server, client = kibana
    server.refuses = True
    with pytest.raises(KibanaRefused, match=r"took 1 of .*'unknown'"):
        load(client, settings(1))
