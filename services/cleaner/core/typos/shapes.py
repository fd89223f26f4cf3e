"""Which characters look alike: those that differ in one of their two parts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from services.cleaner.core.typos.characters import common_characters

MAX_SHARING_RIGHT = 12
MAX_SHARING_LEFT = 8
"""A part that more common characters have, as 氵 or 言, makes them no look-alikes."""
NUM_PARTS = 2

Shapes = Mapping[str, frozenset[str]]
NO_SHAPES: Shapes = {}


def look_alikes(decompositions: Mapping[str, Sequence[Sequence[str]]]) -> Shapes:
    """Return the common characters that look like each common character.

    Args:
        decompositions: Ways to take a character apart, each a sequence of parts, e.g. {"峻": [["山", "夋"]]}.

    Example:
        >>> parts = {"峻": [["山", "夋"]], "竣": [["立", "夋"]], "岭": [["山", "令"]]}
        >>> sorted(look_alikes(parts)["峻"])
        ['岭', '竣']
    """
    sharing: dict[tuple[int, str], set[str]] = defaultdict(set)
    for character in common_characters():
        for parts in decompositions.get(character, ()):
            if len(parts) == NUM_PARTS:
                for place, part in enumerate(parts):
                    sharing[place, part].add(character)
    alike: dict[str, set[str]] = defaultdict(set)
    for (place, _), characters in sharing.items():
        if len(characters) <= (MAX_SHARING_RIGHT if place else MAX_SHARING_LEFT):
            for character in characters:
                alike[character] |= characters - {character}
    return {character: frozenset(others) for character, others in alike.items() if others}
