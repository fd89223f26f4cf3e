"""What ingest keeps: batches as artifacts, refs that say what became of each, and what each domain got so far.

Refs of a batch: `batches/<domain>/<id>` accepted, `held/<id>` waits for a person, `rejected/<id>` turned down; beside them
`refused/<id>` names the records that were left out. `uncleaned/<domain>/<id>` names what came together and is not through the
cleaner yet: it is written first, so that an upload of many batches is taken by one write, and removed at the end, so that a start
reads what is outstanding instead of every batch that there ever was.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.corpus import BatchReceived, BatchStatistics
from contracts.envelope import Contract, Digest
from services.ingest.core.judging import Reference
from services.ingest.settings import HoldRules
from shared.artifacts import ABSENT, ArtifactStore
from shared.errors import RefConflict

KEPT = "batches"
HELD = "held"
REJECTED = "rejected"
REFUSED = "refused"
UNCLEANED = "uncleaned"
REFERENCES = "references"
MARKED = "ingest/uncleaned-batches-are-marked"
"""Is there once the batches of a store from before there were marks have theirs."""
CLEANED = "cleaned"
"""Folder of the refs that the cleaner writes: a batch that has one needs no announcement any more."""
MAX_CONFLICTS = 20

State = Literal["accepted", "held", "rejected"]

log = logging.getLogger(__name__)


class Decision(Contract):
    """What a person said of a held batch."""

    by: str
    reason: str
    at: AwareDatetime


class KeptBatch(Contract):
    """What a batch's ref says.

    Attributes:
        event: The announcement, which never changes.
        content_digest: SHA-256 of the documents before compression.
        traceparent: W3C trace context in which the batch arrived.
        refused_digest: The artifact with the records that were left out; None: there were none.
        state: What became of it.
        reasons: Why it was held.
        decision: What a person said of it then.
        num_refused: Records that the upload at hand left out beside it, where a receipt tells of one; not kept.
    """

    event: BatchReceived
    content_digest: Digest
    traceparent: str | None
    refused_digest: Digest | None = None
    state: State = "accepted"
    reasons: tuple[str, ...] = ()
    decision: Decision | None = None
    num_refused: int = Field(default=0, exclude=True)

    def saying(self, *, num_known: int) -> "KeptBatch":
        """Return it with how many of its texts the domain had before."""
        statistics = self.event.statistics.model_copy(update={"num_known": num_known})
        return self.model_copy(update={"event": self.event.model_copy(update={"statistics": statistics})})

    @property
    def place(self) -> str:
        """The ref that it has in its state."""
        if self.state == "accepted":
            return f"{KEPT}/{self.event.domain}/{self.event.batch_id}"
        return f"{HELD if self.state == 'held' else REJECTED}/{self.event.batch_id}"


class Upload(Contract):
    """Batches that came together: all are taken, or none."""

    batches: tuple[KeptBatch, ...]


class Batches:
    """The stored batches."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store

    def find(self, domain: str, batch_id: UUID) -> KeptBatch | None:
        """Return a batch that is known already, whatever became of it."""
        # In the order in which it moves, so that one that is being decided on is not missed.
        places = (f"{HELD}/{batch_id}", f"{REJECTED}/{batch_id}", f"{KEPT}/{domain}/{batch_id}")
        found = (self._read(place) for place in places)
        return next((batch for batch in found if batch and batch.event.domain == domain), None)

    def held(self) -> list[KeptBatch]:
        """Return the batches that wait for a person, oldest first."""
        found = (self._read(name) for name in self.store.ref_names(HELD))
        return sorted((batch for batch in found if batch), key=lambda batch: batch.event.occurred_at)

    def find_held(self, batch_id: UUID) -> KeptBatch | None:
        """Return a batch that waits for a person."""
        return self._read(f"{HELD}/{batch_id}")

    def find_rejected(self, batch_id: UUID) -> KeptBatch | None:
        """Return a batch that a person turned down."""
        return self._read(f"{REJECTED}/{batch_id}")

    def accepted(self, domain: str) -> Iterator[KeptBatch]:
        """Yield a domain's accepted batches. A listing: not for what is done often."""
        found = (self._read(name) for name in self.store.ref_names(f"{KEPT}/{domain}"))
        return (batch for batch in found if batch)

    def find_anywhere(self, batch_id: UUID, domains: Iterable[str]) -> KeptBatch | None:
        """Return a batch whose domain is not known."""
        places = (
            f"{HELD}/{batch_id}",
            f"{REJECTED}/{batch_id}",
            *(f"{KEPT}/{domain}/{batch_id}" for domain in domains),
        )
        found = (self._read(place) for place in places)
        return next((batch for batch in found if batch), None)

    def mark(self, upload_id: UUID, upload: Upload) -> None:
        """Take an upload: from here on all its batches survive."""
        domain = upload.batches[0].event.domain
        self.store.write_ref(f"{UNCLEANED}/{domain}/{upload_id}", upload.model_dump_json().encode())

    def keep(self, batch: KeptBatch) -> KeptBatch:
        """Write a batch's ref, unless it is known; return what is known of it now."""
        found = self.find(batch.event.domain, batch.event.batch_id)
        if found is not None:
            return found
        if batch.refused_digest:
            self.store.write_ref(f"{REFUSED}/{batch.event.batch_id}", batch.refused_digest.encode())
        try:
            self.store.write_ref(batch.place, batch.model_dump_json().encode(), expected=ABSENT)
        except RefConflict:
            # The same batch twice at the same moment: both say what the faster one kept.
            found = self.find(batch.event.domain, batch.event.batch_id)
            if found is None:
                raise
            return found
        return batch

    def add_refused(self, batch_id: UUID, records: bytes) -> None:
        """Keep what an upload left out beside a batch, or instead of one, each record once.

        Args:
            batch_id: Of a batch that is kept, or what stands for an upload that was refused whole.
            records: JSONL.
        """

        def more(before: bytes | None) -> bytes | None:
            kept = self.store.read_bytes(before.decode()) if before else b""
            known = set(kept.splitlines())
            new = [line for line in records.splitlines() if line not in known]
            return self.store.put_bytes(kept + b"".join(line + b"\n" for line in new)).encode() if new else None

        _change_ref(self.store, f"{REFUSED}/{batch_id}", more)

    def decide(self, held: KeptBatch, decided: KeptBatch) -> None:
        """Move a held batch to where its new state has it; a crash in between leaves it held, to be decided on again."""
        if decided.state == "accepted":
            self.mark(decided.event.batch_id, Upload(batches=(decided,)))
        self.store.write_ref(decided.place, decided.model_dump_json().encode())
        self.store.delete_ref(held.place)

    def refused_digest(self, batch_id: UUID) -> Digest | None:
        """Return the artifact with the records that were left out beside a batch."""
        found = self.store.read_ref(f"{REFUSED}/{batch_id}")
        return found.decode() if found else None

    def outstanding(self) -> Iterator[tuple[str, Upload]]:
        """Yield the marks of what is not through the cleaner, removing those of what is."""
        self._mark_what_is_older_than_marks()
        for name in list(self.store.ref_names(UNCLEANED)):
            data = self.store.read_ref(name)
            if data is None:
                continue
            upload = Upload.model_validate_json(data)
            if all(self._is_done(batch) for batch in upload.batches):
                self.store.delete_ref(name)
            else:
                yield name, upload

    def is_cleaned(self, batch: KeptBatch) -> bool:
        """Whether the cleaner has finished a batch."""
        return self.store.read_ref(f"{CLEANED}/{batch.event.domain}/{batch.event.batch_id}") is not None

    def _is_done(self, marked: KeptBatch) -> bool:
        if self.is_cleaned(marked):
            return True
        known = self.find(marked.event.domain, marked.event.batch_id)
        return known is not None and known.state != "accepted"

    def _mark_what_is_older_than_marks(self) -> None:
        if self.store.read_ref(MARKED) is not None:
            return
        cleaned = {_place(name) for name in self.store.ref_names(CLEANED)}
        for name in self.store.ref_names(KEPT):
            if _place(name) not in cleaned and (batch := self._read(name)):
                self.mark(batch.event.batch_id, Upload(batches=(batch,)))
        self.store.write_ref(MARKED, b"{}")

    def _read(self, name: str) -> KeptBatch | None:
        data = self.store.read_ref(name)
        return KeptBatch.model_validate_json(data) if data else None


class References:
    """What each domain got so far."""

    def __init__(self, store: ArtifactStore, rules: HoldRules) -> None:
        self._store = store
        self._rules = rules

    def of(self, domain: str) -> Reference:
        """Return it; a domain that got nothing has an empty one."""
        data = self._store.read_ref(f"{REFERENCES}/{domain}")
        return Reference.model_validate_json(data) if data else Reference()

    def domains(self) -> list[str]:
        """Return the domains that got something."""
        return [name.rpartition("/")[2] for name in self._store.ref_names(REFERENCES)]

    def add(self, domain: str, accepted: Iterable[BatchStatistics]) -> None:
        """Count accepted batches in; another process that does so at the same moment loses nothing.

        Raises:
            RefConflict: It was changed again and again in between.
        """
        statistics = list(accepted)

        def counted(before: bytes | None) -> bytes:
            reference = Reference.model_validate_json(before) if before else Reference()
            for one in statistics:
                reference = reference.plus(one, self._rules)
            return reference.model_dump_json().encode()

        _change_ref(self._store, f"{REFERENCES}/{domain}", counted)


def _change_ref(store: ArtifactStore, name: str, changed: Callable[[bytes | None], bytes | None]) -> None:
    """Replace a ref by what follows from it; None: it stays. Of several who do so at the same moment none loses anything."""
    for attempt in range(MAX_CONFLICTS):
        found = store.read_ref_version(name)
        data = changed(found[0] if found else None)
        if data is None:
            return
        try:
            store.write_ref(name, data, expected=found[1] if found else ABSENT)
        except RefConflict:
            if attempt == MAX_CONFLICTS - 1:
                raise
        else:
            return


def _place(ref_name: str) -> tuple[str, str]:
    _, domain, batch_id = ref_name.split("/")
    return domain, batch_id
