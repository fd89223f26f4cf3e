"""What the trainer daemon asks of its child process, and what it gets back."""

import hashlib
from typing import Annotated

from pydantic import Field

from contracts.envelope import Contract, Digest, Domain
from services.trainer.core.counters import Counters
from services.trainer.core.recipe import Recipe
from shared.bundle import VocabularyTransfer


class TrainingJob(Contract):
    """One training run. Its folder holds checkpoints, the bundle that is being put together and the result.

    Attributes:
        artifacts_url: The artifact store.
        parent_bundle_digest: The bundle whose weights are trained on, if the recipe finds its vocabulary like enough; None: from
            scratch.
        vectors_digest: Word vectors by which rows of new tokens may begin; None: there are none, or the recipe asks for none.
        recipe: Every number that decides the outcome.
        num_threads: Processor threads; the outcome depends on them in the last bits.
        checkpoint_interval_s: Work that a crash may cost.
        progress_interval_s: Time between two lines of progress.
    """

    artifacts_url: str
    domain: Domain
    corpus_digest: Digest
    tokenizer_digest: Digest
    parent_bundle_digest: Digest | None
    vectors_digest: Digest | None = None
    recipe: Recipe = Recipe()
    num_threads: Annotated[int, Field(gt=0)] = 1
    checkpoint_interval_s: Annotated[float, Field(gt=0)] = 5.0
    progress_interval_s: Annotated[float, Field(ge=0)] = 1.0


class TrainingResult(Contract):
    """How a run ended; the same job gives the same result, however often it was interrupted.

    Attributes:
        ancestors: Bundles whose weights it continues, nearest first.
        loss: Smoothed joint loss at the end, in nats.
        transfer: How the parent's embedding came to this vocabulary; None where that is the parent's, or there is no parent.
    """

    bundle_digest: Digest
    corpus_digest: Digest
    tokenizer_digest: Digest
    ancestors: tuple[Digest, ...]
    labels: tuple[str, ...]
    token_budget: int
    num_tokens: int
    num_steps: int
    num_skipped_steps: int
    loss: float
    lm_loss: float
    label_loss: float
    transfer: VocabularyTransfer | None = None


class ProgressLine(Contract):
    """One line of the child's standard output; losses in nats, smoothed."""

    step: int
    tokens: int
    total_tokens: int
    loss: float
    lm_loss: float
    cls_loss: float
    tokens_per_s: float
    eta_s: float


def progress_line(counters: Counters, token_budget: int, *, tokens_per_s: float) -> ProgressLine:
    """Return how far a run is.

    Args:
        counters: After at least one step that was not skipped, or the losses are shown as 0.
        token_budget: Real tokens of the whole run.
        tokens_per_s: Speed since the last line.
    """
    losses = counters.losses
    return ProgressLine(
        step=counters.step,
        tokens=counters.num_tokens,
        total_tokens=token_budget,
        loss=losses.joint if losses else 0.0,
        lm_loss=losses.lm if losses else 0.0,
        cls_loss=losses.label if losses else 0.0,
        tokens_per_s=tokens_per_s,
        eta_s=max(0, token_budget - counters.num_tokens) / max(tokens_per_s, 1.0),
    )


def child_environment(num_threads: int) -> dict[str, str]:
    """Return what the child's environment must hold before Python starts.

    OpenMP threads that spin while they wait were four times slower beside busy neighbours, so they sleep.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(num_threads), "TOKENIZERS_PARALLELISM": "true"}


def fingerprint(job: TrainingJob) -> str:
    """Return a digest of what decides the outcome; a checkpoint of another one is of no use."""
    decides = job.model_dump_json(exclude={"artifacts_url", "checkpoint_interval_s", "progress_interval_s"})
    return hashlib.sha256(decides.encode()).hexdigest()
