"""Which bundle serves: the newest word counts, wherever it was heard."""

from pathlib import Path

import pytest

from contracts import topics
from contracts.release import ReleaseChanged, ReleaseState
from shared.artifacts import ArtifactStore
from shared.releases import ServingBundles, snapshot_ref
from tests.contracts.payloads import example

OLD, NEW = "a" * 64, "b" * 64


def changed(revision: int, digest: str) -> ReleaseChanged:
    state = ReleaseState(revision=revision, serving_digest=digest)
    event = example(topics.RELEASE_CHANGED, state=state)
    assert isinstance(event, ReleaseChanged)
    return event


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}")


def test_nothing_serves_at_first(store: ArtifactStore) -> None:
    assert ServingBundles(store).digest("law") is None


async def test_what_was_read_counts_by_its_revision(store: ArtifactStore) -> None:
    serving = ServingBundles(store)
    await serving.remember(changed(2, NEW))
    await serving.remember(changed(1, OLD))

    assert serving.digest("law") == NEW
    assert serving.digest("medicine") is None


async def test_the_ref_counts_while_the_topic_has_not_been_read_to_its_end(store: ArtifactStore) -> None:
    store.write_ref(snapshot_ref("law"), b'{"state": ' + changed(5, NEW).state.model_dump_json().encode() + b"}")
    serving = ServingBundles(store)
    assert serving.digest("law") == NEW

    await serving.remember(changed(1, OLD))
    assert serving.digest("law") == NEW
    await serving.remember(changed(6, OLD))
    assert serving.digest("law") == OLD
