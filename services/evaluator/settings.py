"""What the evaluator is told, from `PLUMBLINE_*`; the gates as PLUMBLINE_GATES__MIN_MARGIN and so on."""

from typing import Annotated

from pydantic import Field

from shared.settings import BundleVerifyingSettings, DaemonSettings, Group

Share = Annotated[float, Field(ge=0, le=1)]


class Gates(Group):
    """What a bundle must reach to be released."""

    min_documents: Annotated[int, Field(ge=1)] = 50
    """Labelled held-out documents below which no judgement is made, and the gate stays shut."""
    min_margin: Share = 0.05
    """By how much the accuracy must beat the share of the largest held-out class: what a constant answer would reach."""
    max_accuracy_drop: Share = 0.05
    """How far the accuracy may fall below the serving bundle's on the same documents."""
    max_documents: Annotated[int, Field(ge=1)] = 3_000
    """Documents that are judged; beyond it a sample that is pinned by their text's hash."""


class Settings(DaemonSettings, BundleVerifyingSettings):
    """The evaluator's settings."""

    gates: Gates = Gates()
