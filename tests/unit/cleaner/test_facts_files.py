"""What is known of a batch: as it was written, whether it comes from memory or from the store."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from contracts.corpus import Document
from services.cleaner.core.facts import Facts, document_digests
from services.cleaner.core.near.fingerprints import fingerprints
from services.cleaner.facts_files import FactsFiles, KnownDocuments
from shared.artifacts import ArtifactStore
from shared.errors import ArtifactCorrupt, ArtifactMissing
from shared.shards import read_table, table_of, write_table
from tests.unit.trainer.world import ARTICLES

TEXTS = [text for texts in ARTICLES.values() for text in texts]
TABLE = table_of(Document(document_id=f"article {number}", text=text) for number, text in enumerate(TEXTS))
FACTS, FINGERPRINTS = Facts.of(TABLE, document_digests(TABLE)), fingerprints(TEXTS)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path.as_uri())


def assert_is_written(known: KnownDocuments) -> None:
    for one in fields(Facts):
        found, written = getattr(known.facts, one.name), getattr(FACTS, one.name)
        assert found.dtype == written.dtype, one.name
        assert np.array_equal(found, written), one.name
    assert known.fingerprints is not None
    assert np.array_equal(known.fingerprints.sketches.packed, FINGERPRINTS.sketches.packed)
    assert np.array_equal(known.fingerprints.sketches.is_exact_only, FINGERPRINTS.sketches.is_exact_only)
    assert np.array_equal(known.fingerprints.guards, FINGERPRINTS.guards)


def test_what_was_just_written_is_read_from_memory_once_and_then_from_the_store(store: ArtifactStore) -> None:
    files = FactsFiles(store)
    digest = files.write(FACTS, FINGERPRINTS)

    from_memory, from_store, from_elsewhere = files.read(digest), files.read(digest), FactsFiles(store).read(digest)

    assert from_memory.facts is FACTS
    assert from_store.facts is not FACTS
    for known in (from_memory, from_store, from_elsewhere):
        assert_is_written(known)
    assert np.array_equal(files.read_facts(digest).text_key, FACTS.text_key)


def test_what_was_read_ahead_is_read_once_for_all(store: ArtifactStore) -> None:
    digest, files = FactsFiles(store).write(FACTS, FINGERPRINTS), FactsFiles(store)
    assert files.read(digest) is not files.read_ahead(digest)
    ahead = files.read_ahead(digest)
    assert files.read(digest) is ahead
    assert files.read(digest) is not ahead


def test_what_is_at_hand_of_another_batch_is_not_taken_for_it(store: ArtifactStore) -> None:
    files = FactsFiles(store)
    first = files.write(FACTS, FINGERPRINTS)
    table = TABLE.slice(3)
    second = files.write(Facts.of(table, document_digests(table)), fingerprints(TEXTS[3:]))

    assert_is_written(files.read(first))
    assert len(files.read(second).facts) == len(TEXTS) - 3


def test_columns_in_several_pieces_are_read_as_one(store: ArtifactStore) -> None:
    digest = FactsFiles(store).write(FACTS, FINGERPRINTS)
    table = read_table(store, digest)
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2)])

    assert pieces.column("digest").num_chunks > 1
    again = write_table(store, pieces)
    assert_is_written(FactsFiles(store).read(again))


def test_what_is_gone_or_something_else_is_said(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactMissing):
        FactsFiles(store).read("0" * 64)
    with pytest.raises(ArtifactCorrupt):
        FactsFiles(store).read(write_table(store, TABLE))
    with pytest.raises(ArtifactCorrupt):
        FactsFiles(store).read_ahead(store.put_bytes(b"no table"))
