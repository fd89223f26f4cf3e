"""Reads word vectors from the store, and what they tell; used from threads."""

from functools import lru_cache

from contracts.envelope import Digest, Domain
from contracts.word_vectors import Drift, DriftedWord, SynonymCandidate, Synonyms, VectorsVersion
from services.tokenizer_builder.core.vectors import meaning_drift, shared_words, synonym_candidates, words_needed
from shared import vector_versions
from shared.artifacts import ArtifactStore
from shared.errors import RequestRefused
from shared.lm.word_vectors import WordVectors, from_bytes

KEPT_VECTORS = 2
"""Vectors that stay in memory: two versions are compared, each takes 10 to 40 MB."""


class VectorReading:
    """Reads vectors and what they tell; called from threads."""

    def __init__(self, store: ArtifactStore) -> None:
        """Read from a store; the vectors that were asked for last stay in memory."""
        self._store = store
        self._vectors = lru_cache(maxsize=KEPT_VECTORS)(self._read)

    def synonyms(
        self, domain: Domain, words: list[str], number: int | None, nearest: int, min_cosine: float
    ) -> Synonyms:
        """Return candidates for each word that has a vector.

        Raises:
            RequestRefused: The version has no vectors.
        """
        version = self._version(domain, number)
        found = synonym_candidates(self._of(version), words, num_nearest=nearest, min_cosine=min_cosine)
        candidates = {
            word: tuple(SynonymCandidate(word=one.word, cosine=one.cosine, is_mutual=one.is_mutual) for one in near)
            for word, near in found.items()
        }
        return Synonyms(number=version.number, candidates=candidates)

    def drift(
        self,
        domain: Domain,
        words: list[str] | None,
        numbers: tuple[int | None, int | None],
        min_count: int,
        limit: int,
    ) -> Drift:
        """Return how far words moved, the largest first.

        Args:
            domain: Whose.
            words: Which; None: all that occur `min_count` times in both versions.
            numbers: The earlier and the later version; None: the newest, and the one before.
            min_count: See there.
            limit: Words, at most.

        Raises:
            RequestRefused: A version has no vectors, or the two cannot be compared: other widths, too few words in common.
        """
        after = self._version(domain, numbers[1])
        before = self._version(domain, numbers[0], before=after.number)
        if before.dimensions != after.dimensions:
            raise _refused(
                f"the vectors of version {before.number} have {before.dimensions} dimensions, those of version "
                f"{after.number} {after.dimensions}",
                "compare versions that were learnt with the same PLUMBLINE_WORD_VECTORS__DIMENSIONS",
            )
        old, new = self._of(before), self._of(after)
        num_shared = _num_shared(old, new, before, after)
        wanted = words or [word for word in new.words if min(old.count(word), new.count(word)) >= min_count]
        moved = list(meaning_drift(old, new, wanted).items())[:limit]
        found = tuple(DriftedWord(word=word, drift=moved_by) for word, moved_by in moved)
        return Drift(
            before=before.number, after=after.number, words=found, num_shared=num_shared, dimensions=after.dimensions
        )

    def _version(self, domain: Domain, number: int | None, *, before: int | None = None) -> VectorsVersion:
        if number is None:
            version = vector_versions.latest_learnt(self._store, domain, before=before)
        else:
            versions = vector_versions.versions_of(self._store, domain)
            version = next((one for one in versions if one.number == number and one.state == "learnt"), None)
        if version is None:
            which = "no corpus version" if number is None else f"not the corpus version {number}"
            earlier = f" before {before}" if number is None and before else ""
            raise _refused(
                f"{which}{earlier} of the domain {domain} has word vectors",
                "look at `plumb vectors list`; they are learnt once the mesh is quiet",
            )
        return version

    def _of(self, version: VectorsVersion) -> WordVectors:
        assert version.vectors_digest is not None  # noqa: S101 (it is learnt)
        return self._vectors(version.vectors_digest)

    def _read(self, digest: Digest) -> WordVectors:
        return from_bytes(self._store.read_bytes(digest))


def _num_shared(old: WordVectors, new: WordVectors, before: VectorsVersion, after: VectorsVersion) -> int:
    num_shared, needed = len(shared_words(old, new)), words_needed(after.dimensions)
    if num_shared < needed:
        raise _refused(
            f"versions {before.number} and {after.number} share {num_shared:,} words; vectors of {after.dimensions} dimensions "
            f"are aligned by {needed:,} or more, since with fewer every word seems to have stayed",
            "ingest more text, or set a smaller PLUMBLINE_WORD_VECTORS__DIMENSIONS for the versions to come",
        )
    return num_shared


def _refused(detail: str, next_step: str) -> RequestRefused:
    return RequestRefused(404, "no-word-vectors", "No word vectors", detail, next_step=next_step)
