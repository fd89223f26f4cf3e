"""The indexes of all domains, each made from the ledger's batches when it is first needed."""

from pathlib import Path
from uuid import UUID

from services.cleaner.domain_index import DomainIndex, Found
from services.cleaner.facts_files import FactsFiles
from services.cleaner.ledger import CleanedBatch, Ledger
from services.cleaner.near_files import NearFiles
from shared.artifacts import ArtifactStore

BATCHES_PER_SAVE = 64
"""A start makes so many batches' part of the near-duplicate index anew at most."""


class Indexes:
    """One index a domain.

    Attributes:
        facts_files: What they are made from.
    """

    def __init__(self, store: ArtifactStore, ledger: Ledger, folder: Path) -> None:
        """Start with none in memory.

        Args:
            store: Where the batches' artifacts are.
            ledger: Which batches there are.
            folder: Where the near-duplicate indexes are kept.
        """
        self._store = store
        self.facts_files = FactsFiles(store)
        self._ledger = ledger
        self._folder = folder
        self._indexes: dict[str, DomainIndex] = {}
        self._num_saved: dict[str, int] = {}

    def of(self, domain: str) -> DomainIndex:
        """Return a domain's index, up to the ledger's last batch.

        Raises:
            ArtifactMissing: What is known of a batch is gone.
        """
        index, _ = self._caught_up(domain)
        return index

    def take(self, domain: str, batch_id: UUID) -> tuple[CleanedBatch, Found]:
        """Return a batch, and what it was found to be like among those before it.

        Raises:
            ArtifactMissing: What is known of a batch is gone.
        """
        index = self._indexes.get(domain)
        place = self._ledger.place_of(domain, batch_id)
        if index is None or index.num_batches > place:
            # It was taken before a failure that let it go unsaid: what it was like is found again from the beginning.
            index = self._indexes[domain] = self._load(domain)
        *before, batch = self._ledger.batches(domain, skip=index.num_batches)[: place + 1 - index.num_batches]
        index.catch_up(before)
        found = index.catch_up([batch])
        self._save_at_times(domain, index)
        return batch, found

    def save(self, domain: str) -> None:
        """Keep a domain's near-duplicate index on disk."""
        index = self._indexes.get(domain)
        if index is not None:
            index.save()
            self._num_saved[domain] = index.num_batches

    def _caught_up(self, domain: str) -> tuple[DomainIndex, Found]:
        index = self._indexes.get(domain) or self._load(domain)
        self._indexes[domain] = index
        return index, index.catch_up(self._ledger.batches(domain, skip=index.num_batches))

    def _load(self, domain: str) -> DomainIndex:
        return DomainIndex(self._store, self.facts_files, NearFiles(self._folder / domain))

    def _save_at_times(self, domain: str, index: DomainIndex) -> None:
        if index.num_batches - self._num_saved.setdefault(domain, index.num_batches) >= BATCHES_PER_SAVE:
            self.save(domain)
