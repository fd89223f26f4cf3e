"""What the child process that learns word vectors is told, and what it answers. Readable without gensim."""

from typing import Annotated

from pydantic import Field

from contracts.envelope import Contract, Digest
from contracts.word_vectors import DriftedWord


class VectorRules(Contract):
    """How word vectors are learnt: word2vec's skip-gram with negative sampling (Mikolov et al. 2013).

    Attributes:
        dimensions: Width of a vector.
        window: Words to each side that a word predicts, at most.
        negative: Random words for each true one.
        min_count: Rarer words get no vector.
        epochs: Passes over the text.
        subsample: Words more frequent than this share are passed over more often than not.
        max_chars: Characters of text that are looked at; more are sampled. 7 million Chinese ones, 20 MB, take a minute.
        num_drifted: Words that the result names, those that moved most.
        min_drift_count: Rarer ones in either version are left out there, since their vectors are mostly chance.
        seed: Of first vectors and of draws.
    """

    dimensions: Annotated[int, Field(gt=0)] = 300
    window: Annotated[int, Field(gt=0)] = 5
    negative: Annotated[int, Field(gt=0)] = 5
    min_count: Annotated[int, Field(gt=0)] = 5
    epochs: Annotated[int, Field(gt=0)] = 5
    subsample: Annotated[float, Field(ge=0, le=1)] = 1e-4
    max_chars: Annotated[int, Field(gt=0)] = 7_000_000
    num_drifted: Annotated[int, Field(ge=0)] = 20
    min_drift_count: Annotated[int, Field(gt=0)] = 50
    seed: int = 1


class VectorsJob(Contract):
    """Word vectors of one corpus version.

    Attributes:
        artifacts_url: Where the corpus is, and where the vectors go.
        corpus_digest: The version. Held-out documents are left out, since vectors may begin rows of a model.
        previous_vectors_digest: Vectors of the version before, to compare with; None: nothing is compared.
    """

    artifacts_url: str
    corpus_digest: Digest
    previous_vectors_digest: Digest | None = None
    rules: VectorRules = VectorRules()


class VectorsLearnt(Contract):
    """What a run ended with; the same job gives the same vectors.

    Attributes:
        num_tokens: Words of the text that was looked at.
        drifted: The words that moved most against the version before.
    """

    vectors_digest: Digest
    num_words: int
    dimensions: int
    num_tokens: int
    drifted: tuple[DriftedWord, ...]


class VectorsProgress(Contract):
    """One line of the child's standard output."""

    epoch: int
    epochs: int
