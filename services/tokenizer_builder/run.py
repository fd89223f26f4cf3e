"""The child process that fits a tokenizer: `python -m services.tokenizer_builder.run JOB_FILE`."""

import sys
from pathlib import Path

from contracts.envelope import Digest
from services.tokenizer_builder.adapters import read_texts, read_tokenizer
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.choice import Choice, choose, lexicon_of
from services.tokenizer_builder.core.job import Fitted, Job
from services.tokenizer_builder.core.report import report_on
from services.tokenizer_builder.generals import general_text, general_tokenizers
from services.tokenizer_builder.lexicons import change_lexicon, read_lexicon_state
from shared.artifacts import ArtifactStore
from shared.child import do_job, exit_with_parent


def fit(job: Job) -> Fitted:
    """Choose, and if need be build and store, the tokenizer of a corpus version, with its lexicon and its report.

    Raises:
        PermanentError: It cannot be done: an artifact is gone, or there is no training text.
    """
    store = ArtifactStore(job.artifacts_url)
    serving_digest = job.serving_tokenizer_digest
    serving = read_tokenizer(store, serving_digest) if serving_digest else None
    texts = read_texts(store, job.corpus_digest, job.serving_corpus_digest)
    state = read_lexicon_state(store, job.domain)
    lexicon = lexicon_of(texts, state, general_text(job.lexicon_rules.general_text), job.lexicon_rules)
    choice = choose(texts, serving, lexicon, job.rules)
    lexicon = lexicon.with_waiting({one.term: one.reason for one in choice.waiting})
    is_same = choice.action == "reused" and serving_digest is not None
    digest = serving_digest if is_same and serving_digest else store.put_bytes(bpe.to_json(choice.tokenizer))
    report = report_on(
        choice, texts, lexicon, job.rules, domain=job.domain, corpus_digest=job.corpus_digest,
        tokenizer_digest=digest, general=general_tokenizers(),
    )  # fmt: skip
    lexicon_digest = store.put_bytes(lexicon.model_dump_json().encode())
    report_digest = store.put_bytes(report.model_dump_json().encode())
    found = {"version_digest": lexicon_digest, "report_digest": report_digest}
    change_lexicon(store, job.domain, lambda known: known.model_copy(update=found))
    return _fitted(choice, digest, serving_digest, lexicon_digest, report_digest)


def _fitted(
    choice: Choice, digest: Digest, serving_digest: Digest | None, lexicon_digest: Digest, report_digest: Digest
) -> Fitted:
    # A rebuild that ends in the very same tokenizer changes nothing for the weights.
    reused = digest == serving_digest
    return Fitted(
        tokenizer_digest=digest, vocab_size=choice.tokenizer.get_vocab_size(with_added_tokens=True), reused=reused,
        coverage=choice.fit.coverage, tokens_per_char=choice.fit.tokens_per_char,
        decision="reused" if reused else choice.action, reason=choice.reason,
        parent_tokenizer_digest=serving_digest if choice.action == "extended" else None,
        num_new_tokens=choice.num_new_tokens, lexicon_digest=lexicon_digest, report_digest=report_digest,
    )  # fmt: skip


def main(job_file: Path) -> int:
    """Do the job and return the exit code."""
    return do_job(job_file, Job, lambda job, _: fit(job))


if __name__ == "__main__":
    exit_with_parent()
    sys.exit(main(Path(sys.argv[1])))
