"""Events from a corpus version to a sealed bundle."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Digest, Event

Share = Annotated[float, Field(ge=0, le=1)]


class TrainingRequested(Event):
    """Somebody asks for a corpus version now; it waits for the batches that are listed."""

    reason: Literal["operator", "drift", "drill"]
    batch_ids: tuple[UUID, ...]


class TokenizerReady(Event):
    """A tokenizer fits a corpus version.

    Attributes:
        reused: True: the serving tokenizer still covers the new text, training goes on from the serving weights.
        coverage: Share of the new text's characters that need no byte fallback.
        tokens_per_char: Fertility on the new text; lower is better.
    """

    corpus_digest: Digest
    tokenizer_digest: Digest
    vocab_size: int
    reused: bool
    coverage: Share
    tokens_per_char: float


class TrainingProgressed(Event):
    """A training run moved on; for people, nothing decides by it.

    Attributes:
        run_id: The id of the `tokenizer-ready` event that caused the run.
        loss: Mean joint loss since the last report, in nats.
    """

    run_id: UUID
    step: int
    num_tokens: int
    token_budget: int
    loss: float
    tokens_per_s: float
    eta_s: float


class ModelTrained(Event):
    """A training run ended in a sealed bundle.

    `ancestors` lists the bundles whose weights it continues, nearest first; empty for a training from scratch.
    """

    run_id: UUID
    bundle_digest: Digest
    corpus_digest: Digest
    tokenizer_digest: Digest
    ancestors: tuple[Digest, ...]
    num_tokens: int
    loss: float
    duration_s: float
