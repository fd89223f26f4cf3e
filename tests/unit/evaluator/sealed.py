"""Small sealed bundles whose answers are known: the serving form looks the label up by the text's first character."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from shared import bundle, bundle_signing
from shared.artifacts import ArtifactStore
from shared.lm.config import ModelConfig, to_hf
from shared.lm.text import special_ids
from tests.keys import BUNDLE_SIGNER

SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"]


def seal_lookup_bundle(
    store: ArtifactStore,
    folder: Path,
    *,
    answers: Mapping[str, str],
    corpus_digest: str,
    parents: tuple[str, ...] = (),
    labels: tuple[str, ...] | None = None,
    serving_model: bytes | None = None,
) -> str:
    """Seal and sign a bundle that answers a text with the label of its first character, and return its digest."""
    labels = tuple(sorted(set(answers.values()))) if labels is None else labels
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *sorted(answers)])}
    model = ModelConfig(
        vocab_size=len(vocabulary), n_layer=1, n_head=1, n_kv_head=1, d_model=2, d_ff=2, block_size=16
    )  # fmt: skip
    (folder / "serving").mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split("", "isolated")
    tokenizer.save(str(folder / bundle.TOKENIZER))
    save_file({"model.embed_tokens.weight": np.zeros((len(vocabulary), 2), np.float32)}, folder / bundle.WEIGHTS)
    save_file({"label_head.weight": np.zeros((len(labels), 2), np.float32)}, folder / bundle.HEADS)
    written = {
        bundle.CONFIG: to_hf(model, special_ids(tokenizer)), bundle.LABELS: labels,
        bundle.GENERATION: {}, bundle.TRAINING: {"answers": dict(answers)},
    }  # fmt: skip
    for name, value in written.items():
        (folder / name).write_text(json.dumps(value))
    graph = _lookup_graph(vocabulary, answers, labels) if serving_model is None else serving_model
    (folder / bundle.SERVING_MODEL).write_bytes(graph)
    digest = bundle.seal(
        store,
        folder,
        domain="law",
        parents=bundle.Parents(
            corpus_digest=corpus_digest,
            tokenizer_digest=bundle.file_digest(folder / bundle.TOKENIZER),
            parent_bundle_digest=parents[0] if parents else None,
            ancestors=parents,
            code="test",
        ),
        model=model,
        training=bundle.TrainingRecord(
            token_budget=1, num_tokens=1, num_steps=1, num_skipped_steps=0, seed=0, loss=1.0
        ),
    )
    bundle_signing.sign(store, digest, BUNDLE_SIGNER)
    return digest


def _lookup_graph(vocabulary: Mapping[str, int], answers: Mapping[str, str], labels: tuple[str, ...]) -> bytes:
    table = np.zeros((len(vocabulary), max(1, len(labels))), np.float32)
    for character, label in answers.items():
        if label in labels:
            table[vocabulary[character], labels.index(label)] = 5.0
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.zeros((len(vocabulary),) * 2, np.float32), "next"),
        numpy_helper.from_array(np.array(1, np.int64), "first"),
    ]
    nodes = [
        helper.make_node("Gather", ["input_ids", "first"], ["first_id"], axis=1),
        helper.make_node("Gather", ["table", "first_id"], ["label_logits"]),
        helper.make_node("Gather", ["next", "first_id"], ["next_logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in ("input_ids", "attention_mask")
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", None]) for name in ("label_logits", "next_logits")
    ]
    graph = helper.make_graph(nodes, "lookup", inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()
