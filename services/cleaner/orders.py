"""What an operator orders: documents back into the corpus, batches into quarantine and out of it. Synchronous, under the lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pyarrow.compute as pc

from contracts.corpus import BatchCleaned
from contracts.envelope import derived_id
from services.cleaner.batches import BatchCleaning
from services.cleaner.core.removed import Stage
from services.cleaner.ledger import CleanedBatch, Ledger
from shared.artifacts import ArtifactStore
from shared.corpus import DIGEST, read_manifest
from shared.errors import RequestRefused
from shared.shards import SCHEMA, read_table

NUM_PARTS = 3
SEE = "see the ids with `plumb corpus removed`"


@dataclass(frozen=True, kw_only=True)
class RemovedPlace:
    """Where a removed document lies: in its batch's shard, or among what the steps took out of the batch."""

    stage: Stage
    batch_id: UUID
    position: int


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Carries out orders on one cleaner's corpora."""

    store: ArtifactStore
    ledger: Ledger
    cleaning: BatchCleaning

    def restore(
        self, domain: str, removed_ids: Sequence[str], *, reason: str, now: datetime
    ) -> tuple[int, list[BatchCleaned]]:
        """Bring documents back; return how many were not brought back before, and the batches that they make.

        Raises:
            RequestRefused: 422 or 404, one of the ids names no removed document; nothing is brought back.
            ArtifactMissing: What was removed is gone.
        """
        places = [place_of(one) for one in removed_ids]
        batches = {batch.batch_id: batch for batch in self.ledger.batches(domain)}
        unknown = [place for place in places if place.batch_id not in batches]
        if unknown:
            raise _not_there(domain, str(unknown[0].batch_id))
        digests = [self._digest(batches[place.batch_id], place) for place in places if place.stage is Stage.DUPLICATES]
        made = [self._made(batches[place.batch_id], place, now) for place in places if place.stage is Stage.CLEANING]
        num_restored = self.ledger.restore(domain, digests, reason=reason, now=now)
        said = [event for event in made if event is not None]
        return num_restored + sum(event.num_documents for event in said), said

    def quarantine(self, domain: str, batch_id: UUID) -> int:
        """Leave a batch out of the next versions; return 1 if it was not left out before.

        Raises:
            RequestRefused: 404, there is no such batch.
        """
        self._check_known(domain, batch_id)
        return self.ledger.quarantine([batch_id])

    def put_back(self, domain: str, batch_id: UUID) -> int:
        """Take a batch out of quarantine; return 1 if it was in it.

        Raises:
            RequestRefused: 404, there is no such batch.
            ArtifactMissing: The manifest of the latest version is gone.
        """
        self._check_known(domain, batch_id)
        return self.ledger.put_back([batch_id], as_new=not self._is_in_latest(domain, batch_id))

    def _is_in_latest(self, domain: str, batch_id: UUID) -> bool:
        latest = self.ledger.latest_version(domain)
        if latest is None:
            return False
        return any(
            batch.batch_id == batch_id for batch in read_manifest(self.store, latest.event.corpus_digest).batches
        )

    def _check_known(self, domain: str, batch_id: UUID) -> None:
        if all(batch.batch_id != batch_id for batch in self.ledger.batches(domain)):
            raise _not_there(domain, str(batch_id))

    def _digest(self, batch: CleanedBatch, place: RemovedPlace) -> bytes:
        digests = read_table(self.store, batch.shard_digest, [DIGEST])[DIGEST]
        if place.position >= len(digests):
            raise _not_there(batch.domain, f"row {place.position} of batch {batch.batch_id}")
        digest: bytes = digests[place.position].as_py()
        return digest

    def _made(self, batch: CleanedBatch, place: RemovedPlace, now: datetime) -> BatchCleaned | None:
        """Make a batch of what a step took out: cleaned, but not judged. None: it was made before."""
        table = read_table(self.store, batch.removed_digest)
        rows = table.filter(pc.equal(table["position"], place.position)).select(SCHEMA.names).cast(SCHEMA)
        if not len(rows):
            raise _not_there(batch.domain, f"position {place.position} of batch {batch.batch_id}")
        batch_id = derived_id(batch.batch_id, "restored", str(place.position))
        if self.ledger.batch_event(batch_id) is not None:
            return None
        return self.cleaning.clean_restored(batch, rows, batch_id, now=now)


def place_of(removed_id: str) -> RemovedPlace:
    """Return where a removed document lies.

    Raises:
        RequestRefused: 422, this is no such name.
    """
    parts = removed_id.split(":")
    try:
        stage, batch_id, position = Stage(parts[0]), UUID(parts[1]), int(parts[2])
    except (IndexError, ValueError):
        stage, batch_id, position = Stage.CLEANING, UUID(int=0), -1
    if len(parts) != NUM_PARTS or position < 0:
        raise RequestRefused(
            422, "not-a-removed-id", "This names no removed document",
            f"{removed_id!r} is not STAGE:BATCH:NUMBER; nothing was restored", next_step=SEE,
        )  # fmt: skip
    return RemovedPlace(stage=stage, batch_id=batch_id, position=position)


def _not_there(domain: str, what: str) -> RequestRefused:
    return RequestRefused(
        404, "not-in-the-corpus", "Not in this corpus", f"the domain {domain} has no {what}; nothing was changed",
        next_step=f"{SEE}, batches with `plumb corpus batches`",
    )  # fmt: skip
