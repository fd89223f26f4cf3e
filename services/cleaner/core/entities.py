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
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    moved = []
    for entity in entities:
        # What an entity shares with each stretch that both texts have, by its place in the cleaned one.
        shared = [
            (max(entity.start, block.a) - block.a + block.b, min(entity.end, block.a + block.size) - block.a + block.b)
            for block in blocks
            if max(entity.start, block.a) < min(entity.end, block.a + block.size)
        ]
        if shared:
            moved.append(entity.model_copy(update={"start": shared[0][0], "end": shared[-1][1]}))
    return tuple(moved)
