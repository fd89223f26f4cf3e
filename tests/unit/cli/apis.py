"""The HTTP APIs that `plumb` calls, answering with fixed contract bodies and noting what came."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from contracts.api import (
    Accepted,
    AlertStatus,
    BatchDecision,
    BatchReceipt,
    BatchView,
    ClassifyAnswer,
    ClassifyRequest,
    CompleteDone,
    CompleteRequest,
    DeadLetterCount,
    DomainStatistics,
    DomainStatus,
    EventRecord,
    HeldBatch,
    HeldBatches,
    MeshStatus,
    Problem,
    RefusedRecord,
    RollbackRequest,
    StageStatus,
    StatisticsFigures,
    TrafficStatus,
    TrainNowRequest,
    UploadReceipt,
    UploadStatus,
    Why,
    WhySpan,
    WhyStep,
)
from contracts.corpus import BatchStatistics
from contracts.evaluation import Score
from contracts.lexicon import LexiconAdded, LexiconDecision, LexiconEntry, LexiconListing
from contracts.lookup import LogLine, LogLines, LogPatternCount, LogPatterns, TraceSpan, TraceView
from contracts.release import Candidate, Cause, Phase, ReleaseState, Rollout, Route
from contracts.tokenizers import TokenizerReport
from tests.unit.report.samples import TOKENIZER_REPORT

NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
SERVING, CANDIDATE = "a" * 64, "b" * 64
TRACE = "c" * 32
LEXICON = (
    LexiconEntry(term="不动产登记簿", origin="user", status="accepted", count=12, reason="accepted by a person"),
    LexiconEntry(
        term="[red]问题", origin="mined", status="filtered", score=0.61, count=1200, reason="general: 0.2 times"
    ),
)
EVENT_ID = UUID(int=7)
STATISTICS = BatchStatistics(
    num_documents=300,
    num_chars=3_000,
    languages={"zh": 299, "en": 1},
    labels={f"[label] {n}": 1 for n in range(10)},
    num_dated=40,
)
FIGURES = StatisticsFigures(mean_chars=10, median_chars=8, fresh_share=0.25, known_share=0.5, topic_bits=3.32)


@dataclass
class Upload:
    """What came of an upload."""

    domain: str
    strict: bool
    encoding: str
    body: bytes = b""
    is_complete: bool = False


class Apis:
    """All daemons behind one port.

    Attributes:
        bodies: What was sent, by path.
        problem: Answered instead of anything else,
        num_good: but not before so many requests.
        events: What the monitor keeps.
        uploads: By place.
        receipt: Fields of the next receipts.
        held: Batches that wait.
    """

    def __init__(self) -> None:
        self.port = 0
        self.bodies: list[tuple[str, bytes]] = []
        self.queries: list[str] = []
        self.headers: dict[str, str] = {}
        self.problem: Problem | None = None
        self.num_good = 0
        self.events: list[EventRecord] = []
        self.uploads: dict[str, Upload] = {}
        self.receipt: dict[str, Any] = {}
        self.held: tuple[HeldBatch, ...] = ()
        self.app = _app(self)

    def clear(self) -> None:
        self.bodies, self.headers, self.problem, self.num_good = [], {}, None, 0
        self.events, self.held = [], ()
        self.uploads, self.receipt = {}, {}


def _app(apis: Apis) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def note(request: Request, call_next):
        apis.bodies.append((request.url.path, await request.body()))
        apis.queries.append(request.url.query)
        apis.headers = dict(request.headers)
        if apis.problem and len(apis.bodies) > apis.num_good:
            body = apis.problem.model_dump(exclude_none=True)
            return JSONResponse(body, status_code=apis.problem.status, media_type="application/problem+json")
        return await call_next(request)

    _add_ingest(app, apis)
    _add_batches(app, apis)

    @app.post("/v1/training-requests", status_code=202)
    async def training_requests(_: TrainNowRequest) -> Accepted:
        return Accepted(event_id=EVENT_ID)

    @app.post("/v1/domains/{domain}/rollback", status_code=202)
    async def rollback(domain: str, _: RollbackRequest) -> Accepted:
        assert domain
        return Accepted(event_id=EVENT_ID)

    @app.post("/v1/classify")
    async def classify(request: ClassifyRequest) -> ClassifyAnswer:
        scores = {"刑法": 0.7, "民商法": 0.2, "[dim]经济法": 0.1}
        return ClassifyAnswer(
            answer_id=f"answer-{request.user}", label="刑法", score=0.7, scores=scores, bundle_digest=SERVING, cached=False,
            truncated=False,
        )  # fmt: skip

    @app.post("/v1/complete")
    async def complete(request: CompleteRequest) -> EventSourceResponse:
        return EventSourceResponse(_tokens(request))

    _add_lexicon(app)
    _add_monitor(app, apis)
    return app


def _add_ingest(app: FastAPI, apis: Apis) -> None:
    @app.post("/v1/uploads", status_code=201)
    async def begin(domain: str, request: Request, strict: bool = False) -> Response:
        place = f"/v1/uploads/{UUID(int=len(apis.uploads) + 1)}"
        apis.uploads[place] = Upload(domain, strict, request.headers.get("content-encoding", ""))
        return Response(status_code=201, headers={"location": place})

    @app.head("/v1/uploads/{upload_id}", status_code=204)
    async def head(request: Request) -> Response:
        upload = apis.uploads[request.url.path]
        return Response(status_code=204, headers={"upload-offset": str(len(upload.body))})

    @app.get("/v1/uploads/{upload_id}")
    async def get(upload_id: UUID, request: Request) -> Response:
        upload = apis.uploads.get(request.url.path)
        if upload is None:
            return Response(status_code=404)
        status = UploadStatus(
            upload_id=upload_id, domain=upload.domain, state="receiving", num_bytes=len(upload.body), num_documents=7
        )
        return Response(status.model_dump_json(), media_type="application/json")

    @app.patch("/v1/uploads/{upload_id}")
    async def patch(request: Request) -> Response:
        upload = apis.uploads[request.url.path]
        if int(request.headers["upload-offset"]) != len(upload.body):
            return Response(status_code=409)
        upload.body += await request.body()
        if request.headers["upload-complete"] != "?1":
            return Response(status_code=204)
        upload.is_complete = True
        number = sum(1 for one in apis.uploads.values() if one.is_complete)
        receipt = BatchReceipt(
            batch_id=UUID(int=number), event_id=EVENT_ID, domain=upload.domain, num_documents=upload.body.count(b"\n"),
            num_bytes=len(upload.body), **apis.receipt,
        )  # fmt: skip
        whole = UploadReceipt(**receipt.model_dump(), batches=(receipt,))
        return Response(whole.model_dump_json(), status_code=201, media_type="application/json")


def _add_batches(app: FastAPI, apis: Apis) -> None:
    @app.get("/v1/batches/held")
    async def held() -> HeldBatches:
        return HeldBatches(batches=apis.held)

    @app.get("/v1/batches/{batch_id}")
    async def batch(batch_id: UUID) -> BatchView:
        return BatchView(
            batch_id=batch_id, event_id=EVENT_ID, domain="law", num_documents=300, num_bytes=9_000, num_refused_documents=2,
            state="rejected", reasons=("rejected by Lin: a novel",), received_at=NOW, source="http", decided_by="Lin",
            statistics=STATISTICS, figures=FIGURES,
        )  # fmt: skip

    @app.get("/v1/domains/{domain}/statistics")
    async def statistics(domain: str) -> DomainStatistics:
        return DomainStatistics(domain=domain, num_batches=7, statistics=STATISTICS, figures=StatisticsFigures())

    @app.post("/v1/batches/{batch_id}/{verb}")
    async def decide(batch_id: UUID, verb: str, _: BatchDecision) -> BatchReceipt:
        state = "accepted" if verb == "accept" else "rejected"
        return BatchReceipt(
            batch_id=batch_id, event_id=EVENT_ID, domain="law", num_documents=300, num_bytes=1, state=state
        )

    @app.get("/v1/batches/{batch_id}/refused")
    async def refused() -> Response:
        return Response(RefusedRecord(line=3, reason="not JSON", raw="{").model_dump_json() + "\n")


def _add_lexicon(app: FastAPI) -> None:
    @app.post("/v1/domains/{domain}/lexicon/terms")
    async def terms(domain: str, request: Request) -> LexiconAdded:
        assert domain
        return LexiconAdded(num_terms=len((await request.body()).splitlines()), num_new=1)

    @app.post("/v1/domains/{domain}/lexicon/decisions")
    async def decisions(domain: str, request: LexiconDecision) -> LexiconEntry:
        assert domain
        status = "accepted" if request.decision == "accept" else "rejected"
        return LexiconEntry(term=request.term, origin="user", status=status, reason=f"{status} by a person")

    @app.get("/v1/domains/{domain}/lexicon")
    async def lexicon(domain: str, status: str | None = None, limit: int = 100) -> LexiconListing:
        shown = tuple(entry for entry in LEXICON if status in {None, entry.status})[:limit]
        return LexiconListing(
            domain=domain, version_digest=SERVING, num_entries={"accepted": 1, "filtered": 1}, entries=shown
        )

    @app.get("/v1/domains/{domain}/tokenizer-report")
    async def tokenizer_report(domain: str) -> TokenizerReport:
        return TOKENIZER_REPORT.model_copy(update={"domain": domain})


def _add_monitor(app: FastAPI, apis: Apis) -> None:
    @app.get("/v1/events")
    async def events(domain: str, topic: str, limit: int, after: UUID | datetime | None = None) -> list[EventRecord]:
        found = [record for record in apis.events if (record.domain, record.topic) == (domain, topic)]
        if isinstance(after, datetime):
            found = [record for record in found if record.occurred_at > after]
        elif after:
            found = found[[record.event_id for record in found].index(after) + 1 :]
        return found[:limit]

    @app.get("/v1/status")
    async def status() -> MeshStatus:
        dead = DeadLetterCount(topic="tokenizer-ready-v1", error_type="ArtifactMissing", count=2)
        return MeshStatus(at=NOW, domains=(domain_status(),), dead_letters=(dead,))

    @app.get("/v1/logs")
    async def logs() -> LogLines:
        return LogLines(logs=log_lines())

    @app.get("/v1/log-patterns")
    async def log_patterns() -> LogPatterns:
        pattern = LogPatternCount(
            service="trainer",
            pattern="child <n> died",
            count=1_234,
            first_seen=NOW,
            last_seen=NOW,
            example=log_lines()[1],
        )
        return LogPatterns(patterns=(pattern,))

    @app.get("/v1/traces/{subject}")
    async def trace(subject: str) -> TraceView:
        return trace_view(subject)

    @app.get("/v1/why/{subject}")
    async def why(subject: str) -> Why:
        return walk(subject)


async def _tokens(request: CompleteRequest) -> AsyncIterator[ServerSentEvent]:
    if request.prompt == "fail":
        problem = Problem(type="urn:x", title="It broke", status=500, detail="in mid-stream", next="Ask again.")
        yield ServerSentEvent(event="error", data=problem.model_dump_json())
        return
    for token in ("应当", " 依法", "\n"):
        yield ServerSentEvent(event="token", data=token)
    if request.prompt == "cut":
        return
    done = CompleteDone(answer_id="answer-9", bundle_digest=SERVING, num_tokens=3)
    yield ServerSentEvent(event="done", data=done.model_dump_json())


def domain_status() -> DomainStatus:
    candidate = Candidate(bundle_digest=CANDIDATE, ancestors=(SERVING,), evaluation_id=EVENT_ID, traceparent=None)
    rollout = Rollout(
        candidate=candidate, phase=Phase.CANARY, phase_since=NOW, baseline_digest=SERVING, cause=Cause.LOADED,
        reason="57 of 100 answers",
    )  # fmt: skip
    routes = (Route(bundle_digest=SERVING, weight_percent=90), Route(bundle_digest=CANDIDATE, weight_percent=10))
    return DomainStatus(
        domain="law",
        stages=(
            StageStatus(stage="cleaner", event="batch-cleaned", event_id=EVENT_ID, at=NOW, summary="5 batches"),
            StageStatus(stage="trainer", event=None, event_id=None, at=None, summary="waits"),
        ),
        missing="312 of 1,000 documents; or `plumb train now`",
        num_pending_documents=312,
        min_new_documents=1_000,
        release=ReleaseState(revision=4, serving_digest=SERVING, routes=routes, rollout=rollout),
        scores=(Score(slice="all", n=2_100, accuracy=0.81, macro_f1=0.72, majority_share=0.33),),
        alerts=(AlertStatus(rule="latency", bundle_digest=CANDIDATE, state="firing", reason="[7 of 10]", since=NOW),),
        traffic=(
            TrafficStatus(bundle_digest=SERVING, answers_per_s=41, error_share=0, slow_share=0.01, p95_ms=None),
        ),
    )  # fmt: skip


def walk(subject: str) -> Why:
    spans = (
        WhySpan(
            trace_id=TRACE, span_id="2", parent_span_id="1", service="trainer", name="seal", started_at=NOW,
            duration_ms=80, linked_trace_ids=(),
        ),
        WhySpan(
            trace_id=TRACE, span_id="1", parent_span_id="gone", service="trainer", name="train", started_at=NOW,
            duration_ms=45_000, linked_trace_ids=("d" * 32,),
        ),
    )  # fmt: skip
    batches = tuple(
        WhyStep(kind="batch", id=f"batch-{number}", event_id=None, detail="500 documents", trace_id=None, spans=())
        for number in range(9)
    )
    bundle = WhyStep(kind="bundle", id=SERVING, event_id=EVENT_ID, detail="sealed", trace_id=TRACE, spans=spans)
    return Why(subject=subject, steps=(bundle, *batches))


def log_lines() -> tuple[LogLine, ...]:
    """Return the newest first."""
    said = {"code": -9, "exception.type": "ValueError", "exception.stacktrace": "Traceback\n  in x\nValueError: bad\n"}
    newest = LogLine(
        at=NOW + timedelta(seconds=1), service="cleaner", level="warning", message="劳动 [red]not markup[/]\x1b[31m\nx",
        trace_id=None, span_id=None, attributes={},
    )  # fmt: skip
    died = LogLine(
        at=NOW + timedelta(milliseconds=250), service="trainer", level="error", message="child died", trace_id=TRACE,
        span_id="1", attributes=said,
    )  # fmt: skip
    return (newest, died)


def trace_view(subject: str) -> TraceView:
    train = TraceSpan(
        trace_id=TRACE, span_id="1", parent_span_id="gone", service="trainer", name="train", started_at=NOW,
        duration_ms=45_000, linked_trace_ids=("d" * 32,), status="ok", attributes={},
    )  # fmt: skip
    seal = train.model_copy(
        update={
            "span_id": "2", "parent_span_id": "1", "service": "evaluator", "name": "seal", "status": "error",
            "started_at": NOW + timedelta(seconds=1), "attributes": {"error.type": "KafkaError"}, "linked_trace_ids": (),
        }
    )  # fmt: skip
    logs = tuple(line.model_copy(update={"span_id": "2", "at": NOW + timedelta(seconds=2)}) for line in log_lines())
    cut = train.model_copy(update={"trace_id": "e" * 32, "service": "cleaner", "name": "cut"})
    return TraceView(subject=subject, trace_id=TRACE, spans=(train, seal), linked_from=(cut,), logs=logs)
