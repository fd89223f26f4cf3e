"""Tokenizer in, sealed bundle out."""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contracts.envelope import Digest
from contracts.telemetry import TRAINING_LOSS, TRAINING_TOKENS_PER_SECOND
from contracts.topics import MODEL_TRAINED, RELEASE_CHANGED, TOKENIZER_READY, TRAINING_PROGRESSED
from contracts.training import ModelTrained, TokenizerReady, TrainingProgressed
from services.trainer.core.job import ProgressLine, TrainingJob, TrainingResult, child_environment
from services.trainer.settings import Settings
from shared import bundle_signing
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.child import kept_job, run_child
from shared.clock import Clock
from shared.errors import RunFailed, SignatureRefused
from shared.files import write_atomically
from shared.releases import ServingBundles
from shared.runs import Runs
from shared.signing import Signer
from shared.telemetry import Telemetry
from shared.vector_versions import latest_learnt

CHILD = "services.trainer.run"

Tell = Callable[[ProgressLine], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Runs the child process for a corpus version and its tokenizer.

    Attributes:
        folder: Scratch space; a run's job and checkpoints stay there until the run is over.
        signer: Signs what is sealed. Here and not in the child, which opens what others have written.
        admission: Checks the bundle that a run goes on from.
    """

    serving: ServingBundles
    store: ArtifactStore
    settings: Settings
    folder: Path
    signer: Signer
    admission: Admission

    async def train(self, event: TokenizerReady, tell: Tell) -> TrainingResult:
        """Return what a training ended in.

        Raises:
            RunFailed: It cannot be done.
            ChildCrashed: The child died again and again.
            SignatureRefused: The bundle that it would go on from is not signed by who may.
        """

        async def on_progress(line: dict[str, Any]) -> None:
            await tell(ProgressLine.model_validate(line))

        job_file = self.folder / str(event.event_id) / "job.json"
        job = await asyncio.to_thread(self._job, event, job_file)
        environment = child_environment(job.num_threads)
        try:
            if job.parent_bundle_digest:
                await self.admission.admit(event, job.parent_bundle_digest)
            result = await run_child(
                CHILD, job_file, on_progress=on_progress, environment=environment, niceness=self.settings.niceness
            )
        except (RunFailed, SignatureRefused):
            # Nothing will resume it, so nothing needs its checkpoints.
            await asyncio.to_thread(self.forget, event)
            raise
        trained = TrainingResult.model_validate(result)
        await asyncio.to_thread(bundle_signing.sign, self.store, trained.bundle_digest, self.signer)
        return trained

    def forget(self, event: TokenizerReady) -> None:
        """Remove the scratch space of a run that is over."""
        shutil.rmtree(self.folder / str(event.event_id), ignore_errors=True)

    def _job(self, event: TokenizerReady, job_file: Path) -> TrainingJob:
        # Decided once: a run that is resumed after another release goes on from what it began with.
        if kept := kept_job(job_file, TrainingJob):
            return kept
        job = TrainingJob(
            artifacts_url=self.settings.artifacts.url,
            domain=event.domain,
            corpus_digest=event.corpus_digest,
            tokenizer_digest=event.tokenizer_digest,
            parent_bundle_digest=self.serving.digest(event.domain),
            vectors_digest=self._vectors(event),
            recipe=self.settings.recipe,
            num_threads=self.settings.training_threads,
            checkpoint_interval_s=self.settings.checkpoint_interval_s,
        )
        job_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(job_file, job.model_dump_json().encode())
        return job

    def _vectors(self, event: TokenizerReady) -> Digest | None:
        """Return the domain's newest word vectors. Those of this corpus version come later: they are learnt when all is quiet."""
        if event.reused or not self.settings.recipe.looks_at_word_vectors:
            return None
        learnt = latest_learnt(self.store, event.domain)
        return learnt.vectors_digest if learnt else None


def register(bus: Bus, *, training: Training, runs: Runs, telemetry: Telemetry, clock: Clock) -> None:
    """Subscribe the trainer to the mesh."""

    async def on_tokenizer_ready(event: TokenizerReady) -> None:
        trained = await runs.once(event.event_id, ModelTrained, partial(run, event))
        # Here, and not where the run ends: a crash may have come between.
        await asyncio.to_thread(training.forget, event)
        await bus.publish(MODEL_TRAINED, trained)

    async def run(event: TokenizerReady) -> ModelTrained:
        started_s = time.monotonic()

        async def tell(line: ProgressLine) -> None:
            telemetry.record(TRAINING_LOSS, line.loss, {"plumbline.domain": event.domain})
            telemetry.record(TRAINING_TOKENS_PER_SECOND, line.tokens_per_s, {"plumbline.domain": event.domain})
            await bus.publish(TRAINING_PROGRESSED, progressed(event, line, clock))

        result = await training.train(event, tell)
        trained = ModelTrained.caused_by(
            event,
            now=clock.now(),
            run_id=event.event_id,
            bundle_digest=result.bundle_digest,
            corpus_digest=result.corpus_digest,
            tokenizer_digest=result.tokenizer_digest,
            ancestors=result.ancestors,
            num_tokens=result.num_tokens,
            loss=result.loss,
            duration_s=time.monotonic() - started_s,
        )
        log.info(
            "trained",
            extra={"domain": event.domain, **result.model_dump(include={"bundle_digest", "loss", "transfer"})},
        )
        return trained

    bus.consume({TOKENIZER_READY: on_tokenizer_ready})
    bus.read({RELEASE_CHANGED: training.serving.remember})


def progressed(event: TokenizerReady, line: ProgressLine, clock: Clock) -> TrainingProgressed:
    """Return the event that tells how far a run is; the same step of a run gives the same id."""
    return TrainingProgressed.caused_by(
        event,
        now=clock.now(),
        key=str(line.step),
        run_id=event.event_id,
        step=line.step,
        num_tokens=line.tokens,
        token_budget=line.total_tokens,
        loss=line.loss,
        tokens_per_s=line.tokens_per_s,
        eta_s=line.eta_s,
    )
