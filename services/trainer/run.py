"""The child process that trains: `python -m services.trainer.run JOB.json`.

It writes progress as JSON lines and `result.json` beside the job, and ends when its standard input does. Killed at any moment and
started again, it goes on from its last checkpoint and ends with the same result.
"""

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from contracts.envelope import Digest
from services.trainer import adapters
from services.trainer.core.batches import batches_from
from services.trainer.core.counters import Counters, Losses
from services.trainer.core.examples import TrainingSet, training_set
from services.trainer.core.job import TrainingJob, TrainingResult, fingerprint, progress_line
from services.trainer.core.loop import Learner, train
from services.trainer.core.model import fresh_model, with_labels
from shared.artifacts import ArtifactStore
from shared.bundle import TrainingRecord, VocabularyTransfer
from shared.child import do_job, exit_with_parent
from shared.errors import RunFailed
from shared.lm.checkpoint import load_checkpoint, save_checkpoint
from shared.lm.gpt import GPT
from shared.lm.text import special_ids

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to go on.

    Attributes:
        tokenizer_json: The tokenizer's file, byte for byte.
        pad_id: What batches are padded with.
        ancestors: Bundles whose weights it continues, nearest first.
        transfer: How the parent's embedding came to the run's vocabulary, if it had another.
    """

    tokenizer_json: bytes
    pad_id: int
    examples: TrainingSet
    learner: Learner
    token_budget: int
    ancestors: tuple[Digest, ...]
    transfer: VocabularyTransfer | None


def main(job_file: Path) -> int:
    """Do the job and return the exit code; 65: it cannot be done, for the reason on the last line of standard error."""
    exit_with_parent()
    return do_job(job_file, TrainingJob, run)


def run(job: TrainingJob, folder: Path) -> TrainingResult:
    """Train, seal the bundle, and return how it ended.

    Args:
        job: What to train.
        folder: Work folder of this job alone; a checkpoint in it is gone on from.

    Raises:
        RunFailed: There is nothing to learn from.
        ArtifactMissing: An input is gone.
    """
    torch.set_num_threads(job.num_threads)
    store = ArtifactStore(job.artifacts_url)
    prepared = prepare(store, job, folder)
    train_to_the_end(prepared, job, folder / CHECKPOINT)
    return finish(store, prepared, job, folder / "bundle")


def prepare(store: ArtifactStore, job: TrainingJob, folder: Path) -> Prepared:
    """Read the inputs and restore the last checkpoint, if there is one of this job."""
    tokenizer_json = store.read_bytes(job.tokenizer_digest)
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    parent = adapters.read_parent(store, job, tokenizer, folder / "parent")
    new, old = adapters.read_texts(store, job.corpus_digest, parent.manifest.parents.corpus_digest if parent else None)
    examples = training_set(
        new,
        old,
        tokenizer,
        known_labels=parent.manifest.labels if parent else (),
        block_size=parent.model.config.block_size if parent else job.recipe.block_size,
    )
    if not examples.new and not examples.replay:
        raise RunFailed("the corpus version holds no document that may be trained on", next_step="submit documents")
    budget = job.recipe.token_budget(
        num_new_documents=len(examples.new), num_tokens=examples.num_tokens, continues=parent is not None
    )
    model = _model(job, parent.model if parent else None, tokenizer.get_vocab_size(), len(examples.labels))
    learner = Learner(
        model, job.recipe, peak_rate=job.recipe.peak_rate(continues=parent is not None), token_budget=budget
    )
    _restore(learner, folder / CHECKPOINT, fingerprint(job))
    return Prepared(
        tokenizer_json,
        special_ids(tokenizer).pad,
        examples,
        learner,
        budget,
        ancestors=parent.ancestors if parent else (),
        transfer=parent.transfer if parent else None,
    )


def train_to_the_end(prepared: Prepared, job: TrainingJob, checkpoint: Path) -> None:
    """Use up the token budget; tell how it goes, and keep a checkpoint every few seconds and at the end."""
    learner, recipe = prepared.learner, job.recipe
    stream = batches_from(
        prepared.examples,
        learner.cursor,
        seed=recipe.seed,
        tokens_per_batch=recipe.tokens_per_batch,
        num_replay=recipe.num_replay(len(prepared.examples.new)),
        pad_id=prepared.pad_id,
    )
    reporter = _Reporter(prepared.token_budget, job.progress_interval_s, learner.counters)
    saved_s = time.monotonic()
    for counters in train(learner, stream, batches_per_step=recipe.batches_per_step):
        reporter.tell(counters, is_last=learner.is_done)
        if learner.is_done or time.monotonic() - saved_s >= job.checkpoint_interval_s:
            save_checkpoint(checkpoint, {**learner.state(), "fingerprint": fingerprint(job)})
            saved_s = time.monotonic()


def finish(store: ArtifactStore, prepared: Prepared, job: TrainingJob, folder: Path) -> TrainingResult:
    """Put the bundle together from scratch, seal it, and return the result."""
    shutil.rmtree(folder, ignore_errors=True)
    labels, counters = prepared.examples.labels, prepared.learner.counters
    losses = counters.losses or Losses(joint=0.0, lm=0.0, label=0.0)
    adapters.write_bundle(folder, prepared.learner.model, labels, prepared.tokenizer_json, job)
    record = TrainingRecord(
        token_budget=prepared.token_budget,
        num_tokens=counters.num_tokens,
        num_steps=counters.step,
        num_skipped_steps=counters.num_skipped,
        seed=job.recipe.seed,
        loss=losses.joint,
        transfer=prepared.transfer,
    )
    return TrainingResult(
        bundle_digest=adapters.seal(store, folder, job, prepared.ancestors, record),
        corpus_digest=job.corpus_digest,
        tokenizer_digest=job.tokenizer_digest,
        ancestors=prepared.ancestors,
        labels=labels,
        lm_loss=losses.lm,
        label_loss=losses.label,
        **record.model_dump(exclude={"seed"}),
    )


def _model(job: TrainingJob, parent: GPT | None, vocab_size: int, num_labels: int) -> GPT:
    if parent is None:
        return fresh_model(job.recipe, vocab_size=vocab_size, num_labels=num_labels)
    return with_labels(parent, num_labels=num_labels, seed=job.recipe.seed)


def _restore(learner: Learner, checkpoint: Path, expected: str) -> None:
    state = load_checkpoint(checkpoint)
    if state and state["fingerprint"] == expected:
        learner.restore(state)


class _Reporter:
    """Writes progress to standard output, not more often than asked for."""

    def __init__(self, token_budget: int, interval_s: float, counters: Counters) -> None:
        self._token_budget, self._interval_s = token_budget, interval_s
        self._told_s, self._told_tokens = time.monotonic(), counters.num_tokens

    def tell(self, counters: Counters, *, is_last: bool) -> None:
        passed_s = time.monotonic() - self._told_s
        if passed_s < self._interval_s and not is_last:
            return
        speed = (counters.num_tokens - self._told_tokens) / max(passed_s, 1e-6)
        sys.stdout.write(progress_line(counters, self._token_budget, tokens_per_s=speed).model_dump_json() + "\n")
        sys.stdout.flush()
        self._told_s, self._told_tokens = time.monotonic(), counters.num_tokens


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
