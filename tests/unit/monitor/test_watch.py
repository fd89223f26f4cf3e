from dataclasses import replace

from contracts.monitoring import AlertState
from services.monitor.core.watch import AlertKey, Said, Watch, observe, start, tick
from tests.unit.monitor.samples import LAW_A, LAW_B, NOON_S, TERMS, at, counts, point


def run(watch: Watch, traffic: dict[int, list], *, from_s: int, until_s: int) -> tuple[Watch, list[tuple[float, Said]]]:
    """Let seconds pass; `traffic` arrives 0.2 s after its second; the watch looks every quarter of a second."""
    said = []
    for quarter in range(4 * from_s, 4 * until_s):
        now = quarter / 4
        if quarter % 4 == 1:
            watch = observe(watch, traffic.get(int(now) - 1, []), at(now))
        watch, heard = tick(watch, TERMS, at(now))
        said += [(now, heard)] if any(heard) else []
    return watch, said


def load(second: int, slow_from: int) -> list:
    slow = 4 if second >= slow_from else 0
    return [point(second + 0.9, counts(4, slow=slow), LAW_B), point(second + 0.9, counts(36))]


def test_a_canary_that_turns_slow_fires_within_six_seconds_and_the_other_bundle_does_not():
    traffic = {second: load(second, slow_from=20) for second in range(60)}
    _, said = run(start(at(0), TERMS, []), traffic, from_s=0, until_s=60)
    changes = [(now, change) for now, heard in said for change in heard.changes]
    firing = [(now, change) for now, change in changes if change.state is AlertState.FIRING]
    [(fired_at, change)] = firing
    assert (change.bundle_digest, change.rule) == (LAW_B.bundle_digest, "answer-latency")
    assert fired_at - 20 <= 6
    observed = [event for _, heard in said for event in heard.traffic]
    assert change.causation_id in {event.event_id for event in observed}
    assert sum(event.num_answers for event in observed if event.bundle_digest == LAW_A.bundle_digest) == 36 * 58


def test_traffic_is_said_before_the_change_that_it_causes_and_each_second_once():
    traffic = {second: load(second, slow_from=5) for second in range(30)}
    _, said = run(start(at(0), TERMS, []), traffic, from_s=0, until_s=30)
    seconds = [(event.second, event.bundle_digest) for _, heard in said for event in heard.traffic]
    assert len(seconds) == len(set(seconds)) == 2 * 28


def test_a_bundle_that_gets_no_traffic_any_more_is_forgotten():
    traffic = {second: load(second, slow_from=0) for second in range(10)}
    watch, said = run(start(at(0), TERMS, []), traffic, from_s=0, until_s=20)
    assert AlertKey("answer-latency", LAW_B) in watch.alerts
    watch, later = run(watch, {}, from_s=20, until_s=120)
    assert watch.alerts == {}
    changes = [
        change for _, heard in said + later for change in heard.changes if change.bundle_digest == LAW_B.bundle_digest
    ]
    assert [(change.rule, change.state.value) for change in changes] == [
        ("answer-latency", "firing"),
        ("answer-errors", "resolved"),
        ("answer-latency", "no-data"),
        ("answer-errors", "no-data"),
    ]


def test_after_a_restart_an_alert_that_fired_is_remembered_and_does_not_fire_again():
    traffic = {second: load(second, slow_from=0) for second in range(60)}
    _, said = run(start(at(0), TERMS, []), traffic, from_s=0, until_s=10)
    changes = [change for _, heard in said for change in heard.changes]
    _, later = run(start(at(10), TERMS, changes), traffic, from_s=10, until_s=40)
    firing = [change for _, heard in later for change in heard.changes if change.state is AlertState.FIRING]
    assert firing == []

    calm = {second: load(second, slow_from=99) for second in range(60)}
    _, later = run(start(at(10), TERMS, changes), calm, from_s=10, until_s=40)
    changed = [change.state.value for _, heard in later for change in heard.changes if change.rule == "answer-latency"]
    assert changed[0] == "resolved"


def test_the_last_change_of_an_alert_holds_and_rest_is_not_remembered():
    traffic = {second: load(second, slow_from=0) for second in range(10)}
    _, said = run(start(at(0), TERMS, []), traffic, from_s=0, until_s=120)
    changes = [change for _, heard in said for change in heard.changes]
    assert start(at(200), TERMS, changes).alerts == {}
    [firing] = [change for change in changes if change.state is AlertState.FIRING]
    assert start(at(200), TERMS, [firing]).alerts.keys() == {AlertKey("answer-latency", LAW_B)}


def test_a_stop_of_the_process_loses_no_second():
    watch = observe(start(at(0), TERMS, []), [point(0.5, counts(20, slow=20))], at(1))
    watch, said = tick(watch, TERMS, at(30))
    assert [event.second for event in said.traffic] == [at(0)]
    assert [change.state.value for change in said.changes if change.rule == "answer-latency"] == ["firing", "no-data"]
    assert watch.windows.closed == NOON_S + 28
    assert replace(watch, alerts={}) == Watch(windows=watch.windows)
