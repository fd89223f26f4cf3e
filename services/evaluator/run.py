"""The child process that evaluates: `python -m services.evaluator.run JOB_FILE`."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.envelope import Digest
from services.evaluator.adapters import held_out_questions
from services.evaluator.core import EvaluationJob, Judgement, Question, judge, sample, score
from shared import bundle
from shared.artifacts import ArtifactStore
from shared.child import do_job, exit_with_parent
from shared.serving import BundleSession

PROGRESS_EVERY = 500

Tell = Callable[[int, int], None]


def evaluate(job: EvaluationJob, folder: Path, tell: Tell) -> Judgement:
    """Ask the bundle, and the serving one if there is any, the same questions, and judge.

    Raises:
        PermanentError: It cannot be done: an artifact is gone, or the bundle is refused.
    """
    store = ArtifactStore(job.artifacts_url)
    digests = [job.bundle_digest, *([job.serving_digest] if job.serving_digest else [])]
    # A bundle without labels has learned none, and is asked nothing.
    questions = sample(list(held_out_questions(store, job.corpus_digest, job.serving_digest)), job.gates.max_documents)
    progress = _Progress(len(questions) * len(digests), tell)
    scores = [score(questions, _answers(store, digest, folder, questions, progress)) for digest in digests]
    return judge(scores[0], scores[1] if job.serving_digest else (), job.gates)


class _Progress:
    """Counts answers and tells now and then."""

    def __init__(self, total: int, tell: Tell) -> None:
        self._total = total
        self._tell = tell
        self._done = 0

    def step(self) -> None:
        self._done += 1
        if self._done % PROGRESS_EVERY == 0 or self._done == self._total:
            self._tell(self._done, self._total)


def _answers(
    store: ArtifactStore, digest: Digest, folder: Path, questions: Sequence[Question], progress: _Progress
) -> list[str]:
    bundle.load(store, digest, folder / digest)
    session = BundleSession(folder / digest)
    if not session.labels:
        return [""] * len(questions)
    answers: list[str] = []
    for question in questions:
        answers.append(session.classify([question.text])[0].label)
        progress.step()
    return answers


def main(job_file: Path) -> int:
    """Do the job and return the exit code."""
    return do_job(job_file, EvaluationJob, lambda job, folder: evaluate(job, folder, _tell))


def _tell(done: int, total: int) -> None:
    sys.stdout.write(json.dumps({"done": done, "total": total}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    exit_with_parent()
    sys.exit(main(Path(sys.argv[1])))
