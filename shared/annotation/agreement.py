"""Several annotators, one answer: majorities, what is disputed, and how far people agree beyond chance."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.annotation.records import Annotation, Entity


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """What more than half of a document's annotators say.

    Attributes:
        labels: In alphabetical order; empty if no majority is for any.
        entities: In the text's order; an entity counts as the same with the same begin, end and label.
        annotators: Who was heard.
        is_disputed: Somebody said something else.
        votes: How many annotators gave each label.
        entity_votes: How many marked each entity.
    """

    document_id: str
    labels: tuple[str, ...]
    entities: tuple[Entity, ...]
    annotators: tuple[str, ...]
    is_disputed: bool
    votes: Mapping[str, int]
    entity_votes: Mapping[Entity, int]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far annotators agree on labels.

    Attributes:
        num_documents: Documents with a label from two annotators or more.
        num_disputed: Those on which not all gave the same.
        pairs: Cohen's kappa of each two annotators with documents in common, -1 to 1; None: chance alone explains all.
        fleiss: Fleiss' kappa over the documents that as many annotators saw as most did; None: there is none, or see above.
    """

    num_documents: int
    num_disputed: int
    pairs: Mapping[tuple[str, str], float | None]
    fleiss: float | None


def merge(annotations: Sequence[Annotation]) -> list[Agreed]:
    """Return one answer a document, ordered by document id.

    An annotator's later annotation of a document replaces the earlier one.
    """
    return [_agreed(document_id, list(given.values())) for document_id, given in sorted(_latest(annotations).items())]


def agreement(annotations: Sequence[Annotation]) -> Agreement:
    """Return how far the annotators agree; a document's labels count as one answer, as a set."""
    answers = {
        document_id: {one.annotator: tuple(sorted(one.labels)) for one in given.values() if one.labels}
        for document_id, given in _latest(annotations).items()
    }
    several = {document_id: given for document_id, given in answers.items() if len(given) > 1}
    return Agreement(
        num_documents=len(several),
        num_disputed=sum(len(set(given.values())) > 1 for given in several.values()),
        pairs=_pairs(several),
        fleiss=fleiss_kappa(_same_number(several)),
    )


def cohen_kappa(pairs: Sequence[tuple[object, object]]) -> float | None:
    """Return Cohen's kappa of two annotators, -1 to 1; None where chance alone explains full agreement, or nothing is given.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the share of equal answers and p_e that expected from each one's own shares
    (Cohen, "A coefficient of agreement for nominal scales", 1960).

    Example:
        >>> round(cohen_kappa([("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15), 3)
        0.4
    """
    if not pairs:
        return None
    size = len(pairs)
    one, other = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    observed = sum(first == second for first, second in pairs) / size
    expected = sum(count * other[answer] for answer, count in one.items()) / size**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(answers: Sequence[Sequence[object]]) -> float | None:
    """Return Fleiss' kappa, -1 to 1; None where chance alone explains full agreement, or nothing is given.

    kappa = (P - P_e) / (1 - P_e), with P the mean share of agreeing pairs of annotators a document and P_e the sum of the
    squared shares of all answers (Fleiss, "Measuring nominal scale agreement among many raters", 1971).

    Args:
        answers: A document's answers, the same number of two or more for each.

    Raises:
        ValueError: Documents have different numbers of answers, or fewer than two.
    """
    if not answers:
        return None
    raters = len(answers[0])
    if raters < 2 or any(len(given) != raters for given in answers):  # noqa: PLR2004
        msg = "Fleiss' kappa wants the same number of two or more answers for each document"
        raise ValueError(msg)
    counts = [Counter(given) for given in answers]
    agreeing = [sum(count * (count - 1) for count in given.values()) / (raters * (raters - 1)) for given in counts]
    totals: Counter[object] = sum(counts, Counter())
    expected = sum((count / (len(answers) * raters)) ** 2 for count in totals.values())
    observed = sum(agreeing) / len(answers)
    return None if expected == 1 else (observed - expected) / (1 - expected)


def _latest(annotations: Sequence[Annotation]) -> dict[str, dict[str, Annotation]]:
    latest: dict[str, dict[str, Annotation]] = defaultdict(dict)
    for one in annotations:
        latest[one.document_id][one.annotator] = one
    return latest


def _agreed(document_id: str, given: Sequence[Annotation]) -> Agreed:
    votes = Counter(label for one in given for label in set(one.labels))
    entity_votes = Counter(entity for one in given for entity in set(one.entities))
    needed = len(given) / 2
    answers = {(frozenset(one.labels), frozenset(one.entities)) for one in given}
    return Agreed(
        document_id=document_id,
        labels=tuple(sorted(label for label, count in votes.items() if count > needed)),
        entities=tuple(sorted(entity for entity, count in entity_votes.items() if count > needed)),
        annotators=tuple(sorted(one.annotator for one in given)),
        is_disputed=len(answers) > 1,
        votes=dict(sorted(votes.items())),
        entity_votes=dict(sorted(entity_votes.items())),
    )


def _pairs(several: Mapping[str, Mapping[str, tuple[str, ...]]]) -> dict[tuple[str, str], float | None]:
    together: dict[tuple[str, str], list[tuple[object, object]]] = defaultdict(list)
    for given in several.values():
        people = sorted(given)
        for index, one in enumerate(people):
            for other in people[index + 1 :]:
                together[one, other].append((given[one], given[other]))
    return {pair: cohen_kappa(answers) for pair, answers in sorted(together.items())}


def _same_number(several: Mapping[str, Mapping[str, tuple[str, ...]]]) -> list[list[tuple[str, ...]]]:
    sizes = Counter(len(given) for given in several.values())
    if not sizes:
        return []
    usual = max(sizes, key=lambda size: (sizes[size], size))
    return [list(given.values()) for given in several.values() if len(given) == usual]
