"""Which versions wait for their word vectors, and when these are learnt."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from contracts.corpus import CorpusVersioned
from services.tokenizer_builder import vector_learning
from services.tokenizer_builder.core.vectors_job import VectorsJob
from services.tokenizer_builder.settings import WordVectorSettings
from services.tokenizer_builder.vector_learning import VectorLearning
from services.tokenizer_builder.vectors_run import learn_vectors
from shared import vector_versions
from shared.artifacts import ArtifactStore
from shared.child import kept_job
from shared.clock import FakeClock
from shared.demo.statutes import load_statutes
from shared.errors import ArtifactCorrupt, RunInterrupted
from shared.lm.word_vectors import from_bytes
from tests.corpora import write_version

START = datetime(2025, 6, 1, tzinfo=UTC)
SETTINGS = WordVectorSettings(quiet_s=60, dimensions=24, epochs=1)


@pytest.fixture
def clock():
    return FakeClock(START)


@pytest.fixture
def store(tmp_path):
    return ArtifactStore((tmp_path / "artifacts").as_uri())


@pytest.fixture
def in_process(monkeypatch):
    """Learn without a child process, whose start takes longer than its work here."""

    async def run(_: str, job_file, **__):
        return learn_vectors(kept_job(job_file, VectorsJob)).model_dump()

    monkeypatch.setattr(vector_learning, "run_child", run)


@pytest.fixture
def learning(store, tmp_path, clock):
    return learning_of(store, tmp_path, clock)


def learning_of(store, tmp_path, clock, settings=SETTINGS, owns=lambda _: True):
    return VectorLearning(
        store, artifacts_url=(tmp_path / "artifacts").as_uri(), settings=settings, folder=tmp_path / "scratch",
        clock=clock, owns=owns, niceness=0,
    )  # fmt: skip


def version(store, number, documents, domain="law"):
    return CorpusVersioned(
        event_id=uuid5(UUID(int=0), f"{domain}{number}"), causation_id=None, occurred_at=START, domain=domain,
        corpus_digest=write_version(store, documents, number=number), parent_corpus_digest=None, number=number,
        num_documents=len(documents), num_new_documents=len(documents), batch_ids=(UUID(int=1),),
        training_request_id=None,
    )  # fmt: skip


def states(store, domain="law"):
    return {one.number: one.state for one in vector_versions.versions_of(store, domain)}


def pass_s(clock, seconds):
    clock.set(clock.now() + timedelta(seconds=seconds))


async def test_each_version_gets_its_vectors_once_it_is_quiet_the_oldest_first(store, learning, clock, tmp_path):
    documents = load_statutes().first
    await learning.note(version(store, 1, documents[:300]))
    await learning.note(version(store, 2, documents[:600]))
    pass_s(clock, 59)
    await learning.tick()
    assert states(store) == {1: "waiting", 2: "waiting"}
    pass_s(clock, 1)
    await learning.tick()
    assert states(store) == {1: "learnt", 2: "waiting"}
    await learning.tick()
    first, second = vector_versions.versions_of(store, "law")
    assert (first.state, second.state) == ("learnt", "learnt")
    assert (first.drifted, first.dimensions) == ((), 24)
    assert second.drifted, "compared with the first"
    assert len(from_bytes(store.read_bytes(second.vectors_digest)).words) == second.num_words > first.num_words
    assert vector_versions.waiting(store) == []
    assert vector_versions.latest_learnt(store, "law") == second
    assert vector_versions.latest_learnt(store, "law", before=2) == first
    assert vector_versions.latest_learnt(store, "law", before=1) is None
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.usefixtures("in_process")
async def test_what_waits_outlives_the_process_and_what_is_done_is_not_done_again(store, learning, clock, tmp_path):
    event = version(store, 1, load_statutes().first[:300])
    await learning.note(event)
    after_a_kill = learning_of(store, tmp_path, clock)
    pass_s(clock, 60)
    await after_a_kill.tick()
    await after_a_kill.note(event)
    assert states(store) == {1: "learnt"}
    assert vector_versions.waiting(store) == []


@pytest.mark.usefixtures("in_process")
async def test_another_corpus_under_the_same_number_is_learnt_anew(store, learning, clock):
    documents = load_statutes().first
    await learning.note(version(store, 1, documents[:300]))
    pass_s(clock, 60)
    await learning.tick()
    await learning.note(version(store, 1, documents[:400]))
    assert len(vector_versions.waiting(store)) == 1


async def test_text_that_is_too_short_is_told_and_not_tried_again(store, learning, clock):
    await learning.note(version(store, 1, load_statutes().first[:1]))
    pass_s(clock, 60)
    await learning.tick()
    (done,) = vector_versions.versions_of(store, "law")
    assert (done.state, done.vectors_digest) == ("failed", None)
    assert "occurs 5 times" in done.reason
    assert vector_versions.waiting(store) == []
    assert vector_versions.latest_learnt(store, "law") is None


@pytest.mark.usefixtures("in_process")
async def test_in_a_mesh_that_is_never_quiet_the_newest_version_waits_so_long_at_most(store, clock, tmp_path):
    documents = load_statutes().first
    busy = learning_of(store, tmp_path, clock, SETTINGS.model_copy(update={"max_wait_s": 200.0}))
    for number in range(1, 6):
        await busy.note(version(store, number, documents[: 100 + 50 * number]))
        await busy.note(version(store, number, documents[: 100 + 50 * number], domain="medicine"))
        pass_s(clock, 50)
        await busy.tick()
        await busy.tick()
    learnt = [
        {number: state for number, state in states(store, domain).items() if state == "learnt"}
        for domain in ("law", "medicine")
    ]
    assert learnt == [{4: "learnt"}, {4: "learnt"}], "after 200 s the fourth was the newest"


async def test_a_failure_in_a_mesh_that_is_never_quiet_is_not_repeated_at_once(store, clock, tmp_path, monkeypatch):
    tries = []

    async def full(*_, **__):
        tries.append(clock.monotonic_s())
        raise RunInterrupted("no space left")

    monkeypatch.setattr(vector_learning, "run_child", full)
    busy = learning_of(store, tmp_path, clock, SETTINGS.model_copy(update={"max_wait_s": 90.0}))
    for number in range(1, 7):
        await busy.note(version(store, number, load_statutes().first[:200]))
        pass_s(clock, 30)
        await busy.tick()
    assert tries == [90.0, 150.0]


@pytest.mark.usefixtures("in_process")
async def test_only_the_member_that_owns_the_domain_learns(store, clock, tmp_path):
    standby = learning_of(store, tmp_path, clock, owns=lambda domain: domain == "medicine")
    await standby.note(version(store, 1, load_statutes().first[:300]))
    pass_s(clock, 60)
    await standby.tick()
    assert states(store) == {1: "waiting"}
    await standby.note(version(store, 1, load_statutes().first[:300], domain="medicine"))
    pass_s(clock, 60)
    await standby.tick()
    assert (states(store), states(store, "medicine")) == ({1: "waiting"}, {1: "learnt"})


async def test_switched_off_nothing_waits(store, clock, tmp_path):
    off = learning_of(store, tmp_path, clock, WordVectorSettings(enabled=False, quiet_s=0))
    await off.note(version(store, 1, load_statutes().first[:300]))
    await off.tick()
    assert states(store) == {}


async def test_without_gensim_versions_wait_and_it_is_said_once(store, learning, clock, monkeypatch, caplog):
    monkeypatch.setattr(vector_learning, "LIBRARY", "gensim_that_is_absent")
    await learning.note(version(store, 1, load_statutes().first[:300]))
    pass_s(clock, 60)
    with caplog.at_level(logging.WARNING):
        await learning.tick()
        await learning.tick()
    assert [record.getMessage() for record in caplog.records] == [
        "word vectors are not learnt: gensim is not installed"
    ]
    assert states(store) == {1: "waiting"}


async def test_what_passes_is_tried_again_after_another_quiet(store, learning, clock, monkeypatch, caplog):
    tries = []

    async def full(*_, **__):
        tries.append(clock.monotonic_s())
        raise RunInterrupted("no space left")

    monkeypatch.setattr(vector_learning, "run_child", full)
    await learning.note(version(store, 1, load_statutes().first[:300]))
    for _ in range(4):
        pass_s(clock, 30)
        await learning.tick()
    assert tries == [60.0, 120.0]
    assert states(store) == {1: "waiting"}
    assert "will try again" in caplog.text


@pytest.mark.usefixtures("in_process")
async def test_a_ref_that_cannot_be_read_is_passed_over_and_named_once(store, learning, clock, caplog):
    unreadable = b'{"domain":"law","from_a_later_version":1}'
    store.write_ref("word-vectors/waiting/law/00000001", unreadable)
    await learning.note(version(store, 2, load_statutes().first[:300]))
    await learning.note(version(store, 1, load_statutes().first[:300], domain="medicine"))
    pass_s(clock, 60)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            await learning.tick()
    assert vector_versions.read_version(store, "word-vectors/done/law/00000002").state == "learnt"
    assert states(store, "medicine") == {1: "learnt"}
    assert [record.name_of_ref for record in caplog.records] == ["word-vectors/waiting/law/00000001"]
    assert store.read_ref("word-vectors/waiting/law/00000001") == unreadable, "a later version of ours may read it"


@pytest.mark.usefixtures("in_process")
async def test_an_earlier_version_that_cannot_be_read_keeps_no_later_one_from_its_vectors(store, learning, clock):
    store.write_ref("word-vectors/done/law/00000001", b'{"from_a_later_version":1}')
    await learning.note(version(store, 2, load_statutes().first[:300]))
    pass_s(clock, 60)
    await learning.tick()
    done = vector_versions.read_version(store, "word-vectors/done/law/00000002")
    assert (done.state, done.drifted) == ("learnt", ())


def test_a_ref_that_holds_something_else_is_named(store):
    store.write_ref("word-vectors/done/law/00000001", b"{}")
    with pytest.raises(ArtifactCorrupt, match="word-vectors/done/law/00000001"):
        vector_versions.versions_of(store, "law")
