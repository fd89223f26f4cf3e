"""The learning rate over a run."""


def learning_rate(progress: float, *, peak: float, warmup_share: float, final_share: float) -> float:
    """Return the rate of the next step: a linear rise, then a linear fall.

    Args:
        progress: Share of the token budget that is used, 0 to 1.
        peak: Highest rate.
        warmup_share: Share of the budget that the rise takes.
        final_share: What is left of the peak at the end.

    Example:
        >>> learning_rate(0.55, peak=1.0, warmup_share=0.1, final_share=0.0)
        0.5
    """
    if progress < warmup_share:
        return peak * progress / warmup_share
    fall = (progress - warmup_share) / (1.0 - warmup_share)
    return peak * (1.0 - (1.0 - final_share) * fall)
