"""Learns the word vectors of corpus versions, one at a time, when the mesh is quiet, or when a domain has waited long enough.

A version waits as a ref from the moment that its tokenizer is out until its vectors are, so neither a kill nor an absent gensim
loses one. The member of the group that owns the domain learns them, in a child process that takes what the others leave.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from contracts.corpus import CorpusVersioned
from contracts.envelope import Domain
from contracts.word_vectors import VectorsVersion
from services.tokenizer_builder.core.vectors_job import VectorRules, VectorsJob, VectorsLearnt
from services.tokenizer_builder.settings import WordVectorSettings
from shared import vector_versions
from shared.artifacts import ArtifactStore
from shared.child import MAX_NICENESS, run_child
from shared.clock import Clock
from shared.errors import PermanentError, TransientError

CHILD = "services.tokenizer_builder.vectors_run"
LIBRARY = "gensim"
TICK_S = 5.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

log = logging.getLogger(__name__)


class VectorLearning:
    """The versions that wait for their word vectors, and the work on them."""

    def __init__(
        self,
        store: ArtifactStore,
        *,
        artifacts_url: str,
        settings: WordVectorSettings,
        folder: Path,
        clock: Clock,
        owns: Callable[[Domain], bool],
        niceness: int = MAX_NICENESS,
    ) -> None:
        """Begin with what waits in the store.

        Args:
            store: Has the versions, and gets the vectors.
            artifacts_url: The same store, for the child process.
            settings: Whether, how, and after how long a quiet.
            folder: Scratch space.
            clock: Tells how long it has been quiet.
            owns: Whether this member of the group has a domain.
            niceness: How far the child process stands back, 0 to 19.
        """
        self._store = store
        self._artifacts_url = artifacts_url
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._owns = owns
        self._niceness = niceness
        self._disturbed_s = clock.monotonic_s()
        self._not_before_s = self._disturbed_s
        self._waits_since_s: dict[Domain, float] = {}
        self._missed_library = False
        self._unreadable: set[str] = set()

    async def note(self, event: CorpusVersioned) -> None:
        """Let a version wait for its vectors; called once its tokenizer is out."""
        self._disturbed_s = self._clock.monotonic_s()
        if self._settings.enabled:
            self._waits_since_s.setdefault(event.domain, self._disturbed_s)
            await asyncio.to_thread(vector_versions.note_waiting, self._store, _waiting(event))

    async def tick(self) -> None:
        """Learn the vectors of one version, once it is quiet, or a domain has waited for too long."""
        now = self._clock.monotonic_s()
        is_quiet = now - self._disturbed_s >= self._settings.quiet_s
        overdue = self._overdue(now)
        if not self._settings.enabled or now < self._not_before_s or not (is_quiet or overdue):
            return
        try:
            version = await asyncio.to_thread(self._oldest if is_quiet else lambda: self._newest(overdue[0]))
            if version and self._has_library():
                await self._learn(version)
        except (TransientError, OSError) as error:
            # Not at the next tick: what is away or full seldom comes back within seconds.
            self._not_before_s = now + self._settings.quiet_s
            log.warning("word vectors not learnt, will try again", extra={"error": repr(error)})
            return
        # Whatever became of it, the domain's next version begins to wait when it comes.
        self._waits_since_s.pop(version.domain if version else "", None)
        if not is_quiet:
            self._waits_since_s.pop(overdue[0], None)

    def _overdue(self, now: float) -> list[Domain]:
        """Return the domains that have waited too long, the longest wait first."""
        waits = sorted(self._waits_since_s, key=self._waits_since_s.__getitem__)
        return [domain for domain in waits if now - self._waits_since_s[domain] >= self._settings.max_wait_s]

    def _oldest(self) -> VectorsVersion | None:
        return self._first_of(vector_versions.waiting(self._store))

    def _newest(self, domain: Domain) -> VectorsVersion | None:
        names = vector_versions.waiting(self._store)
        return self._first_of([name for name in reversed(names) if vector_versions.domain_of(name) == domain])

    def _first_of(self, names: list[str]) -> VectorsVersion | None:
        for name in names:
            if self._owns(vector_versions.domain_of(name)) and (version := self._readable(name)):
                return version
        return None

    def _readable(self, name: str) -> VectorsVersion | None:
        # The ref stays: a later version of the code may have written it, and would read it again.
        try:
            return vector_versions.read_version(self._store, name)
        except PermanentError as error:
            if name not in self._unreadable:
                self._unreadable.add(name)
                log.warning(
                    "no word vectors: what waits cannot be read, and is passed over",
                    extra={"name_of_ref": name, "error": repr(error)},
                )
            return None

    def _has_library(self) -> bool:
        if find_spec(LIBRARY):
            return True
        if not self._missed_library:
            self._missed_library = True
            log.warning(
                "word vectors are not learnt: gensim is not installed",
                extra={"next_step": "install plumbline-mesh[vectors], or set PLUMBLINE_WORD_VECTORS__ENABLED=false"},
            )
        return False

    async def _learn(self, version: VectorsVersion) -> None:
        try:
            done = _learnt(version, await self._run(version))
        except PermanentError as error:
            done = version.model_copy(update={"state": "failed", "reason": str(error)})
            log.warning("no word vectors of this version", extra={"domain": version.domain, "reason": str(error)})
        await asyncio.to_thread(vector_versions.note_done, self._store, done)
        log.info("word vectors", extra=done.model_dump(mode="json", exclude={"drifted"}))

    async def _run(self, version: VectorsVersion) -> VectorsLearnt:
        folder = self._folder / str(version.event_id)
        try:
            job_file = await asyncio.to_thread(self._write_job, version, folder)
            result = await run_child(
                CHILD, job_file, on_progress=_ignore, environment=ONE_THREAD, niceness=self._niceness
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return VectorsLearnt.model_validate(result)

    def _write_job(self, version: VectorsVersion, folder: Path) -> Path:
        before = self._before(version)
        job = VectorsJob(
            artifacts_url=self._artifacts_url,
            corpus_digest=version.corpus_digest,
            previous_vectors_digest=before.vectors_digest if before else None,
            rules=VectorRules(
                dimensions=self._settings.dimensions,
                epochs=self._settings.epochs,
                max_chars=self._settings.max_chars,
            ),
        )
        folder.mkdir(parents=True, exist_ok=True)
        job_file = folder / "job.json"
        job_file.write_text(job.model_dump_json())
        return job_file

    def _before(self, version: VectorsVersion) -> VectorsVersion | None:
        try:
            return vector_versions.latest_learnt(self._store, version.domain, before=version.number)
        except PermanentError as error:
            log.warning("word vectors are compared with none", extra={"number": version.number, "error": repr(error)})
            return None


def _waiting(event: CorpusVersioned) -> VectorsVersion:
    return VectorsVersion(
        domain=event.domain,
        event_id=event.event_id,
        number=event.number,
        corpus_digest=event.corpus_digest,
        state="waiting",
    )


def _learnt(version: VectorsVersion, learnt: VectorsLearnt) -> VectorsVersion:
    return VectorsVersion.model_validate({**version.model_dump(), **learnt.model_dump(), "state": "learnt"})


async def _ignore(_: dict[str, Any]) -> None:
    """Nobody waits for it."""
