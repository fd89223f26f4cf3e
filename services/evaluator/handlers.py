"""Sealed bundle in, judgement out."""

import asyncio
import logging
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contracts.evaluation import ModelEvaluated
from contracts.topics import MODEL_EVALUATED, MODEL_TRAINED, RELEASE_CHANGED
from contracts.training import ModelTrained
from services.evaluator.core import EvaluationJob, Judgement
from services.evaluator.settings import Gates
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.child import kept_job, run_child
from shared.clock import Clock
from shared.errors import RunFailed, SignatureRefused
from shared.files import write_atomically
from shared.releases import ServingBundles
from shared.runs import Runs

CHILD = "services.evaluator.run"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluating:
    """Runs the child process for a bundle.

    Attributes:
        folder: Scratch space; a run's job stays there until the run is over.
        admission: Checks the bundles before they are opened.
    """

    serving: ServingBundles
    artifacts_url: str
    gates: Gates
    folder: Path
    admission: Admission

    async def evaluate(self, event: ModelTrained) -> tuple[EvaluationJob, Judgement]:
        """Return the judgement of a bundle, and what it was asked.

        Raises:
            RunFailed: It cannot be judged.
            ChildCrashed: The child died again and again.
            SignatureRefused: A bundle is not signed by who may.
        """
        await self.admission.admit(event, event.bundle_digest)
        job_file = self.folder / str(event.event_id) / "job.json"
        job = await asyncio.to_thread(self._job, event, job_file)
        try:
            if job.serving_digest:
                await self.admission.admit(event, job.serving_digest)
            result = await run_child(CHILD, job_file, on_progress=_log_progress)
        except (RunFailed, SignatureRefused):
            # Nothing will resume it, so nothing needs what it fetched.
            await asyncio.to_thread(self.forget, event)
            raise
        return job, Judgement.model_validate(result)

    def forget(self, event: ModelTrained) -> None:
        """Remove the scratch space of a run that is over."""
        shutil.rmtree(self.folder / str(event.event_id), ignore_errors=True)

    def _job(self, event: ModelTrained, job_file: Path) -> EvaluationJob:
        if kept := kept_job(job_file, EvaluationJob):
            return kept
        serving_digest = self.serving.digest(event.domain)
        job = EvaluationJob(
            artifacts_url=self.artifacts_url,
            bundle_digest=event.bundle_digest,
            corpus_digest=event.corpus_digest,
            # A bundle that is trained anew from the same corpus is not compared with itself.
            serving_digest=serving_digest if serving_digest != event.bundle_digest else None,
            gates=self.gates,
        )
        job_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(job_file, job.model_dump_json().encode())
        return job


def register(bus: Bus, *, evaluating: Evaluating, runs: Runs, store: ArtifactStore, clock: Clock) -> None:
    """Subscribe the evaluator to the mesh."""

    async def on_model_trained(event: ModelTrained) -> None:
        evaluated = await runs.once(event.event_id, ModelEvaluated, partial(run, event))
        # Here, and not where the run ends: a crash may have come between.
        await asyncio.to_thread(evaluating.forget, event)
        await bus.publish(MODEL_EVALUATED, evaluated)

    async def run(event: ModelTrained) -> ModelEvaluated:
        job, judgement = await evaluating.evaluate(event)
        evaluated = ModelEvaluated.caused_by(
            event,
            now=clock.now(),
            run_id=event.run_id,
            bundle_digest=event.bundle_digest,
            corpus_digest=event.corpus_digest,
            ancestors=event.ancestors,
            serving_digest=job.serving_digest,
            **{name: getattr(judgement, name) for name in Judgement.model_fields},
        )
        body = evaluated.model_dump_json().encode()
        log.info("evaluated", extra={"bundle_digest": event.bundle_digest, "passed": judgement.passed})
        await asyncio.to_thread(store.write_ref, f"bundles/{event.bundle_digest}/evaluation", body)
        return evaluated

    bus.consume({MODEL_TRAINED: on_model_trained})
    bus.read({RELEASE_CHANGED: evaluating.serving.remember})


async def _log_progress(line: dict[str, Any]) -> None:
    log.info("evaluating", extra=line)
