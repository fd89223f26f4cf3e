"""The demo's exit code hangs on these findings: each claim of the story is taken away in turn and must be missed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.demo.load import NO_BUNDLE, SecondOfTraffic
from shared.demo.play import MARKER, _clean
from shared.demo.report import (
    BundleSummary,
    Canary,
    Drill,
    Proof,
    Report,
    Step,
    Traffic,
    Weights,
    changes,
    findings,
)
from shared.embedded.layout import layout_of
from shared.errors import MeshError

OLD, NEW, BAD = "a" * 64, "b" * 64, "c" * 64
START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def weights() -> list[Weights]:
    plan = [(5, {OLD: 100}), (20, {OLD: 90, NEW: 10}), (40, {NEW: 100}), (60, {NEW: 90, BAD: 10}), (80, {NEW: 100})]
    samples, second = [], 0
    for until, percent in plan:
        samples += [Weights(at=at(moment), percent=percent) for moment in range(second, until)]
        second = until
    return samples


def traffic() -> list[Traffic]:
    seconds = []
    for sample in weights():
        second = int(sample.at.timestamp())
        for digest, percent in sample.percent.items():
            requests = percent * 44 // 100
            seconds.append(Traffic(second=second, bundle_digest=digest, requests=requests, failures=0, p95_ms=9.0))
    return seconds


def step(**changed: object) -> Step:
    proof = Proof(topic="t", event_id=UUID(int=1), causation_id=None, occurred_at=at(1), trace_id=None)
    return Step.model_validate({"name": "a step", "ended_at": at(1), "duration_s": 1, "proofs": [proof]} | changed)


def bundle(digest: str, *ancestors: str) -> BundleSummary:
    return BundleSummary(
        bundle_digest=digest, ancestors=ancestors, corpus_digest="d" * 64, tokenizer_digest="e" * 64, num_tokens=1,
        training_s=1, scores=(), floor_accuracy=0.3,
    )  # fmt: skip


def story(**changed: object) -> Report:
    values: dict[str, object] = {
        "began_at": at(0), "ended_at": at(80), "duration_s": 80, "ready_after_s": 8, "processes": {}, "settings": {},
        "num_documents": 1,
        "num_verbatim_later": 272, "num_known_later": 285, "steps": [step()],
        "bundles": [bundle(OLD), bundle(NEW, OLD), bundle(BAD, NEW, OLD)],
        "weights": weights(), "traffic": traffic(), "memory_mb": {},
        "promotion": Canary(
            candidate=NEW, baseline=OLD, released_percent=(10, 100), began_at=at(5), ended_at=at(20)
        ),
        "rollback": Canary(candidate=BAD, baseline=NEW, released_percent=(10, 0), began_at=at(40), ended_at=at(60)),
        "drill": Drill(
            first_slow_answer_at=at(50), alert_s=5, decided_s=5, nothing_routed_s=6, alert_reason="slow",
            cause="latency", answered_by_after=NEW,
        ),
    }  # fmt: skip
    return Report.model_validate(values | changed)


def test_a_whole_story_has_no_findings():
    assert findings(story()) == []


@pytest.mark.parametrize("percents", [(10,), (100,), (10, 50, 100), (10, 0)])
def test_weights_of_the_promotion_went_from_ten_to_a_hundred(percents):
    canary = Canary(candidate=NEW, baseline=OLD, released_percent=percents, began_at=at(5), ended_at=at(20))
    assert any("promotion: the events say" in finding for finding in findings(story(promotion=canary)))


def test_the_gateway_must_have_routed_what_the_events_say():
    stuck = [sample for sample in weights() if sample.percent != {NEW: 100}]
    assert any("the gateway routed" in finding for finding in findings(story(weights=stuck)))


@pytest.mark.parametrize("digest", [OLD, NEW])
def test_both_bundles_take_traffic_during_a_canary(digest):
    without = [second for second in traffic() if second.bundle_digest != digest]
    assert any("took no traffic" in finding for finding in findings(story(traffic=without)))


def test_a_trickle_is_not_real_load():
    thin = [second.model_copy(update={"requests": max(1, second.requests // 3)}) for second in traffic()]
    assert any("requests a second" in finding for finding in findings(story(traffic=thin)))


def test_one_failed_request_is_enough():
    lost = Traffic(second=int(at(21).timestamp()), bundle_digest=NO_BUNDLE, requests=1, failures=1, p95_ms=None)
    assert "1 requests failed, 1 of them without an answer" in findings(story(traffic=[*traffic(), lost]))


def test_the_old_bundle_must_answer_after_the_drill():
    drill = story().drill.model_copy(update={"answered_by_after": BAD})
    assert any("after the rollback" in finding for finding in findings(story(drill=drill)))


def test_two_hundred_users():
    assert findings(story(num_users=199)) == ["only 199 users, not 200"]


def test_changes_leave_repetitions_out():
    assert changes(weights(), NEW) == (0, 10, 100, 90, 100)
    assert changes([], NEW) == ()


def test_p95_of_a_second():
    assert SecondOfTraffic().p95_ms is None
    assert SecondOfTraffic(latencies_ms=[7.0]).p95_ms == 7.0
    assert SecondOfTraffic(latencies_ms=[float(value) for value in range(101)]).p95_ms == 95.0


def test_every_step_is_proved():
    assert findings(story(steps=[])) == ["no step was taken"]
    assert findings(story(steps=[step(proofs=())])) == ["nothing proves the step: a step"]
    assert findings(story(steps=[step(proofs=(), answer_ids=("x",))])) == []


def test_each_bundle_continues_the_one_before():
    bundles = [bundle(OLD), bundle(NEW), bundle(BAD, NEW, OLD)]
    assert findings(story(bundles=bundles)) == [f"bundle {NEW} does not continue {OLD}"]


def test_verbatim_articles_must_be_recognised():
    assert findings(story(num_known_later=271)) == ["271 of 272 verbatim articles were recognised"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"cause": "operator"}, "cause is operator"), ({"alert_s": 5.5}, "order"), ({"nothing_routed_s": 4}, "order")],
)
def test_the_drill_goes_from_the_alert_to_the_rollback(changed, words):
    drill = story().drill.model_copy(update=changed)
    assert any(words in finding for finding in findings(story(drill=drill)))


def test_the_demo_empties_no_directory_but_its_own(tmp_path):
    (tmp_path / "mesh.json").write_text("{}")
    with pytest.raises(MeshError, match="not a demo's directory"):
        _clean(layout_of(tmp_path))
    assert (tmp_path / "mesh.json").exists()


def test_a_second_demo_starts_clean(tmp_path):
    layout = layout_of(tmp_path / "demo")
    _clean(layout)
    (layout.root / "report.json").write_text("{}")
    _clean(layout)
    assert [path.name for path in layout.root.iterdir()] == [MARKER]
