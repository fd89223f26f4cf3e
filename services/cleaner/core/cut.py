"""When a corpus version is cut, and what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from contracts.corpus import CorpusVersioned
from contracts.envelope import derived_id
from services.cleaner.settings import CorpusRules
from shared.corpus import CorpusBatch, CorpusManifest

CORPUS_NAMESPACE = UUID("0b6a3f9e-7a43-5f0c-8f0e-5d1f3c2a9b10")
"""Names the events of corpus versions; pinned, since they are sent again at every start."""

MAX_AHEAD = timedelta(seconds=60)
"""A stamp that lies further ahead of the clock says nothing of how long ago it was."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """New documents that no version holds yet.

    Attributes:
        last_change_at: When the last batch was cleaned, or the daemon started, whichever is later.
        oldest_at: When the batch was cleaned that waits longest, if one waits.
        is_changed: Something was restored, left out or put back since the last version. Who asks for a version gets it.
    """

    num_documents: int
    last_change_at: datetime
    oldest_at: datetime | None = None
    is_changed: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """Somebody waits for a version.

    Attributes:
        event_id: The `training-requested` event.
        traceparent: W3C trace context of the request.
        missing: Batches that it waits for and that are not clean yet.
    """

    event_id: UUID
    reason: str
    received_at: datetime
    traceparent: str | None
    missing: tuple[UUID, ...]


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do yet."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Cut a version now; `request` is None when the number of new documents, or the age of some, asked for it."""

    request: Request | None


@dataclass(frozen=True, kw_only=True)
class NothingNew:
    """The request cannot be met: all that it waited for is in a version already, or added nothing."""

    request: Request


Decision = Wait | Cut | NothingNew


def decide(pending: Pending, requests: Sequence[Request], now: datetime, rules: CorpusRules) -> Decision:
    """Return what to do for one domain at `now`.

    A request whose batches are clean goes first, the oldest of them. One that still waits restarts the quiet, so that a version
    is not cut just before what it waits for arrives; it does not block the rules for ever, and does not wait for ever itself.
    """
    patience = timedelta(seconds=rules.request_patience_s)
    ready = next((one for one in requests if not one.missing or now - one.received_at >= patience), None)
    if ready is not None:
        return Cut(request=ready) if pending.num_documents or pending.is_changed else NothingNew(request=ready)
    quiet_since = max([pending.last_change_at, *(request.received_at for request in requests)])
    quiet = now - quiet_since
    # Far in the future: the clock was set back since, and the quiet would last until it gets there.
    is_quiet = quiet >= timedelta(seconds=rules.quiet_s) or quiet < -MAX_AHEAD
    is_due = pending.num_documents >= rules.min_new_documents or _waits_long(pending, now, rules)
    return Cut(request=None) if is_quiet and is_due else Wait()


def _waits_long(pending: Pending, now: datetime, rules: CorpusRules) -> bool:
    if not pending.num_documents or pending.oldest_at is None:
        return False
    return now - pending.oldest_at >= timedelta(seconds=rules.max_wait_s)


def new_batches(batches: Sequence[CorpusBatch], parent: CorpusManifest | None) -> tuple[UUID, ...]:
    """Return the batches that the parent has no document of, oldest first."""
    known = {batch.batch_id for batch in parent.batches} if parent else set()
    return tuple(batch.batch_id for batch in batches if batch.batch_id not in known)


def announcement(
    digest: str, manifest: CorpusManifest, now: datetime, request: Request | None, *, num_new: int
) -> CorpusVersioned:
    """Return the event that says so; its id follows from the version's digest.

    Its cause is the request, or else the batch that came last: one of many, which the manifest lists and the trace links.
    """
    new = [batch for batch in manifest.batches if batch.batch_id in manifest.new_batch_ids]
    last = new[-1].event_id if new else None
    return CorpusVersioned(
        event_id=derived_id(CORPUS_NAMESPACE, digest),
        causation_id=request.event_id if request else last,
        occurred_at=now,
        domain=manifest.domain,
        corpus_digest=digest,
        parent_corpus_digest=manifest.parent_digest,
        number=manifest.number,
        num_documents=manifest.num_documents,
        num_new_documents=num_new,
        batch_ids=manifest.new_batch_ids,
        training_request_id=request.event_id if request else None,
    )
