"""Going on from a bundle with another tokenizer."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tokenizers import AddedToken, Tokenizer

from services.tokenizer_builder.core import bpe
from services.trainer import run as trainer
from services.trainer.adapters import read_parent
from services.trainer.core.batches import collate
from services.trainer.core.examples import NO_LABEL, Example
from services.trainer.core.loop import batch_losses
from services.trainer.core.model import with_vocabulary
from shared import bundle
from shared.lm.hf import load_model
from shared.lm.text import encode_texts
from shared.lm.transfer import Initialisation, plan_transfer
from shared.lm.word_vectors import WordVectors, to_bytes
from shared.serving import BundleSession
from tests.unit.trainer.world import ARTICLES, FAST, make_world

TERMS = ("刑事责任", "专利行政部门", "劳动合同", "用人单位", "人民政府", "中华人民共和国", "法律的特权")
TEXTS = [text for texts in ARTICLES.values() for text in texts]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def first(world, tmp_path_factory):
    return trainer.run(world.job(), tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def old(world):
    return Tokenizer.from_str(world.store.read_bytes(world.tokenizer).decode())


@pytest.fixture(scope="module")
def extended(old):
    new = Tokenizer.from_str(old.to_str())
    new.add_tokens([AddedToken(term, normalized=False) for term in TERMS if old.token_to_id(term) is None])
    return new


@pytest.fixture(scope="module")
def parent(world, first, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent")
    bundle.load(world.store, first.bundle_digest, folder)
    return load_model(folder)[0]


def bits_per_char(model, tokenizer, texts=TEXTS):
    encoded = encode_texts(tokenizer, texts, block_size=48)
    batch = collate([Example(ids=one.ids, label=NO_LABEL) for one in encoded], pad_id=0)
    with torch.no_grad():
        loss, _ = batch_losses(model, batch)
    return loss.item() * int(batch.mask_BT[:, 1:].sum()) / np.log(2) / sum(map(len, texts))


def test_directly_after_an_extension_old_rows_and_all_other_weights_are_the_parents_bit_for_bit(parent, old, extended):
    model = with_vocabulary(parent, plan_transfer(old, extended), Initialisation.MEAN)
    before, after = parent.state_dict(), model.state_dict()
    assert after.keys() == before.keys()
    for name, weight in before.items():
        assert torch.equal(after[name][: len(weight)], weight), name
    assert model.config.vocab_size == extended.get_vocab_size() == len(after["model.embed_tokens.weight"])
    assert parent.config.vocab_size == old.get_vocab_size()


def test_directly_after_an_extension_text_without_new_terms_is_as_likely_as_before(parent, old, extended):
    model = with_vocabulary(parent, plan_transfer(old, extended), Initialisation.MEAN)
    untouched = [text for text in TEXTS if old.encode(text).tokens == extended.encode(text).tokens]
    assert len(untouched) > 5
    before, after = bits_per_char(parent, old, untouched), bits_per_char(model, extended, untouched)
    # New tokens take a little of the probability; nothing else has changed.
    assert before <= after < 1.02 * before


def test_new_rows_begin_better_than_random_ones(parent, old, extended):
    plan = plan_transfer(old, extended)
    (mean, drawn) = (
        bits_per_char(with_vocabulary(parent, plan, how), extended)
        for how in (Initialisation.MEAN, Initialisation.RANDOM)
    )
    assert mean < drawn


def test_a_run_with_an_extended_tokenizer_goes_on_from_the_parent_and_says_how(
    world, first, old, extended, tmp_path, capsys
):
    digest = world.store.put_bytes(bpe.to_json(extended))
    job = world.job(parent=first.bundle_digest).model_copy(update={"tokenizer_digest": digest})
    second = trainer.run(job, tmp_path)
    assert second.ancestors == (first.bundle_digest,)
    assert second.labels == first.labels
    assert second.token_budget == FAST.max_continued_tokens
    manifest = bundle.load(world.store, second.bundle_digest, tmp_path / "out")
    assert manifest.parents.parent_bundle_digest == first.bundle_digest
    assert manifest.training.transfer == second.transfer
    assert second.transfer
    assert second.transfer.parent_tokenizer_digest == world.tokenizer
    assert (second.transfer.num_kept, second.transfer.num_dropped) == (old.get_vocab_size(), 0)
    assert second.transfer.num_added == extended.get_vocab_size() - old.get_vocab_size() > 0
    assert (second.transfer.initialisation, second.transfer.vectors_digest) == ("scaled-focus", None)
    rows = load_file(tmp_path / "out" / bundle.WEIGHTS)["model.embed_tokens.weight"]
    assert len(rows) == extended.get_vocab_size()
    answers = BundleSession(tmp_path / "out").classify(ARTICLES["刑法"])
    assert sum(answer.label == "刑法" for answer in answers) > 0.8 * len(answers)


def test_new_rows_begin_by_the_word_vectors_that_the_job_names(world, first, old, extended, tmp_path):
    new_terms = [term for term in TERMS if old.token_to_id(term) is None][:2]
    words = sorted({*old.get_vocab(), *new_terms})
    drawn = np.random.default_rng(5).normal(size=(len(words), 8)).astype(np.float32)
    vectors = world.store.put_bytes(to_bytes(WordVectors(tuple(words), np.arange(len(words), 0, -1), drawn)))
    digest = world.store.put_bytes(bpe.to_json(extended))
    job = world.job(parent=first.bundle_digest, vectors_digest=vectors).model_copy(update={"tokenizer_digest": digest})
    with_vectors = read_parent(world.store, job, extended, tmp_path / "with")
    without = read_parent(world.store, job.model_copy(update={"vectors_digest": None}), extended, tmp_path / "without")
    assert with_vectors.transfer.vectors_digest == vectors
    assert 2 <= with_vectors.transfer.num_by_vectors <= with_vectors.transfer.num_added
    one, other = (parent.model.model.embed_tokens.weight for parent in (with_vectors, without))
    assert torch.equal(one[: old.get_vocab_size()], other[: old.get_vocab_size()])
    own = extended.token_to_id(new_terms[0])
    assert not torch.equal(one[own], other[own])


def test_a_rebuilt_tokenizer_with_enough_shared_tokens_is_gone_on_from_and_one_with_too_few_is_not(
    world, first, tmp_path
):
    rebuilt = bpe.train(TEXTS[:20], vocab_size=900, max_token_chars=6)
    digest = world.store.put_bytes(bpe.to_json(rebuilt))
    job = world.job(parent=first.bundle_digest).model_copy(update={"tokenizer_digest": digest})
    (tmp_path / "on").mkdir()
    goes_on = trainer.run(job, tmp_path / "on")
    assert goes_on.ancestors == (first.bundle_digest,)
    assert goes_on.transfer
    assert goes_on.transfer.num_dropped > 0

    strict = FAST.model_copy(update={"min_kept_share": 1.0})
    (tmp_path / "anew").mkdir()
    anew = trainer.run(job.model_copy(update={"recipe": strict}), tmp_path / "anew")
    assert (anew.ancestors, anew.transfer, anew.token_budget) == ((), None, FAST.first_tokens)
    assert bundle.read_manifest(world.store, anew.bundle_digest).parents.parent_bundle_digest is None


def test_a_manifest_from_before_transfers_is_still_read(world, first):
    manifest = bundle.read_manifest(world.store, first.bundle_digest)
    values = manifest.model_dump(mode="json")
    del values["training"]["transfer"]
    assert bundle.Manifest.model_validate(values) == manifest
