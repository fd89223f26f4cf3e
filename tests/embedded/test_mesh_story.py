"""The story of a mesh as its users live it, with everything real: eight daemons, broker, cache, children, disk.

It is one test, since each chapter needs what the one before left; a chapter is a function.
"""

from pathlib import Path

import psutil
import pytest

from contracts.api import ClassifyAnswer, GatewayInfo, Problem, Why
from contracts.corpus import Document
from contracts.evaluation import ModelEvaluated
from contracts.topics import CORPUS_VERSIONED, MODEL_EVALUATED, MODEL_TRAINED, TOKENIZER_READY, TRAINING_PROGRESSED
from contracts.training import ModelTrained, TrainingProgressed
from shared.cli.exits import Exit
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes
from shared.embedded.policy import Phase
from tests.embedded.live import LiveMesh, Tail, eventually

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("mesh"), pytest.mark.timeout(400)]

DOMAIN = "law"
LABELS = ("刑法", "民法商法")
"""Two departments that even a model of seconds tells apart."""
NUM_OF_LABEL = 900
"""With fewer, all held-out laws are of one department, and no accuracy beats a constant answer."""
SERVES_AGAIN_WITHIN_S = 10.0
FIRST_KILL_TOKENS, SECOND_KILL_TOKENS = 20_000, 40_000
"""Of a budget of 100,000; more than a training that began anew would have when it first tells of itself, after a second."""


def test_the_story_of_a_mesh(live: LiveMesh, tmp_path: Path) -> None:
    documents = statutes()
    an_empty_gateway_says_what_to_do(live)
    with live.tail().reading() as tail:
        ingested_documents_are_counted(live, documents, tmp_path / "statutes.jsonl")
        live.json("train", "now")
        the_training_goes_on_after_its_child_was_killed(live, tail)
        the_training_goes_on_after_its_daemon_was_killed(live, tail)
        trained = it_ends_once_and_is_released(live, tail)
    question = next(document for document in documents if is_held_out(document.split_group))
    answer = the_released_bundle_answers(live, question, trained)
    the_answer_is_traced_back_to_its_data(live, answer, trained)
    a_rollback_with_nothing_to_go_back_to_is_refused(live)
    a_second_mesh_in_the_same_place_is_refused(live)
    after_down_and_up_the_same_bundle_serves(live, question, answer, trained)


def statutes() -> list[Document]:
    first = load_statutes().first
    return [document for label in LABELS for document in [one for one in first if one.label == label][:NUM_OF_LABEL]]


# ---- a and b: before there is a model


def an_empty_gateway_says_what_to_do(live: LiveMesh) -> None:
    response = live.post("inference-gateway", "/v1/classify", json={"text": "第一条", "domain": DOMAIN})
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "plumb ingest" in (Problem.model_validate_json(response.content).next or "")
    info = GatewayInfo.model_validate_json(live.get("inference-gateway", "/").content)
    assert not any(domain.routes for domain in info.served)
    assert "plumb ingest" in (info.next or "")
    assert live.get("inference-gateway", info.docs).is_success

    asked = live.plumb("ask", "第一条")
    assert asked.returncode == Exit.NOTHING_TO_SERVE
    assert "plumb ingest" in asked.stderr


def ingested_documents_are_counted(live: LiveMesh, documents: list[Document], path: Path) -> None:
    path.write_text("\n".join(document.model_dump_json(exclude_none=True) for document in documents), encoding="utf-8")
    receipts = live.json("ingest", str(path))["batches"]
    assert sum(receipt["num_documents"] for receipt in receipts) == len(documents)

    def counted() -> dict[str, object] | None:
        domains = live.json("status")["domains"]["domains"]
        return next((one for one in domains if one["domain"] == DOMAIN and one["num_pending_documents"]), None)

    status = eventually(counted)
    pending = status["num_pending_documents"]
    assert status["missing"] == f"{pending:,} of 5,000 documents; or `plumb train now`"
    assert len(documents) * 0.9 < pending <= len(documents), "duplicates are left out"


# ---- c: the training, and what may happen to it


def the_training_goes_on_after_its_child_was_killed(live: LiveMesh, tail: Tail) -> None:
    daemon = live.running("trainer")
    done = tokens_in_a_checkpoint(live, tail, at_least=FIRST_KILL_TOKENS)
    child = only_child(daemon)
    child.kill()
    eventually(lambda: [one for one in daemon.children() if one != child and is_alive(one)])
    start = len(tail.messages)
    assert first_progress(tail, start).num_tokens > done
    assert live.running("trainer") == daemon


def the_training_goes_on_after_its_daemon_was_killed(live: LiveMesh, tail: Tail) -> None:
    daemon = live.running("trainer")
    child = only_child(daemon)
    done = tokens_in_a_checkpoint(live, tail, at_least=SECOND_KILL_TOKENS)
    daemon.kill()
    eventually(lambda: not is_alive(child), within_s=10)
    start = len(tail.messages)
    assert first_progress(tail, start).num_tokens > done
    assert live.running("trainer") != daemon
    assert live.process("trainer").restarts == 1


def it_ends_once_and_is_released(live: LiveMesh, tail: Tail) -> ModelTrained:
    judged = eventually(lambda: tail.events(MODEL_EVALUATED, ModelEvaluated, domain=DOMAIN), within_s=120)
    assert judged[0].passed, judged[0].reasons
    trained = tail.events(MODEL_TRAINED, ModelTrained, domain=DOMAIN)
    assert [one.bundle_digest for one in trained] == [judged[0].bundle_digest]
    progress = tail.events(TRAINING_PROGRESSED, TrainingProgressed, domain=DOMAIN)
    assert {one.run_id for one in progress} == {trained[0].run_id}
    assert progress[-1].num_tokens == trained[0].num_tokens
    eventually(lambda: routed(live) == {trained[0].bundle_digest: 100})
    return trained[0]


def tokens_in_a_checkpoint(live: LiveMesh, tail: Tail, *, at_least: int) -> int:
    """Wait for a checkpoint that was written after some progress was told; return the tokens told, which it holds."""

    def look() -> TrainingProgressed | None:
        progress = tail.events(TRAINING_PROGRESSED, TrainingProgressed, domain=DOMAIN)
        if not progress or progress[-1].num_tokens < at_least:
            return None
        checkpoint = live.layout.of("trainer") / "runs" / str(progress[-1].run_id) / "checkpoint.pt"
        is_kept = checkpoint.exists() and checkpoint.stat().st_mtime > progress[-1].occurred_at.timestamp()
        return progress[-1] if is_kept else None

    told = eventually(look)
    assert 0 < told.num_tokens < told.token_budget, "in mid-training"
    return told.num_tokens


def first_progress(tail: Tail, start: int) -> TrainingProgressed:
    return eventually(lambda: tail.events(TRAINING_PROGRESSED, TrainingProgressed, start=start, domain=DOMAIN))[0]


def only_child(daemon: psutil.Process) -> psutil.Process:
    (child,) = daemon.children()
    assert "services.trainer.run" in child.cmdline()
    return child


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def routed(live: LiveMesh) -> dict[str, int]:
    info = GatewayInfo.model_validate_json(live.get("inference-gateway", "/").content)
    routes = [route for served in info.served if served.domain == DOMAIN for route in served.routes]
    return {route.bundle_digest: route.weight_percent for route in routes}


# ---- d: answers


def the_released_bundle_answers(live: LiveMesh, question: Document, trained: ModelTrained) -> ClassifyAnswer:
    answer = ClassifyAnswer.model_validate(live.json("ask", question.text))
    assert answer.label in LABELS
    assert answer.scores[answer.label] == answer.score == max(answer.scores.values())
    assert answer.bundle_digest == trained.bundle_digest
    return answer


def the_answer_is_traced_back_to_its_data(live: LiveMesh, answer: ClassifyAnswer, trained: ModelTrained) -> None:
    eventually(lambda: live.plumb("why").returncode == Exit.OK, within_s=20)
    shown = live.plumb("why").stdout
    assert answer.answer_id in shown
    assert all(kind in shown for kind in ("answer", "bundle", "tokenizer", "corpus-version", "batch")), shown

    steps = {step.kind: step for step in Why.model_validate(live.json("why")).steps}
    assert steps["bundle"].id == trained.bundle_digest
    assert steps["tokenizer"].id == trained.tokenizer_digest
    assert steps["corpus-version"].id == trained.corpus_digest
    assert steps["batch"].spans, "the trace of the step"


# ---- f and g: what cannot be done


def a_rollback_with_nothing_to_go_back_to_is_refused(live: LiveMesh) -> None:
    result = live.plumb("rollback", "--reason", "the lawyers say no")
    assert result.returncode == Exit.FAILED
    assert "there is nothing to go back to" in result.stderr
    assert "plumb status" in result.stderr
    token = live.token
    response = live.post(
        "release-manager", f"/v1/domains/{DOMAIN}/rollback",
        json={"reason": "no"}, headers={"authorization": f"Bearer {token}"},
    )  # fmt: skip
    assert response.status_code == 409


def a_second_mesh_in_the_same_place_is_refused(live: LiveMesh) -> None:
    supervisor = live.record.supervisor
    result = live.plumb("up")
    assert result.returncode == Exit.ALREADY_RUNNING
    assert str(live.layout.root) in result.stderr
    assert "plumb down" in result.stderr
    assert live.record.supervisor == supervisor


# ---- e: down and up


def after_down_and_up_the_same_bundle_serves(
    live: LiveMesh, question: Document, answer: ClassifyAnswer, trained: ModelTrained
) -> None:
    supervisor = psutil.Process(live.record.supervisor.pid)
    family = [supervisor, *supervisor.children(recursive=True)]
    assert len(family) >= len(live.record.processes)
    assert live.plumb("down").returncode == Exit.OK
    assert not any(is_alive(process) for process in family)
    assert live.survivors() == []

    result = live.plumb("up")
    assert result.returncode == Exit.OK, result.stderr
    assert all(process.phase is Phase.READY for process in live.record.processes)
    eventually(lambda: routed(live) == {trained.bundle_digest: 100}, within_s=SERVES_AGAIN_WITHIN_S)
    again = ClassifyAnswer.model_validate(live.json("ask", question.text))
    assert (again.label, again.bundle_digest) == (answer.label, answer.bundle_digest)
    assert live.plumb("why", answer.answer_id).returncode == Exit.OK, "what was known before is known still"
    with live.tail().reading() as tail:
        nothing_is_trained_again(tail, trained)


def nothing_is_trained_again(tail: Tail, trained: ModelTrained) -> None:
    """The latest corpus version is said again, down to its judgement, and each stage finds that it has done its part."""
    eventually(lambda: tail.events(MODEL_EVALUATED, ModelEvaluated, domain=DOMAIN))
    told = [message.topic for message in tail.messages]
    assert {CORPUS_VERSIONED.name, TOKENIZER_READY.name} <= set(told)
    assert not tail.events(TRAINING_PROGRESSED, TrainingProgressed, domain=DOMAIN)
    assert tail.events(MODEL_TRAINED, ModelTrained, domain=DOMAIN) == [trained]
