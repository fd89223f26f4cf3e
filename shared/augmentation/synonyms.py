"""Replacing words by synonyms, the same way for the same document, for ever."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import rjieba
from ahocorasick_rs import AhoCorasick, MatchKind

from shared.augmentation.records import MEANING, Method, TrainingText, may_be_augmented
from shared.word_pairs import NEVER_CHANGED

MIN_WORD_CHARS = 2
PAIR_WORDS = frozenset(word for word in NEVER_CHANGED if len(word) >= MIN_WORD_CHARS)


@dataclass(frozen=True)
class _Word:
    begin: int
    text: str

    @property
    def end(self) -> int:
        return self.begin + len(self.text)


class SynonymReplacer:
    """Replaces some of a text's words.

    A word is replaced whole, as the lexicon cuts it and rjieba's dictionary too. Neither it nor its synonym holds a digit,
    numeral, negation or modal word, or a word of a legal pair such as 终止 and 中止; no part of a longer term is replaced.
    """

    def __init__(self, synonyms: Mapping[str, Sequence[str]], terms: Sequence[str] = ()) -> None:
        """Prepare the replacements that are allowed.

        Args:
            synonyms: Words with what may stand in their place.
            terms: The lexicon, whose terms stay whole.
        """
        self._synonyms = {
            word: options
            for word, given in synonyms.items()
            if _is_free(word) and (options := sorted({one for one in given if one != word and _is_free(one)}))
        }
        self._segmenter = rjieba.Jieba()
        whole = sorted({term for term in terms if len(term) >= MIN_WORD_CHARS} | set(self._synonyms))
        self._terms = AhoCorasick(whole, matchkind=MatchKind.LeftmostLongest) if whole else None

    @property
    def words(self) -> frozenset[str]:
        """The words that can be replaced."""
        return frozenset(self._synonyms)

    def replace(self, text: str, *, digest: str, share: float) -> str:
        """Return the text with some words replaced.

        Args:
            text: A cleaned text.
            digest: Of the document; it decides which words are replaced and by what.
            share: Of the words that can be replaced, 0 to 1; at least one if it is above 0.

        Raises:
            ValueError: `share` is outside 0 to 1.
        """
        if not 0 <= share <= 1:
            msg = f"share must be 0 to 1, not {share}"
            raise ValueError(msg)
        words = list(self._replaceable(text))
        num_replaced = min(len(words), max(round(share * len(words)), 1)) if share else 0
        chosen = sorted(sorted(words, key=lambda word: _draw(digest, word, "which"))[:num_replaced], key=_begin)
        pieces, at = [], 0
        for word in chosen:
            options = self._synonyms[word.text]
            pieces += [text[at : word.begin], options[_draw(digest, word, "by what") % len(options)]]
            at = word.end
        return "".join([*pieces, text[at:]])

    def _replaceable(self, text: str) -> Iterator[_Word]:
        """Yield words of the lexicon's cut that have synonyms, and whose ends rjieba cuts too."""
        if self._terms is None:
            return
        cuts = set(_cuts(self._segmenter.cut(text)))
        for _, begin, end in self._terms.find_matches_as_indexes(text):
            if text[begin:end] in self._synonyms and begin in cuts and end in cuts:
                yield _Word(begin, text[begin:end])


def augmented_by_synonyms(
    original: TrainingText, replacer: SynonymReplacer, *, digest: str, share: float
) -> TrainingText | None:
    """Return a text made from an original, marked; None if it may not be augmented or nothing in it can be replaced."""
    if not may_be_augmented(original):
        return None
    text = replacer.replace(original.text, digest=digest, share=share)
    if text == original.text:
        return None
    return TrainingText(
        text=text, group=original.group, labels=original.labels, augmented_from=digest, method=Method.SYNONYMS
    )


def _is_free(word: str) -> bool:
    """Whether a word may be replaced, or may replace another."""
    if len(word) < MIN_WORD_CHARS or not MEANING.isdisjoint(word):
        return False
    cuts = range(len(word) + 1)
    return not any(word[begin:end] in PAIR_WORDS for begin in cuts for end in cuts[begin + MIN_WORD_CHARS :])


def _cuts(words: Sequence[str]) -> list[int]:
    cuts = [0]
    for word in words:
        cuts.append(cuts[-1] + len(word))
    return cuts


def _draw(digest: str, word: _Word, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}\x00{digest}\x00{word.begin}".encode()).digest()[:8], "big")


def _begin(word: _Word) -> int:
    return word.begin
