"""Texts that are the same, or nearly, and labelled differently.

Nothing is resolved here: labels are kept, conflicts are reported.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A document as far as conflicts are concerned.

    Attributes:
        digest: SHA-256 of the cleaned text.
        family: What near-duplicates have in common, e.g. the digest of the first of them; None: not known.
        labels: Its classes; a document without any conflicts with none.
    """

    document_id: str
    digest: str
    labels: tuple[str, ...]
    family: str | None = None


@dataclass(frozen=True, kw_only=True)
class LabelConflict:
    """Documents that should have the same labels and have not.

    Attributes:
        key: The digest of the text, or the family.
        is_exact: The texts are the same, letter by letter.
        document_ids: By labels, each in alphabetical order, the most frequent labels first.
    """

    key: str
    is_exact: bool
    document_ids: Mapping[tuple[str, ...], tuple[str, ...]]


def label_conflicts(records: Iterable[LabelledText]) -> list[LabelConflict]:
    """Return all conflicts, those of equal texts first, then those of near-duplicates that no equal text explains; by key.

    The order of the records does not matter.
    """
    texts: dict[str, list[LabelledText]] = defaultdict(list)
    families: dict[str, list[LabelledText]] = defaultdict(list)
    for record in records:
        if record.labels:
            texts[record.digest].append(record)
            if record.family is not None:
                families[record.family].append(record)
    exact = [_conflict(key, members, is_exact=True) for key, members in sorted(texts.items())]
    near = [_conflict(key, members, is_exact=False) for key, members in sorted(families.items())]
    reported = {document_id for one in exact if one for ids in one.document_ids.values() for document_id in ids}
    return [
        *(one for one in exact if one),
        *(one for one in near if one and not _ids(one) <= reported),
    ]


def _conflict(key: str, members: list[LabelledText], *, is_exact: bool) -> LabelConflict | None:
    groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for member in members:
        groups[tuple(sorted(set(member.labels)))].add(member.document_id)
    if len(groups) == 1:
        return None
    sizes = Counter({labels: len(ids) for labels, ids in groups.items()})
    order = sorted(groups, key=lambda labels: (-sizes[labels], labels))
    return LabelConflict(
        key=key, is_exact=is_exact, document_ids={labels: tuple(sorted(groups[labels])) for labels in order}
    )


def _ids(conflict: LabelConflict) -> set[str]:
    return {document_id for ids in conflict.document_ids.values() for document_id in ids}
