"""The child process: real files, real processes, real kills."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from services.trainer import run as trainer
from services.trainer.core.job import TrainingResult, child_environment
from services.trainer.core.recipe import Recipe
from shared.bundle import load, read_manifest, seal
from shared.errors import ArtifactMissing
from shared.lm.text import special_ids
from shared.serving import BundleSession
from tests.unit.trainer.world import ARTICLES, FAST, LATER_LABEL, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def first(world, tmp_path_factory):
    return trainer.run(world.job(), tmp_path_factory.mktemp("first"))


@contextmanager
def child(job, folder):
    (folder / "job.json").write_text(job.model_dump_json())
    process = subprocess.Popen(
        [sys.executable, "-m", "services.trainer.run", str(folder / "job.json")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **child_environment(1)},  # noqa: TID251 - handed on whole
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_child_goes_on_from_its_checkpoint_and_ends_with_the_same_result(world, tmp_path):
    long = FAST.model_copy(update={"first_tokens": 60_000})
    job = world.job(recipe=long, checkpoint_interval_s=0.01, progress_interval_s=0.0)
    with child(job, tmp_path) as process:
        killed_at = next(line for line in map(json.loads, process.stdout) if line["tokens"] > long.first_tokens / 6)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "result.json").exists()

    with child(job, tmp_path) as process:
        resumed_at = json.loads(process.stdout.readline())
        process.stdout.read()
        assert process.wait() == 0
    assert killed_at["step"] / 2 < resumed_at["step"]
    (tmp_path / "whole").mkdir()
    expected = trainer.run(job, tmp_path / "whole")
    assert TrainingResult.model_validate_json((tmp_path / "result.json").read_bytes()) == expected


def test_a_child_ends_with_its_parent(world, tmp_path):
    with child(world.job(recipe=FAST.model_copy(update={"first_tokens": 10**9})), tmp_path) as process:
        process.stdout.readline()
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert not (tmp_path / "result.json").exists()


def test_a_job_that_cannot_be_done_exits_with_65_and_says_why(world, tmp_path):
    with child(world.job(corpus="0" * 64), tmp_path) as process:
        words = process.stderr.read().strip().splitlines()
        assert process.wait() == 65
    assert words[-1] == f"no artifact has the digest {'0' * 64}"


def test_the_trained_bundle_classifies_what_it_was_trained_on(world, first, tmp_path):
    load(world.store, first.bundle_digest, tmp_path)
    session = BundleSession(tmp_path)
    assert session.labels == tuple(sorted(ARTICLES))
    answers = {label: session.classify(texts) for label, texts in ARTICLES.items()}
    right = [answer.label == label for label, found in answers.items() for answer in found]
    assert sum(right) / len(right) > 0.9


def test_transformers_knows_the_special_tokens_and_reads_none_from_a_text(world, first, tmp_path):
    load(world.store, first.bundle_digest, tmp_path)
    raw, theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json")), AutoTokenizer.from_pretrained(tmp_path)
    special = special_ids(raw)
    assert (theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id) == (special.pad, special.bos, special.eos)
    texts = ["甲<pad>乙<eos>", "<bos>", *(text for found in ARTICLES.values() for text in found[:5])]
    ours = [raw.encode(text, add_special_tokens=False).ids for text in texts]
    assert [theirs(text, add_special_tokens=False)["input_ids"] for text in texts] == ours
    padded = theirs(texts, add_special_tokens=False, padding=True)["input_ids"]
    width = max(map(len, ours))
    assert padded == [ids + [special.pad] * (width - len(ids)) for ids in ours]
    framed = [[special.bos, *ids, special.eos] for ids in ours]
    assert [theirs.decode(ids, skip_special_tokens=True) for ids in framed] == texts
    assert len(theirs) == raw.get_vocab_size(with_added_tokens=True)


def test_a_bundle_from_before_the_tokenizers_configuration_is_read(world, first, tmp_path):
    manifest = load(world.store, first.bundle_digest, tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "manifest.json").unlink()
    old = seal(
        world.store, tmp_path, domain=manifest.domain, parents=manifest.parents, model=manifest.model,
        training=manifest.training,
    )  # fmt: skip
    assert "tokenizer_config.json" not in load(world.store, old, tmp_path / "old").files


def test_the_same_job_gives_the_same_digest(world, first, tmp_path):
    again = trainer.run(world.job(), tmp_path)
    assert again == first
    other = trainer.run(world.job(recipe=FAST.model_copy(update={"seed": 8})), tmp_path)
    assert other.bundle_digest != first.bundle_digest


def test_a_checkpoint_of_another_job_is_not_gone_on_from(world, tmp_path):
    short = FAST.model_copy(update={"first_tokens": 1_000})
    trainer.run(world.job(recipe=short), tmp_path)
    longer = trainer.run(world.job(recipe=short.model_copy(update={"first_tokens": 2_000})), tmp_path)
    assert longer.num_tokens >= 2_000


def test_training_on_keeps_known_labels_adds_new_ones_and_names_its_ancestors(world, first, tmp_path):
    job = world.job(corpus=world.second_corpus, parent=first.bundle_digest)
    second = trainer.run(job, tmp_path)
    assert second.labels == (*first.labels, LATER_LABEL)
    assert second.ancestors == (first.bundle_digest,)
    assert second.token_budget == FAST.max_continued_tokens
    assert second.lm_loss < 1.2 * first.lm_loss
    manifest = read_manifest(world.store, second.bundle_digest)
    assert manifest.parents.parent_bundle_digest == first.bundle_digest
    assert manifest.parents.corpus_digest == world.second_corpus
    third = trainer.run(job.model_copy(update={"parent_bundle_digest": second.bundle_digest}), tmp_path)
    assert third.ancestors == (second.bundle_digest, first.bundle_digest)


def test_a_parent_whose_tokenizer_only_reads_otherwise_is_gone_on_from_with_all_its_rows(world, first, tmp_path):
    other = world.store.put_bytes(world.store.read_bytes(world.tokenizer) + b"\n")
    job = world.job(parent=first.bundle_digest).model_copy(update={"tokenizer_digest": other})
    second = trainer.run(job, tmp_path)
    assert second.ancestors == (first.bundle_digest,)
    assert second.transfer
    assert (second.transfer.num_added, second.transfer.num_dropped) == (0, 0)


def test_a_missing_input_is_named(world, tmp_path):
    with pytest.raises(ArtifactMissing, match="f" * 64):
        trainer.run(world.job(parent="f" * 64), tmp_path)


def test_the_default_recipe_is_valid_json_for_a_job():
    assert Recipe.model_validate_json(Recipe().model_dump_json()) == Recipe()
