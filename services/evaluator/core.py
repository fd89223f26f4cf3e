"""Scores and gates, as functions of values."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.envelope import Contract, Digest
from contracts.evaluation import Score
from services.evaluator.settings import Gates

Slice = Literal["all", "old", "new"]


class EvaluationJob(Contract):
    """What the child process is asked.

    Attributes:
        serving_digest: The bundle to compare with; fixed when the run began, so that a resumed run says the same.
    """

    artifacts_url: str
    bundle_digest: Digest
    corpus_digest: Digest
    serving_digest: Digest | None
    gates: Gates


class Judgement(Contract):
    """How a run ended."""

    passed: bool
    reasons: tuple[str, ...]
    floor_accuracy: float
    scores: tuple[Score, ...]
    serving_scores: tuple[Score, ...]


@dataclass(frozen=True)
class Question:
    """A labelled held-out document; `is_new`: the serving bundle's corpus did not have it."""

    text: str
    label: str
    is_new: bool


def sample(questions: Collection[Question], limit: int) -> list[Question]:
    """Return at most `limit` questions, those with the smallest SHA-256 of their text: the same ones at every judgement."""
    ordered = sorted(questions, key=lambda question: hashlib.sha256(question.text.encode()).digest())
    return ordered[:limit]


def score(questions: Sequence[Question], answers: Sequence[str]) -> tuple[Score, ...]:
    """Return the scores on all questions and, where there are any, on the old and the new ones.

    Args:
        questions: What was asked.
        answers: The bundle's labels, one a question, in order.
    """
    pairs = list(zip(questions, answers, strict=True))
    old = [pair for pair in pairs if not pair[0].is_new]
    new = [pair for pair in pairs if pair[0].is_new]
    slices: list[tuple[Slice, list[tuple[Question, str]]]] = [("all", pairs), ("old", old), ("new", new)]
    return tuple(
        _score(name, [question.label for question, _ in part], [answer for _, answer in part])
        for name, part in slices
        if part
    )


def macro_f1(truth: Sequence[str], answers: Sequence[str]) -> float:
    """Return the mean F1 over the classes that `truth` holds; 0 where there are none.

    F1 of a class is 2 TP / (2 TP + FP + FN): the harmonic mean of precision and recall. Classes that only the answers hold lower
    the others' figures and have none of their own.

    Example:
        truth a a b, answers a b b: a has 2/3, b has 2/3, the mean is 2/3.
    """
    right = Counter(label for label, answer in zip(truth, answers, strict=True) if label == answer)
    asked, answered = Counter(truth), Counter(answers)
    if not asked:
        return 0.0
    return sum(2 * right[label] / (asked[label] + answered[label]) for label in asked) / len(asked)


def judge(scores: Sequence[Score], serving_scores: Sequence[Score], gates: Gates) -> Judgement:
    """Return whether a bundle may be released, with one sentence a gate."""
    overall = _overall(scores)
    floor = overall.majority_share + gates.min_margin
    checks = [
        (
            overall.n >= gates.min_documents and overall.majority_share < 1,
            f"{overall.n:,} labelled held-out documents{', all of one class' if overall.majority_share == 1 else ''}, "
            f"at least {gates.min_documents:,} are asked for",
        ),
        (
            overall.accuracy >= floor,
            f"accuracy {overall.accuracy:.3f}, the floor is {floor:.3f} "
            f"(largest class {overall.majority_share:.3f} and the margin {gates.min_margin:.3f})",
        ),
    ]
    if serving_scores:
        serving, drop = _overall(serving_scores).accuracy, gates.max_accuracy_drop
        lowest = serving - drop
        sentence = f"accuracy {overall.accuracy:.3f}, not below {lowest:.3f} (serving {serving:.3f} less {drop:.3f})"
        checks.append((overall.accuracy >= lowest, sentence))
    return Judgement(
        passed=all(passed for passed, _ in checks),
        reasons=tuple(f"{'passed' if passed else 'FAILED'}: {reason}" for passed, reason in checks),
        floor_accuracy=floor,
        scores=tuple(scores),
        serving_scores=tuple(serving_scores),
    )


def _overall(scores: Sequence[Score]) -> Score:
    nothing = Score(slice="all", n=0, accuracy=0.0, macro_f1=0.0, majority_share=0.0)
    return next((score for score in scores if score.slice == "all"), nothing)


def _score(name: Slice, truth: list[str], answers: list[str]) -> Score:
    num_right = sum(label == answer for label, answer in zip(truth, answers, strict=True))
    return Score(
        slice=name,
        n=len(truth),
        accuracy=num_right / len(truth),
        macro_f1=macro_f1(truth, answers),
        majority_share=max(Counter(truth).values()) / len(truth),
    )
