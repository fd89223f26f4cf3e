"""Several cleaners on one domain: whoever prepares a batch, and whoever has the domain then, the corpus is the same."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from contracts.corpus import BatchCleaned, BatchPrepared, BatchReceived
from contracts.envelope import derived_id
from contracts.topics import BATCH_CLEANED, BATCH_PREPARED, BATCH_RECEIVED, CORPUS_VERSIONED
from services.cleaner.ledger import Ledger
from shared.corpus import write_shard
from shared.errors import ArtifactCorrupt, ArtifactMissing
from shared.telemetry import Telemetry
from tests.unit.cleaner import conftest, test_versions
from tests.unit.cleaner.conftest import START, running
from tests.unit.cleaner.test_restart import RULES
from tests.unit.cleaner.test_versions import DOCUMENTS, NOW, cleaner_in, in_batches

BATCHES = in_batches(DOCUMENTS, 7, 1)
BATCH_IDS = UUID(int=2)


def received(cleaner: test_versions.Cleaner, number: int) -> BatchReceived:
    batch_id = derived_id(BATCH_IDS, f"batch {number}")
    return BatchReceived(
        event_id=derived_id(batch_id, "received"), causation_id=None, occurred_at=NOW, domain="law", batch_id=batch_id,
        raw_digest=write_shard(cleaner.store, BATCHES[number]), num_documents=len(BATCHES[number]),
        num_bytes=0, source="http",
    )  # fmt: skip


def prepared(cleaner: test_versions.Cleaner, number: int) -> BatchPrepared:
    return cleaner.cleaning.prepare(received(cleaner, number))


def take(cleaner: test_versions.Cleaner, event: BatchPrepared) -> BatchCleaned:
    return cleaner.cleaning.take(event, traceparent=None, now=NOW)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[test_versions.Cleaner, test_versions.Cleaner]:
    """Two members with one state folder and one store, as processes have them."""
    return cleaner_in(tmp_path), cleaner_in(tmp_path)


# ---- preparing


def test_who_prepares_a_batch_says_the_same_whenever_and_wherever(pair, monkeypatch):
    first, second = pair
    event = received(first, 0)
    said = first.cleaning.prepare(event)
    assert second.cleaning.prepare(event) == said
    assert (said.causation_id, said.occurred_at, said.batch_id) == (event.event_id, event.occurred_at, event.batch_id)
    assert first.ledger.batches("law") == []
    take(first, said)
    monkeypatch.setattr("services.cleaner.preparing.clean_table", lambda *_: pytest.fail("it is known already"))
    assert second.cleaning.prepare(event) == said


async def test_a_batch_of_another_members_domain_is_handed_over_and_not_taken(tmp_path: Path, telemetry: Telemetry):
    async with running(tmp_path, telemetry, conftest.FakeClock(START), RULES) as cleaner:
        cleaner.others.add("law")
        event = cleaner.batch("a", conftest.documents("一", "二"))
        handed_over: list[BatchPrepared] = []
        publish = cleaner.bus.publish

        async def overheard(topic, said, **options):
            if topic is BATCH_PREPARED:
                handed_over.append(said)
                return
            await publish(topic, said, **options)

        cleaner.bus.publish = overheard  # type: ignore[method-assign]
        await cleaner.user.publish(BATCH_RECEIVED, event)
        await cleaner.user.publish(BATCH_RECEIVED, event)
        assert cleaner.ledger.batches("law") == []
        assert cleaner.of(BATCH_CLEANED) == []
        assert handed_over[0] == handed_over[1] == cleaner.cleaning.prepare(event)

        cleaner.bus.publish = publish  # type: ignore[method-assign]
        cleaner.others.clear()
        for _ in range(2):
            await cleaner.user.publish(BATCH_PREPARED, handed_over[0])
        first, again = cleaner.of(BATCH_CLEANED)
        assert first == again
        assert (first.num_new_documents, first.causation_id) == (2, event.event_id)
        assert cleaner.store.read_ref(f"cleaned/law/{event.batch_id}") == first.model_dump_json().encode()


async def test_a_broker_that_forgets_a_prepared_batch_is_told_of_it_by_ingest_and_it_is_cleaned_once(
    tmp_path: Path, telemetry: Telemetry
):
    clock = conftest.FakeClock(START)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        event = cleaner.batch("a", conftest.documents("一", "二"))
        cleaner.cleaning.prepare(event)  # (and what it says is lost)
        assert cleaner.store.read_ref(f"cleaned/law/{event.batch_id}") is None, "ingest announces it again"
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.user.publish(BATCH_RECEIVED, event)
        await cleaner.later(5)
        assert [one.num_new_documents for one in cleaner.of(BATCH_CLEANED)] == [2]
        assert [one.num_documents for one in cleaner.of(CORPUS_VERSIONED)] == [2]


# ---- taking


def test_two_members_make_the_corpus_that_one_makes(tmp_path: Path, pair):
    alone = cleaner_in(tmp_path / "alone")
    for number in range(len(BATCHES)):
        take(alone, prepared(alone, number))
    _, expected = alone.cut()
    owner, other = pair
    handed_over = [prepared(pair[number % 2], number) for number in range(len(BATCHES))]
    for event in handed_over[::-1]:
        take(owner, event)
    _, found = owner.cut()
    assert (found.content_digest, found.shards) == (expected.content_digest, expected.shards)
    assert found.statistics == expected.statistics
    assert other.ledger.batches("law") == owner.ledger.batches("law")


def test_the_next_owner_takes_what_the_first_one_prepared_and_had_not_said(pair):
    first, second = pair
    handed_over = [prepared(first, number) for number in range(4)]
    take(first, handed_over[0])
    take(second, handed_over[1])
    said = [take(second, handed_over[2]), take(first, handed_over[3])]
    assert [take(one, event) for one, event in ((first, handed_over[2]), (second, handed_over[3]))] == said
    assert [batch.batch_id for batch in first.ledger.batches("law")] == [event.batch_id for event in handed_over]
    first_cut, _ = first.cut()
    assert second.versions.ledger.latest_version("law").event == first_cut


def test_two_owners_at_one_moment_say_the_same_and_cut_one_version(pair):
    """While a domain moves, the one that had it may still be at a batch that the next one is given again."""
    events = [prepared(pair[0], number) for number in range(len(BATCHES))]
    meet = threading.Barrier(2)

    def work(member: test_versions.Cleaner) -> list[BatchCleaned]:
        meet.wait()
        return [take(member, event) for event in events]

    def cut(member: test_versions.Cleaner) -> object:
        batches = member.ledger.batches("law")
        parent = member.versions._latest("law")
        meet.wait()
        assert (len(batches), parent) == (len(events), None)
        return member.versions.cut("law", None, now=NOW, traceparent=None)

    with ThreadPoolExecutor(2) as threads:
        left, right = threads.map(work, pair)
        assert left == right
        cuts = list(threads.map(cut, pair))
    versions = pair[0].ledger.last_versions("law", limit=10)
    assert len(pair[0].ledger.batches("law")) == len(events)
    assert {one.event.number for one in versions} == {version.event.number for version in cuts}
    assert len({version.event.event_id for version in versions if version.event.number == 1}) == 1


def test_of_two_versions_with_one_number_the_first_one_stands(pair):
    first, second = pair
    take(first, prepared(first, 0))
    stands = first.versions.cut("law", None, now=NOW, traceparent="first")
    other = type(stands)(event=stands.event.model_copy(update={"corpus_digest": "0" * 64}), traceparent="second")
    assert second.ledger.add_version(other, []) == stands
    assert second.ledger.last_versions("law", limit=5) == [stands]


@pytest.mark.parametrize("lost", ["shard_digest", "facts_digest", "removed_digest"])
def test_what_is_not_there_is_refused_before_the_ledger_counts_on_it(pair, lost):
    event = prepared(pair[0], 0).model_copy(update={lost: "0" * 64})
    with pytest.raises(ArtifactMissing, match="0000"):
        take(pair[1], event)
    assert pair[0].ledger.batches("law") == []


def test_what_belongs_to_another_batch_is_refused(pair):
    event = prepared(pair[0], 0)
    with pytest.raises(ArtifactCorrupt, match="knows 7 documents of a batch of 8"):
        take(pair[0], event.model_copy(update={"num_documents": 8}))


def test_members_that_start_together_open_one_ledger(tmp_path: Path):
    def opened(_: int) -> int:
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            return len(ledger.domains())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(opened, range(40))) == [0] * 40
