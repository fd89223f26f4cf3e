"""Cross entropy through a tied vocabulary matrix without ever holding all logits.

The gradient is made in the forward pass, piece by piece, while a piece of logits is still in the cache: a fifth of a step of
a small model on a CPU.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

CHUNK_ROWS = 256
"""256 rows of 4,096 fp32 logits are 4 MB."""


def linear_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """Return the mean cross entropy of `hidden @ weight.T` against the targets, in nats, fp32.

    Args:
        hidden_ND: One row for each position that counts; N >= 1.
        weight_VD: The vocabulary matrix, same type as `hidden_ND`.
        targets_N: The right ids.
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden_ND, weight_VD, targets_N)  # type: ignore[no-untyped-call] # torch's
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        grad_ND = torch.empty_like(hidden_ND)
        grad_VD = torch.zeros(weight_VD.shape, dtype=torch.float32, device=weight_VD.device)
        loss = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        for start in range(0, len(targets_N), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            loss += _add_chunk(hidden_ND[rows], weight_VD, targets_N[rows], grad_ND[rows], grad_VD)
        ctx.save_for_backward(grad_ND, grad_VD.to(weight_VD.dtype))
        ctx.scale = 1.0 / len(targets_N)  # type: ignore[attr-defined] # a context takes any attribute
        return loss / len(targets_N)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401 - torch's own signature
        grad_ND, grad_VD = ctx.saved_tensors
        scale = (grads[0] * ctx.scale).to(grad_ND.dtype)
        return grad_ND * scale, grad_VD * scale, None


def _add_chunk(hidden_nD: Tensor, weight_VD: Tensor, targets_n: Tensor, grad_nD: Tensor, grad_VD: Tensor) -> Tensor:
    """Return the summed loss of some rows; write their gradient and add theirs to the matrix's."""
    probs_nV = (hidden_nD @ weight_VD.T).float().softmax(dim=-1)
    target_probs_n1 = probs_nV.gather(1, targets_n[:, None])
    probs_nV.scatter_(1, targets_n[:, None], target_probs_n1 - 1.0)
    slope_nV = probs_nV.to(weight_VD.dtype)
    torch.mm(slope_nV, weight_VD, out=grad_nD)
    grad_VD += slope_nV.T @ hidden_nD
    return -target_probs_n1.clamp_min(torch.finfo(torch.float32).tiny).log().sum()
