"""What a document is made of, for all documents of a batch at once, and which of them are no use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from services.cleaner.core.steps import mojibake
from services.cleaner.core.steps.joined import JoinedTexts
from services.cleaner.core.steps.personal_data import MASKS
from services.cleaner.core.steps.traits import KIND_MASK, Kind

Shares = npt.NDArray[np.float32]

GRAM: Final = 8
"""Characters in the pieces whose repetition is counted: five words of Chinese or so."""
MAX_DOCUMENTS: Final = 2048
"""Documents that fit a sort key of 32 bits beside a code point of 21."""
CODE_BITS: Final = 21
_MULTIPLIER: Final = 0x9E3779B1
"""2^32 over the golden ratio (Knuth, The Art of Computer Programming, 6.4): spreads neighbouring code points."""

HAN_WORD: Final = 1.5
LATIN_WORD: Final = 5.0
"""Letters in a word, roughly: what makes Chinese and English of one length comparable."""
MAX_ACCENTED: Final = 0.03
"""English has fewer accented letters among its Latin ones, French and German more."""


class Reason(StrEnum):
    """Why a document is rejected; the score is what was measured against the limit."""

    EMPTY = "empty"
    TOO_LONG = "too-long"
    BROKEN = "broken-characters"
    MOSTLY_SYMBOLS = "mostly-symbols"
    ONE_CHARACTER = "one-character-repeated"
    REPEATED = "repeated"
    UNSETTLED = "unsettled"
    OFF_DOMAIN = "off-domain"
    MADE_FROM_HELD_OUT = "made-from-held-out"


class Language(IntEnum):
    """A guess by script: one of two, or another."""

    ZH = 0
    EN = 1
    OTHER = 2


@dataclass(frozen=True)
class TextStatistics:
    """Statistics by document, each of shape [documents]; shares are of all characters, 0 to 1, and 0 for an empty text.

    Attributes:
        length: Characters.
        han: Share of Han.
        latin: Share of Latin letters, accented ones included.
        letter: Share of letters of other scripts.
        digit: Share of numbers.
        punctuation: Share of punctuation and symbols.
        space: Share of white space.
        top_character: Share of the most frequent character.
        repeated: Share of the pieces of eight characters that came before in the document. Pieces are compared by a hash of
            21 bits, which adds up to 0.012 in a text of 50,000 characters and nothing to speak of in short ones.
        language: A `Language` each.
    """

    length: npt.NDArray[np.int64]
    han: Shares
    latin: Shares
    letter: Shares
    digit: Shares
    punctuation: Shares
    space: Shares
    top_character: Shares
    repeated: Shares
    language: npt.NDArray[np.uint8]

    @property
    def words(self) -> Shares:
        """Share of letters and numbers: what is neither punctuation, symbol nor white space."""
        words: Shares = self.han + self.latin + self.letter + self.digit
        return words

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the statistics of several batches as one; none gives empty arrays."""
        if not parts:
            return cls(**{name: np.zeros(0, dtype) for name, dtype in _FIELDS.items()})
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS})


_FIELDS: Final = dict.fromkeys(
    ("han", "latin", "letter", "digit", "punctuation", "space", "top_character", "repeated"), np.dtype(np.float32)
) | {"length": np.dtype(np.int64), "language": np.dtype(np.uint8)}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a document may be at most; shares 0 to 1.

    Attributes:
        characters: Its length.
        broken: Share of characters that stand for lost ones.
        symbols: Share of what is neither letter nor number.
        top_character: Share of one character, in texts of at least `MIN_JUDGED`.
        repeated: Share of pieces that came before, in texts of at least `MIN_JUDGED`.
    """

    characters: int
    broken: float
    symbols: float
    top_character: float
    repeated: float


MIN_JUDGED: Final = 20
"""Shorter texts repeat themselves by chance."""


def statistics(joined: JoinedTexts) -> TextStatistics:
    """Measure a batch of at most 2,048 documents."""
    num = len(joined.starts)
    document = np.repeat(np.arange(num, dtype=np.uint32), joined.ends - joined.starts + 1)
    counts = np.bincount(document << np.uint32(4) | joined.traits & KIND_MASK, minlength=num << 4).reshape(num, 16)
    owners = document << np.uint32(CODE_BITS)
    length = joined.ends - joined.starts
    shares = (counts / np.maximum(length, 1)[:, None]).astype(np.float32)
    latin = shares[:, Kind.LATIN] + shares[:, Kind.ACCENTED]
    return TextStatistics(
        length=length,
        han=shares[:, Kind.HAN],
        latin=latin,
        letter=shares[:, Kind.LETTER],
        digit=shares[:, Kind.NUMBER],
        punctuation=shares[:, Kind.PUNCTUATION] + shares[:, Kind.SYMBOL],
        space=shares[:, Kind.SPACE],
        top_character=_top_share(owners | joined.codes, joined.starts, length),
        repeated=_repeated_share(joined, owners),
        language=_languages(shares[:, Kind.HAN], latin, shares[:, Kind.ACCENTED], shares[:, Kind.LETTER]),
    )


def _top_share(
    owned_codes: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
) -> Shares:
    """Return the share of the commonest character.

    `owned_codes` are code points below the number of their document; they are sorted in place.
    """
    # Sorting leaves each document in its place, with equal characters side by side.
    keys = owned_codes
    keys.sort()
    begins = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    sizes = np.diff(begins, append=len(keys))
    top = np.maximum.reduceat(sizes, np.searchsorted(begins, starts))
    return np.where(length > 0, top / np.maximum(length, 1), 0).astype(np.float32)


def _repeated_share(joined: JoinedTexts, owners: npt.NDArray[np.uint32]) -> Shares:
    num = len(joined.starts)
    hashes, width, power = joined.codes, 1, _MULTIPLIER
    while width < GRAM:
        # Twice as wide each time: h(ab) = h(a) x multiplier^width + h(b), modulo 2^32.
        hashes = hashes[:-width] * np.uint32(power) + hashes[width:]
        width, power = 2 * width, power * power % 2**32
    keys = np.zeros(len(joined.codes), np.uint32)
    keys[: len(hashes)] = hashes * np.uint32(_MULTIPLIER) >> np.uint32(32 - CODE_BITS)
    # The last pieces reach into the next document: they count as different ones, whatever follows.
    last = np.arange(GRAM)
    keys[np.maximum(joined.ends[:, None] - last, joined.starts[:, None])] = last
    keys |= owners
    keys.sort()
    repeats = keys[1:][keys[1:] == keys[:-1]] >> np.uint32(CODE_BITS)
    total = np.maximum(joined.ends - joined.starts - GRAM + 1, 1)
    share: Shares = np.minimum(np.bincount(repeats, minlength=num) / total, 1).astype(np.float32)
    return share


def _languages(han: Shares, latin: Shares, accented: Shares, other: Shares) -> npt.NDArray[np.uint8]:
    chinese, english = han / HAN_WORD, latin / LATIN_WORD
    # Japanese has kana between its Han; a language of another script has more of that than of either.
    foreign = (other > han / 2) & (other / HAN_WORD > english) | (accented > MAX_ACCENTED * latin) & (english > chinese)
    known = np.where(chinese >= english, Language.ZH, Language.EN)
    return np.where(foreign | (han + latin == 0), Language.OTHER, known).astype(np.uint8)


_MASK = re.compile("|".join(map(re.escape, MASKS.values())))


def judge(
    texts: Sequence[str], joined: JoinedTexts, measured: TextStatistics, limits: Limits
) -> dict[int, tuple[Reason, float]]:
    """Return the documents that are no use by position: why, and what was measured.

    Args:
        texts: Cleaned documents.
        joined: The same, joined.
        measured: Their statistics.
        limits: What a document may be at most.
    """
    long_enough = measured.length >= MIN_JUDGED
    symbols = 1 - measured.words - measured.space
    rules = (
        (Reason.REPEATED, measured.repeated, long_enough & (measured.repeated > limits.repeated)),
        (Reason.ONE_CHARACTER, measured.top_character, long_enough & (measured.top_character > limits.top_character)),
        (Reason.MOSTLY_SYMBOLS, symbols, symbols > limits.symbols),
    )
    # A later rule overwrites an earlier one: the plainest reason comes last.
    rejected = {int(at): (reason, float(scores[at])) for reason, scores, flags in rules for at in np.flatnonzero(flags)}
    for at in [at for at, (reason, _) in rejected.items() if reason is Reason.REPEATED]:
        if not _repeats_without_masks(texts[at], limits.repeated):
            del rejected[at]
    for at in np.flatnonzero(mojibake.may_be_broken(joined)).tolist():
        if (share := mojibake.broken_share(texts[at])) > limits.broken:
            rejected[at] = (Reason.BROKEN, share)
    for at in np.flatnonzero(measured.length > limits.characters).tolist():
        rejected[at] = (Reason.TOO_LONG, float(measured.length[at]))
    for at in np.flatnonzero(measured.length == 0).tolist():
        rejected[at] = (Reason.EMPTY, 0.0)
    return rejected


def _repeats_without_masks(text: str, most: float) -> bool:
    """Whether a text repeats itself apart from the masks, which are all alike: a table of people is no repetition."""
    plain = _MASK.sub("", text)
    measured = statistics(JoinedTexts.of([plain]))
    return plain == text or bool(measured.length[0] >= MIN_JUDGED and measured.repeated[0] > most)
