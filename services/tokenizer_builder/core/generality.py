"""Which words are general: as frequent elsewhere, or in every part of the corpus alike, however frequent they are there.

A domain's style, such as 规定, 有关 and 人员 of statutes, is many times as frequent there as in general text, and so are its
terms; but terms belong to subjects. So a word that is spread more unevenly than ordinary ones needs less contrast, an evenly
spread one more.
"""

from collections.abc import Collection, Mapping, Sequence

from services.tokenizer_builder.core.mining import Candidate, GeneralText, Tag

ORDINARY_FREQUENCY = 2_000
"""Words that the segmenter's dictionary has so often, of 60 million, and that are not more frequent here, are ordinary ones."""
TOPICAL = 0.2
"""Spread, beyond that of ordinary words, at which the limit on contrast counts as it was given;"""
DECADES = 3.0
"""and a spread that is larger by 1 divides it by ten to the power of this. These numbers were chosen by half of the hand-marked
words of statutes and of patients' letters in `tests.benchmarks.lexicon_generality`; it measures on the other half."""
LOOSE_FACTOR = 2.5
"""Verbs, adjectives and set phrases need so many times more: a style has more of them than of nouns."""
PREDICATE_TAGS = frozenset({"v", "a", "ad", "z", "zg", "i", "l"})
"""jieba's tags of these. Verbs that are nouns, too, have another one."""
INSTITUTION_TAGS = frozenset({"nt"})
INSTITUTION_FACTOR = 0.25
"""Institutions need a quarter, however they are spread: every statute has 国务院, and so have the news that speak of law."""
GENERAL_PHRASE = 0.0
"""A phrase of general words is one itself if it is spread no more unevenly than ordinary words are."""
KNOWN_FREQUENCY = 10
"""The dictionary's count of what it has less often is a placeholder: such a word is looked at as the words that it is made of."""


def ordinary_words(
    candidates: Sequence[Candidate], num_chars: int, general: GeneralText, *, min_contrast: float
) -> list[str]:
    """Return the candidates that are frequent in general text, and not so much more frequent here."""
    return [
        one.text
        for one in candidates
        if general.frequency(one.text) >= ORDINARY_FREQUENCY
        and one.count / num_chars * 1e6 < min_contrast * general.per_million(one.text)
    ]


def asked_contrast(min_contrast: float, spread: float | None, *, kind: str) -> float:
    """Return how many times more frequent than in general text a word must be to be a term.

    Args:
        min_contrast: The limit that was given.
        spread: How much more unevenly it is spread than ordinary words; None: nobody knows, and the limit counts as it is.
        kind: jieba's tag of its last word.
    """
    if kind in INSTITUTION_TAGS:
        return min_contrast * INSTITUTION_FACTOR
    if spread is None:
        return min_contrast
    factor = LOOSE_FACTOR if kind in PREDICATE_TAGS else 1.0
    return min_contrast * factor * float(10 ** (DECADES * (TOPICAL - spread)))


def why_general(
    candidate: Candidate, num_chars: int, general: GeneralText, *, min_contrast: float, spread: float | None, tag: Tag
) -> str | None:
    """Return why a candidate is a general word, or None.

    Args:
        candidate: One that holds together.
        num_chars: Size of the text that it comes from.
        general: What it is contrasted with.
        min_contrast: So many times more frequent than in general text it must be,
        spread: if it is as unevenly spread as terms are; see `asked_contrast`.
        tag: Cuts a text into words and names their kinds as jieba does.
    """
    told = general.per_million(candidate.text)
    if not told:
        return None
    asked = asked_contrast(min_contrast, spread, kind=tag(candidate.text)[-1][1])
    found = candidate.count / num_chars * 1e6 / told
    if found >= asked:
        return None
    place = "" if spread is None else f" for one spread at {spread:.2f}"
    return f"general: {found:.1f} times as frequent as in general text, at least {asked:.3g} asked{place}"


def why_general_phrase(
    text: str, terms: Collection[str], spread: Mapping[str, float], *, words: Sequence[str]
) -> str | None:
    """Return why several words make no term together, or None: none of them is one, and every part of the corpus has them alike.

    Args:
        text: The candidate.
        terms: Candidates that are not filtered.
        spread: How much more unevenly candidates are spread than ordinary words.
        words: What the candidate is made of.
    """
    found = spread.get(text)
    if len(words) == 1 or found is None or found >= GENERAL_PHRASE or any(word in terms for word in words):
        return None
    return (
        f"general: neither of {' and '.join(words)} is a term, and it is spread at {found:.2f}, as ordinary words are"
    )


def words_of(text: str, general: GeneralText, *, tag: Tag) -> list[str]:
    """Return the words that a candidate is made of, those of a word that the dictionary hardly knows, too."""
    words = [word for word, _ in tag(text)]
    if len(words) > 1 or general.frequency(text) >= KNOWN_FREQUENCY:
        return words
    middle_first = sorted(range(1, len(text)), key=lambda joint: abs(2 * joint - len(text)))
    for joint in middle_first:
        if general.frequency(text[:joint]) and general.frequency(text[joint:]):
            return [text[:joint], text[joint:]]
    return words
