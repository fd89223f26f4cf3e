"""How far a run is, as plain values."""

from dataclasses import asdict, dataclass

LOSS_DECAY = 0.98
"""The smoothed losses remember about 50 steps."""


@dataclass(frozen=True)
class Losses:
    """Mean losses in nats; `joint` is what the optimizer sees."""

    joint: float
    lm: float
    label: float


@dataclass(frozen=True)
class Counters:
    """How far a run is.

    Attributes:
        step: Optimizer steps, skipped ones included.
        num_tokens: Real tokens that were trained on.
        num_skipped: Steps that were left out, since their gradient was not finite.
        losses: Smoothed over the last steps; None before the first.
    """

    step: int = 0
    num_tokens: int = 0
    num_skipped: int = 0
    losses: Losses | None = None


def mean(losses: list[Losses]) -> Losses:
    """Return the mean of each loss."""
    return Losses(*(sum(values) / len(losses) for values in zip(*(asdict(x).values() for x in losses), strict=True)))


def smoothed(before: Losses | None, now: Losses) -> Losses:
    """Return the exponential mean after one more step."""
    if before is None:
        return now
    pairs = zip(asdict(before).values(), asdict(now).values(), strict=True)
    return Losses(*(LOSS_DECAY * old + (1.0 - LOSS_DECAY) * new for old, new in pairs))
