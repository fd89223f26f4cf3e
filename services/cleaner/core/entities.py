"""Labelled stretches of a text, found again after the text was cleaned."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from contracts.corpus import Entity


def realigned(entities: Sequence[Entity], before: str, after: str) -> tuple[Entity, ...]:
    """Return the entities at their places in the changed text; one of which nothing is left is dropped.

    Args:
        entities: By the text as it was.
        before: That text.
        after: The cleaned one.

    Example:
        >>> realigned([Entity(start=2, end=5, label="drug")], "服\u200b阿莫西", "服阿莫西")
        (Entity(start=1, end=4, label='drug'),)
    """
    if not entities:
        return ()
    blocks = _same_places(before, after)
    moved = []
    for entity in entities:
        # What an entity shares with each stretch that both texts have, by its place in the cleaned one.
        shared = [
            (max(entity.start, begin) + shift, min(entity.end, end) + shift)
            for begin, end, shift in blocks
            if max(entity.start, begin) < min(entity.end, end)
        ]
        if shared:
            moved.append(entity.model_copy(update={"start": shared[0][0], "end": shared[-1][1]}))
    return tuple(moved)


def _same_places(before: str, after: str) -> list[tuple[int, int, int]]:
    """Return (begin, end, shift) of each stretch that is in both texts, also where each of its characters is another one.

    A folded width and a corrected slip exchange characters one by one; what stands around them does not matter to their places.
    """
    codes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [
        (begin, end, other_begin - begin)
        for what, begin, end, other_begin, other_end in codes
        if what == "equal" or (what == "replace" and end - begin == other_end - other_begin)
    ]
