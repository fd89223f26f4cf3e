from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import topics
from contracts.api import Why
from contracts.envelope import Event
from contracts.release import Phase
from services.monitor.core.events import record_of
from services.monitor.core.lineage import why
from shared.telemetry_store.records import Span, SpanLink, TelemetryStore
from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.unit.monitor import samples
from tests.unit.monitor.samples import CORPUS_1, CORPUS_2, NOON_S, TOKENIZER, A, B

TOPIC_OF = {topic.event: topic for topic in topics.EVENT_TOPICS}
ANSWER_TRACE, ANSWER_ID = "e" * 32, uuid4().hex
BATCHES = [uuid4() for _ in range(4)]
BATCH_TRACES = [f"{number}" * 32 for number in range(1, 5)]
VERSION_TRACES = ["c" * 32, "d" * 32]


def span(trace_id: str, number: int = 1, *, links: tuple[str, ...] = (), second: float = 0, **attributes: str) -> Span:
    start_ns = int((NOON_S + second) * 1e9)
    return Span(
        trace_id=trace_id, span_id=f"{number:016x}", parent_span_id=None, service="cleaner", name=f"work {number}",
        start_ns=start_ns, end_ns=start_ns + 5_000_000, status="ok",
        attributes={f"plumbline.{key.replace('__', '.')}": value for key, value in attributes.items()},
        links=tuple(SpanLink(trace_id=link, span_id="1" * 16) for link in links),
    )  # fmt: skip


async def tell(store: TelemetryStore, event: Event, trace_id: str | None) -> None:
    await store.add_events([record_of(TOPIC_OF[type(event)], event, trace_id)])


async def tell_batches(store: TelemetryStore, batches: list[UUID], traces: list[str]) -> None:
    for batch_id, trace_id in zip(batches, traces, strict=True):
        await tell(store, samples.received(batch_id), trace_id)
        await tell(store, samples.cleaned(batch_id), trace_id)
        await store.add_spans([span(trace_id, number, batch__id=str(batch_id)) for number in (1, 2)])


async def tell_version(store: TelemetryStore, number: int, corpus: str, parent: str | None, bundle: str) -> None:
    """Tell of two batches, the version that they led to, and the bundle that learned from it."""
    batches, traces = BATCHES[2 * number : 2 * number + 2], BATCH_TRACES[2 * number : 2 * number + 2]
    trace_id, later = VERSION_TRACES[number], 100 * number
    await tell_batches(store, batches, traces)
    for event in (
        samples.versioned(corpus, parent, batches, second=later + 2), samples.fitted(corpus, second=later + 3),
        samples.trained(bundle, corpus, second=later + 4), samples.evaluated(bundle, corpus, second=later + 5),
        samples.released(bundle, revision=10 * number + 1, second=later + 6, phase=Phase.CANARY),
        samples.released(bundle, revision=10 * number + 2, second=later + 50),
    ):  # fmt: skip
        await tell(store, event, trace_id)
    await store.add_spans([span(trace_id, 1, links=tuple(traces), corpus__digest=corpus), span(trace_id, 2)])


@pytest.fixture
async def told(store: SqliteTelemetryStore) -> SqliteTelemetryStore:
    """Two versions, two bundles, and an answer of the second one."""
    await tell_version(store, 0, CORPUS_1, None, A)
    await tell_version(store, 1, CORPUS_2, CORPUS_1, B)
    answer = {"answer__id": ANSWER_ID, "bundle__digest": B, "answer__task": "classify"}
    await store.add_spans([span(ANSWER_TRACE, 1, second=120, links=(VERSION_TRACES[1],), **answer)])
    return store


def kinds(walk: Why | None) -> list[str]:
    assert walk is not None
    return [step.kind for step in walk.steps]


FROM_BUNDLE_B = ["release", "evaluation", "bundle", "tokenizer"] + ["corpus-version", "batch", "batch"] * 2


async def test_an_answer_leads_back_to_every_batch_of_every_version(told: SqliteTelemetryStore):
    walk = await why(ANSWER_ID, told)
    assert kinds(walk) == ["answer", *FROM_BUNDLE_B]
    ids = [step.id for step in walk.steps]
    assert ids[:5] == [ANSWER_ID, B, B, B, TOKENIZER]
    assert ids[5:] == [CORPUS_2, *map(str, BATCHES[2:]), CORPUS_1, *map(str, BATCHES[:2])]
    assert walk.steps[0].detail == "classify by bbbbbbbbbbbb from the model, 5 ms"
    assert walk.steps[-1].detail == (
        "500 documents, 0.1 MB, by http; 480 new, 20 known word for word, 0 rejected"
    )  # fmt: skip


async def test_the_release_of_an_answer_is_the_last_word_before_it(told: SqliteTelemetryStore):
    steps = (await why(ANSWER_ID, told)).steps
    assert "canary" in steps[1].detail
    steps = (await why(B, told)).steps
    assert "stable" in steps[0].detail


@pytest.mark.parametrize(
    ("subject", "first"),
    [
        (ANSWER_TRACE, "answer"), (B, "release"), (VERSION_TRACES[1], "release"), (BATCH_TRACES[3], "release"),
    ],
)  # fmt: skip
async def test_a_trace_and_a_bundle_lead_there_too(told: SqliteTelemetryStore, subject: str, first: str):
    walk = await why(subject, told)
    assert kinds(walk)[0] == first
    assert str(BATCHES[3]) in {step.id for step in walk.steps}
    assert {step.id for step in walk.steps if step.kind == "bundle"} == {B}


async def test_a_trace_about_a_bundle_that_was_trained_elsewhere_leads_to_it(told: SqliteTelemetryStore):
    await tell(told, samples.released(A, revision=99), "8" * 32)
    await told.add_spans([span("9" * 32, bundle__digest=A)])
    for trace_id in ("8" * 32, "9" * 32):
        assert {step.id for step in (await why(trace_id, told)).steps if step.kind == "bundle"} == {A}


async def test_data_that_nothing_learned_from_yet_shows_its_batch(store: SqliteTelemetryStore):
    await tell_batches(store, BATCHES[:1], BATCH_TRACES[:1])
    walk = await why(BATCH_TRACES[0], store)
    assert kinds(walk) == ["batch"]
    assert len(walk.steps[0].spans) == 2


async def test_the_walk_crosses_links_to_batches_whose_events_are_not_known(store: SqliteTelemetryStore):
    unknown = str(uuid4())
    await tell_version(store, 0, CORPUS_1, None, A)
    await store.add_spans(
        [
            span(VERSION_TRACES[0], 9, links=("8" * 32, "9" * 32, BATCH_TRACES[0])),
            span("8" * 32, batch__id=unknown), span("9" * 32, batch__id=unknown),
        ]
    )  # fmt: skip
    walk = await why(A, store)
    [step] = [step for step in walk.steps if step.id == unknown]
    assert (step.kind, step.event_id, step.trace_id, len(step.spans)) == ("batch", None, "8" * 32, 1)


async def test_what_is_not_known_on_the_way_is_said(store: SqliteTelemetryStore):
    await tell(store, samples.evaluated(A, CORPUS_1), None)
    walk = await why(A, store)
    assert kinds(walk) == ["evaluation", "bundle"]
    assert walk.steps[1].detail == "no event tells how aaaaaaaaaaaa was trained"

    await tell(store, samples.trained(A, CORPUS_1), None)
    walk = await why(A, store)
    assert kinds(walk) == ["evaluation", "bundle", "corpus-version"]
    assert walk.steps[2].detail == "no event tells how corpus version 111111111111 was cut"

    await tell(store, samples.versioned(CORPUS_1, None, BATCHES[:1]), None)
    walk = await why(A, store)
    assert kinds(walk) == ["evaluation", "bundle", "corpus-version", "batch"]
    assert walk.steps[3].detail == "no event tells of this batch"


async def test_an_answer_without_a_bundle_is_a_step_of_its_own(store: SqliteTelemetryStore):
    await store.add_spans([span(ANSWER_TRACE, answer__id="x1", answer__cached="yes")])
    assert kinds(await why("x1", store)) == ["answer"]


async def test_versions_that_name_each_other_end_the_walk(store: SqliteTelemetryStore):
    await tell(store, samples.trained(A, CORPUS_1), None)
    await tell(store, samples.versioned(CORPUS_1, CORPUS_2, BATCHES[:1]), None)
    await tell(store, samples.versioned(CORPUS_2, CORPUS_1, BATCHES[:2]), None)
    assert kinds(await why(A, store)) == ["bundle", "corpus-version", "batch", "corpus-version", "batch"]


@pytest.mark.parametrize("subject", ["nothing", "f" * 32, "f" * 64, CORPUS_2, ""])
async def test_what_nobody_knows_is_none(told: SqliteTelemetryStore, subject: str):
    assert await why(subject, told) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spans=st.dictionaries(
        st.sampled_from([*BATCH_TRACES, *VERSION_TRACES]), st.integers(min_value=3, max_value=6), max_size=6
    ),
    subject=st.sampled_from([ANSWER_ID, ANSWER_TRACE, B, A, *VERSION_TRACES, *BATCH_TRACES]),
)
async def test_every_step_carries_the_spans_of_its_trace(
    told: SqliteTelemetryStore, spans: dict[str, int], subject: str
):
    await told.add_spans([span(trace_id, number) for trace_id, last in spans.items() for number in range(3, last)])
    walk = await why(subject, told)
    assert walk is not None
    for step in walk.steps:
        assert step.trace_id is not None
        stored = await told.spans_of_trace(step.trace_id)
        assert {found.span_id for found in step.spans} == {found.span_id for found in stored}
        assert {found.trace_id for found in step.spans} == {step.trace_id}
