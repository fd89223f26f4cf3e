"""Corpus versions in the store and the ledger. Synchronous, like the batches, and never at the same time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from contracts.corpus import BatchCleaned, CorpusAmended
from contracts.release import ReleaseChanged
from services.cleaner.adapters import is_decided, point_at_latest
from services.cleaner.core.cut import Decision, Pending, Request, announcement, decide, new_batches
from services.cleaner.core.facts import Facts
from services.cleaner.core.partition import in_order_of_digests
from services.cleaner.core.quarantine import only_in, speaks_against_data
from services.cleaner.core.removed import losers_table
from services.cleaner.core.split import held_out_of, near_held_out
from services.cleaner.core.statistics import statistics_of
from services.cleaner.core.verdicts import Outcome, Verdicts, verdicts_of
from services.cleaner.domain_index import DomainIndex
from services.cleaner.indexes import Indexes
from services.cleaner.ledger import CleanedBatch, Ledger, Version, corpus_batch
from services.cleaner.settings import CorpusRules
from services.cleaner.version_shards import ShardWriter, StoredBatch
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.corpus import CorpusManifest, read_manifest, write_manifest
from shared.shards import write_table

MAX_VERSIONS_SAID_AGAIN = 6
"""Fewer than the dead letters in a row that stop a consumer: versions that cannot be trained on must not do that at a start."""
SAID_AGAIN_FOR = timedelta(hours=1)
MAX_BATCHES_SAID_AGAIN = 200


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Cuts versions.

    Attributes:
        scratch: A folder for what is under way while a version is written.
        started_at: When the daemon started: what was announced again meanwhile is awaited for the quiet time, too.
    """

    store: ArtifactStore
    ledger: Ledger
    indexes: Indexes
    rules: CorpusRules
    scratch: Path
    started_at: datetime

    def decide(self, domain: str, now: datetime) -> Decision:
        """Return what to do for a domain at `now`."""
        last = self.ledger.last_cleaned_at(domain) or self.started_at
        requests = self.ledger.open_requests(domain)
        pending = Pending(
            num_documents=self.ledger.num_pending(domain),
            last_change_at=max(last, self.started_at),
            oldest_at=self.ledger.oldest_pending_at(domain),
            is_changed=bool(requests) and self._is_changed(domain),
        )
        return decide(pending, requests, now, self.rules)

    def _is_changed(self, domain: str) -> bool:
        """Whether a batch is out that the last version holds, or back that it left out, or a document was restored since."""
        version = self.ledger.latest_version(domain)
        if version is None:
            return False
        manifest = read_manifest(self.store, version.event.corpus_digest)
        left_out = self.ledger.quarantined(domain)
        held, was_left_out = {batch.batch_id for batch in manifest.batches}, set(manifest.quarantined_batch_ids)
        if left_out & held or was_left_out - left_out:
            return True
        return self.ledger.has_restored(domain, since=version.event.occurred_at)

    def amendment(
        self,
        domain: str,
        order: Literal["restore", "quarantine", "put-back", "said-again"],
        cause: UUID | None,
        *,
        now: datetime,
    ) -> CorpusAmended:
        """Return what is said of a change that came without documents.

        Args:
            domain: Whose corpus it is.
            order: What was done.
            cause: The event that led to it, if one did.
            now: When it was done.

        Raises:
            ArtifactMissing: The manifest of the latest version is gone.
        """
        return CorpusAmended(
            event_id=uuid4(),
            causation_id=cause,
            occurred_at=now,
            domain=domain,
            order=order,
            num_pending_documents=self.ledger.num_pending(domain),
            is_changed=self._is_changed(domain),
        )

    def to_say_of_amendments_at_start(self, now: datetime) -> list[CorpusAmended]:
        """Return word of every domain whose latest version is amended: a crash may have come between an order and its event."""
        said = [self.amendment(domain, "said-again", None, now=now) for domain in self.ledger.domains_with_versions()]
        return [amendment for amendment in said if amendment.is_changed]

    def cut(self, domain: str, request: Request | None, *, now: datetime, traceparent: str | None) -> Version:
        """Write the next version of a domain and remember it as cut, not yet announced; return the one that has its number.

        Raises:
            ArtifactMissing: A batch's or the parent's artifact is gone.
            ArtifactCorrupt: One of them is damaged.
        """
        batches = self.ledger.batches(domain)
        parent = self._latest(domain)
        manifest, num_new = self._written(domain, batches, parent)
        digest = write_manifest(self.store, manifest)
        event = announcement(digest, manifest, now, request, num_new=num_new)
        version = Version(event=event, traceparent=traceparent)
        cut = self.ledger.add_version(version, [batch.batch_id for batch in batches if not batch.is_quarantined])
        self.indexes.save(domain)
        return cut

    def _written(
        self, domain: str, batches: list[CleanedBatch], parent: tuple[str, CorpusManifest] | None
    ) -> tuple[CorpusManifest, int]:
        """Return the manifest of what a domain's corpus is now, its shards written, and how many documents are new in it."""
        index = self.indexes.of(domain)
        facts = index.facts()
        sizes = np.array([batch.num_documents for batch in batches], np.int64)
        left_out = np.repeat(np.array([batch.is_quarantined for batch in batches], np.bool_), sizes)
        verdicts = verdicts_of(
            facts, index.pairs(), left_out=left_out, restored=_restored(facts, self.ledger.restored(domain))
        )
        held_out = self._held_out(index, verdicts, left_out)
        parent_digest, old = parent or (None, None)
        firsts = (np.cumsum(sizes) - sizes).tolist()
        stored = [
            StoredBatch(shard_digest=batch.shard_digest, first=first, num_documents=batch.num_documents)
            for first, batch in zip(firsts, batches, strict=True)
        ]
        written = ShardWriter(self.store, facts, verdicts, held_out, old).write(stored, self.scratch)
        kept = np.bincount(np.repeat(np.arange(len(batches)), sizes)[verdicts.kept], minlength=len(batches)).tolist()
        corpus_batches = tuple(
            corpus_batch(batch, number) for batch, number in zip(batches, kept, strict=True) if number
        )
        manifest = CorpusManifest(
            domain=domain,
            number=old.number + 1 if old else 1,
            parent_digest=parent_digest,
            content_digest=written.content_digest,
            shards=written.shards,
            batches=corpus_batches,
            new_batch_ids=new_batches(corpus_batches, old),
            quarantined_batch_ids=tuple(sorted(self.ledger.quarantined(domain))),
            removed_digest=write_table(self.store, losers_table(facts, verdicts)),
            statistics=statistics_of(facts, verdicts, held_out, written.labels),
        )
        return manifest, written.num_new

    @staticmethod
    def _held_out(index: DomainIndex, verdicts: Verdicts, left_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
        facts, pairs = index.facts(), index.pairs()
        kept = in_order_of_digests(facts, np.flatnonzero(verdicts.kept))
        first, second = near_held_out(index.sketches(kept), facts.is_held_out[kept])
        # Nobody trains on what is left out of the corpus.
        alive = ~left_out & (verdicts.outcome != Outcome.MADE_FROM_HELD_OUT)
        return held_out_of(facts, alive, np.r_[pairs.first, kept[first]], np.r_[pairs.second, kept[second]])

    def point_at(self, version: Version) -> None:
        """Write the ref of the domain's latest version, unless a later one exists."""
        if version == self.ledger.latest_version(version.event.domain):
            point_at_latest(self.store, version.event)

    def unannounced(self) -> list[Version]:
        """Return what a crash may have left unsaid, oldest first."""
        return self.ledger.unpublished()

    def to_announce_at_start(self) -> list[Version]:
        """Return that, every domain's latest version, and those before it that have not led to a judgement yet, oldest first.

        A broker that lost its contents is told again; where it did not, each stage finds that it has done its part.
        """
        left = self.ledger.unpublished()
        again = [version for domain in self.ledger.domains_with_versions() for version in self._not_decided(domain)]
        return left + [version for version in again if version not in left]

    def to_say_of_batches_at_start(self, now: datetime) -> list[tuple[BatchCleaned, str | None]]:
        """Return what was said of the batches of the last hour: whoever was to hear it may not have, if the broker died."""
        return self.ledger.batch_events(now - SAID_AGAIN_FOR, limit=MAX_BATCHES_SAID_AGAIN)

    def _not_decided(self, domain: str) -> list[Version]:
        latest, *before = self.ledger.last_versions(domain, limit=MAX_VERSIONS_SAID_AGAIN)
        undecided = takewhile(lambda version: not is_decided(self.store, version.event), before)
        return [*reversed(list(undecided)), latest]

    def quarantine(self, event: ReleaseChanged) -> int:
        """Leave out what only a bundle of bad quality was trained on; return how many batches that are.

        Raises:
            ArtifactMissing: A manifest on the way from the bundles to their batches is gone.
        """
        serving = event.state.serving_digest
        if not speaks_against_data(event) or event.bundle_digest is None or serving is None:
            return 0
        bad = self._corpus_of(event.bundle_digest)
        good = self._corpus_of(serving)
        return self.ledger.quarantine(only_in(bad, good))

    def _corpus_of(self, bundle_digest: str) -> CorpusManifest:
        parents = bundle.read_manifest(self.store, bundle_digest).parents
        return read_manifest(self.store, parents.corpus_digest)

    def _latest(self, domain: str) -> tuple[str, CorpusManifest] | None:
        version = self.ledger.latest_version(domain)
        if version is None:
            return None
        digest = version.event.corpus_digest
        return digest, read_manifest(self.store, digest)


def _restored(facts: Facts, digests: frozenset[bytes]) -> NDArray[np.bool_]:
    if not digests:
        return np.zeros(len(facts), np.bool_)
    return np.array([bytes(digest) in digests for digest in facts.digest], np.bool_)
