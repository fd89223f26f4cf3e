"""The held-out split is pinned; shards and versions are the same bytes for the same documents."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.corpus import Document, Entity
from shared.artifacts import ArtifactStore
from shared.corpus import (
    is_held_out,
    read_documents,
    read_manifest,
    read_shard,
    record_digest,
    write_manifest,
    write_shard,
)
from shared.errors import ArtifactCorrupt, ArtifactMissing
from tests.corpora import manifest_of

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200)
DOCUMENTS = st.lists(
    st.builds(
        Document, document_id=TEXTS, text=TEXTS, label=st.none() | TEXTS.map(lambda text: text[:100]), group=st.none() | TEXTS,
        published_on=st.none() | st.dates(), source=st.none() | st.just(""),
        labels=st.lists(TEXTS.map(lambda text: text[:100]), max_size=3).map(tuple), language=st.sampled_from([None, "zh", "en"]),
        entities=st.sampled_from([(), (Entity(start=0, end=1, label="one"),)]),
        annotated_at=st.sampled_from([None, datetime(2025, 6, 1, 9, 30, 0, 250_001, tzinfo=UTC)]),
    ),
    max_size=20,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}")


@pytest.mark.parametrize(
    ("group", "held_out"),
    [
        ("中华人民共和国民法典", False),
        ("中华人民共和国刑法", False),
        ("中华人民共和国宪法", False),
        ("中华人民共和国仲裁法", False),
        ("中华人民共和国专利法", True),
        ("中华人民共和国公路法", True),
        ("中华人民共和国种子法", True),
        ("note-7", True),
        ("law 0", False),
    ],
)
def test_the_split_is_pinned(group: str, held_out: bool) -> None:
    # Known answers: a change would train on what was held out before, and no score could be compared with an older one.
    assert is_held_out(group) is held_out


def test_the_split_holds_out_a_fifth() -> None:
    share = sum(is_held_out(f"law {number}") for number in range(5_000)) / 5_000
    assert 0.18 < share < 0.22


def test_two_versions_of_a_law_fall_on_one_side() -> None:
    before = Document(document_id="civil-code-2017/1", text="before", group="民法典")
    after = Document(document_id="civil-code-2020/1", text="after", group="民法典")
    assert is_held_out(before.split_group) == is_held_out(after.split_group)


def test_a_document_without_a_group_is_its_own() -> None:
    assert Document(document_id="note-1", text="text").split_group == "note-1"


@given(documents=DOCUMENTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_shard_gives_back_what_it_was_given(store: ArtifactStore, documents: list[Document]) -> None:
    digest = write_shard(store, documents)

    assert list(read_shard(store, digest)) == documents
    assert write_shard(store, list(documents)) == digest


def test_a_shard_keeps_line_breaks_of_every_kind(store: ArtifactStore) -> None:
    text = "first\r\nsecond\u2028third\u0085fourth\x0bfifth\nsixth"
    document = Document(document_id="breaks", text=text)

    assert [found.text for found in read_shard(store, write_shard(store, [document]))] == [text]


def test_a_version_lists_its_documents_in_the_order_of_their_digests(store: ArtifactStore) -> None:
    first, second = [Document(document_id=name, text=name) for name in ("one", "two")]
    manifest = manifest_of(store, [first], [second], number=2, parent="0" * 64)

    digest = write_manifest(store, manifest)

    assert write_manifest(store, manifest) == digest
    assert read_manifest(store, digest) == manifest
    assert list(read_documents(store, digest)) == sorted([first, second], key=record_digest)
    assert manifest.num_documents == 2


def test_what_is_no_shard_or_no_version_is_told_apart(store: ArtifactStore) -> None:
    shard = write_shard(store, [Document(document_id="one", text="one")])
    other = store.put_bytes(b"{}")
    with pytest.raises(ArtifactCorrupt, match="not a shard"):
        list(read_shard(store, other))
    with pytest.raises(ArtifactCorrupt, match="not a corpus version"):
        read_manifest(store, shard)
    with pytest.raises(ArtifactCorrupt, match="not a corpus version"):
        read_manifest(store, other)
    with pytest.raises(ArtifactMissing):
        list(read_documents(store, "0" * 64))
