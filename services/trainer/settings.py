"""What the trainer is told, from `PLUMBLINE_*`; the recipe with its token budgets as PLUMBLINE_RECIPE__FIRST_TOKENS and so on."""

from typing import Annotated

from pydantic import Field

from services.trainer.core.recipe import Recipe
from shared.settings import BundleSigningSettings, BundleVerifyingSettings, DaemonSettings


class Settings(DaemonSettings, BundleSigningSettings, BundleVerifyingSettings):
    """The trainer's settings."""

    recipe: Recipe = Recipe()
    """Every number that decides what a training makes."""
    training_threads: Annotated[int, Field(ge=1)] = 1
    """Processor threads of a training; a model this small gains little by a second one, which serving can use."""
    checkpoint_interval_s: Annotated[float, Field(gt=0)] = 5.0
    """Work that a crash may cost."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 15
    """How far a training stands back for serving on the same machine."""
