"""All that the cleaner knows of a domain's documents, in memory: made from the batches' artifacts, and kept up with them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.facts import NOT_ANNOTATED, Facts
from services.cleaner.core.growing import GrowingArray, GrowingFacts
from services.cleaner.core.near.edges import Edges
from services.cleaner.core.near.fingerprints import Fingerprints, fingerprints
from services.cleaner.core.near.index import NearIndex
from services.cleaner.core.near.sketch import Sketches
from services.cleaner.core.nodes import NodeNumbers, families_of, node_keys
from services.cleaner.core.verdicts import NOBODY, NearPairs, Numbers, duplicates
from services.cleaner.facts_files import FactsFiles, KnownDocuments
from services.cleaner.ledger import CleanedBatch
from services.cleaner.near_files import NearFiles, NearIndexUnreadable
from shared.artifacts import ArtifactStore
from shared.shards import read_table

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a batch was found to be like when it came; the verdicts of a version may differ, since they see all documents.

    Attributes:
        num_duplicates: Documents whose text came before; not those that tell something new of it: what people annotated, and
            the first labels of a text.
        num_near_duplicates: Documents that are near one that came before, and not newer: one that is takes its place.
    """

    num_duplicates: int
    num_near_duplicates: int


class DomainIndex:
    """One domain's documents."""

    def __init__(self, store: ArtifactStore, facts_files: FactsFiles, near_files: NearFiles) -> None:
        """Start with what the near-duplicate index has on disk; `catch_up` brings the rest.

        Args:
            store: Where the batches' artifacts are.
            facts_files: What is known of the documents in them.
            near_files: Where the near-duplicate index is kept.
        """
        self._store = store
        self._facts_files = facts_files
        self._near_files = near_files
        self._near = _loaded(near_files)
        self._texts = NodeNumbers()
        self._is_text_labelled = GrowingArray(np.empty(0, np.bool_))
        self._nodes = NodeNumbers()
        self._facts = GrowingFacts()
        self._nodes_of_documents = GrowingArray(np.empty(0, np.int64))
        self._documents_of_nodes = GrowingArray(np.empty(0, np.int64))
        self.num_batches = 0

    def catch_up(self, batches: Sequence[CleanedBatch]) -> Found:
        """Take batches that follow those which it has, and return what the last one was found to be like.

        Raises:
            ArtifactMissing: What is known of one of them is gone.
        """
        found = Found(num_duplicates=0, num_near_duplicates=0)
        for batch in batches:
            found = self._add(batch)
        return found

    def facts(self) -> Facts:
        """Return what is known of all documents."""
        return self._facts.all

    def pairs(self) -> NearPairs:
        """Return all pairs of near-duplicates, each by a document of either."""
        return self._by_document(self._near.edges())

    def sketches(self, documents: Numbers) -> NDArray[np.uint8]:
        """Return the sketches of some documents. Shape (documents, bytes)."""
        packed: NDArray[np.uint8] = self._near.state().columns.packed[self._nodes_of_documents.all[documents]]
        return packed

    def save(self) -> None:
        """Keep the near-duplicate index on disk, so that the next start need not make it anew."""
        self._near_files.save(self._near.state())

    def forget_what_is_ahead(self) -> None:
        """Drop from the near-duplicate index what no batch has: its files went ahead of a ledger that was put back."""
        self._near.truncate(len(self._nodes))

    def _add(self, batch: CleanedBatch) -> Found:
        known = self._known(batch)
        facts = known.facts
        first_document, first_node = len(self._facts), len(self._nodes)
        texts, new_texts = self._texts.add(facts.text_key)
        tells_labels = self._tell_labels(texts, facts.tells > 0)
        nodes, new_nodes = self._nodes.add(node_keys(facts))
        self._facts.append(facts)
        self._nodes_of_documents.append(nodes)
        self._documents_of_nodes.append(first_document + new_nodes)
        self.num_batches += 1
        edges = self._take(known, new_nodes, batch, first_node)
        pairs = self._by_document(edges)
        earlier = duplicates(self.facts(), pairs)
        is_near = np.zeros(len(facts), np.bool_)
        losers = self._losers(earlier)
        is_near[losers[losers >= first_document] - first_document] = True
        is_known = np.ones(len(facts), np.bool_)
        is_known[new_texts] = False
        is_near[is_known] = False
        tells_something = tells_labels | (facts.annotated_at != NOT_ANNOTATED)
        return Found(num_duplicates=int((is_known & ~tells_something).sum()), num_near_duplicates=int(is_near.sum()))

    def _tell_labels(self, texts: Numbers, is_labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which documents are the first with labels of a text that was there before them, and remember these labels.

        Args:
            texts: The number of each document's text.
            is_labelled: Whether it has labels.
        """
        num_before = len(self._is_text_labelled)
        self._is_text_labelled.append(np.zeros(len(self._texts) - num_before, np.bool_))
        flags = self._is_text_labelled.all
        tells = is_labelled & (texts < num_before) & ~flags[texts]
        flags[texts[is_labelled]] = True
        first = np.zeros(len(texts), np.bool_)
        first[np.unique(np.where(tells, texts, NOBODY), return_index=True)[1]] = True
        return np.asarray(tells & first, np.bool_)

    def _losers(self, pairs: NearPairs) -> Numbers:
        """Return the document of each pair whose place the other one takes: the older one, or else the one that came later."""
        published_on = self._facts.all.published_on
        before, after = np.minimum(pairs.first, pairs.second), np.maximum(pairs.first, pairs.second)
        losers: Numbers = np.where(published_on[after] > published_on[before], before, after)
        return losers

    def _known(self, batch: CleanedBatch) -> KnownDocuments:
        if len(self._near) > len(self._nodes):
            # The snapshot went on from here: most likely it has the sketches of this batch, which are most of the file.
            return KnownDocuments(facts=self._facts_files.read_facts(batch.facts_digest), fingerprints=None)
        return self._facts_files.read(batch.facts_digest)

    def _take(self, known: KnownDocuments, new_nodes: Numbers, batch: CleanedBatch, first_node: int) -> Edges:
        """Give the near-duplicate index what it lacks of a batch, and return the batch's pairs with all that came before."""
        if len(self._near) >= len(self._nodes):
            edges = self._near.edges()
            return edges.where((edges.number >= first_node) & (edges.number < len(self._nodes)))
        if len(self._near) > first_node:
            # A snapshot lies between batches; this one was cut off in the middle of a file that was put back.
            self._near.truncate(first_node)
            known = self._facts_files.read(batch.facts_digest)
        found = known.fingerprints or self._fingerprints_again(batch)
        return self._near.add(
            first_node,
            Sketches(found.sketches.packed[new_nodes], found.sketches.is_exact_only[new_nodes]),
            found.guards[new_nodes],
            node_keys(known.facts)[new_nodes],
            families_of(known.facts)[new_nodes],
        )

    def _fingerprints_again(self, batch: CleanedBatch) -> Fingerprints:
        log.warning("sketches of an older version are made anew", extra={"batch": str(batch.batch_id)})
        return fingerprints(read_table(self._store, batch.shard_digest, ["text"])["text"].to_pylist())

    def _by_document(self, edges: Edges) -> NearPairs:
        documents = self._documents_of_nodes.all
        return NearPairs(
            first=documents[edges.number],
            second=documents[edges.other],
            similarity=edges.similarity,
            says_the_same=edges.same_guard,
        )


def _loaded(near_files: NearFiles) -> NearIndex:
    try:
        return NearIndex(near_files.load())
    except NearIndexUnreadable as error:
        log.warning("near-duplicate index is made anew from the batches", extra={"reason": str(error)})
        return NearIndex()
