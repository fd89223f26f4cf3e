"""AdamW (Loshchilov and Hutter 2019, algorithm 2), as torch.optim computes it.

Its own, since making torch.optim's first optimizer loads torch's compiler: 1.4 s of a training that may last ten.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

EPS = 1e-8


class AdamW:
    """The optimizer and its moments.

    Attributes:
        num_steps: Steps taken; the moments' bias correction depends on it.
    """

    def __init__(
        self,
        decayed: Iterable[nn.Parameter],
        plain: Iterable[nn.Parameter],
        *,
        betas: tuple[float, float],
        decay: float,
    ) -> None:
        """Begin with moments of zero.

        Args:
            decayed: Weights that shrink by rate x `decay` each step.
            plain: Weights that do not.
            betas: Memory of the first and of the second moment.
            decay: Weight decay.
        """
        self.num_steps = 0
        self._betas = betas
        self._weights = [(weight, decay) for weight in decayed] + [(weight, 0.0) for weight in plain]
        self._first = [torch.zeros_like(weight) for weight, _ in self._weights]
        self._second = [torch.zeros_like(weight) for weight, _ in self._weights]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move each weight that has a gradient."""
        self.num_steps += 1
        for (weight, decay), first, second in zip(self._weights, self._first, self._second, strict=True):
            if weight.grad is not None:
                weight.mul_(1.0 - rate * decay)
                self._move(weight, weight.grad, first, second, rate)

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {"num_steps": self.num_steps, "first": self._first, "second": self._second}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.num_steps = state["num_steps"]
        for own, stored in ((self._first, state["first"]), (self._second, state["second"])):
            for moment, value in zip(own, stored, strict=True):
                moment.copy_(value)

    def _move(self, weight: Tensor, grad: Tensor, first: Tensor, second: Tensor, rate: float) -> None:
        beta1, beta2 = self._betas
        first.lerp_(grad, 1.0 - beta1)
        second.mul_(beta2).addcmul_(grad, grad, value=1.0 - beta2)
        spread = second.sqrt().div_(math.sqrt(1.0 - beta2**self.num_steps)).add_(EPS)
        weight.addcdiv_(first, spread, value=-rate / (1.0 - beta1**self.num_steps))
