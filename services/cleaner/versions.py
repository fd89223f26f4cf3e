"""Corpus versions in the store and the ledger. Synchronous, like the batches, and never at the same time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from contracts.corpus import BatchCleaned
from contracts.release import ReleaseChanged
from services.cleaner.adapters import is_decided, point_at_latest
from services.cleaner.core.cut import Decision, Pending, Request, announcement, decide, next_manifest
from services.cleaner.core.quarantine import only_in, speaks_against_data
from services.cleaner.ledger import Ledger, Version
from services.cleaner.settings import CorpusRules
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.corpus import CorpusManifest, read_manifest, write_manifest

MAX_VERSIONS_SAID_AGAIN = 6
"""Fewer than the dead letters in a row that stop a consumer: versions that cannot be trained on must not do that at a start."""
SAID_AGAIN_FOR = timedelta(hours=1)
MAX_BATCHES_SAID_AGAIN = 200


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Cuts versions.

    Attributes:
        started_at: When the daemon started: what was announced again meanwhile is awaited for the quiet time, too.
    """

    store: ArtifactStore
    ledger: Ledger
    rules: CorpusRules
    started_at: datetime

    def decide(self, domain: str, now: datetime) -> Decision:
        """Return what to do for a domain at `now`."""
        last = self.ledger.last_cleaned_at(domain) or self.started_at
        pending = Pending(num_documents=self.ledger.num_pending(domain), last_change_at=max(last, self.started_at))
        return decide(pending, self.ledger.open_requests(domain), now, self.rules)

    def cut(self, domain: str, request: Request | None, *, now: datetime, traceparent: str | None) -> Version:
        """Write the next version's manifest and remember it as cut, not yet announced."""
        batches = self.ledger.pending_batches(domain)
        manifest = next_manifest(
            domain,
            parent=self._latest(domain),
            new_batches=batches,
            quarantined=self.ledger.quarantined(domain),
        )
        digest = write_manifest(self.store, manifest)
        version = Version(event=announcement(digest, manifest, now, request), traceparent=traceparent)
        self.ledger.add_version(version, [batch.batch_id for batch in batches])
        return version

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
