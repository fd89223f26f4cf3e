"""What people may look at: versions, batches, what was removed and why, how two versions differ. Reads only."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contracts.corpus_api import (
    ChangedDocument,
    CorpusBatches,
    CorpusBatchView,
    CorpusDiff,
    CorpusVersions,
    CorpusVersionView,
    RemovedDocument,
    RemovedDocuments,
)
from services.cleaner.core.diff import COMPARED, SHOWN, Difference, aligned, fields_that_differ
from services.cleaner.core.removed import Stage
from services.cleaner.ledger import CleanedBatch, Ledger, Version
from shared.artifacts import ArtifactStore
from shared.corpus import DIGEST, CorpusManifest, read_manifest
from shared.errors import RequestRefused
from shared.shards import read_table

SNIPPET_CHARS = 200
ROW_COLUMNS = ("document_id", "text", "published_on", "label", "labels")


@dataclass(frozen=True, kw_only=True)
class RemovedFilter:
    """Which removed documents are asked for; None: any.

    Attributes:
        limit: So many are listed at most.
    """

    stage: Stage | None = None
    reason: str | None = None
    document_id: str | None = None
    limit: int = 100


@dataclass(frozen=True, kw_only=True)
class CorpusViews:
    """Views of one cleaner's corpora."""

    store: ArtifactStore
    ledger: Ledger

    def versions(self, domain: str, *, limit: int) -> CorpusVersions:
        """Return a domain's last versions.

        Raises:
            RequestRefused: 404, there is none.
        """
        versions = self.ledger.last_versions(domain, limit=limit)
        if not versions:
            raise _unknown(domain)
        return CorpusVersions(domain=domain, versions=tuple(self._view(version) for version in versions))

    def batches(self, domain: str, *, limit: int, only_quarantined: bool) -> CorpusBatches:
        """Return a domain's last batches."""
        batches = [one for one in self.ledger.batches(domain) if one.is_quarantined or not only_quarantined]
        return CorpusBatches(domain=domain, batches=tuple(_batch_view(one) for one in reversed(batches[-limit:])))

    def removed(self, domain: str, number: int | None, wanted: RemovedFilter) -> RemovedDocuments:
        """Return what was removed up to a version; by default up to the last one, and what the steps took out since.

        Duplicates are known once a version is cut. Before the first one, its number is 0.

        Raises:
            RequestRefused: 404, there is no such version, or no batch of the domain.
            ArtifactMissing: What says so is gone.
        """
        version = self.ledger.version(domain, number) if number else self.ledger.latest_version(domain)
        batches = self.ledger.batches(domain)
        if not batches or (version is None and number):
            raise _unknown(domain, number)
        counts: Counter[str] = Counter()
        found: list[RemovedDocument] = []
        if version and wanted.stage in {None, Stage.DUPLICATES}:
            manifest = read_manifest(self.store, version.event.corpus_digest)
            found += islice(self._losers(manifest, batches, wanted, counts), wanted.limit)
        if wanted.stage in {None, Stage.CLEANING}:
            if version and number:
                batches = [batch for batch in batches if batch.cleaned_at <= version.event.occurred_at]
            for batch in batches:
                counts.update(batch.counts.rejected)
            found += islice(self._rejects(batches, wanted), max(0, wanted.limit - len(found)))
        return RemovedDocuments(
            domain=domain, number=version.event.number if version else 0, counts=dict(counts), documents=tuple(found)
        )

    def diff(self, domain: str, earlier: int, later: int, *, limit: int) -> CorpusDiff:
        """Return how two versions differ.

        Raises:
            RequestRefused: 404, there is no such version.
        """
        manifests = self.manifest(domain, earlier), self.manifest(domain, later)
        difference = Difference()
        for places in aligned(*(len(manifest.shards) for manifest in manifests)):
            tables = [
                pa.concat_tables(
                    [read_table(self.store, manifest.shards[place].digest, COMPARED) for place in range_of]
                )
                for manifest, range_of in zip(manifests, places, strict=True)
            ]
            difference.add(*tables)
        added, removed, changed = difference.added, difference.removed, difference.changed
        return CorpusDiff(
            domain=domain, earlier=earlier, later=later, num_unchanged=difference.num_unchanged,
            num_added=difference.num_of(added, difference.only_later),
            num_removed=difference.num_of(removed, difference.only_earlier), num_changed=len(changed),
            added=tuple(added[:limit]), removed=tuple(removed[:limit]),
            changed=tuple(self._changed(manifests, difference, changed[:limit])),
        )  # fmt: skip

    def manifest(self, domain: str, number: int | None) -> CorpusManifest:
        """Return a version's manifest, the last one's by default.

        Raises:
            RequestRefused: 404, there is no such version.
        """
        version = self.ledger.version(domain, number) if number else self.ledger.latest_version(domain)
        if version is None:
            raise _unknown(domain, number)
        return read_manifest(self.store, version.event.corpus_digest)

    def _view(self, version: Version) -> CorpusVersionView:
        event = version.event
        manifest = read_manifest(self.store, event.corpus_digest)
        statistics = manifest.statistics
        return CorpusVersionView(
            number=event.number, corpus_digest=event.corpus_digest, parent_digest=event.parent_corpus_digest,
            content_digest=manifest.content_digest, cut_at=event.occurred_at, num_documents=event.num_documents,
            num_new_documents=event.num_new_documents, num_held_out=statistics.num_held_out,
            num_superseded=statistics.num_superseded, num_characters=statistics.num_characters,
            num_shards=len(manifest.shards), num_batches=len(manifest.batches),
            num_quarantined_batches=len(manifest.quarantined_batch_ids), labels=statistics.labels, removed=statistics.removed,
        )  # fmt: skip

    def _losers(
        self, manifest: CorpusManifest, batches: Sequence[CleanedBatch], wanted: RemovedFilter, counts: Counter[str]
    ) -> Iterator[RemovedDocument]:
        if manifest.removed_digest is None:
            return
        table = read_table(self.store, manifest.removed_digest)
        counts.update({row["values"]: row["counts"] for row in table["reason"].value_counts().to_pylist()})
        if wanted.reason is not None:
            table = table.filter(pc.equal(table["reason"], wanted.reason))
        rows = _Rows(self.store, batches)
        for start in range(0, len(table), wanted.limit):
            part = table.slice(start, wanted.limit)
            losers, winners = rows.read(part["number"].to_numpy()), rows.read(part["winner"].to_numpy())
            for row, loser, winner in zip(part.to_pylist(), losers, winners, strict=True):
                if wanted.document_id in {None, loser["document_id"]}:
                    yield _loser(row, loser, winner)

    def _rejects(self, batches: Sequence[CleanedBatch], wanted: RemovedFilter) -> Iterator[RemovedDocument]:
        for batch in reversed(batches):
            if not batch.counts.rejected:
                continue
            columns = (*ROW_COLUMNS, "position", "step", "reason", "score")
            for row in read_table(self.store, batch.removed_digest, columns).to_pylist():
                if wanted.reason in {None, row["reason"]} and wanted.document_id in {None, row["document_id"]}:
                    yield RemovedDocument(
                        removed_id=removed_id(Stage.CLEANING, batch, row["position"]), stage="cleaning", step=row["step"],
                        reason=row["reason"], score=row["score"], batch_id=batch.batch_id,
                        document_id=row["document_id"], published_on=row["published_on"], text=row["text"][:SNIPPET_CHARS],
                        labels=_labels(row),
                    )  # fmt: skip

    def _changed(
        self, manifests: tuple[CorpusManifest, CorpusManifest], difference: Difference, ids: Sequence[str]
    ) -> Iterator[ChangedDocument]:
        earlier = self._shown(manifests[0], [difference.only_earlier[one][0] for one in ids])
        later = self._shown(manifests[1], [difference.only_later[one][0] for one in ids])
        for one in ids:
            yield ChangedDocument(document_id=one, fields=fields_that_differ(earlier[one], later[one]))

    def _shown(self, manifest: CorpusManifest, digests: Sequence[bytes]) -> dict[str, dict[str, Any]]:
        wanted = pa.array(digests, pa.binary(32))
        shown = {}
        for shard in manifest.shards if digests else ():
            table = read_table(self.store, shard.digest, (*SHOWN, DIGEST))
            for row in table.filter(pc.is_in(table[DIGEST], wanted)).to_pylist():
                shown[row["document_id"]] = row
        return shown


class _Rows:
    """Rows of the cleaned batches by their number in the domain; a batch's shard is read once for each call."""

    def __init__(self, store: ArtifactStore, batches: Sequence[CleanedBatch]) -> None:
        self._store = store
        self._batches = batches
        self._ends = np.array(list(accumulate(batch.num_documents for batch in batches)), np.int64)

    def read(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        places = np.searchsorted(self._ends, numbers, side="right")
        rows: list[dict[str, Any]] = [{}] * len(numbers)
        for place in np.unique(places).tolist():
            batch = self._batches[place]
            first = int(self._ends[place]) - batch.num_documents
            here = np.flatnonzero(places == place)
            positions = numbers[here] - first
            found = read_table(self._store, batch.shard_digest, ROW_COLUMNS).take(pa.array(positions)).to_pylist()
            for at, position, row in zip(here.tolist(), positions.tolist(), found, strict=True):
                rows[at] = row | {"batch": batch, "position": position}
        return rows


def removed_id(stage: Stage, batch: CleanedBatch, position: int) -> str:
    """Return the name of a removed document: its stage, batch and row."""
    return f"{stage}:{batch.batch_id}:{position}"


def _loser(row: dict[str, Any], loser: dict[str, Any], winner: dict[str, Any]) -> RemovedDocument:
    return RemovedDocument(
        removed_id=removed_id(Stage.DUPLICATES, loser["batch"], loser["position"]), stage="duplicates", step="duplicates",
        reason=row["reason"], score=row["score"], batch_id=loser["batch"].batch_id, document_id=loser["document_id"],
        published_on=loser["published_on"], text=loser["text"][:SNIPPET_CHARS], labels=_labels(loser),
        matched_document_id=winner["document_id"], matched_published_on=winner["published_on"],
        matched_text=winner["text"][:SNIPPET_CHARS], matched_labels=_labels(winner),
    )  # fmt: skip


def _labels(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*([row["label"]] if row["label"] else []), *(row["labels"] or [])]))


def _batch_view(batch: CleanedBatch) -> CorpusBatchView:
    return CorpusBatchView(
        batch_id=batch.batch_id, cleaned_at=batch.cleaned_at, num_documents=batch.num_documents,
        is_quarantined=batch.is_quarantined, changed=batch.counts.changed, masked=batch.counts.masked,
        rejected=batch.counts.rejected,
    )  # fmt: skip


def _unknown(domain: str, number: int | None = None) -> RequestRefused:
    what = f"version {number} of the corpus" if number else "a corpus version"
    return RequestRefused(
        404, "unknown-corpus-version", "No such corpus version", f"the domain {domain} has no {what.removeprefix('a ')}",
        next_step="see `plumb corpus versions`; a first one is cut at enough new documents, or by `plumb train now`",
    )  # fmt: skip
