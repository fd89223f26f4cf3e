"""Scores against a hand-worked example and a second way to compute them; gates at their limits."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.evaluation import Score
from services.evaluator.core import Question, judge, macro_f1, sample, score
from services.evaluator.settings import Gates

GATES = Gates(min_margin=0.05, max_accuracy_drop=0.05, min_documents=50)
PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=60)


def asked(labels: Iterable[str], *, is_new: bool = True) -> list[Question]:
    return [Question(f"text {number}", label, is_new) for number, label in enumerate(labels)]


def overall(labels: Sequence[str], answers: Sequence[str]) -> Score:
    return score(asked(labels), answers)[0]


def scored(accuracy: float, *, n: int = 100, majority: float = 0.4) -> Score:
    return Score(slice="all", n=n, accuracy=accuracy, macro_f1=0.3, majority_share=majority)


def test_macro_f1_of_a_hand_worked_example() -> None:
    # Confusion matrix, rows right, columns answered:
    #            criminal civil admin
    #   criminal     3      1     0      P 3/4  R 3/4  F1 3/4
    #   civil        0      2     1      P 2/4  R 2/3  F1 4/7
    #   admin        1      1     1      P 1/2  R 1/3  F1 2/5
    labels = ["criminal"] * 4 + ["civil"] * 3 + ["admin"] * 3
    answers = ["criminal"] * 3 + ["civil"] + ["civil", "civil", "admin"] + ["criminal", "civil", "admin"]

    assert macro_f1(labels, answers) == pytest.approx((3 / 4 + 4 / 7 + 2 / 5) / 3)
    found = overall(labels, answers)
    assert found.macro_f1 == pytest.approx((3 / 4 + 4 / 7 + 2 / 5) / 3)
    assert found.accuracy == pytest.approx(6 / 10)
    assert found.majority_share == pytest.approx(4 / 10)


def test_macro_f1_repeats_the_example_of_its_docstring() -> None:
    assert macro_f1(list("aab"), list("abb")) == pytest.approx(2 / 3)


def test_macro_f1_counts_the_classes_that_are_present_and_no_others() -> None:
    # Class c is answered but no document has it: it makes b worse, and adds no zero of its own.
    assert macro_f1(list("ab"), list("ac")) == pytest.approx(1 / 2)
    assert macro_f1(list("aa"), list("aa")) == 1.0


@given(PAIRS)
def test_macro_f1_agrees_with_precision_and_recall(pairs: list[tuple[str, str]]) -> None:
    labels, answers = [right for right, _ in pairs], [answer for _, answer in pairs]
    by_class = []
    for name in set(labels):
        hits = pairs.count((name, name))
        precision = hits / answers.count(name) if name in answers else 0.0
        recall = hits / labels.count(name)
        by_class.append(2 * precision * recall / (precision + recall) if hits else 0.0)

    assert macro_f1(labels, answers) == pytest.approx(sum(by_class) / len(by_class))


@given(PAIRS)
def test_scores_are_shares_and_do_not_depend_on_the_order(pairs: list[tuple[str, str]]) -> None:
    one = overall([right for right, _ in pairs], [answer for _, answer in pairs])
    other = overall([right for right, _ in reversed(pairs)], [answer for _, answer in reversed(pairs)])

    assert one.accuracy == other.accuracy
    assert one.macro_f1 == pytest.approx(other.macro_f1)
    largest = Counter(right for right, _ in pairs).most_common(1)[0][1]
    assert one.majority_share == other.majority_share == largest / len(pairs)


def test_a_constant_answer_reaches_the_majority_share() -> None:
    found = overall(list("aaabbc"), ["a"] * 6)
    assert found.accuracy == found.majority_share == 0.5


def test_without_documents_there_is_no_score_and_the_gate_stays_shut() -> None:
    assert score([], []) == ()
    assert macro_f1([], []) == 0.0
    judgement = judge([], [], GATES)
    assert not judgement.passed
    assert judgement.reasons[0] == "FAILED: 0 labelled held-out documents, at least 50 are asked for"


def test_slices_are_scored_apart_and_empty_ones_are_left_out() -> None:
    questions = [Question("x", "a", is_new=False), Question("y", "a", is_new=True), Question("z", "b", is_new=True)]

    found = score(questions, ["a", "b", "b"])

    assert [(one.slice, one.n, one.accuracy) for one in found] == [
        ("all", 3, pytest.approx(2 / 3)), ("old", 1, 1.0), ("new", 2, 0.5),
    ]  # fmt: skip
    assert [one.slice for one in score(questions[:1], ["a"])] == ["all", "old"]


@pytest.mark.parametrize(("reached", "passed"), [(0.4499, False), (0.45, True), (0.4501, True)])
def test_the_floor_is_the_largest_class_plus_the_margin(reached: float, passed: bool) -> None:
    judgement = judge([scored(reached)], [], GATES)

    assert judgement.passed is passed
    assert judgement.floor_accuracy == pytest.approx(0.45)
    assert judgement.reasons == (
        "passed: 100 labelled held-out documents, at least 50 are asked for",
        f"{'passed' if passed else 'FAILED'}: accuracy {reached:.3f}, the floor is 0.450 "
        "(largest class 0.400 and the margin 0.050)",
    )


@pytest.mark.parametrize(("reached", "passed"), [(0.7499, False), (0.75, True), (0.9, True)])
def test_a_bundle_may_lose_only_so_much_against_the_serving_one(reached: float, passed: bool) -> None:
    judgement = judge([scored(reached)], [scored(0.8)], GATES)

    assert judgement.passed is passed
    word = "passed" if passed else "FAILED"
    assert judgement.reasons[2] == f"{word}: accuracy {reached:.3f}, not below 0.750 (serving 0.800 less 0.050)"


@pytest.mark.parametrize(("n", "passed"), [(0, False), (49, False), (50, True)])
def test_too_few_documents_fail_the_gate_and_say_so(n: int, passed: bool) -> None:
    judgement = judge([scored(0.9, n=n)], [], GATES)

    assert judgement.passed is passed
    word = "passed" if passed else "FAILED"
    assert judgement.reasons[0] == f"{word}: {n} labelled held-out documents, at least 50 are asked for"


def test_a_sample_is_the_same_whatever_the_order() -> None:
    pool = asked("a" * 100)

    chosen = sample(pool, 10)

    assert len(chosen) == 10
    assert sample(list(reversed(pool)), 10) == chosen
    assert sample(pool, 20)[:10] == chosen
    assert len(sample(pool, 1000)) == 100


def test_a_sample_of_a_larger_corpus_keeps_what_is_not_pushed_out() -> None:
    pool = asked("a" * 120)

    before, after = set(sample(pool[:100], 50)), set(sample(pool, 50))

    assert len(after) == 50
    assert after - before <= set(pool[100:])


def test_documents_of_one_class_judge_nothing() -> None:
    scores = score([Question("x", "a", is_new=True)] * 60, ["a"] * 60)
    judgement = judge(scores, (), Gates())
    assert not judgement.passed
    assert judgement.reasons[0] == "FAILED: 60 labelled held-out documents, all of one class, at least 50 are asked for"
