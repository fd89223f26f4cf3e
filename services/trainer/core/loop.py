"""The training loop: plain, resumable, and over when its token budget is used."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from services.trainer.core.batches import Batch, Cursor
from services.trainer.core.counters import Counters, Losses, mean, smoothed
from services.trainer.core.examples import NO_LABEL
from services.trainer.core.recipe import Recipe
from services.trainer.core.schedule import learning_rate
from shared.lm.adamw import AdamW
from shared.lm.gpt import GPT
from shared.lm.loss import linear_cross_entropy


class Learner:
    """A model in training: fp32 master weights, the working copy that computes, optimizer and counters."""

    def __init__(self, model: GPT, recipe: Recipe, *, peak_rate: float, token_budget: int) -> None:
        self.model = model
        self.counters = Counters()
        self.cursor = Cursor()
        self._recipe, self._peak_rate, self._token_budget = recipe, peak_rate, token_budget
        self._work = working_copy(model, recipe.precision)
        self._optimizer = adamw(model, recipe)

    @property
    def is_done(self) -> bool:
        """Whether the token budget is used."""
        return self.counters.num_tokens >= self._token_budget

    def step(self, batches: list[tuple[Batch, Cursor]]) -> None:
        """Take one optimizer step over some micro-batches; a step whose gradient is not finite changes no weight."""
        losses = [self._backward(batch, share=1.0 / len(batches)) for batch, _ in batches]
        num_tokens = self.counters.num_tokens + sum(batch.num_tokens for batch, _ in batches)
        skipped = not self._update(progress=min(1.0, num_tokens / self._token_budget))
        self.counters = Counters(
            step=self.counters.step + 1,
            num_tokens=num_tokens,
            num_skipped=self.counters.num_skipped + skipped,
            losses=self.counters.losses if skipped else smoothed(self.counters.losses, mean(losses)),
        )
        self.cursor = batches[-1][1]

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs to go on bit by bit."""
        return {
            "counters": asdict(self.counters),
            "cursor": asdict(self.cursor),
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state(),
            "rng": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        counters = dict(state["counters"])
        losses = counters.pop("losses")
        self.counters = Counters(**counters, losses=Losses(**losses) if losses else None)
        self.cursor = Cursor(**state["cursor"])
        self.model.load_state_dict(state["model"])
        self._optimizer.restore(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self._copy_to_work()

    def _backward(self, batch: Batch, *, share: float) -> Losses:
        lm, label = batch_losses(self._work, batch, label_smoothing=self._recipe.label_smoothing)
        joint = lm + self._recipe.label_weight * label
        (joint * share).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        return Losses(joint=joint.item(), lm=lm.item(), label=label.item())

    def _update(self, *, progress: float) -> bool:
        master = list(self.model.parameters())
        if self._work is not self.model:
            _move_gradients(list(self._work.parameters()), master)
        norm = nn.utils.clip_grad_norm_(master, self._recipe.clip_norm)
        is_finite = math.isfinite(norm.item())
        if is_finite:
            self._optimizer.step(self._rate(progress))
            self._copy_to_work()
        self.model.zero_grad()
        return is_finite

    def _rate(self, progress: float) -> float:
        return learning_rate(
            progress,
            peak=self._peak_rate,
            warmup_share=self._recipe.warmup_share,
            final_share=self._recipe.final_rate_share,
        )

    def _copy_to_work(self) -> None:
        if self._work is not self.model:
            with torch.no_grad():
                torch._foreach_copy_(list(self._work.parameters()), list(self.model.parameters()))


def train(learner: Learner, stream: Iterator[tuple[Batch, Cursor]], *, batches_per_step: int) -> Iterator[Counters]:
    """Train until the budget is used, and yield after each step.

    Args:
        learner: Fresh or restored.
        stream: Begins at the learner's cursor, and does not end.
        batches_per_step: Micro-batches whose gradients are averaged.
    """
    while not learner.is_done:
        learner.step(list(islice(stream, batches_per_step)))
        yield learner.counters


def batch_losses(model: GPT, batch: Batch, *, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the language-model and the classification loss of a batch, in nats, fp32.

    The first counts each real position but the last of a document; the second each labelled document, and is zero where
    there is none.
    """
    hidden_BTD = model.model(batch.ids_BT)
    counts_BT = batch.mask_BT[:, 1:]
    hidden_ND, targets_N = hidden_BTD[:, :-1][counts_BT], batch.ids_BT[:, 1:][counts_BT]
    lm = linear_cross_entropy(hidden_ND, model.model.embed_tokens.weight, targets_N)
    if bool((batch.labels_B == NO_LABEL).all()):
        return lm, torch.zeros(())
    logits_BL = model.label_logits(hidden_BTD, batch.mask_BT)
    label = F.cross_entropy(logits_BL.float(), batch.labels_B, ignore_index=NO_LABEL, label_smoothing=label_smoothing)
    return lm, label


def working_copy(model: GPT, precision: str) -> GPT:
    """Return the copy that computes: the model itself in fp32, or its weights in bf16."""
    if precision == "fp32" or (precision == "auto" and not multiplies_bf16()):
        return model
    with torch.random.fork_rng(devices=[]):
        work = GPT(model.config, model.label_head.num_labels)
    work.load_state_dict(model.state_dict())
    return work.to(torch.bfloat16)


def multiplies_bf16() -> bool:
    """Whether this processor has bf16 instructions; elsewhere bf16 is several times slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def adamw(model: GPT, recipe: Recipe) -> AdamW:
    """Return AdamW that decays the trunk's matrices, but neither norms nor the label head."""
    matrices = [weight for weight in model.model.parameters() if weight.dim() > 1]
    norms = [weight for weight in model.model.parameters() if weight.dim() == 1]
    plain = norms + list(model.label_head.parameters())
    return AdamW(matrices, plain, betas=(recipe.beta1, recipe.beta2), decay=recipe.weight_decay)


def _move_gradients(work: list[nn.Parameter], master: list[nn.Parameter]) -> None:
    for source, target in zip(work, master, strict=True):
        target.grad = None if source.grad is None else source.grad.float()
        source.grad = None
