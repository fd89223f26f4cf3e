"""The table of topics: the single source of names, keys, partitions, retention, producers and consumers.

Every topic has equally many partitions and the domain as key, and groups use the range assignor, so one member of a group owns
a domain on all its topics. The one exception is a topic that is `spread`: any member may work its events off.
"""

from dataclasses import dataclass

from contracts.corpus import (
    BatchCleaned,
    BatchPrepared,
    BatchReceived,
    CorpusAmended,
    CorpusVersioned,
    DocumentsSubmitted,
)
from contracts.envelope import Event
from contracts.evaluation import ModelEvaluated
from contracts.monitoring import AlertChanged, TrafficObserved
from contracts.release import BundleLoaded, BundleRejected, ReleaseChanged, ReleaseRequested
from contracts.training import ModelTrained, TokenizerReady, TrainingProgressed, TrainingRequested

NUM_PARTITIONS = 4
MAX_MESSAGE_BYTES = 1_048_576
MAX_DEAD_LETTER_BYTES = MAX_MESSAGE_BYTES + 65_536
"""A dead letter is the message and the reason: the largest message must fit, or its consumer would never get past it."""
DAY_H = 24
DEAD_LETTER_RETENTION_H = 30 * DAY_H
"""A dead letter waits for a person, who may be on holiday."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic.

    Attributes:
        name: Kebab-case with the version last; OTLP topics carry the names that OpenTelemetry's Kafka receiver reads.
        event: What it carries; None: OTLP protobuf.
        retention_h: Hours that a record is kept at least; None: compacted, the last record of a key stays.
        producers: Daemons that write to it; `user` stands for a user's system.
        consumers: Daemons that work it off in their group.
        readers: Daemons that read it from the start, without a group.
        followers: Daemons that read it from half a minute ago on, without a group: each member sees all that is fresh.
        keepers: Daemons that write it to the telemetry store, from a group of its own that nothing else waits for.
        why: What it is for.
        signed: It carries an operator's commands, which consumers refuse unless they are signed, fresh and new.
        spread: Its events go to the partitions in turn, fewer to the domain's own, so that all members of a group share one
            domain's; what is said of a domain has no order there.
        traced: False: handling it makes no span; it comes every second, and telemetry must not observe itself.
    """

    name: str
    event: type[Event] | None
    retention_h: int | None
    producers: tuple[str, ...]
    consumers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    followers: tuple[str, ...] = ()
    keepers: tuple[str, ...] = ()
    why: str
    signed: bool = False
    spread: bool = False
    traced: bool = True

    @property
    def has_dead_letters(self) -> bool:
        """Whether somebody works it off who may find that a message can never be handled."""
        return bool(self.consumers or self.keepers)

    @property
    def dead_letter_name(self) -> str:
        """Where messages go that can never be handled."""
        return f"{self.name}-dlq"

    @property
    def ce_type(self) -> str:
        """The CloudEvents type, version included, e.g. `plumbline.batch-received.v1`."""
        stem, _, version = self.name.rpartition("-")
        return f"plumbline.{stem}.{version}"


DOCUMENTS_SUBMITTED = Topic(
    name="documents-submitted-v1", event=DocumentsSubmitted, retention_h=7 * DAY_H,
    producers=("user",), consumers=("ingest",), why="a user's system hands documents over",
)  # fmt: skip
BATCH_RECEIVED = Topic(
    name="batch-received-v1", event=BatchReceived, retention_h=7 * DAY_H,
    producers=("ingest",), consumers=("cleaner", "monitor"), why="a batch is stored and waits to be cleaned",
    keepers=("monitor",), spread=True,
)  # fmt: skip
BATCH_PREPARED = Topic(
    name="batch-prepared-v1", event=BatchPrepared, retention_h=7 * DAY_H,
    producers=("cleaner",), consumers=("cleaner", "monitor"), why="a cleaner hands a batch over to the one that has its domain",
    keepers=("monitor",),
)  # fmt: skip
BATCH_CLEANED = Topic(
    name="batch-cleaned-v1", event=BatchCleaned, retention_h=7 * DAY_H,
    producers=("cleaner",), consumers=("monitor",), why="what a batch added to the corpus",
    keepers=("monitor",),
)  # fmt: skip
CORPUS_AMENDED = Topic(
    name="corpus-amended-v1", event=CorpusAmended, retention_h=7 * DAY_H,
    producers=("cleaner",), consumers=("monitor",), why="documents were restored, or a batch left out or put back",
    keepers=("monitor",),
)  # fmt: skip
TRAINING_REQUESTED = Topic(
    name="training-requested-v1", event=TrainingRequested, retention_h=7 * DAY_H,
    producers=("monitor",), consumers=("cleaner", "monitor"), why="cut a corpus version now", signed=True,
    keepers=("monitor",),
)  # fmt: skip
CORPUS_VERSIONED = Topic(
    name="corpus-versioned-v1", event=CorpusVersioned, retention_h=7 * DAY_H,
    producers=("cleaner",), consumers=("tokenizer-builder", "monitor"), why="a corpus version waits for its tokenizer",
    keepers=("monitor",),
)  # fmt: skip
TOKENIZER_READY = Topic(
    name="tokenizer-ready-v1", event=TokenizerReady, retention_h=7 * DAY_H,
    producers=("tokenizer-builder",), consumers=("trainer", "monitor"), why="a training can run",
    keepers=("monitor",),
)  # fmt: skip
TRAINING_PROGRESSED = Topic(
    name="training-progressed-v1", event=TrainingProgressed, retention_h=DAY_H,
    producers=("trainer",), consumers=("monitor",), why="how far a training is", traced=False,
    keepers=("monitor",),
)  # fmt: skip
MODEL_TRAINED = Topic(
    name="model-trained-v1", event=ModelTrained, retention_h=7 * DAY_H,
    producers=("trainer",), consumers=("evaluator", "monitor"), why="a sealed bundle waits for its judgement",
    keepers=("monitor",),
)  # fmt: skip
MODEL_EVALUATED = Topic(
    name="model-evaluated-v1", event=ModelEvaluated, retention_h=7 * DAY_H,
    producers=("evaluator",), consumers=("release-manager", "monitor"), why="a judgement, with scores",
    keepers=("monitor",),
)  # fmt: skip
RELEASE_REQUESTED = Topic(
    name="release-requested-v1", event=ReleaseRequested, retention_h=7 * DAY_H,
    producers=("release-manager",), consumers=("release-manager", "monitor"), why="an operator's word on a release",
    keepers=("monitor",), signed=True,
)  # fmt: skip
RELEASE_CHANGED = Topic(
    name="release-changed-v1", event=ReleaseChanged, retention_h=None,
    producers=("release-manager",), consumers=("cleaner", "monitor"),
    readers=("tokenizer-builder", "trainer", "evaluator", "inference-gateway"),
    why="the whole release state of a domain, the routing table in it",
    keepers=("monitor",),
)  # fmt: skip
BUNDLE_LOADED = Topic(
    name="bundle-loaded-v1", event=BundleLoaded, retention_h=DAY_H,
    producers=("inference-gateway",), consumers=("release-manager", "monitor"), why="a gateway can serve a bundle",
    keepers=("monitor",),
)  # fmt: skip
BUNDLE_REJECTED = Topic(
    name="bundle-rejected-v1", event=BundleRejected, retention_h=7 * DAY_H,
    producers=("trainer", "evaluator", "release-manager", "inference-gateway"), consumers=("monitor",),
    why="a bundle's signature is missing or wrong", keepers=("monitor",),
)  # fmt: skip
TRAFFIC_OBSERVED = Topic(
    name="traffic-observed-v1", event=TrafficObserved, retention_h=DAY_H,
    producers=("monitor",), consumers=("release-manager",), why="a second of a bundle's answers", traced=False,
    keepers=("monitor",),
)  # fmt: skip
ALERT_CHANGED = Topic(
    name="alert-changed-v1", event=AlertChanged, retention_h=7 * DAY_H,
    producers=("monitor",), consumers=("release-manager",), why="an alert fires, is resolved or lacks data",
    keepers=("monitor",),
)  # fmt: skip

ALL_DAEMONS = (
    "ingest", "cleaner", "tokenizer-builder", "trainer", "evaluator", "release-manager", "inference-gateway", "monitor",
)  # fmt: skip

OTLP_SPANS = Topic(
    name="otlp_spans", event=None, retention_h=7 * DAY_H, producers=ALL_DAEMONS, keepers=("monitor",),
    why="OTLP traces", traced=False,
)  # fmt: skip
OTLP_METRICS = Topic(
    name="otlp_metrics", event=None, retention_h=7 * DAY_H, producers=ALL_DAEMONS, keepers=("monitor",),
    followers=("monitor",), why="OTLP metrics", traced=False,
)  # fmt: skip
OTLP_LOGS = Topic(
    name="otlp_logs", event=None, retention_h=7 * DAY_H, producers=ALL_DAEMONS, keepers=("monitor",),
    why="OTLP logs", traced=False,
)  # fmt: skip

EVENT_TOPICS = (
    DOCUMENTS_SUBMITTED, BATCH_RECEIVED, BATCH_PREPARED, BATCH_CLEANED, CORPUS_AMENDED, TRAINING_REQUESTED, CORPUS_VERSIONED,
    TOKENIZER_READY, TRAINING_PROGRESSED, MODEL_TRAINED, MODEL_EVALUATED, RELEASE_REQUESTED, RELEASE_CHANGED, BUNDLE_LOADED,
    BUNDLE_REJECTED, TRAFFIC_OBSERVED, ALERT_CHANGED,
)  # fmt: skip
OTLP_TOPICS = (OTLP_SPANS, OTLP_METRICS, OTLP_LOGS)
TOPICS = EVENT_TOPICS + OTLP_TOPICS
TOPICS_BY_NAME = {topic.name: topic for topic in TOPICS}


def topics_consumed_by(daemon: str) -> tuple[Topic, ...]:
    """Return the work topics of a daemon's group."""
    return tuple(topic for topic in TOPICS if daemon in topic.consumers)


def topics_read_by(daemon: str) -> tuple[Topic, ...]:
    """Return the state topics that a daemon reads from the start, without a group."""
    return tuple(topic for topic in TOPICS if daemon in topic.readers)


def topics_followed_by(daemon: str) -> tuple[Topic, ...]:
    """Return the topics of which a daemon reads what is fresh, without a group."""
    return tuple(topic for topic in TOPICS if daemon in topic.followers)


def topics_kept_by(daemon: str) -> tuple[Topic, ...]:
    """Return the topics that a daemon writes to the telemetry store."""
    return tuple(topic for topic in TOPICS if daemon in topic.keepers)
