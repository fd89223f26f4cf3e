"""What merges may not cross, and the pieces of other scripts than Han among it, from which merges are learnt as from Han."""

import re
from collections.abc import Iterator

from tokenizers import Regex, pre_tokenizers

from services.tokenizer_builder.core.terms import HAN

JOINERS = r"\x{0F0B}\x{180E}\x{202F}"
"""What stands inside words: the tsheg between Tibetan syllables, Mongolian's vowel separator, its suffixes' narrow blank."""
SYLLABLE = re.compile("[^\u0f0b]+\u0f0b?|\u0f0b")

_WORDLY = r"[[\p{L}\p{M}\p{N}]&&[^\p{Han}]]"
_UNCASED = r"[[\p{Lo}\p{Lm}]&&[^\p{Han}]]"
PIECES = (
    r"\p{Han}+"
    r"|[\p{P}\p{N}\n]"
    rf"|(?: |(?<!{_WORDLY}))(?<!\p{{N}}-)(?:\p{{Lu}}{{6,}}|\p{{Lu}}?[\p{{Ll}}\p{{M}}]+)(?!{_WORDLY}|-\p{{N}})"
    rf"| ?{_UNCASED}(?:{_UNCASED}|[\p{{M}}{JOINERS}])*"
    r"|[\s\S]"
)
"""What merges may not cross: a run of Han characters; a word with the space before it, of a script with capitals, or of another
one with its vowel signs and with what joins its syllables.

Punctuation comes early since most pieces that are not Han are that. All else stands alone, character by character: digits, since
numbers tell statutes apart and a value must stay readable; letters beside a digit, in mixed case or in short capitals, which are
genes (TP53), formulas (NaCl), chemical names (2,4-D) and codes (GB/T); punctuation, or templates like "and others," become
tokens."""

ASCII_WORD = re.compile(r"(?: |(?<![A-Za-z0-9]))(?<![0-9]-)(?:[A-Z]{6,}|[A-Z]?[a-z]{2,})(?![A-Za-z0-9]|-[0-9])")
"""The words of `PIECES` in text whose only letters beside Han are ASCII: most Chinese text, and much faster to find so."""
OTHER_LETTER = re.compile(
    "[\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u2c00-\u2dff\u3040-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    "\ua000-\ud7ff\ufb00-\ufdff\ufe70-\ufefc\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc\U00010000-\U0001efff]"
)
"""The blocks of Unicode in which other words are written."""
OTHER_RUN = re.compile(f"[^{HAN}]+")
SPLIT = pre_tokenizers.Split(Regex(PIECES), "isolated")


def words_beside_han(text: str) -> Iterator[str]:
    """Yield the words of other scripts than Han, as `PIECES` has them, those of one letter beside a capital left out.

    They are found between Han characters, which no rule about neighbours asks for.

    Example:
        `Take Na, все かな` has `Take`, ` все` and ` かな`.
    """
    if not OTHER_LETTER.search(text):
        yield from ASCII_WORD.findall(text)
        return
    for run in OTHER_RUN.findall(text):
        if OTHER_LETTER.search(run):
            yield from (piece for piece, _ in SPLIT.pre_tokenize_str(run) if _is_word(piece))
        else:
            yield from ASCII_WORD.findall(run)


def syllables(word: str) -> list[str]:
    """Return a word of Tibetan, which is written without spaces, by its syllables; another one as it is."""
    return SYLLABLE.findall(word)


def _is_word(piece: str) -> bool:
    """Whether a piece has two letters beside a capital: Na, Mg and Ca are formulas more often than words."""
    letters = piece.removeprefix(" ")
    return len(letters) - letters[:1].isupper() > 1
