"""The child: a bundle in its serving form on the held-out documents of a corpus version."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from services.evaluator import run
from services.evaluator.core import EvaluationJob, Judgement
from services.evaluator.settings import Gates
from shared.artifacts import ArtifactStore
from shared.child import CANNOT_BE_DONE
from shared.errors import ArtifactMissing, BundleRefused
from tests.corpora import write_version
from tests.unit.evaluator.corpora import HELD_OUT, TRAINING, documents
from tests.unit.evaluator.sealed import seal_lookup_bundle

RIGHT = {"x": "criminal", "y": "civil", "z": "civil"}
OLD = [*documents("criminal", ["x"] * 6), *documents("civil", ["y"] * 4)]
NEW = documents("civil", ["z"] * 5, group=HELD_OUT[1], prefix="new ")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}/artifacts")


def job(
    tmp_path: Path, bundle_digest: str, corpus_digest: str, serving_digest: str | None = None, limit: int = 100
) -> EvaluationJob:
    return EvaluationJob(
        artifacts_url=f"file://{tmp_path}/artifacts", bundle_digest=bundle_digest, corpus_digest=corpus_digest,
        serving_digest=serving_digest, gates=Gates(min_documents=5, max_documents=limit),
    )  # fmt: skip


def tell_nobody(_done: int, _total: int) -> None:
    """Progress is looked at where the child runs as a process."""


def test_a_first_bundle_is_judged_on_held_out_labelled_documents_only(store: ArtifactStore, tmp_path: Path) -> None:
    in_training = documents("admin", ["y"] * 50, group=TRAINING, prefix="t ")
    corpus = write_version(store, [*OLD, *in_training, *documents(None, ["x"] * 9, prefix="unlabelled ")])
    digest = seal_lookup_bundle(store, tmp_path / "b", answers=RIGHT, corpus_digest=corpus)

    judgement = run.evaluate(job(tmp_path, digest, corpus), tmp_path / "scratch", tell_nobody)

    assert judgement.passed
    assert [(score.slice, score.n, score.accuracy) for score in judgement.scores] == [
        ("all", 10, 1.0),
        ("new", 10, 1.0),
    ]
    assert judgement.floor_accuracy == pytest.approx(0.65)
    assert judgement.serving_scores == ()


def test_the_serving_bundle_is_scored_on_the_same_documents(store: ArtifactStore, tmp_path: Path) -> None:
    first = write_version(store, OLD)
    second = write_version(store, OLD, NEW, number=2)
    # The serving bundle has never seen a text that starts with z.
    serving = seal_lookup_bundle(store, tmp_path / "a", answers=RIGHT | {"z": "criminal"}, corpus_digest=first)
    candidate = seal_lookup_bundle(
        store, tmp_path / "b", answers=RIGHT | {"y": "criminal"}, corpus_digest=second, parents=(serving,)
    )

    judgement = run.evaluate(job(tmp_path, candidate, second, serving), tmp_path / "scratch", tell_nobody)

    assert [(score.slice, score.n, score.accuracy) for score in judgement.scores] == [
        ("all", 15, pytest.approx(11 / 15)), ("old", 10, 0.6), ("new", 5, 1.0),
    ]  # fmt: skip
    assert [(score.slice, score.n, score.accuracy) for score in judgement.serving_scores] == [
        ("all", 15, pytest.approx(10 / 15)), ("old", 10, 1.0), ("new", 5, 0.0),
    ]  # fmt: skip
    assert judgement.scores[0].macro_f1 == pytest.approx((12 / 16 + 10 / 14) / 2)


def test_the_limit_on_documents_holds_and_gives_the_same_answer_twice(store: ArtifactStore, tmp_path: Path) -> None:
    corpus = write_version(store, OLD, NEW)
    digest = seal_lookup_bundle(store, tmp_path / "b", answers=RIGHT, corpus_digest=corpus)

    first = run.evaluate(job(tmp_path, digest, corpus, limit=7), tmp_path / "scratch", tell_nobody)
    again = run.evaluate(job(tmp_path, digest, corpus, limit=7), tmp_path / "other scratch", tell_nobody)

    assert first == again
    assert first.scores[0].n == 7


def test_a_bundle_without_labels_fails_its_gates_instead_of_its_run(store: ArtifactStore, tmp_path: Path) -> None:
    corpus = write_version(store, OLD)
    digest = seal_lookup_bundle(store, tmp_path / "b", answers={"x": "none"}, labels=(), corpus_digest=corpus)

    judgement = run.evaluate(job(tmp_path, digest, corpus), tmp_path / "scratch", tell_nobody)

    assert not judgement.passed
    assert judgement.scores[0].accuracy == 0.0


def test_a_corpus_without_labels_fails_the_gate_for_its_number(store: ArtifactStore, tmp_path: Path) -> None:
    corpus = write_version(store, documents(None, ["x"] * 9))
    digest = seal_lookup_bundle(store, tmp_path / "b", answers=RIGHT, corpus_digest=corpus)

    judgement = run.evaluate(job(tmp_path, digest, corpus), tmp_path / "scratch", tell_nobody)

    assert not judgement.passed
    assert judgement.reasons[0] == "FAILED: 0 labelled held-out documents, at least 5 are asked for"


def test_what_is_gone_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    corpus = write_version(store, OLD)
    with pytest.raises(ArtifactMissing, match="a" * 64):
        run.evaluate(job(tmp_path, "a" * 64, corpus), tmp_path / "scratch", tell_nobody)


def test_a_serving_form_that_is_no_model_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    corpus = write_version(store, OLD)
    digest = seal_lookup_bundle(
        store, tmp_path / "b", answers=RIGHT, corpus_digest=corpus, serving_model=b"not an onnx model"
    )
    with pytest.raises(BundleRefused, match="cannot be opened"):
        run.evaluate(job(tmp_path, digest, corpus), tmp_path / "scratch", tell_nobody)


def child(job_file: Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "services.evaluator.run", str(job_file)]
    # Its standard input stays open as long as the parent lives; an empty one would end it at once.
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        out, err = process.stdout.read(), process.stderr.read()
        return subprocess.CompletedProcess(argv, process.wait(30), out, err)


def test_the_child_writes_its_result_and_says_how_far_it_is_without_torch(store: ArtifactStore, tmp_path: Path) -> None:
    corpus = write_version(store, OLD)
    digest = seal_lookup_bundle(store, tmp_path / "b", answers=RIGHT, corpus_digest=corpus)
    job_file = tmp_path / "job.json"
    job_file.write_text(job(tmp_path, digest, corpus).model_dump_json())

    done = child(job_file)

    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"done": 10, "total": 10}]
    assert Judgement.model_validate_json((tmp_path / "result.json").read_text()).passed


def test_the_child_refuses_what_cannot_be_done_with_the_reason_as_its_last_word(tmp_path: Path) -> None:
    job_file = tmp_path / "job.json"
    job_file.write_text(job(tmp_path, "a" * 64, "b" * 64).model_dump_json())

    done = child(job_file)

    assert done.returncode == CANNOT_BE_DONE
    assert f"no artifact has the digest {'b' * 64}" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "result.json").exists()


def test_the_evaluator_needs_no_torch() -> None:
    code = "import sys, services.evaluator.app, services.evaluator.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
