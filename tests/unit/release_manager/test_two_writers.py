"""Of several release-managers one writes: the one that took the domain over last, whatever the others believe."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from contracts.release import ReleaseChanged
from contracts.topics import Topic
from services.release_manager.adapters import SnapshotRefs
from services.release_manager.core.effects import Observation, Tick
from services.release_manager.fence import RETAKE_S
from services.release_manager.run import Releases
from shared.artifacts import ArtifactStore
from shared.clock import FakeClock
from shared.errors import NotTheWriter, RefConflict

from .conftest import Membership
from .story import RULES, START, alert, evaluated, loaded, requested, traffic


class Wire:
    """A topic that both members publish to; a publication may be held up on its way."""

    def __init__(self) -> None:
        self.said: list[ReleaseChanged] = []
        self.holds_up = False
        self.waiting = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def publish(self, _: Topic, event: ReleaseChanged, *, traceparent: str | None = None) -> None:
        if self.holds_up:
            self.holds_up = False
            self.waiting.set()
            await self.goes_on.wait()
        self.said.append(event)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def wire() -> Wire:
    return Wire()


Start = Callable[[str], tuple[Releases, Membership]]


@pytest.fixture
def start(wire: Wire, store: ArtifactStore, clock: FakeClock) -> Start:
    """Starts a member that believes that it has all domains."""

    def start(name: str) -> tuple[Releases, Membership]:
        group = Membership(name)
        return Releases(wire, SnapshotRefs(store), clock=clock, rules_for=lambda _: RULES, group=group), group  # type: ignore[arg-type]

    return start


def one_word_a_revision(said: list[ReleaseChanged]) -> list[ReleaseChanged]:
    """Return what was said, each revision once; it must have been the same word each time."""
    words = {change.state.revision: change for change in said}
    assert all(words[change.state.revision] == change for change in said)
    assert sorted(words) == list(range(1, len(words) + 1))
    return [words[revision] for revision in sorted(words)]


async def test_one_that_slept_through_a_takeover_changes_nothing(wire: Wire, start: Start, clock: FakeClock) -> None:
    (sleeper, place), (heir, _) = start("sleeper"), start("heir")
    await sleeper.observe("law", evaluated("a"))
    await heir.observe("law", loaded("a"))
    said = len(wire.said)
    seen: list[Observation] = [
        Tick(),
        requested(),
        evaluated("b"),
        loaded("a", ok=False),
        alert("a"),
        traffic("a", 1, 50),
    ]
    clock.set(clock.now() + timedelta(seconds=RULES.settle_s))
    for observation in seen:
        with pytest.raises(NotTheWriter, match="another member of the group has taken law over"):
            await sleeper.observe("law", observation)
    await sleeper.tick()
    assert len(wire.said) == said
    # The group tells it: first that things move, then that the domain is another's.
    place.is_settled = False
    with pytest.raises(NotTheWriter, match="rearranged"):
        await sleeper.observe("law", requested())
    place.name, place.is_settled, place.has_domains = "sleeper again", True, False
    await sleeper.observe("law", requested())
    await sleeper.tick()
    assert len(wire.said) == said
    await heir.tick()
    assert [change.phase for change in one_word_a_revision(wire.said)] == ["warming", "promoting", "window"]


async def test_of_two_who_decide_at_the_same_instant_one_writes_and_the_other_says_nothing(
    wire: Wire, start: Start, store: ArtifactStore, clock: FakeClock
) -> None:
    (first, _), (second, _) = start("first"), start("second")
    await first.observe("law", evaluated("a"))
    await first.observe("law", loaded("a"))
    await first.observe("law", evaluated("b"))
    clock.set(clock.now() + timedelta(seconds=RULES.settle_s))
    outcomes = await asyncio.gather(
        *(releases.observe("law", Tick()) for releases in (first, second) for _ in range(4)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} <= {bool, RefConflict, NotTheWriter}
    told = one_word_a_revision(wire.said)
    assert [change.phase for change in told] == ["warming", "promoting", "queued", "window"]
    snapshot = await SnapshotRefs(store).load("law")
    assert snapshot.snapshot.state == told[-1].state


async def test_the_loser_of_a_race_reads_again_and_goes_on_from_what_the_winner_wrote(
    wire: Wire, start: Start, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (releases, _), refs, save = start("only"), SnapshotRefs(store), SnapshotRefs.save
    await releases.observe("law", evaluated("a"))

    async def outrun(self: SnapshotRefs, *arguments: object, **options: object) -> object:
        monkeypatch.setattr(SnapshotRefs, "save", save)
        held = await refs.load("law")
        await refs.save("law", held.snapshot.model_copy(update={"state": held.snapshot.state.model_copy()}), after=held)
        store.write_ref("releases/law.json", held.snapshot.model_dump_json(indent=1).encode())
        return await save(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SnapshotRefs, "save", outrun)
    with pytest.raises(RefConflict):
        await releases.observe("law", loaded("a"))
    assert [change.phase for change in wire.said] == ["warming"]
    await releases.observe("law", loaded("a"))
    assert [change.phase for change in wire.said] == ["warming", "promoting"]


async def test_the_topic_ends_with_the_newest_word_also_if_an_older_one_was_long_on_its_way(
    wire: Wire, start: Start
) -> None:
    (slow, _), (heir, _) = start("slow"), start("heir")
    wire.holds_up = True
    sending = asyncio.create_task(slow.observe("law", evaluated("a")))
    await wire.waiting.wait()
    await heir.observe("law", loaded("a"))
    assert [change.state.revision for change in wire.said] == [1, 2]
    wire.goes_on.set()
    await sending
    assert [change.state.revision for change in wire.said] == [1, 2, 1, 2]
    one_word_a_revision(wire.said)


async def test_one_that_was_replaced_by_a_dead_one_takes_its_domain_back(
    wire: Wire, start: Start, clock: FakeClock
) -> None:
    (owner, _), (zombie, _) = start("owner"), start("zombie")
    await owner.observe("law", evaluated("a"))
    await zombie.tick()
    with pytest.raises(NotTheWriter):
        await owner.observe("law", loaded("a"))
    clock.set(clock.now() + timedelta(seconds=RETAKE_S))
    await owner.observe("law", loaded("a"))
    assert [change.phase for change in one_word_a_revision(wire.said)] == ["warming", "promoting"]


async def test_a_new_domain_is_not_taken_before_it_is_written(wire: Wire, start: Start) -> None:
    (owner, _), (zombie, _) = start("owner"), start("zombie")
    await owner.observe("law", Tick())
    await zombie.observe("law", evaluated("a"))
    await owner.observe("law", loaded("a"))
    assert [change.phase for change in one_word_a_revision(wire.said)] == ["warming", "promoting"]


async def test_domains_are_listed_once_for_each_assignment(
    start: Start, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (releases, group), (other, _), listed = start("first"), start("other"), []
    names = ArtifactStore.ref_names
    monkeypatch.setattr(ArtifactStore, "ref_names", lambda self, prefix: listed.append(prefix) or names(self, prefix))
    await other.observe("law", evaluated("a"))
    for _ in range(5):
        await releases.tick()
    assert listed == ["releases"]
    group.name = "second"
    await releases.tick()
    assert listed == ["releases"] * 2
