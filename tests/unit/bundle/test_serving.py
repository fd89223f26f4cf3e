"""The serving form against the model that was trained."""

import random
import subprocess
import sys

import numpy as np
import onnxruntime
import psutil
import pytest
import torch
from safetensors.numpy import load_file

from services.trainer import run as trainer
from shared import bundle
from shared.lm.hf import load_model, read_config
from shared.lm.serving_graph import build_graph, quantize
from shared.lm.text import encode_texts
from shared.serving import BundleSession
from tests.corpora import write_version
from tests.unit.trainer.world import ARTICLES, document

TEXTS = [text for texts in ARTICLES.values() for text in texts]


@pytest.fixture(scope="module")
def session(pristine):
    return BundleSession(pristine)


def choose(monkeypatch, session, token):
    """Let the model say the same token each time."""
    index = session._tokenizer.token_to_id(token)
    monkeypatch.setattr("shared.serving._Sampler.pick", lambda *_: index)


def torch_logits(folder, ids, mask):
    model, _ = load_model(folder)
    with torch.no_grad():
        hidden = model.model(ids)
        last = hidden[torch.arange(len(ids)), mask.sum(dim=1) - 1]
        return {"next_logits": model.next_logits(last), "label_logits": model.label_logits(hidden, mask)}


def test_the_fp32_graph_equals_torch_on_ragged_batches(pristine):
    weights = {**load_file(pristine / bundle.WEIGHTS), **load_file(pristine / bundle.HEADS)}
    graph = build_graph(read_config(pristine), weights)
    torch.manual_seed(0)
    ids = torch.randint(3, 300, (6, 40))
    mask = torch.arange(40)[None] < torch.tensor([1, 2, 7, 20, 39, 40])[:, None]
    ids[~mask] = 0
    runtime = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = torch_logits(pristine, ids, mask)
    found = runtime.run(list(expected), {"input_ids": ids.numpy(), "attention_mask": mask.long().numpy()})
    for values, tensor in zip(found, expected.values(), strict=True):
        assert tensor.std() > 0.1
        assert np.allclose(values, tensor.numpy(), atol=1e-4)


def test_int8_agrees_with_torch_on_the_trained_model(pristine, session):
    model, labels = load_model(pristine)
    predictions = session.classify(TEXTS)
    with torch.no_grad():
        for text, prediction in zip(TEXTS, predictions, strict=True):
            [encoded] = encode_texts(session._tokenizer, [text], block_size=model.config.block_size)
            hidden = model.model(torch.tensor([encoded.ids]))
            exact = model.label_logits(hidden, torch.ones(1, len(encoded.ids))).softmax(dim=1)[0]
            assert labels[int(exact.argmax())] == prediction.label
            assert abs(float(exact.max()) - prediction.score) < 0.05


def test_the_serving_form_is_the_same_to_the_byte_when_made_again(pristine, tmp_path):
    weights = {**load_file(pristine / bundle.WEIGHTS), **load_file(pristine / bundle.HEADS)}
    (tmp_path / "exact.onnx").write_bytes(build_graph(read_config(pristine), weights).SerializeToString())
    quantize(tmp_path / "exact.onnx", tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").read_bytes() == (pristine / bundle.SERVING_MODEL).read_bytes()


def test_an_answer_does_not_depend_on_its_neighbours(session):
    together = session.classify(TEXTS[:6])
    assert together == [session.classify([text])[0] for text in TEXTS[:6]]


def test_scores_are_probabilities_and_a_cut_text_says_so(session):
    short, long = session.classify(["劳动者有权休息。", "劳动者有权休息。" * 40])
    assert (short.truncated, long.truncated) == (False, True)
    assert sum(short.scores.values()) == pytest.approx(1.0)
    assert short.scores[short.label] == short.score == max(short.scores.values())


def test_the_same_seed_gives_the_same_text_and_another_one_another(session):
    def text(**options):
        return "".join(piece.text for piece in session.generate("为", max_new_tokens=20, **options))

    assert text() == text(seed=5)
    assert text(temperature=1.0, seed=1) == text(temperature=1.0, seed=1)
    assert len({text(temperature=2.0, seed=seed) for seed in range(5)}) > 1


def test_a_prompt_longer_than_the_context_is_continued(session, monkeypatch):
    choose(monkeypatch, session, "劳")
    assert [piece.text for piece in session.generate("劳动合同可以约定" * 20, max_new_tokens=8)] == ["劳"] * 8


def test_the_end_of_text_ends_the_answer(session, monkeypatch):
    choose(monkeypatch, session, "<eos>")
    assert [piece.text for piece in session.generate("劳动", max_new_tokens=8)] == []


@pytest.mark.parametrize("count", [0, 65])
def test_too_many_tokens_are_refused_before_the_first(session, count):
    with pytest.raises(ValueError, match="must be 1 to 64"):
        session.generate("为", max_new_tokens=count)


def test_half_a_character_is_never_shown(session, monkeypatch):
    ids = [session._tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in "囍a龘".encode() + b"\xe5\x9b"]
    assert None not in ids
    pending = iter(ids)
    monkeypatch.setattr("shared.serving._Sampler.pick", lambda *_: next(pending))
    pieces = list(session.generate("x", max_new_tokens=len(ids)))
    assert [piece.text for piece in pieces] == ["囍", "a", "龘", ""]
    assert sum(piece.num_tokens for piece in pieces) == len(ids)


def test_a_bundle_without_labels_continues_text_and_refuses_to_classify(world, tmp_path, monkeypatch):
    documents = [document(text, None) for text in TEXTS]
    corpus = write_version(world.store, documents)
    digest = trainer.run(world.job(corpus=corpus), tmp_path).bundle_digest
    bundle.load(world.store, digest, tmp_path / "loaded")
    session = BundleSession(tmp_path / "loaded")
    session.warm()
    assert session.labels == ()
    choose(monkeypatch, session, "劳")
    assert [piece.text for piece in session.generate("为了", max_new_tokens=2)] == ["劳", "劳"]
    with pytest.raises(ValueError, match="without labels"):
        session.classify(["为了"])


def test_serving_needs_no_torch():
    program = "import sys, shared.serving, shared.bundle; sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_session_remembers_no_texts(pristine):
    """Each of 12,000 new texts left 3 kB in the tokenizer's own cache, which outlived the session."""
    shuffle = random.Random(1).sample
    letters = "用人单位自用工之日起即与劳动者建立劳动关系应当订立书面合同" * 2
    texts = ["".join(shuffle(letters, 40)) for _ in range(12_000)]
    BundleSession(pristine)._tokenizer.encode_batch(texts[:100])
    process = psutil.Process()
    before = process.memory_info().rss
    for start in range(0, len(texts), 1_000):
        session = BundleSession(pristine)
        for text in texts[start : start + 1_000]:
            session._tokenizer.encode(text)
    assert process.memory_info().rss - before < 12_000_000
