"""The whole model: a Llama decoder with a tied language-model head and a classification head.

Module names are those of Hugging Face's `LlamaForCausalLM`, so the state dict is the published layout.

Shapes, as suffixes: B batch, T time, D model, F feed-forward, H query heads, K key/value heads, E head width (D / H),
V vocabulary, L labels, N real (unpadded) positions of the batch. Batches are padded on the right: the causal mask
keeps real positions from seeing padding, so no attention mask is needed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from shared.lm.config import INIT_STD, ModelConfig


def rotary_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Return cos_TE and sin_TE; both halves of E repeat the same frequencies (Su et al. 2021, half rotation)."""
    exponents_e = torch.arange(0, config.d_head, 2, dtype=torch.float32) / config.d_head
    frequencies_e = 1.0 / config.rope_theta**exponents_e
    angles_Te = torch.outer(torch.arange(config.block_size, dtype=torch.float32), frequencies_e)
    angles_TE = torch.cat((angles_Te, angles_Te), dim=-1)
    return angles_TE.cos(), angles_TE.sin()


def rotate(x_BHTE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Turn each pair (e, e + E/2) of a head by the angle of its position."""
    first, second = x_BHTE.chunk(2, dim=-1)
    return x_BHTE * cos_TE + torch.cat((-second, first), dim=-1) * sin_TE


def attend(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor) -> Tensor:
    """Return causal attention, in fp32 on a CPU: its backward pass takes three times as long in bf16 (torch 2.13)."""
    if q_BHTE.device.type != "cpu":
        return F.scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, is_causal=True)
    y_BHTE = F.scaled_dot_product_attention(q_BHTE.float(), k_BHTE.float(), v_BHTE.float(), is_causal=True)
    return y_BHTE.to(q_BHTE.dtype)


class RMSNorm(nn.Module):
    """Scale to unit mean square (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the scaled input, same shape."""
        return F.rms_norm(x_BTD, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    """Causal grouped-query attention with rotary positions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.d_head = config.n_head, config.n_kv_head, config.d_head
        kv_width = config.n_kv_head * config.d_head
        self.q_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.k_proj = nn.Linear(config.d_model, kv_width, bias=False)
        self.v_proj = nn.Linear(config.d_model, kv_width, bias=False)
        self.o_proj = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(self, x_BTD: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        """Return the attended values, (B, T, D)."""
        B, T, D = x_BTD.shape
        q_BHTE = rotate(self._heads(self.q_proj(x_BTD), self.n_head), cos_TE, sin_TE)
        k_BKTE = rotate(self._heads(self.k_proj(x_BTD), self.n_kv_head), cos_TE, sin_TE)
        v_BKTE = self._heads(self.v_proj(x_BTD), self.n_kv_head)
        group = self.n_head // self.n_kv_head
        k_BHTE, v_BHTE = (x.repeat_interleave(group, dim=1) if group > 1 else x for x in (k_BKTE, v_BKTE))
        y_BHTE = attend(q_BHTE, k_BHTE, v_BHTE)
        out_BTD: Tensor = self.o_proj(y_BHTE.transpose(1, 2).reshape(B, T, D))
        return out_BTD

    def _heads(self, x_BTD: Tensor, heads: int) -> Tensor:
        B, T, _ = x_BTD.shape
        return x_BTD.view(B, T, heads, self.d_head).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.up_proj = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.down_proj = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the transformed input, same shape."""
        out_BTD: Tensor = self.down_proj(F.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))
        return out_BTD


class Block(nn.Module):
    """One pre-norm Transformer block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.d_model, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.d_model, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x_BTD: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        """Return the residual stream after this block."""
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), cos_TE, sin_TE)
        out_BTD: Tensor = x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))
        return out_BTD


class Trunk(nn.Module):
    """Embeddings, blocks and the final norm: token ids to hidden states."""

    cos_TE: Tensor
    sin_TE: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = RMSNorm(config.d_model, config.norm_eps)
        cos_TE, sin_TE = rotary_tables(config)
        self.register_buffer("cos_TE", cos_TE, persistent=False)
        self.register_buffer("sin_TE", sin_TE, persistent=False)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Return the final hidden states, (B, T, D); T <= block_size."""
        T = ids_BT.shape[1]
        cos_TE, sin_TE = self.cos_TE[:T], self.sin_TE[:T]
        x_BTD = self.embed_tokens(ids_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, cos_TE, sin_TE)
        hidden_BTD: Tensor = self.norm(x_BTD)
        return hidden_BTD


class LabelHead(nn.Module):
    """Linear classes over a pooled hidden state; may have none (`nn.Linear` warns of that)."""

    def __init__(self, width: int, num_labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_labels, width).normal_(std=INIT_STD))
        self.bias = nn.Parameter(torch.zeros(num_labels))

    @property
    def num_labels(self) -> int:
        """Rows of the head."""
        return self.bias.shape[0]

    def forward(self, pooled_BD: Tensor) -> Tensor:
        """Return the logit of each class, (B, L)."""
        return F.linear(pooled_BD, self.weight, self.bias)


class GPT(nn.Module):
    """The trunk with its two heads."""

    def __init__(self, config: ModelConfig, num_labels: int) -> None:
        """Make a model with fresh weights, drawn from torch's global generator.

        Args:
            config: sizes.
            num_labels: rows of the classification head; 0 for a model that only continues text.
        """
        super().__init__()
        self.config = config
        self.model = Trunk(config)
        self.label_head = LabelHead(config.d_model, num_labels)
        self.apply(_init_weights)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Return next-token logits of every position, (B, T, V)."""
        return self.next_logits(self.model(ids_BT))

    def next_logits(self, hidden_BTD: Tensor) -> Tensor:
        """Return next-token logits through the tied embedding; any leading shape."""
        return F.linear(hidden_BTD, self.model.embed_tokens.weight)

    def label_logits(self, hidden_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """Return label logits (B, L): the mean over real positions, then linear.

        Args:
            hidden_BTD: final hidden states.
            mask_BT: true at real positions; at least one in each row.
        """
        weights_BT = mask_BT.to(hidden_BTD.dtype)
        pooled_BD = torch.einsum("btd,bt->bd", hidden_BTD, weights_BT) / weights_BT.sum(dim=1, keepdim=True)
        logits_BL: Tensor = self.label_head(pooled_BD)
        return logits_BL


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INIT_STD)


def num_parameters(model: nn.Module) -> int:
    """Return the number of weights, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
