import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.telemetry import LATENCY_BOUNDS_MS, TRAINING_LOSS
from contracts.topics import OTLP_METRICS
from services.monitor.core.otlp import metrics_of
from services.monitor.core.traffic import NOTHING, Counts, answers_of
from shared.telemetry_store.records import MetricPoint
from tests.unit.monitor.samples import LAW_A, LAW_B, A, B, Observed


def points_of(service: Observed) -> tuple[MetricPoint, ...]:
    return tuple(point for payload in service.close().payloads(OTLP_METRICS) for point in metrics_of(payload))


def test_answers_are_counted_by_bundle_with_slow_ones_errors_and_cache_hits_apart():
    service = Observed()
    for latency_ms in (10, 299, 300, 300.1, 9000):
        service.answer(latency_ms)
    service.answer(20, outcome="error")
    service.answer(20, outcome="refused")
    service.cache_hit()
    service.telemetry.record(TRAINING_LOSS, 3.5, {"plumbline.domain": "law"})
    service.answer(20, digest=B)

    answers = answers_of(points_of(service), limit_ms=300.0)
    assert answers.refused == ()
    total = dict.fromkeys((LAW_A, LAW_B), NOTHING)
    for point in answers.points:
        total[point.series] += point.counts
    assert (total[LAW_A].num_answers, total[LAW_A].num_slow, total[LAW_A].num_errors) == (7, 2, 1)
    assert total[LAW_A].num_cache_hits == 1
    assert sum(total[LAW_A].histogram) == 7
    assert total[LAW_B] == Counts(1, 0, 0, 0, total[LAW_B].histogram)


def test_a_harmed_point_is_refused_by_itself():
    service = Observed()
    service.answer(10, digest="not-a-digest")
    service.answer(10, domain="Not A Domain")
    service.answer(10)
    answers = answers_of(points_of(service), limit_ms=300.0)
    assert [point.series for point in answers.points] == [LAW_A]
    assert len(answers.refused) == 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"is_delta": False}, "temporality"),
        ({"bounds": (1.0,), "counts": (1, 2)}, "bounds"),
        ({"kind": "sum"}, "histogram"),
        ({"attributes": {}}, "digest"),
        ({"attributes": {"plumbline.domain": "law", "plumbline.bundle.digest": 7}}, "digest"),
    ],
)
def test_what_is_wrong_with_a_refused_point_is_said(changes, problem):
    attributes = {"plumbline.domain": "law", "plumbline.bundle.digest": A, "plumbline.answer.outcome": "ok"}
    fields = {
        "series": "s", "service": "g", "name": "plumbline.answer.latency", "kind": "histogram", "is_delta": True,
        "time_ns": 1, "value": 1.0, "bounds": LATENCY_BOUNDS_MS, "counts": (1,) * (len(LATENCY_BOUNDS_MS) + 1),
        "attributes": attributes,
    }  # fmt: skip
    assert answers_of([MetricPoint(**fields)], 300.0).refused == ()
    [refusal] = answers_of([MetricPoint(**fields | changes)], 300.0).refused
    assert problem in refusal


def test_the_worked_example_of_percentiles():
    assert Counts(num_answers=4, histogram=(0, 4) + (0,) * 16).percentile_ms(0.5) == 3.5


def test_shares_and_percentiles_without_answers():
    assert (NOTHING.error_share, NOTHING.slow_share, NOTHING.percentile_ms(0.95)) == (0.0, 0.0, None)
    assert NOTHING.is_empty
    assert Counts(num_answers=4, num_errors=1, num_slow=2).error_share == 0.25
    assert Counts(num_answers=4, num_errors=1, num_slow=2).slow_share == 0.5


@given(latencies=st.lists(st.floats(min_value=0.01, max_value=6000), min_size=1, max_size=60))
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(latencies):
    buckets = [sum(bound < latency for bound in LATENCY_BOUNDS_MS) for latency in latencies]
    histogram = tuple(buckets.count(index) for index in range(len(LATENCY_BOUNDS_MS) + 1))
    found = Counts(num_answers=len(latencies), histogram=histogram).percentile_ms(0.95)

    exact = sorted(latencies)[-(-95 * len(latencies) // 100) - 1]
    bucket = sum(bound < exact for bound in LATENCY_BOUNDS_MS)
    low = LATENCY_BOUNDS_MS[bucket - 1] if bucket else 0.0
    high = LATENCY_BOUNDS_MS[bucket] if bucket < len(LATENCY_BOUNDS_MS) else LATENCY_BOUNDS_MS[-1]
    assert found is not None
    assert low <= found <= high + 1e-9
