from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import topics
from contracts.envelope import Event
from contracts.monitoring import AlertState
from services.monitor.core import windows
from services.monitor.core.events import event_of, record_of
from services.monitor.core.status import STAGES, DomainView, fold, mesh_status, missing
from shared.summary import summary
from tests.contracts.payloads import example
from tests.unit.monitor import samples
from tests.unit.monitor.samples import CORPUS_1, CORPUS_2, LAW_A, A, B, at, cleaned, counts, point

QUIET = windows.open_at(at(0), 1.0)


def domain_of(*events: Event) -> DomainView:
    view = {}
    for event in events:
        view = fold(view, event)
    return view["law"]


def test_before_the_first_event_nothing_is_known():
    assert mesh_status({}, QUIET, at(0)).domains == ()


def test_what_is_missing_reads_as_documented():
    assert missing(domain_of(cleaned(uuid4(), pending=312))) == "312 of 1,000 documents; or `plumb train now`"


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([samples.received(uuid4())], "0 of 1,000 documents; or `plumb train now`"),
        ([cleaned(uuid4(), pending=1204)], "1,204 of 1,000 documents: the next version is cut after a moment of quiet"),
        (
            [cleaned(uuid4()), samples.versioned(CORPUS_1, None, [])],
            "version 1 gets its tokenizer; then 0 of 1,000 documents; or `plumb train now`",
        ),
        (
            [samples.versioned(CORPUS_1, None, []), samples.fitted(CORPUS_1), cleaned(uuid4(), second=3, pending=5)],
            "version 1 is in training; then 5 of 1,000 documents; or `plumb train now`",
        ),
        (
            [samples.versioned(CORPUS_1, None, []), samples.trained(A, CORPUS_1)],
            "version 1 is being judged; then 0 of 1,000 documents; or `plumb train now`",
        ),
        (
            [samples.versioned(CORPUS_1, None, []), samples.trained(A, CORPUS_1), samples.evaluated(A, CORPUS_1)],
            "0 of 1,000 documents; or `plumb train now`",
        ),
    ],
)
def test_what_is_missing_follows_the_loop(events, text):
    assert missing(domain_of(*events)) == text


def test_documents_of_a_batch_that_was_left_out_do_not_wait_any_more_and_those_of_one_put_back_do():
    left_out = samples.amended(second=3, pending=0, is_changed=False)
    assert missing(domain_of(cleaned(uuid4()), left_out)) == "0 of 1,000 documents; or `plumb train now`"
    put_back = samples.amended(second=4, pending=480)
    assert missing(domain_of(put_back, left_out, cleaned(uuid4()))) == "480 of 1,000 documents; or `plumb train now`"


def test_stages_come_in_order_and_say_what_happened_last():
    view = fold({}, samples.received(uuid4()))
    progressed = example(topics.TRAINING_PROGRESSED, occurred_at=at(3), domain="law")
    trained = samples.trained(A, CORPUS_1)
    for event in (progressed, trained):
        view = fold(view, event)
    [domain] = mesh_status(view, QUIET, at(9)).domains
    stages = {stage.stage: stage for stage in domain.stages}
    assert list(stages) == [name for name, _ in STAGES]
    assert (stages["ingest"].event, stages["ingest"].summary) == (
        "batch-received", "500 documents, 0.1 MB, by http"
    )  # fmt: skip
    assert (stages["trainer"].event, stages["trainer"].event_id) == ("model-trained", trained.event_id)
    assert (stages["evaluator"].event, stages["evaluator"].summary) == (None, "nothing yet")


def test_scores_are_those_of_the_serving_bundle_and_before_any_release_the_latest():
    first = samples.evaluated(A, CORPUS_1, accuracy=0.8)
    second = samples.evaluated(B, CORPUS_2, second=50, accuracy=0.6)
    [domain] = mesh_status(fold(fold({}, second), first), QUIET, at(60)).domains
    assert domain.scores == second.scores
    view = fold(fold(fold({}, second), first), samples.released(A))
    [domain] = mesh_status(view, QUIET, at(60)).domains
    assert domain.scores == first.scores
    assert domain.release is not None
    assert domain.release.serving_digest == A


def test_a_higher_revision_holds_whatever_came_last():
    view = fold({}, samples.released(B, revision=7, second=1))
    view = fold(view, samples.released(A, revision=3, second=90))
    [domain] = mesh_status(view, QUIET, at(99)).domains
    assert domain.release is not None
    assert domain.release.revision == 7


def test_alerts_show_their_last_state_and_no_data_only_of_what_is_warm():
    firing = example(
        topics.ALERT_CHANGED, bundle_digest=A, state=AlertState.FIRING, occurred_at=at(1), domain="law", rule="r"
    )
    resting = example(
        topics.ALERT_CHANGED, bundle_digest=A, state=AlertState.NO_DATA, occurred_at=at(9), domain="law", rule="r"
    )
    [domain] = mesh_status(fold(fold({}, resting), firing), QUIET, at(9)).domains
    assert domain.alerts == ()
    [domain] = mesh_status(fold({}, firing), QUIET, at(9)).domains
    assert [(alert.rule, alert.state) for alert in domain.alerts] == [("r", "firing")]
    [domain] = mesh_status(fold(fold({}, resting), samples.released(A)), QUIET, at(9)).domains
    assert [alert.state for alert in domain.alerts] == ["no-data"]


def test_traffic_is_that_of_the_last_window():
    open_windows = windows.record(QUIET, [point(second, counts(10, slow=1, errors=2)) for second in range(10)], at(10))
    closed, _ = windows.close(open_windows, at(10), 1.0)
    other = samples.received(uuid4()).model_copy(update={"domain": "medicine"})
    view = fold(fold({}, samples.received(uuid4())), other)
    law, medicine = mesh_status(view, closed, at(10)).domains
    [traffic] = law.traffic
    assert (traffic.bundle_digest, traffic.answers_per_s) == (LAW_A.bundle_digest, 10.0)
    assert (traffic.error_share, traffic.slow_share) == (0.2, 0.1)
    assert traffic.p95_ms is not None
    assert 400 < traffic.p95_ms <= 500
    assert medicine.traffic == ()


EVENTS = [
    samples.received(uuid4()), cleaned(uuid4()), cleaned(uuid4(), second=7, pending=900),
    samples.versioned(CORPUS_1, None, []), samples.fitted(CORPUS_1), samples.trained(A, CORPUS_1),
    samples.evaluated(A, CORPUS_1), samples.evaluated(A, CORPUS_1, second=8, accuracy=0.9),
    samples.released(A, revision=2), samples.released(B, revision=3, second=5),
    example(topics.ALERT_CHANGED, occurred_at=at(3)), example(topics.TRAINING_REQUESTED, occurred_at=at(3)),
    example(topics.ALERT_CHANGED, occurred_at=at(3)), example(topics.BUNDLE_LOADED, occurred_at=at(3)),
]  # fmt: skip


@given(st.lists(st.sampled_from(EVENTS), max_size=8), st.permutations(EVENTS))
def test_neither_order_nor_repetition_of_events_matters(extra, order):
    def status(events):
        view = {}
        for event in events:
            view = fold(view, event)
        return mesh_status(view, QUIET, at(60))

    assert status([*order, *extra]) == status(EVENTS)


@pytest.mark.parametrize("name", ["minimal", "full"])
@pytest.mark.parametrize("topic", topics.EVENT_TOPICS, ids=lambda topic: topic.name)
def test_every_example_event_is_told_in_one_line_and_survives_the_event_log(topic, name):
    event = example(topic, name)
    line = summary(event)
    assert line
    assert "\n" not in line
    assert event_of(record_of(topic, event, None)) == event


def test_every_lifecycle_event_belongs_to_a_stage_but_those_that_stand_apart():
    staged = {kind for _, kinds in STAGES for kind in kinds}
    others = {topics.DOCUMENTS_SUBMITTED.event, topics.TRAFFIC_OBSERVED.event, topics.BUNDLE_REJECTED.event}
    assert staged == {topic.event for topic in topics.EVENT_TOPICS} - others


def test_an_event_without_scores_is_told_too():
    assert summary(samples.evaluated(A, CORPUS_1, scores=(), passed=False)) == "bundle aaaaaaaaaaaa FAILED its gates"


def test_a_batch_says_why_documents_were_rejected_and_that_personal_data_was_masked():
    event = cleaned(uuid4()).model_copy(
        update={
            "num_rejected_documents": 3,
            "rejected": {"empty": 1, "too-long": 2},
            "masked": {"phone": 4, "email": 1},
        }
    )
    assert summary(event) == (
        "480 new, 20 known word for word, 3 rejected (1 empty, 2 too-long); 5 personal data masked"
    )


def test_a_record_that_the_contracts_do_not_know_is_no_event():
    record = record_of(topics.BATCH_CLEANED, cleaned(uuid4()), None)
    assert event_of(record.model_copy(update={"topic": "gone-v1"})) is None
    assert event_of(record.model_copy(update={"topic": topics.OTLP_LOGS.name})) is None
    assert event_of(record.model_copy(update={"event": {}})) is None


def test_a_bundle_that_failed_says_at_which_gates():
    reasons = ("passed: accuracy 0.800 is at least 0.500", "FAILED: it is worse than what serves on old documents")
    refused = summary(samples.evaluated(A, CORPUS_1, passed=False, reasons=reasons))
    assert refused.endswith("; FAILED: it is worse than what serves on old documents")
    assert "at least 0.500" not in refused
    assert "worse" in summary(samples.evaluated(A, CORPUS_1, passed=False, reasons=reasons, scores=()))
    assert "FAILED" not in summary(samples.evaluated(A, CORPUS_1, passed=True, reasons=reasons[:1]))
