"""The child process that learns word vectors: `python -m services.tokenizer_builder.vectors_run JOB_FILE`.

Nothing else imports gensim, which with scipy takes a second and 100 MB. It writes a line of progress for each epoch.
"""

import sys
from pathlib import Path

from contracts.word_vectors import DriftedWord
from services.tokenizer_builder.adapters import read_training_texts
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.learning import learn, segmented
from services.tokenizer_builder.core.vectors import meaning_drift
from services.tokenizer_builder.core.vectors_job import VectorRules, VectorsJob, VectorsLearnt, VectorsProgress
from shared.artifacts import ArtifactStore
from shared.child import do_job, exit_with_parent
from shared.lm.word_vectors import WordVectors, from_bytes, to_bytes


def learn_vectors(job: VectorsJob) -> VectorsLearnt:
    """Learn the word vectors of a corpus version and store them.

    Raises:
        NoWordVectors: The text is too short for any, or the version before has none under its digest.
        ArtifactMissing: The version, a shard of it or the vectors before are gone.
        ArtifactCorrupt: One of them is damaged.
    """
    store = ArtifactStore(job.artifacts_url)
    before = from_bytes(store.read_bytes(job.previous_vectors_digest)) if job.previous_vectors_digest else None
    sentences = segmented(bpe.thin(read_training_texts(store, job.corpus_digest), max_chars=job.rules.max_chars))
    vectors = learn(sentences, job.rules, on_epoch=lambda epoch: _tell(epoch, job.rules.epochs))
    return VectorsLearnt(
        vectors_digest=store.put_bytes(to_bytes(vectors)),
        num_words=len(vectors.words),
        dimensions=job.rules.dimensions,
        num_tokens=sum(map(len, sentences)),
        drifted=drifted(before, vectors, job.rules),
    )


def drifted(old: WordVectors | None, new: WordVectors, rules: VectorRules) -> tuple[DriftedWord, ...]:
    """Return the frequent words that moved most; none where there is nothing to compare with."""
    if old is None or old.vectors_WD.shape[1] != new.vectors_WD.shape[1]:
        return ()
    frequent = [word for word in new.words if min(old.count(word), new.count(word)) >= rules.min_drift_count]
    moved = list(meaning_drift(old, new, frequent).items())[: rules.num_drifted]
    return tuple(DriftedWord(word=word, drift=drift) for word, drift in moved)


def _tell(epoch: int, epochs: int) -> None:
    sys.stdout.write(VectorsProgress(epoch=epoch, epochs=epochs).model_dump_json() + "\n")
    sys.stdout.flush()


def main(job_file: Path) -> int:
    """Do the job and return the exit code."""
    return do_job(job_file, VectorsJob, lambda job, _: learn_vectors(job))


if __name__ == "__main__":
    exit_with_parent()
    sys.exit(main(Path(sys.argv[1])))
