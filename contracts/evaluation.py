"""The judgement of a bundle in its serving form."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Contract, Digest, Event
from contracts.training import Share


class Score(Contract):
    """How a bundle classifies one slice of the held-out documents.

    Attributes:
        slice: `old` documents were in the serving bundle's corpus version, `new` ones were not, `all` is both. All are new if
            nothing serves.
        n: Number of labelled held-out documents.
        accuracy: Share of right labels.
        macro_f1: Mean F1 over the classes that the slice holds; higher is better.
        majority_share: Share of the largest class: what a constant answer reaches.
    """

    slice: Literal["all", "old", "new"]
    n: Annotated[int, Field(ge=0)]
    accuracy: Share
    macro_f1: Share
    majority_share: Share


class ModelEvaluated(Event):
    """A bundle was judged; only one that passed can be released.

    Attributes:
        passed: Whether every gate was passed.
        reasons: One sentence a gate, with value and limit.
        floor_accuracy: The accuracy on `all` that was asked for: largest held-out class plus the configured margin.
        serving_digest: The bundle that it was compared with on the same documents, if one served.
    """

    run_id: UUID
    bundle_digest: Digest
    corpus_digest: Digest
    ancestors: tuple[Digest, ...]
    passed: bool
    reasons: tuple[str, ...]
    floor_accuracy: float
    scores: tuple[Score, ...]
    serving_digest: Digest | None
    serving_scores: tuple[Score, ...]
