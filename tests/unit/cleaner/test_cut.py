from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.release import Cause, Phase, ReleaseChanged, ReleaseState
from services.cleaner.core.cut import (
    Cut,
    NothingNew,
    Pending,
    Request,
    Wait,
    announcement,
    decide,
    new_batches,
)
from services.cleaner.core.quarantine import only_in, speaks_against_data
from services.cleaner.settings import CorpusRules
from shared.corpus import CorpusBatch, CorpusManifest, CorpusShard

NOW = datetime(2025, 6, 1, tzinfo=UTC)
RULES = CorpusRules(min_new_documents=1000, quiet_s=5, max_wait_s=3600)


def pending(num_documents: int, *, quiet_s: float = 60.0, age_s: float = 60.0, is_changed: bool = False) -> Pending:
    return Pending(
        is_changed=is_changed,
        num_documents=num_documents,
        last_change_at=NOW - timedelta(seconds=quiet_s),
        oldest_at=NOW - timedelta(seconds=age_s),
    )


def request(number: int = 1, *, missing: tuple[int, ...] = (), age_s: float = 60.0) -> Request:
    return Request(
        event_id=UUID(int=number),
        reason="operator",
        received_at=NOW - timedelta(seconds=age_s),
        traceparent=None,
        missing=tuple(UUID(int=batch) for batch in missing),
    )


def batch(number: int, num_documents: int = 10) -> CorpusBatch:
    return CorpusBatch(
        batch_id=UUID(int=number),
        event_id=UUID(int=1000 + number),
        shard_digest=f"{number:064x}",
        num_documents=num_documents,
        traceparent=None,
    )


def manifest(*batches: CorpusBatch) -> CorpusManifest:
    shard = CorpusShard(digest="d" * 64, num_documents=sum(one.num_documents for one in batches))
    return CorpusManifest(
        domain="law", number=1, parent_digest=None, content_digest="c" * 64, shards=(shard,), batches=batches,
        new_batch_ids=tuple(one.batch_id for one in batches),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("what", "requests", "decision"),
    [
        # a batch that never comes
        (pending(3), (request(1, missing=(7,), age_s=599),), Wait()),
        (pending(3), (request(1, missing=(7,), age_s=600),), Cut(request=request(1, missing=(7,), age_s=600))),
        (pending(0), (request(1, missing=(7,), age_s=600),), NothingNew(request=request(1, missing=(7,), age_s=600))),
        (pending(0), (), Wait()),
        (pending(999), (), Wait()),
        (pending(1, age_s=3599), (), Wait()),
        (pending(1, age_s=3600), (), Cut(request=None)),
        (pending(1, age_s=3600, quiet_s=4.9), (), Wait()),
        (pending(0, age_s=3600), (), Wait()),
        (pending(1000, quiet_s=4.9), (), Wait()),
        (pending(1000, quiet_s=5), (), Cut(request=None)),
        (pending(1000, quiet_s=-30), (), Wait()),
        (pending(1000, quiet_s=-7200), (), Cut(request=None)),
        (pending(1, quiet_s=0), (request(),), Cut(request=request())),
        (pending(0), (request(),), NothingNew(request=request())),
        # people restored something, or took something out: whoever asks gets it, and nothing happens by itself
        (pending(0, is_changed=True), (request(),), Cut(request=request())),
        (pending(0, is_changed=True), (), Wait()),
        (pending(0, is_changed=True), (request(missing=(7,)),), Wait()),
        (pending(999), (request(missing=(7,)),), Wait()),
        (pending(1000), (request(missing=(7,), age_s=4.9),), Wait()),
        (pending(1000), (request(missing=(7,), age_s=5),), Cut(request=None)),
        (pending(1), (request(1, missing=(7,)), request(2), request(3)), Cut(request=request(2))),
    ],
)
def test_a_version_is_cut_when_there_is_enough_and_it_is_quiet_or_when_it_is_asked_for(what, requests, decision):
    assert decide(what, requests, NOW, RULES) == decision


@settings(deadline=None)
@given(st.integers(0, 3000), st.floats(0, 20), st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=3))
def test_nothing_empty_is_cut_and_a_ready_request_never_waits(num_documents, quiet_s, asked):
    requests = [request(at, missing=(9,) if waits else (), age_s=age) for at, (waits, age) in enumerate(asked)]
    decision = decide(pending(num_documents, quiet_s=quiet_s), requests, NOW, RULES)
    assert not (isinstance(decision, Cut) and num_documents == 0)
    assert not (isinstance(decision, Wait) and any(not asked.missing for asked in requests))
    assert not (isinstance(decision, Cut) and decision.request and decision.request.missing)


def test_new_batches_are_those_that_the_parent_has_no_document_of():
    assert new_batches([batch(1), batch(2)], None) == (UUID(int=1), UUID(int=2))
    assert new_batches([batch(1), batch(3)], manifest(batch(1), batch(2))) == (UUID(int=3),)


def test_the_announcement_follows_from_the_digest_and_names_its_cause():
    first = manifest(batch(1), batch(2, 7))
    event = announcement("b" * 64, first, NOW, None, num_new=17)
    assert (event.num_documents, event.num_new_documents, event.batch_ids) == (17, 17, (UUID(int=1), UUID(int=2)))
    assert event.causation_id == UUID(int=1002)
    assert event.training_request_id is None
    asked = announcement("b" * 64, first, NOW + timedelta(hours=1), request(5), num_new=17)
    assert asked.event_id == event.event_id != announcement("c" * 64, first, NOW, None, num_new=17).event_id
    assert asked.causation_id == asked.training_request_id == UUID(int=5)


def rolled_back(cause: Cause = Cause.QUALITY, phase: Phase = Phase.ROLLED_BACK, serving: str | None = "a" * 64):
    return ReleaseChanged(
        event_id=UUID(int=1),
        causation_id=None,
        occurred_at=NOW,
        domain="law",
        cause=cause,
        reason="",
        bundle_digest="b" * 64,
        phase=phase,
        state=ReleaseState(serving_digest=serving),
    )


def test_only_a_rollback_for_quality_beside_a_serving_bundle_speaks_against_data():
    assert speaks_against_data(rolled_back())
    assert not speaks_against_data(rolled_back(serving=None))
    assert not speaks_against_data(rolled_back(serving="b" * 64))
    others = [cause for cause in Cause if cause is not Cause.QUALITY]
    assert not any(speaks_against_data(rolled_back(cause=cause)) for cause in others)
    unfinished = [phase for phase in Phase if phase is not Phase.ROLLED_BACK]
    assert not any(speaks_against_data(rolled_back(phase=phase)) for phase in unfinished)


def test_what_only_the_bad_bundle_saw_is_its_corpus_without_the_serving_one():
    assert only_in(manifest(batch(1), batch(2), batch(3)), manifest(batch(1))) == (UUID(int=2), UUID(int=3))
    assert only_in(manifest(batch(1)), manifest(batch(1), batch(2))) == ()
