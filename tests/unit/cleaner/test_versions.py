"""A corpus version follows from its documents: in any order, in batches of any size, from any parent; and it keeps what lost."""

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from contracts.corpus import BatchCleaned, BatchReceived, CorpusVersioned, Document
from services.cleaner import facts_files, version_shards
from services.cleaner.batches import BatchCleaning
from services.cleaner.core import partition
from services.cleaner.core.cut import Cut, Decision, NothingNew, Request
from services.cleaner.core.removed import Stage
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import Ledger
from services.cleaner.orders import Orders
from services.cleaner.settings import CleaningRules, CorpusRules
from services.cleaner.versions import Versions
from services.cleaner.views import CorpusViews, RemovedFilter
from shared.artifacts import ArtifactStore
from shared.corpus import CorpusManifest, is_held_out, read_manifest, read_records, write_shard
from shared.errors import RequestRefused
from shared.shards import SCHEMA, read_table
from tests.unit.trainer.world import ARTICLES

NOW = datetime(2025, 6, 1, tzinfo=UTC)
TEXTS = [text for texts in ARTICLES.values() for text in texts]


def family(number: int) -> list[Document]:
    """One article as it comes in: in two versions, a copy, a near-copy, another number in it."""
    text = f"{TEXTS[number]}本材料共三页，供参考。"
    law = f"law {number}"
    return [
        Document(document_id=f"{law}/1", text=text, group=law, published_on=date(2010, 1, 1), label="law"),
        Document(document_id=f"{law}/1", text=f"{text}修订后施行。", group=law, published_on=date(2020, 1, 1)),
        Document(document_id=f"copy {number}", text=text, group=law, published_on=date(2005, 1, 1)),
        Document(document_id=f"paste {number}", text=f"{text}完毕", group=law),
        Document(document_id=f"other {number}", text=text.replace("三页", "五页"), group=law),
    ]


DOCUMENTS = [document for number in range(len(TEXTS)) for document in family(number)]


@dataclass
class Cleaner:
    """What cleans and cuts, without a broker."""

    store: ArtifactStore
    ledger: Ledger
    cleaning: BatchCleaning
    versions: Versions

    def clean(self, documents: Sequence[Document]) -> BatchCleaned:
        digest = write_shard(self.store, documents)
        batch_id = uuid5(UUID(int=1), f"{digest} {len(self.ledger.batches('law'))}")
        event = BatchReceived(
            event_id=uuid5(batch_id, "received"), causation_id=None, occurred_at=NOW, domain="law", batch_id=batch_id,
            raw_digest=digest, num_documents=len(documents), num_bytes=0, source="http",
        )  # fmt: skip
        return self.cleaning.clean(event, traceparent=None, now=NOW)

    def cut(self) -> tuple[CorpusVersioned, CorpusManifest]:
        event = self.versions.cut("law", None, now=NOW, traceparent=None).event
        return event, read_manifest(self.store, event.corpus_digest)

    def documents(self, event: CorpusVersioned) -> list[Document]:
        return [record.document for record in read_records(self.store, event.corpus_digest)]


def cleaner_in(folder: Path) -> Cleaner:
    folder.mkdir(exist_ok=True)
    store = ArtifactStore((folder / "artifacts").as_uri())
    ledger, rules = Ledger(folder / "ledger.sqlite"), CorpusRules()
    indexes = Indexes(store, ledger, folder / "near")
    cleaning = BatchCleaning(store=store, ledger=ledger, indexes=indexes, rules=rules, cleaning=CleaningRules())
    versions = Versions(store=store, ledger=ledger, indexes=indexes, rules=rules, scratch=folder, started_at=NOW)
    return Cleaner(store, ledger, cleaning, versions)


@pytest.fixture
def cleaner(tmp_path: Path) -> Cleaner:
    return cleaner_in(tmp_path / "cleaner")


def in_batches(documents: Sequence[Document], size: int, seed: int) -> list[list[Document]]:
    shuffled = random.Random(seed).sample(documents, len(documents))
    return [shuffled[start : start + size] for start in range(0, len(shuffled), size)]


@pytest.mark.parametrize(("size", "seed"), [(1, 1), (7, 2), (50, 3), (1000, 4)])
def test_any_order_and_batch_size_make_the_same_corpus_bit_for_bit(tmp_path: Path, cleaner: Cleaner, size, seed):
    cleaner.clean(DOCUMENTS)
    _, expected = cleaner.cut()
    other = cleaner_in(tmp_path / "other")
    for batch in in_batches(DOCUMENTS, size, seed):
        other.clean(batch)
    _, found = other.cut()
    assert (found.content_digest, found.shards) == (expected.content_digest, expected.shards)
    assert found.statistics == expected.statistics
    assert 0 < found.statistics.num_held_out < found.num_documents < len(DOCUMENTS)


@pytest.mark.parametrize("batches", [[[0, 1]], [[1, 0]], [[0], [1]], [[1], [0]]])
def test_two_undated_texts_of_one_id_make_the_same_corpus_however_they_come(
    tmp_path: Path, cleaner: Cleaner, batches: list[list[int]]
):
    both = [Document(document_id="1", text=text) for text in TEXTS[:2]]
    cleaner.clean(both)
    _, expected = cleaner.cut()
    other = cleaner_in(tmp_path / "other")
    for batch in batches:
        other.clean([both[number] for number in batch])
    event, found = other.cut()
    assert (found.content_digest, found.shards) == (expected.content_digest, expected.shards)
    assert {document.text for document in other.documents(event)} == set(TEXTS[:2])


def test_a_replay_adds_nothing_to_the_next_version(cleaner: Cleaner):
    cleaner.clean(DOCUMENTS)
    first, _ = cleaner.cut()
    again = cleaner.clean(DOCUMENTS)
    assert again.num_new_documents == 0
    second, manifest = cleaner.cut()
    assert manifest.content_digest == read_manifest(cleaner.store, first.corpus_digest).content_digest
    assert second.num_new_documents == 0


def test_versions_that_grow_step_by_step_end_where_one_cut_does(tmp_path: Path, cleaner: Cleaner, monkeypatch):
    # Small shards, so that their number doubles on the way.
    monkeypatch.setattr(partition, "MAX_DOCUMENTS_PER_SHARD", 10)
    cleaner.clean(DOCUMENTS)
    _, expected = cleaner.cut()
    assert len(expected.shards) > 4
    other = cleaner_in(tmp_path / "other")
    numbers = []
    for batch in in_batches(DOCUMENTS, 20, 5):
        other.clean(batch)
        _, found = other.cut()
        numbers.append(len(found.shards))
    assert numbers[0] < numbers[-1]
    assert (found.content_digest, found.shards) == (expected.content_digest, expected.shards)


def test_a_shard_that_did_not_change_is_not_written_again(cleaner: Cleaner, monkeypatch):
    monkeypatch.setattr(partition, "MAX_DOCUMENTS_PER_SHARD", 10)
    cleaner.clean(DOCUMENTS)
    cleaner.cut()
    written: list[int] = []
    monkeypatch.setattr(version_shards, "write_table", lambda store, table: written.append(len(table)) or "0" * 64)
    cleaner.clean([Document(document_id="one more", text="不动产物权的设立、变更、转让和消灭，经依法登记，发生效力。")])
    cleaner.cut()
    assert len(written) == 1


def test_versions_of_a_law_stay_with_the_day_on_which_the_newer_one_began(cleaner: Cleaner):
    cleaner.clean(family(1))
    event, manifest = cleaner.cut()
    until = {
        (record.document.document_id, record.document.published_on): record.valid_until
        for record in read_records(cleaner.store, event.corpus_digest)
    }
    assert until["law 1/1", date(2020, 1, 1)] is None
    assert until["law 1/1", date(2010, 1, 1)] == date(2020, 1, 1)
    assert manifest.statistics.removed == {"duplicate": 1, "near-duplicate": 1}
    losers = read_table(cleaner.store, manifest.removed_digest).to_pylist()
    assert {row["reason"]: row["score"] > 0.7 for row in losers} == {"duplicate": True, "near-duplicate": True}


def test_what_people_say_of_a_text_takes_the_place_of_what_was_there(cleaner: Cleaner):
    unlabelled = Document(document_id="one", text=TEXTS[0], published_on=date(2020, 1, 1))
    said = unlabelled.model_copy(update={"label": "劳动法", "annotated_at": NOW})
    mended = said.model_copy(update={"label": "社会法", "annotated_at": NOW + timedelta(hours=1)})
    cleaner.clean([unlabelled])
    contents = []
    for answer in (said, mended):
        assert cleaner.clean([answer]).num_new_documents == 1
        event, _ = cleaner.cut()
        assert event.num_new_documents == 1
        contents += [cleaner.documents(event)]
    assert contents == [[said], [mended]]


def test_the_first_labels_of_a_text_are_something_new_and_further_ones_are_reported(cleaner: Cleaner):
    newer = Document(document_id="crawled", text=TEXTS[0], published_on=date(2020, 1, 1))
    labelled = Document(document_id="labelled", text=TEXTS[0], label="劳动法")
    other = labelled.model_copy(update={"document_id": "other", "label": "社会法"})
    cleaner.clean([newer])
    cleaner.cut()
    assert cleaner.clean([labelled, labelled.model_copy(update={"document_id": "again"})]).num_new_documents == 1
    assert cleaner.clean([other]).num_new_documents == 0
    event, manifest = cleaner.cut()
    assert [one.label is None for one in cleaner.documents(event)] == [False]
    assert event.num_new_documents == 1
    assert manifest.statistics.removed == {"duplicate": 2, "label-conflict": 1}


def test_made_texts_are_in_the_corpus_beside_their_originals(cleaner: Cleaner):
    group = next(name for number in range(99) if not is_held_out(name := f"law {number}"))
    original = Document(document_id="one", text=f"{TEXTS[0]}{TEXTS[1]}", group=group)
    changes = {"document_id": "made", "text": f"{original.text}特此规定。", "augmented_from": "ab" * 32}
    made = original.model_copy(update=changes)
    cleaner.clean([original])
    cleaned = cleaner.clean([made])
    assert (cleaned.num_new_documents, cleaned.num_near_duplicate_documents) == (1, 0)
    event, _ = cleaner.cut()
    assert {one.document_id for one in cleaner.documents(event)} == {"one", "made"}


def test_a_made_text_that_is_left_out_takes_no_original_from_the_held_out_side(cleaner: Cleaner):
    names = [f"law {number}" for number in range(99)]
    held_out, trained = (next(name for name in names if is_held_out(name) is side) for side in (True, False))
    original = Document(document_id="one", text=f"{TEXTS[0]}{TEXTS[1]}", group=held_out)
    digest = sha256(original.text.encode()).hexdigest()
    made = Document(document_id="made", text=f"{original.text}特此规定。", group=trained, augmented_from=digest)
    cleaner.clean([original, made])
    event, manifest = cleaner.cut()
    assert [one.document_id for one in cleaner.documents(event)] == ["one"]
    assert manifest.statistics.num_held_out == 1
    assert manifest.statistics.removed == {"made-from-held-out": 1}


def test_what_was_made_from_held_out_texts_is_not_restored_either(cleaner: Cleaner):
    group = next(name for number in range(99) if is_held_out(name := f"law {number}"))
    smuggled = Document(document_id="made", text=TEXTS[0], group=group, augmented_from="ab" * 32)
    assert cleaner.clean([smuggled]).rejected == {"made-from-held-out": 1}
    [batch] = cleaner.ledger.batches("law")
    rows = read_table(cleaner.store, batch.removed_digest).select(SCHEMA.names).cast(SCHEMA)
    with pytest.raises(RequestRefused, match="for evaluation only"):
        cleaner.cleaning.clean_restored(batch, rows, UUID(int=7), now=NOW)


def test_a_quarantined_batch_leaves_and_comes_back_with_what_it_had_won_over(cleaner: Cleaner):
    old = Document(document_id="old", text=TEXTS[0], published_on=date(2010, 1, 1))
    new = Document(document_id="new", text=TEXTS[0], published_on=date(2020, 1, 1))
    cleaner.clean([old])
    bad = cleaner.clean([new, Document(document_id="alone", text=TEXTS[1])])
    contents = [{document.document_id for document in cleaner.documents(cleaner.cut()[0])}]
    assert cleaner.ledger.quarantine([bad.batch_id]) == 1
    event, manifest = cleaner.cut()
    contents.append({document.document_id for document in cleaner.documents(event)})
    assert manifest.quarantined_batch_ids == (bad.batch_id,)
    assert cleaner.ledger.num_pending("law") == 0
    assert cleaner.ledger.put_back([bad.batch_id]) == 1
    assert cleaner.ledger.num_pending("law") == bad.num_new_documents
    contents.append({document.document_id for document in cleaner.documents(cleaner.cut()[0])})
    assert contents == [{"new", "alone"}, {"old"}, {"new", "alone"}]


def test_what_a_person_restores_is_in_the_next_version(cleaner: Cleaner):
    cleaner.clean(family(3))
    first, manifest = cleaner.cut()
    (row,) = [
        row
        for row in read_table(cleaner.store, manifest.removed_digest).to_pylist()
        if row["reason"] == "near-duplicate"
    ]
    assert cleaner.ledger.restore("law", [row["digest"]], reason="the lawyers want it", now=NOW) == 1
    second, _ = cleaner.cut()
    assert len(cleaner.documents(second)) == len(cleaner.documents(first)) + 1


def asked(cleaner: Cleaner, number: int) -> Decision:
    """What a request for a version comes to now."""
    request = Request(event_id=UUID(int=number), reason="operator", received_at=NOW, traceparent=None, missing=())
    cleaner.ledger.add_request(request, domain="law", batch_ids=())
    decision = cleaner.versions.decide("law", NOW)
    cleaner.ledger.answer_request(request.event_id)
    return decision


def test_whoever_asks_gets_a_version_after_a_batch_was_taken_out_and_after_a_document_was_restored(cleaner: Cleaner):
    bad = cleaner.clean([Document(document_id="alone", text=TEXTS[1])])
    cleaner.clean(family(3))
    before = NOW - timedelta(seconds=1)
    cleaner.versions.cut("law", None, now=before, traceparent=None)
    assert isinstance(asked(cleaner, 1), NothingNew)

    cleaner.ledger.quarantine([bad.batch_id])
    assert isinstance(asked(cleaner, 2), Cut)
    cleaner.versions.cut("law", None, now=before, traceparent=None)
    assert isinstance(asked(cleaner, 3), NothingNew)

    cleaner.ledger.restore("law", [b"\x07" * 32], reason="the lawyers want it", now=NOW)
    assert isinstance(asked(cleaner, 4), Cut)
    cleaner.versions.cut("law", None, now=NOW + timedelta(seconds=1), traceparent=None)
    assert isinstance(asked(cleaner, 5), NothingNew)


def test_whoever_asks_gets_a_version_after_a_batch_was_put_back_even_if_it_holds_nothing_new(cleaner: Cleaner):
    cleaner.clean(family(3))
    again = cleaner.clean(family(3))
    cleaner.cut()
    assert again.num_new_documents == 0
    orders = Orders(store=cleaner.store, ledger=cleaner.ledger, cleaning=cleaner.cleaning)
    orders.quarantine("law", again.batch_id)
    cleaner.cut()
    assert isinstance(asked(cleaner, 1), NothingNew)

    assert orders.put_back("law", again.batch_id) == 1
    assert isinstance(asked(cleaner, 2), Cut)
    assert cleaner.versions.amendment("law", "put-back", None, now=NOW).is_changed
    cleaner.cut()
    assert isinstance(asked(cleaner, 3), NothingNew)


def test_a_batch_that_was_left_out_and_put_back_before_any_version_knew_is_nothing_new(cleaner: Cleaner):
    batch = cleaner.clean(family(3))
    cleaner.cut()
    orders = Orders(store=cleaner.store, ledger=cleaner.ledger, cleaning=cleaner.cleaning)
    orders.quarantine("law", batch.batch_id)
    assert cleaner.versions.amendment("law", "quarantine", None, now=NOW).is_changed
    assert [event.order for event in cleaner.versions.to_say_of_amendments_at_start(NOW)] == ["said-again"]
    orders.put_back("law", batch.batch_id)
    amendment = cleaner.versions.amendment("law", "put-back", None, now=NOW)
    assert (amendment.is_changed, amendment.num_pending_documents) == (False, 0)
    assert isinstance(asked(cleaner, 1), NothingNew)
    assert cleaner.versions.to_say_of_amendments_at_start(NOW) == []


def test_newer_near_copies_are_new_documents_and_older_ones_are_not(cleaner: Cleaner):
    def version(year: int, end: str) -> list[Document]:
        return [
            Document(document_id=f"{year}/{number}", text=f"{text}{end}", published_on=date(year, 1, 1))
            for number, text in enumerate(TEXTS[:8])
        ]

    assert cleaner.clean(version(2010, "")).num_new_documents == 8
    cleaner.cut()
    newer = cleaner.clean(version(2024, "修订后施行。"))
    older = cleaner.clean(version(2005, "试行。"))

    assert (newer.num_new_documents, newer.num_near_duplicate_documents) == (8, 0)
    assert (older.num_new_documents, older.num_near_duplicate_documents) == (0, 8)
    event, _ = cleaner.cut()
    assert event.num_new_documents == 8
    assert {document.document_id[:4] for document in cleaner.documents(event)} == {"2024"}


def test_a_restart_finds_what_it_knew(tmp_path: Path, cleaner: Cleaner):
    for batch in in_batches(DOCUMENTS, 30, 6):
        cleaner.clean(batch)
    _, expected = cleaner.cut()
    cleaner.ledger.close()
    again = cleaner_in(tmp_path / "cleaner")
    assert again.clean(DOCUMENTS).num_new_documents == 0
    assert again.cut()[1].content_digest == expected.content_digest


def test_sketches_of_other_rules_are_made_anew(tmp_path: Path, cleaner: Cleaner, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(facts_files, "FINGERPRINT_FORMAT", 1)
        for batch in in_batches(DOCUMENTS, 7, 1):
            cleaner.clean(batch)
    cleaner.ledger.close()
    shutil.rmtree(tmp_path / "cleaner" / "near", ignore_errors=True)
    again, other = cleaner_in(tmp_path / "cleaner"), cleaner_in(tmp_path / "other")
    other.clean(DOCUMENTS)
    assert again.cut()[1].content_digest == other.cut()[1].content_digest


def test_what_the_steps_took_out_is_told_before_there_is_a_version_and_by_version(cleaner: Cleaner):
    views = CorpusViews(store=cleaner.store, ledger=cleaner.ledger)
    cleaner.clean([Document(document_id="rules", text="=-=-" * 20)])
    before = views.removed("law", None, RemovedFilter())
    assert (before.number, [one.document_id for one in before.documents]) == (0, ["rules"])
    with pytest.raises(RequestRefused):
        views.removed("law", 1, RemovedFilter())
    with pytest.raises(RequestRefused):
        views.removed("medicine", None, RemovedFilter())

    cleaner.clean(family(3))
    cleaner.versions.cut("law", None, now=NOW - timedelta(seconds=1), traceparent=None)
    assert [one.document_id for one in views.removed("law", None, RemovedFilter(stage=Stage.CLEANING)).documents] == [
        "rules"
    ]
    assert views.removed("law", 1, RemovedFilter(stage=Stage.CLEANING)).documents == ()
