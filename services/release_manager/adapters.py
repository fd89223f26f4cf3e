"""Where the state of every domain's releases is kept: one ref a domain, replaced by compare and set. It is the authority."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from contracts.envelope import Contract, Domain
from contracts.evaluation import ModelEvaluated
from contracts.release import ReleaseChanged, ReleaseState
from shared.artifacts import ABSENT, ArtifactStore, Expected, Version
from shared.errors import ArtifactCorrupt
from shared.releases import REFS, decided_ref, snapshot_ref


class Announcement(Contract):
    """The last `release-changed`, as it was said, and the trace that it continues: to say it again word for word."""

    event: ReleaseChanged
    traceparent: str | None


class Snapshot(Contract):
    """Everything that outlives the daemon. The state may be newer than what was announced, e.g. by counted answers.

    Attributes:
        writer: The membership of the consumer group that the domain was last taken over in; who finds another one there than
            the own was replaced, and writes no more.
    """

    state: ReleaseState = ReleaseState()
    announcement: Announcement | None = None
    writer: str | None = None


@dataclass(frozen=True)
class Held:
    """A snapshot as it was read, and the version that says so."""

    snapshot: Snapshot
    version: Version | Literal[Expected.ABSENT]


class SnapshotRefs:
    """Reads and writes snapshots. The release-manager is their only writer; of its members, the one that was not outrun."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def domains(self) -> list[Domain]:
        """Return the domains that have a snapshot, sorted. It lists: once for each membership, not for each tick."""
        names = await asyncio.to_thread(lambda: list(self._store.ref_names(REFS)))
        return [name.removeprefix(f"{REFS}/").removesuffix(".json") for name in names]

    async def load(self, domain: Domain) -> Held:
        """Return a domain's snapshot; an empty one where there is none yet.

        Raises:
            ArtifactCorrupt: What is stored is not a snapshot.
        """
        found = await asyncio.to_thread(self._store.read_ref_version, snapshot_ref(domain))
        if found is None:
            return Held(Snapshot(), ABSENT)
        data, version = found
        try:
            return Held(Snapshot.model_validate_json(data), version)
        except ValidationError as error:
            msg = f"the release state of {domain} cannot be read: {error.errors(include_url=False)[0]['msg']}"
            raise ArtifactCorrupt(msg, next_step=f"restore the ref {snapshot_ref(domain)} from a copy") from error

    async def save(self, domain: Domain, snapshot: Snapshot, *, after: Held) -> Held:
        """Replace a domain's snapshot, and return it as it is held now.

        Raises:
            RefConflict: It is not what was read: another member was faster. Nothing was written.
        """
        data = snapshot.model_dump_json().encode()
        ref = snapshot_ref(domain)
        return Held(snapshot, await asyncio.to_thread(self._store.write_ref, ref, data, expected=after.version))

    async def mark_decided(self, event: ModelEvaluated) -> None:
        """Write the ref that tells the cleaner that a corpus version needs no announcement any more."""
        name = decided_ref(event.domain, event.corpus_digest)
        await asyncio.to_thread(self._store.write_ref, name, str(event.event_id).encode())
