"""What the cleaner is told, from `PLUMBLINE_*`; the rules as PLUMBLINE_CORPUS__MIN_NEW_DOCUMENTS and so on."""

from typing import Annotated

from pydantic import Field

from contracts.corpus import MAX_TEXT_CHARS
from shared.settings import DaemonSettings, Group, OperatorVerifyingSettings


class CorpusRules(Group):
    """What gets into a corpus, and when a version of it is cut without being asked for."""

    min_new_documents: Annotated[int, Field(ge=1)] = 1_000
    """New documents that make a version worth a training."""
    quiet_s: Annotated[float, Field(ge=0)] = 5.0
    """Seconds without a batch or a request before a cut, so that what belongs together lies in one version."""
    request_patience_s: Annotated[float, Field(ge=0)] = 600.0
    """A request for a training waits so long for batches that do not come; then a version is cut of what there is."""
    max_text_chars: Annotated[int, Field(ge=1, le=MAX_TEXT_CHARS)] = 50_000
    """A cleaned text that is longer is rejected."""


class Settings(DaemonSettings, OperatorVerifyingSettings):
    """The cleaner's settings."""

    corpus: CorpusRules = CorpusRules()
    tick_s: Annotated[float, Field(gt=0)] = 0.5
    """How often is looked whether a version is due."""
