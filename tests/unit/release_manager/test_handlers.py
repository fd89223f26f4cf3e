import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaConnectionError

from contracts.envelope import Event
from contracts.evaluation import ModelEvaluated
from contracts.release import Cause, Phase, ReleaseChanged
from contracts.topics import (
    ALERT_CHANGED,
    BUNDLE_LOADED,
    RELEASE_CHANGED,
    RELEASE_REQUESTED,
    TRAFFIC_OBSERVED,
    Topic,
)
from services.release_manager.adapters import SnapshotRefs
from services.release_manager.core.effects import Evaluated, Tick
from services.release_manager.run import Releases
from shared.artifacts import ArtifactStore
from shared.clock import FakeClock
from shared.errors import ArtifactCorrupt
from shared.releases import decided_ref
from shared.telemetry import trace_id_of

from .conftest import Daemon, Membership
from .story import RULES, START, TRACEPARENT, alert, digest, evaluated, loaded, requested, traffic, weights


def seconds(daemon: Daemon) -> float:
    return (daemon.clock.now() - START).total_seconds()


async def release_a(daemon: Daemon) -> None:
    await daemon.evaluates(evaluated("a"))
    await daemon.hears(BUNDLE_LOADED, loaded("a"))
    await daemon.ticks(after=RULES.settle_s)
    await daemon.ticks(after=RULES.window_s)


async def canary_b(daemon: Daemon) -> None:
    await daemon.evaluates(evaluated("b", ancestors="a"))
    await daemon.hears(BUNDLE_LOADED, loaded("b"))


# ---- the story on the bus


async def test_a_rollout_that_is_not_settled_asks_for_no_pause(daemon: Daemon) -> None:
    assert daemon.releases.busy_with() is None
    await daemon.evaluates(evaluated("a"))
    assert daemon.releases.busy_with() == "law is warming"
    await daemon.hears(BUNDLE_LOADED, loaded("a"))
    assert daemon.releases.busy_with() == "law is promoting"
    await daemon.ticks(after=RULES.settle_s)
    assert daemon.releases.busy_with() is None, (
        "the window is long, and asks for nothing but that the old bundle is there"
    )
    await daemon.ticks(after=RULES.window_s)
    await canary_b(daemon)
    assert daemon.releases.busy_with() == "law is canary"


@pytest.mark.parametrize("passed", [True, False])
async def test_a_judgement_that_was_taken_is_marked_for_the_cleaner(
    daemon: Daemon, store: ArtifactStore, passed
) -> None:
    evaluation = evaluated("a")
    event = evaluation.event.model_copy(update={"passed": passed})
    assert store.read_ref(decided_ref("law", event.corpus_digest)) is None
    await daemon.evaluates(Evaluated(event=event, traceparent=None))
    assert store.read_ref(decided_ref("law", event.corpus_digest)) == str(event.event_id).encode()


async def test_a_release_and_its_rollback_are_told_one_revision_at_a_time(daemon: Daemon) -> None:
    await release_a(daemon)
    await canary_b(daemon)
    for _ in range(12):
        await daemon.hears(TRAFFIC_OBSERVED, traffic("b", seconds(daemon), 4), after=1)
        await daemon.hears(TRAFFIC_OBSERVED, traffic("a", seconds(daemon), 36))
    await daemon.ticks(after=RULES.settle_s)
    await daemon.hears(ALERT_CHANGED, alert("b", signal="quality"))
    await daemon.ticks(after=RULES.settle_s)
    told = [(change.state.revision, change.phase, change.cause, weights(change.state)) for change, _ in daemon.changes]
    assert told == [
        (1, Phase.WARMING, Cause.EVALUATED, {}),
        (2, Phase.PROMOTING, Cause.LOADED, {"a": 100}),
        (3, Phase.WINDOW, Cause.ELAPSED, {"a": 100}),
        (4, Phase.STABLE, Cause.ELAPSED, {"a": 100}),
        (5, Phase.WARMING, Cause.EVALUATED, {"a": 100}),
        (6, Phase.CANARY, Cause.LOADED, {"a": 90, "b": 10}),
        (7, Phase.PROMOTING, Cause.HEALTHY, {"b": 100}),
        (8, Phase.WINDOW, Cause.ELAPSED, {"b": 100}),
        (9, Phase.ROLLING_BACK, Cause.QUALITY, {"a": 100}),
        (10, Phase.ROLLED_BACK, Cause.QUALITY, {"a": 100}),
    ]
    assert len({change.event_id for change, _ in daemon.changes}) == len(told)
    assert {change.bundle_digest for change, _ in daemon.changes} == {digest("a"), digest("b")}


async def test_a_change_continues_the_trace_of_the_training_and_names_its_cause(daemon: Daemon) -> None:
    training = "00-11111111111111111111111111111111-2222222222222222-01"
    await daemon.evaluates(Evaluated(event=evaluated("a").event, traceparent=training))
    await daemon.hears(BUNDLE_LOADED, loaded("a"))
    await daemon.ticks(after=RULES.settle_s)
    assert [trace_id_of(message.headers["traceparent"]) for _, message in daemon.changes] == ["1" * 32] * 3
    assert trace_id_of(TRACEPARENT) != "1" * 32
    assert [change.causation_id for change, _ in daemon.changes] == [
        evaluated("a").event.event_id,
        loaded("a").event_id,
        evaluated("a").event.event_id,
    ]
    assert {message.raw_message.key for _, message in daemon.changes} == {b"law"}
    assert daemon.changes[0][1].headers["ce_id"] == str(daemon.changes[0][0].event_id)


async def test_domains_do_not_touch_each_other(daemon: Daemon) -> None:
    await release_a(daemon)
    other = evaluated("b").event.model_copy(update={"domain": "medicine"})
    await daemon.evaluates(Evaluated(event=other, traceparent=None))
    law, medicine = await daemon.releases.state("law"), await daemon.releases.state("medicine")
    assert law is not None
    assert medicine is not None
    assert (law.revision, medicine.revision) == (4, 1)
    assert daemon.changes[-1][0].event_id != daemon.changes[0][0].event_id
    assert await daemon.refs.domains() == ["law", "medicine"]
    assert await daemon.releases.state("history") is None


@pytest.mark.parametrize(
    ("topic", "event"),
    [
        (BUNDLE_LOADED, loaded("b")),
        (ALERT_CHANGED, alert("b")),
        (RELEASE_REQUESTED, requested()),
    ],
)
async def test_a_redelivered_message_publishes_nothing_more(daemon: Daemon, topic: Topic, event: Event) -> None:
    await release_a(daemon)
    await daemon.evaluates(evaluated("b", ancestors="a"))
    if topic is not BUNDLE_LOADED:
        await daemon.hears(BUNDLE_LOADED, loaded("b"))
    assert len(await daemon.hears(topic, event)) == 1
    assert await daemon.hears(topic, event) == []
    assert await daemon.evaluates(evaluated("b", ancestors="a")) == []


async def test_an_evaluation_that_did_not_pass_leaves_no_trace(daemon: Daemon) -> None:
    assert await daemon.evaluates(evaluated("a", passed=False)) == []
    assert await daemon.refs.domains() == []


async def test_answers_are_counted_on_disk_and_not_published(daemon: Daemon) -> None:
    await release_a(daemon)
    await canary_b(daemon)
    assert await daemon.hears(TRAFFIC_OBSERVED, traffic("b", seconds(daemon), 4)) == []
    state = await daemon.releases.state("law")
    assert state is not None
    assert state.rollout is not None
    assert state.rollout.candidate_tally.num_answers == 4


async def test_what_cannot_be_done_is_logged(daemon: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    await daemon.evaluates(evaluated("a"))
    await daemon.hears(BUNDLE_LOADED, loaded("a"))
    assert await daemon.hears(RELEASE_REQUESTED, requested()) == []
    assert await daemon.hears(ALERT_CHANGED, alert("a")) == []
    logged = [(record.levelno, record.message) for record in caplog.records if record.levelno > logging.INFO]
    assert logged == [(logging.WARNING, "rollback declined"), (logging.ERROR, "rollback impossible")]


# ---- crashes


class FlakyBus:
    """A bus whose broker goes away."""

    def __init__(self) -> None:
        self.said: list[ReleaseChanged] = []
        self.failures = 0

    async def publish(self, topic: Topic, event: ReleaseChanged, *, traceparent: str | None = None) -> None:
        assert topic is RELEASE_CHANGED
        assert traceparent == TRACEPARENT
        if self.failures:
            self.failures -= 1
            raise KafkaConnectionError
        self.said.append(event)


@pytest.fixture
def bus() -> FlakyBus:
    return FlakyBus()


@pytest.fixture
def start(bus: FlakyBus, store: ArtifactStore) -> Callable[..., Releases]:
    """Starts a daemon's process on the same store, again and again."""

    def start(clock: FakeClock | None = None, *, group: Membership | None = None) -> Releases:
        clock, group = clock or FakeClock(START), group or Membership(uuid4().hex)
        return Releases(bus, SnapshotRefs(store), clock=clock, rules_for=lambda _: RULES, group=group)  # type: ignore[arg-type]  # a fake

    return start


async def test_a_start_says_the_last_word_again_word_for_word(bus: FlakyBus, start: Callable[..., Releases]) -> None:
    first = start()
    await first.observe("law", evaluated("a"))
    await first.observe("law", loaded("a"))
    later = start(FakeClock(START + timedelta(hours=1)))
    await later.announce_all()
    assert bus.said[2] == bus.said[1]
    assert [change.state.revision for change in bus.said] == [1, 2, 2]
    await later.announce_all()
    assert len(bus.said) == 3


async def test_a_word_that_a_crash_left_unsaid_is_said_at_the_next_start(
    bus: FlakyBus, start: Callable[..., Releases]
) -> None:
    bus.failures = 1
    with pytest.raises(KafkaConnectionError):
        await start().observe("law", evaluated("a"))
    restarted = start()
    await restarted.announce_all()
    await restarted.observe("law", evaluated("a"))
    assert [change.state.revision for change in bus.said] == [1]


async def test_a_word_left_unsaid_comes_before_the_next_step(bus: FlakyBus, start: Callable[..., Releases]) -> None:
    releases = start()
    bus.failures = 2
    for _ in range(2):
        with pytest.raises(KafkaConnectionError):
            await releases.observe("law", evaluated("a"))
    await releases.observe("law", loaded("a"))
    assert [(change.state.revision, change.phase) for change in bus.said] == [(1, "warming"), (2, "promoting")]


async def test_a_tick_that_the_broker_refuses_is_put_off(bus: FlakyBus, start: Callable[..., Releases]) -> None:
    clock = FakeClock(START)
    releases = start(clock)
    await releases.observe("law", evaluated("a"))
    await releases.observe("law", loaded("a"))
    clock.set(START + timedelta(seconds=RULES.settle_s))
    bus.failures = 1
    await releases.tick()
    assert len(bus.said) == 2
    await releases.tick()
    assert [change.phase for change in bus.said] == ["warming", "promoting", "window"]


async def test_a_standby_does_not_look_at_the_clock(bus: FlakyBus, start: Callable[..., Releases]) -> None:
    clock = FakeClock(START)
    await start(clock).observe("law", evaluated("a"))
    standby = start(clock, group=Membership("standby", has_domains=False))
    owner = start(clock)
    for releases in (standby, owner):
        await releases.tick()
    assert [change.phase for change in bus.said] == [Phase.WARMING] * 2, "who takes over says the last word again"
    clock.set(clock.now() + timedelta(seconds=RULES.max_load_s))
    await standby.tick()
    assert len(bus.said) == 2
    await owner.tick()
    assert bus.said[-1].phase is Phase.INCONCLUSIVE


async def test_ticks_and_events_take_turns(bus: FlakyBus, start: Callable[..., Releases]) -> None:
    clock = FakeClock(START)
    releases = start(clock)
    await releases.observe("law", evaluated("a"))
    await releases.observe("law", loaded("a"))
    clock.set(START + timedelta(seconds=RULES.settle_s))
    seen = [*[Tick()] * 8, *[evaluated(letter) for letter in "bcdef"]]
    await asyncio.gather(*(releases.observe("law", observation) for observation in seen))
    revisions = [change.state.revision for change in bus.said]
    assert revisions == list(range(1, 9))
    assert [change.phase for change in bus.said].count(Phase.WINDOW) == 1


async def test_a_restart_between_any_two_messages_tells_the_same_story(
    bus: FlakyBus, start: Callable[..., Releases]
) -> None:
    clock = FakeClock(START)
    story = [
        (0, evaluated("a")), (1, loaded("a")), (2, Tick()), (10, Tick()), (10, Tick()), (1, evaluated("b", ancestors="a")),
        (1, loaded("b")), (3, traffic("b", 30, 12)), (4, traffic("b", 31, 12)), (6, Tick()), (1, evaluated("c")),
        (2, Tick()), (1, alert("b")), (2, Tick()), (0, Tick()),
    ]  # fmt: skip
    for after, observation in story:
        clock.set(clock.now() + timedelta(seconds=after))
        releases = start(clock)
        await releases.announce_all()
        await releases.observe("law", observation)
    told = {change.state.revision: change for change in bus.said}
    assert list(told) == sorted(told)
    assert [change.phase for change in told.values()] == [
        "warming", "promoting", "window", "stable", "warming", "canary", "promoting", "queued", "window",
        "rolling-back", "rolled-back", "warming",
    ]  # fmt: skip
    assert len({change.event_id for change in bus.said}) == len(told)


# ---- the ref


async def test_a_damaged_ref_is_named_and_not_overwritten(
    store: ArtifactStore, bus: FlakyBus, start: Callable[..., Releases]
) -> None:
    store.write_ref("releases/law.json", b'{"state": 7}')
    with pytest.raises(ArtifactCorrupt, match="release state of law"):
        await start().observe("law", evaluated("a"))
    assert store.read_ref("releases/law.json") == b'{"state": 7}'
    assert bus.said == []


async def test_a_damaged_state_of_one_domain_is_said_once_and_the_others_go_on(
    store: ArtifactStore, bus: FlakyBus, start: Callable[..., Releases], caplog: pytest.LogCaptureFixture
) -> None:
    first = start()
    await first.observe("law", evaluated("a"))
    await first.observe("law", loaded("a"))
    store.write_ref("releases/art.json", b'{"state": 7}')
    clock = FakeClock(START)
    again = start(clock)
    await again.announce_all()
    await again.tick()
    clock.set(START + timedelta(seconds=RULES.settle_s))
    await again.tick()
    assert [(change.domain, change.state.revision) for change in bus.said[2:]] == [("law", 2), ("law", 3)]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [(record.message, getattr(record, "domain", None)) for record in errors] == [("domain left out", "art")]
    caplog.clear()


def test_the_evaluation_of_the_story_is_what_the_evaluator_sends() -> None:
    event = evaluated("a").event
    assert ModelEvaluated.model_validate_json(event.model_dump_json()) == event
