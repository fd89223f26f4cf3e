"""Where the state of every domain's releases is kept: one ref a domain, replaced atomically. It is the authority."""

import asyncio

from pydantic import ValidationError

from contracts.envelope import Contract, Domain
from contracts.evaluation import ModelEvaluated
from contracts.release import ReleaseChanged, ReleaseState
from shared.artifacts import ArtifactStore
from shared.errors import ArtifactCorrupt
from shared.releases import REFS, decided_ref, snapshot_ref


class Announcement(Contract):
    """The last `release-changed`, as it was said, and the trace that it continues: to say it again word for word."""

    event: ReleaseChanged
    traceparent: str | None


class Snapshot(Contract):
    """Everything that outlives the daemon. The state may be newer than what was announced, e.g. by counted answers."""

    state: ReleaseState = ReleaseState()
    announcement: Announcement | None = None


class SnapshotRefs:
    """Reads and writes snapshots. The release-manager is their only writer."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def domains(self) -> list[Domain]:
        """Return the domains that have a snapshot, sorted."""
        names = await asyncio.to_thread(lambda: list(self._store.ref_names(REFS)))
        return [name.removeprefix(f"{REFS}/").removesuffix(".json") for name in names]

    async def load(self, domain: Domain) -> Snapshot | None:
        """Return a domain's snapshot, or None.

        Raises:
            ArtifactCorrupt: What is stored is not a snapshot.
        """
        data = await asyncio.to_thread(self._store.read_ref, snapshot_ref(domain))
        if data is None:
            return None
        try:
            return Snapshot.model_validate_json(data)
        except ValidationError as error:
            msg = f"the release state of {domain} cannot be read: {error.errors(include_url=False)[0]['msg']}"
            raise ArtifactCorrupt(msg, next_step=f"restore the ref {snapshot_ref(domain)} from a copy") from error

    async def save(self, domain: Domain, snapshot: Snapshot) -> None:
        """Replace a domain's snapshot."""
        await asyncio.to_thread(self._store.write_ref, snapshot_ref(domain), snapshot.model_dump_json().encode())

    async def mark_decided(self, event: ModelEvaluated) -> None:
        """Write the ref that tells the cleaner that a corpus version needs no announcement any more."""
        name = decided_ref(event.domain, event.corpus_digest)
        await asyncio.to_thread(self._store.write_ref, name, str(event.event_id).encode())
