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
        decision: What was done: reused, extended (all old ids kept), rebuilt, or built where nothing served.
        reason: Why, with the numbers, for people.
        parent_tokenizer_digest: The tokenizer whose ids the new one keeps; only where one was extended.
        num_new_tokens: Tokens that the extension appended.
        lexicon_digest: The artifact that lists the terms, with their scores and what was filtered.
        report_digest: The artifact that holds the tokenizer's report.
    """

    corpus_digest: Digest
    tokenizer_digest: Digest
    vocab_size: int
    reused: bool
    coverage: Share
    tokens_per_char: float
    decision: Literal["built", "reused", "extended", "rebuilt"] | None = None
    reason: str | None = None
    parent_tokenizer_digest: Digest | None = None
    num_new_tokens: int = 0
    lexicon_digest: Digest | None = None
    report_digest: Digest | None = None


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
