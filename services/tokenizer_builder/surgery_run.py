"""The child process that cuts a vocabulary: `python -m services.tokenizer_builder.surgery_run JOB_FILE`."""

import sys
from pathlib import Path

from contracts.corpus import Document
from services.tokenizer_builder.core.surgery import UncuttableVocabulary
from services.tokenizer_builder.surgery_files import cut_model
from shared.child import do_job, exit_with_parent
from shared.corpus import is_held_out
from shared.errors import RunFailed
from shared.vocabulary_cut import CutJob, CutReport


def cut(job: CutJob) -> CutReport:
    """Write the cut model and return what that saved.

    Raises:
        RunFailed: It cannot be cut.
    """
    corpus, held_out = read_documents(Path(job.documents))
    if not corpus:
        corpus, held_out = held_out, []
    try:
        return cut_model(Path(job.model), Path(job.output), corpus, held_out, coverage=job.coverage)
    except UncuttableVocabulary as error:
        msg = f"{error}; {error.next_step}" if error.next_step else str(error)
        raise RunFailed(msg) from error


def read_documents(path: Path) -> tuple[list[str], list[str]]:
    """Return the texts that tokens are counted in, and those of held-out groups."""
    corpus: list[str] = []
    held_out: list[str] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            document = Document.model_validate_json(line)
            (held_out if is_held_out(document.split_group) else corpus).append(document.text)
    return corpus, held_out


def main(job_file: Path) -> int:
    """Do the job and return the exit code."""
    return do_job(job_file, CutJob, lambda job, _: cut(job))


if __name__ == "__main__":
    exit_with_parent()
    sys.exit(main(Path(sys.argv[1])))
