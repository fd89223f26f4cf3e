"""The shape of a model, as plain values: readable where torch is not installed."""

from dataclasses import dataclass
from typing import Any

from shared.lm.text import SpecialIds

INIT_STD = 0.02
"""Standard deviation of fresh weights, as in GPT-2 and Llama's `initializer_range`."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a Llama-shaped decoder.

    Attributes:
        vocab_size: tokens, special ones included.
        n_layer: Transformer blocks.
        n_head: query heads; divides `d_model`.
        n_kv_head: key/value heads; divides `n_head`.
        d_model: width of the residual stream.
        d_ff: width of the SwiGLU feed-forward.
        block_size: longest sequence, in tokens.
        rope_theta: base of the rotary frequencies.
        norm_eps: added to the mean square inside RMSNorm.
    """

    vocab_size: int
    n_layer: int
    n_head: int
    n_kv_head: int
    d_model: int
    d_ff: int
    block_size: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5

    @property
    def d_head(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.n_head


def to_hf(config: ModelConfig, special: SpecialIds) -> dict[str, Any]:
    """Return the `config.json` that `transformers` reads as a `LlamaForCausalLM`."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "head_dim": config.d_head,
        "max_position_embeddings": config.block_size,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_eps,
        "initializer_range": INIT_STD,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "bos_token_id": special.bos,
        "eos_token_id": special.eos,
        "pad_token_id": special.pad,
    }


def from_hf(values: dict[str, Any]) -> ModelConfig:
    """Return the shape that a Llama `config.json` describes.

    Raises:
        KeyError: a size is missing.
        ValueError: it is no tied Llama without biases, which is all that this model computes.
    """
    plain = not values.get("attention_bias") and not values.get("mlp_bias")
    if values.get("model_type") != "llama" or not values.get("tie_word_embeddings") or not plain:
        raise ValueError("config.json is not a Llama with tied embeddings and without biases")
    n_head = values["num_attention_heads"]
    return ModelConfig(
        vocab_size=values["vocab_size"],
        n_layer=values["num_hidden_layers"],
        n_head=n_head,
        n_kv_head=values.get("num_key_value_heads", n_head),
        d_model=values["hidden_size"],
        d_ff=values["intermediate_size"],
        block_size=values["max_position_embeddings"],
        rope_theta=values.get("rope_theta", 10_000.0),
        norm_eps=values["rms_norm_eps"],
    )
