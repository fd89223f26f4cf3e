"""The dashboard's panels, in the terms of Kibana's Lens: which records, which columns, drawn how. Pure.

Attributes of spans and metrics are one flattened field, whose parts Lens cannot list: panels use the fields that have a name of
their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Column = dict[str, Any]

TIME, VALUE, SPLIT = "time", "value", "split"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        name: Part of its id.
        records: The kind of record that it is drawn from.
        query: KQL that picks records; empty: all.
        columns: Lens' columns by our own ids, buckets first.
        series: How it is drawn: Lens' series type, or a table.
    """

    name: str
    title: str
    why: str
    records: Literal["traces", "logs", "metrics", "events"]
    query: str
    columns: Mapping[str, Column]
    series: Literal["bar_stacked", "line", "table"]

    @property
    def kind(self) -> str:
        """Lens' name for the kind of drawing."""
        return "lnsDatatable" if self.series == "table" else "lnsXY"

    def visualization(self, layer: str) -> dict[str, Any]:
        """Return Lens' state of the drawing."""
        if self.series == "table":
            return {"layerId": layer, "layerType": "data", "columns": [{"columnId": name} for name in self.columns]}
        drawn = {
            "layerId": layer, "layerType": "data", "seriesType": self.series, "xAccessor": TIME, "accessors": [VALUE],
            **({"splitAccessor": SPLIT} if SPLIT in self.columns else {}),
        }  # fmt: skip
        return {
            "legend": {"isVisible": True, "position": "right"},
            "valueLabels": "hide",
            "preferredSeriesType": self.series,
            "layers": [drawn],
        }


def over_time() -> Column:
    """Return the horizontal axis."""
    return {
        "label": "@timestamp", "dataType": "date", "operationType": "date_histogram", "sourceField": "@timestamp",
        "isBucketed": True, "scale": "interval", "params": {"interval": "auto", "includeEmptyRows": True},
    }  # fmt: skip


def top(field: str, label: str, *, size: int = 10) -> Column:
    """Return a split by a field's most frequent values."""
    params = {
        "size": size, "orderBy": {"type": "column", "columnId": VALUE}, "orderDirection": "desc", "otherBucket": True,
        "missingBucket": False, "parentFormat": {"id": "terms"},
    }  # fmt: skip
    return {
        "label": label, "customLabel": True, "dataType": "string", "operationType": "terms", "sourceField": field,
        "isBucketed": True, "scale": "ordinal", "params": params,
    }  # fmt: skip


def count(label: str) -> Column:
    """Return how many records there are; Lens names that field so."""
    return {
        "label": label, "customLabel": True, "dataType": "number", "operationType": "count", "sourceField": "___records___",
        "isBucketed": False, "scale": "ratio", "params": {"emptyAsNull": False},
    }  # fmt: skip


def measured(operation: Literal["average", "max", "percentile"], field: str, label: str, **params: object) -> Column:
    """Return a number over a field's values."""
    return {
        "label": label, "customLabel": True, "dataType": "number", "operationType": operation, "sourceField": field,
        "isBucketed": False, "scale": "ratio", "params": {"emptyAsNull": True, **params},
    }  # fmt: skip


PANELS = (
    Panel(
        name="answers", title="Answers", why="what the gateways were asked", records="traces", series="bar_stacked",
        query='service.name : "inference-gateway"',
        columns={TIME: over_time(), SPLIT: top("name", "span"), VALUE: count("spans")},
    ),
    Panel(
        name="answer-latency", title="Slowest twentieth of answers, ms", why="p95 of the gateways' spans",
        records="traces", series="line", query='service.name : "inference-gateway"',
        columns={
            TIME: over_time(), SPLIT: top("name", "span"), VALUE: measured("percentile", "duration_ms", "p95", percentile=95),
        },
    ),
    Panel(
        name="lifecycle", title="From documents to releases", why="lifecycle events by topic", records="events",
        series="bar_stacked", query="",
        columns={TIME: over_time(), SPLIT: top("topic", "topic", size=14), VALUE: count("events")},
    ),
    Panel(
        name="training-loss", title="Loss of trainings", why="mean loss of the running training", records="metrics",
        series="line", query='name : "plumbline.training.loss"',
        columns={TIME: over_time(), VALUE: measured("average", "value", "loss")},
    ),
    Panel(
        name="work", title="Work by daemon", why="spans by daemon", records="traces", series="bar_stacked", query="",
        columns={TIME: over_time(), SPLIT: top("service.name", "daemon"), VALUE: count("spans")},
    ),
    Panel(
        name="troubles", title="Warnings and errors", why="log records by level", records="logs", series="bar_stacked",
        query='log.level : ("warning" or "error" or "fatal")',
        columns={TIME: over_time(), SPLIT: top("log.level", "level", size=4), VALUE: count("records")},
    ),
    Panel(
        name="error-patterns", title="Error patterns", why="errors by daemon and message template", records="logs",
        series="table", query='log.level : ("error" or "fatal")',
        columns={
            "daemon": top("service.name", "daemon"), "pattern": top("pattern", "message template", size=20),
            VALUE: count("records"),
        },
    ),
)  # fmt: skip
