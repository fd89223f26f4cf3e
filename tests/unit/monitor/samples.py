"""Telemetry and events for the monitor's tests; telemetry is made by the SDK that the daemons use."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from contracts import topics
from contracts.corpus import BatchCleaned, BatchReceived, CorpusAmended, CorpusVersioned
from contracts.envelope import Event
from contracts.evaluation import ModelEvaluated, Score
from contracts.release import Cause, Phase, ReleaseChanged, ReleaseState, Route
from contracts.telemetry import ANSWER_CACHE_HITS, ANSWER_LATENCY, LATENCY_BOUNDS_MS, LATENCY_LIMIT_MS
from contracts.training import ModelTrained, TokenizerReady
from services.monitor.core.alerts import rule_table
from services.monitor.core.traffic import AnswerPoint, Counts, Series
from services.monitor.core.watch import Terms
from shared.otlp import OtlpSink
from shared.settings import TelemetrySettings
from shared.telemetry import OtlpHandler, Telemetry

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
NOON_S = int(NOON.timestamp())
A, B = "a" * 64, "b" * 64
LAW_A, LAW_B = Series("law", A), Series("law", B)
TERMS = Terms(rules=rule_table(LATENCY_LIMIT_MS), latency_limit_ms=LATENCY_LIMIT_MS, grace_s=1.0)


def at(second: float) -> datetime:
    """Return a time `second` seconds after noon."""
    return NOON + timedelta(seconds=second)


def counts(answers: int = 0, *, slow: int = 0, errors: int = 0, cache_hits: int = 0) -> Counts:
    """Return counts whose quick answers took 25 ms at most and whose slow ones 500 ms."""
    histogram = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    histogram[LATENCY_BOUNDS_MS.index(25)] = answers - slow
    histogram[LATENCY_BOUNDS_MS.index(500)] = slow
    return Counts(answers, errors, slow, cache_hits, tuple(histogram))


def point(second: float, said: Counts, series: Series = LAW_A, *, series_id: str = "") -> AnswerPoint:
    """Return a metric point that is stamped `second` seconds after noon."""
    return AnswerPoint(series_id or series.bundle_digest, NOON_S * 10**9 + int(second * 1e9), series, said)


class KeptSink(OtlpSink):
    """Keeps what would go to Kafka."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        self.messages += messages
        return True

    def close(self) -> None:
        """Nothing is held."""

    def payloads(self, topic: topics.Topic) -> list[bytes]:
        return [payload for name, payload in self.messages if name == topic.name]


class Observed:
    """A service that is observed with the real SDK."""

    def __init__(self, service: str = "inference-gateway") -> None:
        self.sink = KeptSink()
        self.telemetry = Telemetry(service, TelemetrySettings(metric_interval_s=3600), self.sink)

    def answer(self, latency_ms: float, *, domain: str = "law", digest: str = A, outcome: str = "ok") -> None:
        self.telemetry.record(
            ANSWER_LATENCY,
            latency_ms,
            {
                "plumbline.domain": domain,
                "plumbline.bundle.digest": digest,
                "plumbline.answer.task": "classify",
                "plumbline.answer.outcome": outcome,
            },
        )

    def cache_hit(self, *, digest: str = A) -> None:
        self.telemetry.add(ANSWER_CACHE_HITS, 1, {"plumbline.domain": "law", "plumbline.bundle.digest": digest})

    def log(self, message: str, **extra: object) -> None:
        record = logging.LogRecord("plumbline", logging.WARNING, __file__, 1, message, None, None)
        record.__dict__.update(extra)
        OtlpHandler(self.telemetry._logs).emit(record)

    def close(self) -> KeptSink:
        """Send everything; a closed service is observed no more."""
        self.telemetry.start()
        self.telemetry.close()
        return self.sink


# ---- one life of a model, from batches to its release

Story = list[tuple[topics.Topic, Event]]
CORPUS_1, CORPUS_2 = "1" * 64, "2" * 64
TOKENIZER = "7" * 64
SHARD, RAW = "5" * 64, "6" * 64


def received(batch_id: UUID, *, second: float = 0) -> BatchReceived:
    return BatchReceived(
        event_id=uuid4(), causation_id=None, occurred_at=at(second), domain="law", batch_id=batch_id, raw_digest=RAW,
        num_documents=500, num_bytes=100_000, source="http",
    )  # fmt: skip


def cleaned(batch_id: UUID, *, second: float = 1, pending: int = 312) -> BatchCleaned:
    return BatchCleaned(
        event_id=uuid4(), causation_id=None, occurred_at=at(second), domain="law", batch_id=batch_id, shard_digest=SHARD,
        num_documents=500, num_new_documents=480, num_duplicate_documents=20, num_rejected_documents=0,
        num_pending_documents=pending, min_new_documents=1000,
    )  # fmt: skip


def amended(*, second: float = 3, pending: int = 0, is_changed: bool = True) -> CorpusAmended:
    return CorpusAmended(
        event_id=uuid4(), causation_id=None, occurred_at=at(second), domain="law", order="restore",
        num_pending_documents=pending, is_changed=is_changed,
    )  # fmt: skip


def versioned(digest: str, parent: str | None, batch_ids: Sequence[UUID], *, second: float = 2) -> CorpusVersioned:
    return CorpusVersioned(
        event_id=uuid4(), causation_id=None, occurred_at=at(second), domain="law", corpus_digest=digest,
        parent_corpus_digest=parent, number=2 if parent else 1, num_documents=1500, num_new_documents=500,
        batch_ids=tuple(batch_ids), training_request_id=None,
    )  # fmt: skip


def fitted(corpus: str, *, second: float = 3) -> TokenizerReady:
    return TokenizerReady(
        event_id=uuid4(), causation_id=None, occurred_at=at(second), domain="law", corpus_digest=corpus,
        tokenizer_digest=TOKENIZER, vocab_size=6000, reused=True, coverage=0.999, tokens_per_char=0.7,
    )  # fmt: skip


def trained(bundle: str, corpus: str, *, second: float = 4, ancestors: tuple[str, ...] = ()) -> ModelTrained:
    return ModelTrained(
        event_id=uuid4(), causation_id=None, occurred_at=at(second), domain="law", run_id=uuid4(), bundle_digest=bundle,
        corpus_digest=corpus, tokenizer_digest=TOKENIZER, ancestors=ancestors, num_tokens=1_000_000, loss=3.2, duration_s=40,
    )  # fmt: skip


def evaluated(bundle: str, corpus: str, *, second: float = 5, accuracy: float = 0.8, **changes: Any) -> ModelEvaluated:
    score = Score(slice="all", n=2000, accuracy=accuracy, macro_f1=0.7, majority_share=0.4)
    fields: dict[str, Any] = {
        "event_id": uuid4(), "causation_id": None, "occurred_at": at(second), "domain": "law", "run_id": uuid4(),
        "bundle_digest": bundle, "corpus_digest": corpus, "ancestors": (), "passed": True, "reasons": (),
        "floor_accuracy": 0.5, "scores": (score,), "serving_digest": None, "serving_scores": (),
    }  # fmt: skip
    return ModelEvaluated(**fields | changes)


def released(bundle: str, *, revision: int = 1, second: float = 6, phase: Phase = Phase.STABLE) -> ReleaseChanged:
    routes = (Route(bundle_digest=bundle, weight_percent=100),)
    state = ReleaseState(revision=revision, serving_digest=bundle, routes=routes, warm_digests=(bundle,))
    return ReleaseChanged(
        event_id=uuid4(), causation_id=None, occurred_at=at(second), domain="law", cause=Cause.ELAPSED,
        reason="the window closed", bundle_digest=bundle, phase=phase, state=state,
    )  # fmt: skip
