"""What is told of the word vectors of a domain's corpus versions."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Contract, Digest, Domain

Count = Annotated[int, Field(ge=0)]


class DriftedWord(Contract):
    """A word whose company changed from one version to another: 0, not at all, to 2."""

    word: str
    drift: float


class VectorsVersion(Contract):
    """The word vectors of one corpus version.

    Attributes:
        event_id: The `corpus-versioned` event.
        number: The corpus version's.
        state: `waiting` until the mesh is quiet; `failed` where the text is too short, say.
        vectors_digest: The artifact: a safetensors file whose metadata holds the words.
        num_tokens: Words of the text that was looked at, each occurrence counted.
        drifted: Frequent words that moved most against the version before.
        reason: Why there are none.
    """

    domain: Domain
    event_id: UUID
    number: int
    corpus_digest: Digest
    state: Literal["waiting", "learnt", "failed"]
    vectors_digest: Digest | None = None
    num_words: Count = 0
    dimensions: Count = 0
    num_tokens: Count = 0
    drifted: tuple[DriftedWord, ...] = ()
    reason: str | None = None


class VectorsListing(Contract):
    """A domain's versions, oldest first."""

    versions: tuple[VectorsVersion, ...]


class SynonymCandidate(Contract):
    """A word that may mean the same, or the opposite: both keep the same company.

    Attributes:
        cosine: Likeness of the two vectors, -1 to 1.
        is_mutual: Whether each is among the nearest of the other.
    """

    word: str
    cosine: float
    is_mutual: bool


class Synonyms(Contract):
    """Candidates for each word that was asked for.

    Attributes:
        number: The corpus version whose vectors were looked at.
        candidates: By word, the nearest first; words without a vector are absent.
    """

    number: int
    candidates: dict[str, tuple[SynonymCandidate, ...]]


class Drift(Contract):
    """How words moved from one version to another.

    Attributes:
        before: The earlier corpus version.
        after: The later one.
        words: Those that moved most, or those that were asked for; the largest first.
        num_shared: Words by which the two were aligned: the fewer they are for each dimension, the smaller a drift looks.
        dimensions: Width of the vectors.
    """

    before: int
    after: int
    words: tuple[DriftedWord, ...]
    num_shared: Count = 0
    dimensions: Count = 0
