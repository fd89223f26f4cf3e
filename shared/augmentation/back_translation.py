"""Back-translation: there into another language and back. Whoever translates is plugged in; what comes back is checked here."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.augmentation.records import Method, TrainingText, may_be_augmented, meaning_markers

MIN_RATIO, MAX_RATIO = 0.5, 2.0
"""Of the lengths, new to old: outside, something was left out or made up."""


class BackTranslation(Protocol):
    """Somebody who translates there and back."""

    async def there(self, texts: Sequence[str]) -> list[str]:
        """Return the texts in the other language, one for each."""

    async def back(self, texts: Sequence[str]) -> list[str]:
        """Return the texts in the first language again, one for each."""


class Fault(StrEnum):
    """Why a text that came back is not used."""

    SAME = "it is the original"
    LENGTH = "it is far shorter or longer than the original"
    MEANING = "a number, negation or modal word is another"
    TERM = "a term of the lexicon is gone"


@dataclass(frozen=True, kw_only=True)
class BackTranslated:
    """What came of a batch.

    Attributes:
        texts: What can be used, marked.
        faults: The other positions of the batch, and why.
    """

    texts: tuple[TrainingText, ...]
    faults: tuple[tuple[int, Fault], ...]


async def augmented_by_back_translation(
    originals: Sequence[TrainingText],
    digests: Sequence[str],
    translation: BackTranslation,
    *,
    terms: Sequence[str] = (),
) -> BackTranslated:
    """Return texts made from those originals that may be augmented.

    Args:
        originals: A batch.
        digests: Of the originals' texts.
        translation: Who translates.
        terms: Terms that must survive wherever an original has them.
    """
    chosen = [position for position, original in enumerate(originals) if may_be_augmented(original)]
    returned = await translation.back(await translation.there([originals[position].text for position in chosen]))
    texts: list[TrainingText] = []
    faults: list[tuple[int, Fault]] = []
    for position, text in zip(chosen, returned, strict=True):
        original, stripped = originals[position], text.strip()
        if found := fault(original.text, stripped, terms):
            faults.append((position, found))
            continue
        texts.append(
            TrainingText(
                text=stripped,
                group=original.group,
                labels=original.labels,
                augmented_from=digests[position],
                method=Method.BACK_TRANSLATION,
            )
        )
    return BackTranslated(texts=tuple(texts), faults=tuple(faults))


def fault(original: str, returned: str, terms: Sequence[str] = ()) -> Fault | None:
    """Return why a text that came back cannot stand for its original, or None."""
    if returned == original:
        return Fault.SAME
    if not MIN_RATIO * len(original) <= len(returned) <= MAX_RATIO * len(original):
        return Fault.LENGTH
    if meaning_markers(returned) != meaning_markers(original):
        return Fault.MEANING
    if any(term in original and term not in returned for term in terms):
        return Fault.TERM
    return None
