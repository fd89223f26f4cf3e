"""The child process that fits a tokenizer: `python -m services.tokenizer_builder.run JOB_FILE`."""

import sys
from pathlib import Path

from services.tokenizer_builder.adapters import read_texts, read_tokenizer
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.job import Fitted, Job, choose
from shared.artifacts import ArtifactStore
from shared.child import do_job, exit_with_parent


def fit(job: Job) -> Fitted:
    """Choose, and if need be build and store, the tokenizer of a corpus version.

    Raises:
        PermanentError: It cannot be done: an artifact is gone, or there is no training text.
    """
    store = ArtifactStore(job.artifacts_url)
    serving_digest = job.serving_tokenizer_digest
    serving = read_tokenizer(store, serving_digest) if serving_digest else None
    choice = choose(read_texts(store, job.corpus_digest, job.serving_corpus_digest), serving, job.rules)
    digest = serving_digest if choice.kept and serving_digest else store.put_bytes(bpe.to_json(choice.tokenizer))
    return Fitted(
        tokenizer_digest=digest,
        vocab_size=choice.tokenizer.get_vocab_size(with_added_tokens=True),
        # A rebuild that ends in the very same tokenizer changes nothing for the weights.
        reused=digest == serving_digest,
        coverage=choice.fit.coverage,
        tokens_per_char=choice.fit.tokens_per_char,
        reason=choice.reason,
    )


def main(job_file: Path) -> int:
    """Do the job and return the exit code."""
    return do_job(job_file, Job, lambda job, _: fit(job))


if __name__ == "__main__":
    exit_with_parent()
    sys.exit(main(Path(sys.argv[1])))
