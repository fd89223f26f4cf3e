"""The moments at which a daemon is killed: a table, and the orders and hits that go between a campaign and a daemon as files.

A moment is a point in the daemon's work that `doomed` notices. It is `nth` of its kind since the order was given, plus a delay.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from shared.files import write_atomically

FOLDER_VARIABLE = "PLUMBLINE_FAULTS_FOLDER"
IDLE = "idle"
CHILD_STARTED = "child-started"


class Kind(StrEnum):
    """The kinds of moments that the table of runs shows."""

    IDLE = "idle"
    HANDLING = "handling"
    PUBLISHING = "publishing"
    FLIP = "mid-flip"
    CHILD = "child alone"


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        point: What `doomed` calls the point.
        delays_s: Pauses after the point, taken in turn.
        nths: Which time the point is reached, taken in turn.
    """

    kind: Kind
    point: str
    delays_s: tuple[float, ...] = (0.0,)
    nths: tuple[int, ...] = (1,)


class Order(BaseModel):
    """What a daemon is told: end at this point."""

    model_config = ConfigDict(frozen=True)

    order_id: str
    point: str
    nth: int
    delay_s: float
    child_only: bool


class Hit(BaseModel):
    """What a daemon writes with its last breath.

    Attributes:
        at: Seconds since 1970.
        child_pid: Its child process at this moment, if the point knows one.
    """

    model_config = ConfigDict(frozen=True)

    order_id: str
    daemon: str
    pid: int
    at: float
    child_pid: int | None


def order_file(folder: Path, daemon: str) -> Path:
    return folder / "orders" / f"{daemon}.json"


def hit_file(folder: Path, order_id: str) -> Path:
    return folder / "hits" / f"{order_id}.json"


def give(folder: Path, daemon: str, order: Order) -> None:
    """Tell a daemon; an order that it has not met is replaced."""
    write_atomically(order_file(folder, daemon), order.model_dump_json().encode())


def read_order(folder: Path, daemon: str) -> Order | None:
    try:
        return Order.model_validate_json(order_file(folder, daemon).read_bytes())
    except FileNotFoundError:
        return None


def read_hit(folder: Path, order_id: str) -> Hit | None:
    try:
        return Hit.model_validate_json(hit_file(folder, order_id).read_bytes())
    except FileNotFoundError:
        return None


def _idle() -> Moment:
    return Moment(Kind.IDLE, IDLE)


def _around(kind: Kind, what: str, *topics: str, nths: tuple[int, ...] = (1,)) -> tuple[Moment, ...]:
    return tuple(Moment(kind, f"{what}-{side}:{topic}", nths=nths) for topic in topics for side in ("before", "after"))


def _long_work(result: str, delays_s: tuple[float, ...]) -> tuple[Moment, ...]:
    return (
        _idle(),
        Moment(Kind.HANDLING, CHILD_STARTED, delays_s=delays_s),
        Moment(Kind.CHILD, CHILD_STARTED, delays_s=delays_s),
        *_around(Kind.HANDLING, "ref", "run-result"),
        *_around(Kind.PUBLISHING, "publish", result),
        Moment(Kind.PUBLISHING, "commit-before"),
    )


MOMENTS: dict[str, tuple[Moment, ...]] = {
    "ingest": (
        _idle(),
        *_around(Kind.HANDLING, "ref", "batches"),
        *_around(Kind.PUBLISHING, "publish", "batch-received-v1"),
        Moment(Kind.PUBLISHING, "commit-before"),
    ),
    "cleaner": (
        _idle(),
        Moment(Kind.HANDLING, "ledger-after:add_batch"),
        Moment(Kind.HANDLING, "ledger-after:add_batch_event"),
        Moment(Kind.HANDLING, "ledger-after:add_version"),
        *_around(Kind.HANDLING, "near", "index"),
        *_around(Kind.HANDLING, "ref", "cleaned", "corpus"),
        *_around(Kind.PUBLISHING, "publish", "batch-cleaned-v1", "corpus-versioned-v1"),
        Moment(Kind.PUBLISHING, "commit-before"),
    ),
    "tokenizer-builder": _long_work("tokenizer-ready-v1", (0.2, 0.6, 1.0)),
    "trainer": _long_work("model-trained-v1", (0.5, 2.0, 3.5)),
    "evaluator": _long_work("model-evaluated-v1", (0.2, 0.8, 1.4)),
    "release-manager": (
        _idle(),
        Moment(Kind.HANDLING, "ref-before:releases", nths=(1, 3)),
        *_around(Kind.FLIP, "publish", "release-changed-v1", nths=(1, 2, 3, 4)),
        Moment(Kind.PUBLISHING, "commit-before"),
        Moment(Kind.PUBLISHING, "commit-after"),
    ),
    "inference-gateway": (
        _idle(),
        Moment(Kind.HANDLING, "answer", nths=(1, 5)),
        *_around(Kind.FLIP, "load", "bundle"),
        *_around(Kind.FLIP, "follow", "routes", nths=(1, 2)),
        *_around(Kind.PUBLISHING, "publish", "bundle-loaded-v1"),
    ),
    "monitor": (
        _idle(),
        Moment(Kind.HANDLING, "handle-after:otlp_metrics"),
        Moment(Kind.HANDLING, "handle-before:batch-cleaned-v1"),
        Moment(Kind.HANDLING, "store-before", nths=(1, 4)),
        Moment(Kind.HANDLING, "store-after", nths=(1, 4)),
        *_around(Kind.PUBLISHING, "publish", "traffic-observed-v1"),
        Moment(Kind.PUBLISHING, "commit-before"),
        Moment(Kind.PUBLISHING, "commit-after"),
    ),
}
"""What each daemon is killed at. A child is killed alone, too: its daemon must start it again."""
