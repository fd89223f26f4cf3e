"""Corpus version in, tokenizer out."""

import asyncio
import logging
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contracts.corpus import CorpusVersioned
from contracts.envelope import Domain
from contracts.topics import CORPUS_VERSIONED, RELEASE_CHANGED, TOKENIZER_READY
from contracts.training import TokenizerReady
from services.tokenizer_builder.core.job import Fitted, Job
from services.tokenizer_builder.settings import LexiconRules, TokenizerRules
from services.tokenizer_builder.vector_learning import VectorLearning
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.bundle import Parents
from shared.bus import Bus
from shared.child import run_child
from shared.clock import Clock
from shared.releases import ServingBundles
from shared.runs import Runs

CHILD = "services.tokenizer_builder.run"
ONE_THREAD = {"RAYON_NUM_THREADS": "1"}
"""A second thread makes a build a quarter faster, and takes the core that answers users."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """Runs the child process for a corpus version.

    Attributes:
        folder: Scratch space.
    """

    serving: ServingBundles
    store: ArtifactStore
    artifacts_url: str
    rules: TokenizerRules
    lexicon_rules: LexiconRules
    folder: Path

    async def fit(self, event: CorpusVersioned) -> Fitted:
        """Return the tokenizer of a corpus version.

        Raises:
            RunFailed: There is none to be had.
            ChildCrashed: The child died again and again.
        """
        serving = await asyncio.to_thread(self._serving_parents, event.domain)
        job = Job(
            artifacts_url=self.artifacts_url,
            domain=event.domain,
            corpus_digest=event.corpus_digest,
            serving_tokenizer_digest=serving.tokenizer_digest if serving else None,
            serving_corpus_digest=serving.corpus_digest if serving else None,
            rules=self.rules,
            lexicon_rules=self.lexicon_rules,
        )
        job_file = self.folder / str(event.event_id) / "job.json"
        await asyncio.to_thread(_write, job_file, job)
        try:
            result = await run_child(CHILD, job_file, on_progress=_ignore, environment=ONE_THREAD)
        finally:
            await asyncio.to_thread(self.forget, event)
        return Fitted.model_validate(result)

    def forget(self, event: CorpusVersioned) -> None:
        """Remove the scratch space of a run that is over."""
        shutil.rmtree(self.folder / str(event.event_id), ignore_errors=True)

    def _serving_parents(self, domain: Domain) -> Parents | None:
        serving = self.serving.digest(domain)
        return bundle.read_manifest(self.store, serving).parents if serving else None


def register(bus: Bus, *, fitting: Fitting, vectors: VectorLearning, runs: Runs, clock: Clock) -> None:
    """Subscribe the tokenizer-builder to the mesh."""

    async def on_corpus_versioned(event: CorpusVersioned) -> None:
        ready = await runs.once(event.event_id, TokenizerReady, partial(run, event))
        # A crash may have come between the end of the run and of its scratch space.
        await asyncio.to_thread(fitting.forget, event)
        await bus.publish(TOKENIZER_READY, ready)
        await vectors.note(event)

    async def run(event: CorpusVersioned) -> TokenizerReady:
        fitted = await fitting.fit(event)
        ready = TokenizerReady.caused_by(
            event,
            now=clock.now(),
            corpus_digest=event.corpus_digest,
            **fitted.model_dump(),
        )
        log.info("tokenizer ready", extra={"domain": event.domain, **fitted.model_dump()})
        return ready

    bus.consume({CORPUS_VERSIONED: on_corpus_versioned})
    bus.read({RELEASE_CHANGED: fitting.serving.remember})


def _write(job_file: Path, job: Job) -> None:
    job_file.parent.mkdir(parents=True, exist_ok=True)
    job_file.write_text(job.model_dump_json())


async def _ignore(_: dict[str, Any]) -> None:
    """A build takes seconds and reports no progress."""
