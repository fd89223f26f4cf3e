"""The serving form: one ONNX graph, written node by node from the weights. No torch, and the same bytes every time.

Inputs `input_ids` (B, T) and `attention_mask` (B, T), int64, padded on the right. Outputs `next_logits` (B, V) of each row's
last real position and, where the model has labels, `label_logits` (B, L). Operators of ONNX opset 23, which ONNX Runtime
computes in fused kernels. Shapes as in `shared.lm.gpt`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from shared.lm.config import ModelConfig

OPSET, IR_VERSION = 23, 11
INPUT_IDS, ATTENTION_MASK = "input_ids", "attention_mask"
LABEL_LOGITS, NEXT_LOGITS = "label_logits", "next_logits"

NEEDS_NO_PREPARATION = {"onnx.quant.pre_process": "onnxruntime.quant"}
"""What ONNX Runtime's own preparation leaves behind; without it every quantisation logs a warning to run that first."""

Weights = Mapping[str, NDArray[np.float32]]


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's own
        """Append a node with one output; the output bears the node's name."""
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def linear(self, x: str, weight: NDArray[np.float32], *, name: str) -> str:
        """Append x @ weight.T; `weight` is (out, in), as torch keeps it."""
        return self.add("MatMul", x, self.constant(f"{name}.weight", weight.T), name=name)


def build_graph(config: ModelConfig, weights: Weights) -> onnx.ModelProto:
    """Return the fp32 graph.

    Args:
        config: Sizes of the model.
        weights: The trunk's and, where there are labels, the label head's, named as in `shared.lm.gpt`.
    """
    graph = _Graph()
    hidden_BTD = _trunk(graph, config, weights)
    lengths_B = _lengths(graph)
    outputs = [_next_logits(graph, weights, hidden_BTD, lengths_B)]
    outputs += _label_logits(graph, weights, hidden_BTD, lengths_B)
    proto = helper.make_graph(graph.nodes, "plumbline", _inputs(), outputs, graph.constants)
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="plumbline"
    )
    helper.set_model_props(model, NEEDS_NO_PREPARATION)
    onnx.checker.check_model(model)
    return model


def quantize(source: Path, target: Path) -> None:
    """Write the graph at `source` with int8 weights, scaled per output channel; activations are scaled at run time.

    The scale of activations is one for the whole batch, so a text's answer depends on its neighbours in the last digits:
    serving runs each text alone. The label head stays fp32: it costs nothing, and its rounding would hit the answer directly.
    """
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=["label_head"],
    )


def _inputs() -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in (INPUT_IDS, ATTENTION_MASK)]


def _trunk(graph: _Graph, config: ModelConfig, weights: Weights) -> str:
    embedding = graph.constant("model.embed_tokens.weight", weights["model.embed_tokens.weight"])
    graph.constant("rope.cos", _rotary_angles(config, np.cos))
    graph.constant("rope.sin", _rotary_angles(config, np.sin))
    positions_BT = _positions(graph)
    x_BTD = graph.add("Gather", embedding, INPUT_IDS, name="embedded")
    for layer in range(config.n_layer):
        x_BTD = _block(graph, config, weights, x_BTD, positions_BT, prefix=f"model.layers.{layer}")
    return _norm(graph, config, weights, x_BTD, name="model.norm")


def _rotary_angles(config: ModelConfig, function: np.ufunc) -> NDArray[np.float32]:
    """Return the cosine or sine of (position, frequency), (T, E / 2), for every position of the context."""
    exponents_e = np.arange(0, config.d_head, 2, dtype=np.float32) / np.float32(config.d_head)
    frequencies_e = np.float32(1.0) / np.float32(config.rope_theta) ** exponents_e
    angles_Te = np.outer(np.arange(config.block_size, dtype=np.float32), frequencies_e)
    values: NDArray[np.float32] = function(angles_Te).astype(np.float32)
    return values


def _positions(graph: _Graph) -> str:
    """Append 0, 1, 2 ... for each row; padding behind it repeats the last number, which nothing reads."""
    axis = graph.constant("positions.axis", np.array(1, dtype=np.int64))
    return graph.add("CumSum", ATTENTION_MASK, axis, name="positions", exclusive=1)


def _norm(graph: _Graph, config: ModelConfig, weights: Weights, x: str, *, name: str) -> str:
    scale = graph.constant(f"{name}.weight", weights[f"{name}.weight"])
    return graph.add("RMSNormalization", x, scale, name=name, epsilon=config.norm_eps)


def _block(graph: _Graph, config: ModelConfig, weights: Weights, x: str, positions: str, *, prefix: str) -> str:
    normed = _norm(graph, config, weights, x, name=f"{prefix}.input_layernorm")
    attended = _attention(graph, config, weights, normed, positions, prefix=f"{prefix}.self_attn")
    x = graph.add("Add", x, attended, name=f"{prefix}.after_attention")
    normed = _norm(graph, config, weights, x, name=f"{prefix}.post_attention_layernorm")
    fed = _feed_forward(graph, weights, normed, prefix=f"{prefix}.mlp")
    return graph.add("Add", x, fed, name=f"{prefix}.output")


def _attention(graph: _Graph, config: ModelConfig, weights: Weights, x: str, positions: str, *, prefix: str) -> str:
    heads = {"q": config.n_head, "k": config.n_kv_head, "v": config.n_kv_head}
    q, k, v = (graph.linear(x, weights[f"{prefix}.{part}_proj.weight"], name=f"{prefix}.{part}_proj") for part in heads)
    q, k = (
        graph.add(
            "RotaryEmbedding", y, "rope.cos", "rope.sin", positions,
            name=f"{prefix}.{part}_rotated", num_heads=heads[part], interleaved=0,
        )
        for part, y in (("q", q), ("k", k))
    )  # fmt: skip
    mixed = graph.add(
        "Attention", q, k, v,
        name=f"{prefix}.mixed", is_causal=1, q_num_heads=config.n_head, kv_num_heads=config.n_kv_head,
    )  # fmt: skip
    return graph.linear(mixed, weights[f"{prefix}.o_proj.weight"], name=f"{prefix}.o_proj")


def _feed_forward(graph: _Graph, weights: Weights, x: str, *, prefix: str) -> str:
    gate = graph.linear(x, weights[f"{prefix}.gate_proj.weight"], name=f"{prefix}.gate_proj")
    up = graph.linear(x, weights[f"{prefix}.up_proj.weight"], name=f"{prefix}.up_proj")
    sigmoid = graph.add("Sigmoid", gate, name=f"{prefix}.sigmoid")
    silu = graph.add("Mul", gate, sigmoid, name=f"{prefix}.silu")
    product = graph.add("Mul", silu, up, name=f"{prefix}.product")
    return graph.linear(product, weights[f"{prefix}.down_proj.weight"], name=f"{prefix}.down_proj")


def _lengths(graph: _Graph) -> str:
    axes = graph.constant("lengths.axes", np.array([1], dtype=np.int64))
    return graph.add("ReduceSum", ATTENTION_MASK, axes, name="lengths", keepdims=1)


def _next_logits(graph: _Graph, weights: Weights, hidden_BTD: str, lengths_B1: str) -> onnx.ValueInfoProto:
    one = graph.constant("last.one", np.array(1, dtype=np.int64))
    last_B1 = graph.add("Sub", lengths_B1, one, name="last.index")
    last_BD = graph.add("GatherND", hidden_BTD, last_B1, name="last.hidden", batch_dims=1)
    graph.linear(last_BD, weights["model.embed_tokens.weight"], name=NEXT_LOGITS)
    vocab_size = weights["model.embed_tokens.weight"].shape[0]
    return helper.make_tensor_value_info(NEXT_LOGITS, TensorProto.FLOAT, ["B", vocab_size])


def _label_logits(graph: _Graph, weights: Weights, hidden_BTD: str, lengths_B1: str) -> list[onnx.ValueInfoProto]:
    """Append the mean over real positions and the label head; nothing for a model without labels."""
    num_labels = weights["label_head.weight"].shape[0]
    if not num_labels:
        return []
    mask_BT = graph.add("Cast", ATTENTION_MASK, name="pooled.mask", to=TensorProto.FLOAT)
    axes = graph.constant("pooled.axes", np.array([1], dtype=np.int64))
    mask_B1T = graph.add("Unsqueeze", mask_BT, axes, name="pooled.row")
    sum_B1D = graph.add("MatMul", mask_B1T, hidden_BTD, name="pooled.sum")
    sum_BD = graph.add("Squeeze", sum_B1D, axes, name="pooled.total")
    count_B1 = graph.add("Cast", lengths_B1, name="pooled.count", to=TensorProto.FLOAT)
    pooled_BD = graph.add("Div", sum_BD, count_B1, name="pooled")
    product_BL = graph.linear(pooled_BD, weights["label_head.weight"], name="label_head")
    bias = graph.constant("label_head.bias", weights["label_head.bias"])
    graph.add("Add", product_BL, bias, name=LABEL_LOGITS)
    return [helper.make_tensor_value_info(LABEL_LOGITS, TensorProto.FLOAT, ["B", num_labels])]
