"""The child process that learns word vectors: real files, a real process."""

import asyncio
import subprocess
import sys

import pytest

from contracts.corpus import Document
from services.tokenizer_builder import vectors_run
from services.tokenizer_builder.core.vectors_job import VectorRules, VectorsJob, VectorsLearnt, VectorsProgress
from shared.artifacts import ArtifactStore
from shared.child import run_child
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from shared.errors import ArtifactMissing
from shared.lm.word_vectors import NoWordVectors, from_bytes, to_bytes
from tests.corpora import write_version

RULES = VectorRules(dimensions=24, epochs=2, min_count=3, min_drift_count=10, num_drifted=5)


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(f"file://{tmp_path}/artifacts")


def version(store, *parts):
    return write_version(store, *parts, number=len(parts))


def job(store, tmp_path, corpus, **fields):
    return VectorsJob(artifacts_url=f"file://{tmp_path}/artifacts", corpus_digest=corpus, rules=RULES, **fields)


def test_a_versions_vectors_are_stored_and_compared_with_the_version_before(store, tmp_path, capsys):
    documents = load_statutes().first
    first = version(store, documents[:800])
    one = vectors_run.learn_vectors(job(store, tmp_path, first))
    assert one.drifted == ()
    assert one.dimensions == 24
    lines = [VectorsProgress.model_validate_json(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [VectorsProgress(epoch=1, epochs=2), VectorsProgress(epoch=2, epochs=2)]
    vectors = from_bytes(store.read_bytes(one.vectors_digest))
    assert len(vectors.words) == one.num_words > 300

    second = version(store, documents[:800], documents[800:1_300])
    two = vectors_run.learn_vectors(job(store, tmp_path, second, previous_vectors_digest=one.vectors_digest))
    assert len(two.drifted) == 5
    drifts = [word.drift for word in two.drifted]
    assert drifts == sorted(drifts, reverse=True)
    assert all(vectors.count(word.word) >= 10 for word in two.drifted)
    assert two.num_tokens > one.num_tokens


def test_held_out_documents_are_not_looked_at(store, tmp_path):
    documents = load_statutes().first[:400]
    secret = next(str(number) for number in range(100) if is_held_out(str(number)))
    hidden = [Document(document_id=f"h{n}", text="饕餮盛宴" * 3, group=secret) for n in range(5)]
    with_hidden, without = (version(store, docs) for docs in ([*documents, *hidden], documents))
    assert vectors_run.learn_vectors(job(store, tmp_path, with_hidden)) == vectors_run.learn_vectors(
        job(store, tmp_path, without)
    )


def test_vectors_of_another_width_are_not_compared(store, tmp_path):
    corpus = version(store, load_statutes().first[:300])
    one = vectors_run.learn_vectors(job(store, tmp_path, corpus))
    wider = job(store, tmp_path, corpus, previous_vectors_digest=one.vectors_digest)
    wider = wider.model_copy(update={"rules": RULES.model_copy(update={"dimensions": 30})})
    assert vectors_run.learn_vectors(wider).drifted == ()


def test_the_child_tells_each_epoch_and_ends_with_its_result(store, tmp_path):
    corpus = version(store, load_statutes().first[:300])
    expected = vectors_run.learn_vectors(job(store, tmp_path, corpus))
    lines = []

    async def note(line):
        lines.append(line)

    job_file = tmp_path / "job.json"
    job_file.write_text(job(store, tmp_path, corpus).model_dump_json())
    result = asyncio.run(run_child("services.tokenizer_builder.vectors_run", job_file, on_progress=note))
    assert VectorsLearnt.model_validate(result) == expected
    assert lines == [{"epoch": 1, "epochs": 2}, {"epoch": 2, "epochs": 2}]


def test_what_is_missing_or_too_short_is_named(store, tmp_path):
    with pytest.raises(ArtifactMissing, match="f" * 64):
        vectors_run.learn_vectors(job(store, tmp_path, "f" * 64))
    corpus = version(store, load_statutes().first[:1])
    with pytest.raises(NoWordVectors):
        vectors_run.learn_vectors(job(store, tmp_path, corpus))
    other = store.put_bytes(b"{}")
    with pytest.raises(NoWordVectors, match="holds no word vectors"):
        vectors_run.learn_vectors(job(store, tmp_path, corpus, previous_vectors_digest=other))


def test_the_daemon_itself_does_not_import_gensim():
    modules = "services.tokenizer_builder.app, services.tokenizer_builder.core.vectors_job"
    code = f"import sys, {modules}; print('gensim' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_vectors_of_two_runs_have_the_same_digest(store, tmp_path):
    corpus = version(store, load_statutes().first[:300])
    one = vectors_run.learn_vectors(job(store, tmp_path, corpus))
    assert store.put_bytes(to_bytes(from_bytes(store.read_bytes(one.vectors_digest)))) == one.vectors_digest
