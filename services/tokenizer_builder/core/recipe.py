"""How a tokenizer is built: a core from segmented text, its merges continued unsegmented, and the lexicon on top.

1. The core learns merges inside the words of a segmenter: whole words, few tokens across word boundaries.
2. Short terms, and those that would cut their neighbours, become merges; all others are found before any merge (`screen`).
   Where those that occur need more room than is theirs, the merges without a segmenter give it; for those that users named, which
   come first, the words of the core do too.
3. On the text between these terms merges go on without a segmenter: what often stands together becomes one token.

Each stage only appends, so the first ids are a smaller tokenizer's. Source of the recipe: our measurements of segmented,
unsegmented and combined vocabularies of equal size, on held-out laws; segmented ones cover words, unsegmented ones save tokens.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import Tokenizer

from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.bpe import Draft
from services.tokenizer_builder.core.merging import Pair, Pieces
from services.tokenizer_builder.core.screen import MIN_ADDED_CHARS, Finder, Overlap
from services.tokenizer_builder.core.segmentation import TextCounts
from services.tokenizer_builder.core.terms import NUMERALS, Term

TWO_NUMERALS = re.compile(f"[{NUMERALS}]{{2}}")
"""Chinese numerals are read one by one like digits: 三年 and 十三年 differ in a token, whatever the number."""
SEGMENTED_SHARE, CONTINUED_SHARE = 0.65, 0.2
"""Of the room beside special tokens, bytes and characters: for the core's words, and for what is merged without a segmenter."""
LEAST_SEGMENTED_SHARE, LEAST_CONTINUED_SHARE = 0.4, 0.05
"""They keep these shares, whatever room terms need: those that users named get 55 % of it at most, mined ones 30 %."""
RARE_CHARACTER_PER = 4_000_000
"""A character has a token of its own if it occurs once, and once more for so many characters of text."""
MIN_CONTINUED_COUNT = 4
"""A continued merge that would be rarer is not made: its embedding would learn nothing."""
MASK = "\0"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Upper limits of a vocabulary; small corpora stay below them.

    Attributes:
        vocab_size: Tokens in all.
        core_size: The first so many are the core: special ones, bytes, characters and the most frequent words.
        max_word_chars: Longest token of the core, in characters.
        max_piece_chars: Longest token of the merges without a segmenter.
    """

    vocab_size: int
    core_size: int = 8_000
    max_word_chars: int = 8
    max_piece_chars: int = 6


@dataclass(frozen=True, kw_only=True)
class Built:
    """A tokenizer and how it came about.

    Attributes:
        num_characters: Tokens that are single characters.
        num_segmented: Tokens that merges inside words made.
        num_continued: Tokens that merges without a segmenter made.
        added: Terms that are found before any merge.
        merged: Terms that merges make.
        left_out: Terms for which there was no room.
    """

    tokenizer: Tokenizer
    num_characters: int
    num_segmented: int
    num_continued: int
    added: tuple[str, ...]
    merged: tuple[str, ...]
    left_out: tuple[str, ...]


def build(
    counts: TextCounts, terms: Sequence[Term], screened: Mapping[str, Overlap], sizes: Sizes, *, num_first: int = 0
) -> Built:
    """Return a tokenizer for a text.

    Args:
        counts: What the training text is made of.
        terms: The lexicon, what matters most first; where there is too little room, the last are left out.
        screened: How terms stand in the text.
        sizes: How large it may be.
        num_first: So many terms, the first ones, go before words of the core: a person named them, and they occur.

    Raises:
        ValueError: The vocabulary is too small for special and byte tokens.
    """
    draft = bpe.draft_of(_alphabet(counts, sizes))
    num_characters = len(draft.names) - bpe.NUM_FIXED
    room = sizes.vocab_size - len(draft.names)
    base = len(draft.names)
    last = base + int(room * (1 - LEAST_CONTINUED_SHARE))
    words = Pieces(_wordly(counts, terms, sizes), draft.ids, draft.names)
    _learn(draft, words, up_to=base + int(room * LEAST_SEGMENTED_SHARE), min_count=2, max_chars=sizes.max_word_chars)
    needed = choose(draft, terms[:num_first], screened, up_to=last).cost
    up_to = min(base + int(room * SEGMENTED_SHARE), last - needed)
    _learn(draft, words, up_to=up_to, min_count=2, max_chars=sizes.max_word_chars)
    num_segmented = len(draft.names) - base
    needed = choose(draft, [term for term in terms if term.count], screened, up_to=last).cost
    up_to = max(base + int(room * (1 - CONTINUED_SHARE)), len(draft.names) + needed)
    chosen = choose(draft, terms, screened, up_to=up_to)
    for term in chosen.merged:
        join(draft, term)
    num_new = sum(term not in draft.ids for term in chosen.added)
    before = len(draft.names)
    runs = Pieces(without(counts.runs, chosen.added) + counts.others, draft.ids, draft.names)
    runs.apply([(pair, draft.ids[draft.names[pair[0]] + draft.names[pair[1]]]) for pair in draft.merges])
    _learn(
        draft, runs, up_to=sizes.vocab_size - num_new, min_count=MIN_CONTINUED_COUNT, max_chars=sizes.max_piece_chars
    )
    num_continued = len(draft.names) - before
    for term in chosen.added:
        draft.add_term(term)
    return Built(
        tokenizer=draft.tokenizer(), num_characters=num_characters, num_segmented=num_segmented,
        num_continued=num_continued, added=chosen.added, merged=chosen.merged, left_out=chosen.left_out,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What becomes of terms.

    Attributes:
        cost: Tokens that they bring, at most.
    """

    added: tuple[str, ...]
    merged: tuple[str, ...]
    left_out: tuple[str, ...]
    cost: int


def choose(draft: Draft, terms: Sequence[Term], screened: Mapping[str, Overlap], *, up_to: int) -> Chosen:
    """Return which terms are found before any merge and which are made by merges, as long as there is room.

    Args:
        draft: What is there already; a term that it has costs nothing.
        terms: What matters most first.
        screened: How they stand in a text.
        up_to: How many tokens there may be.
    """
    room = up_to - len(draft.names)
    safe = Finder([term.text for term in terms if may_be_added(term.text, screened)])
    added: list[str] = []
    merged: list[str] = []
    left_out: list[str] = []
    characters: set[str] = set()
    for term in terms:
        # What holds a term that is found before any merge can be one token only in the same way.
        is_added = bool(safe.places(term.text))
        lacking = set() if is_added else {one for one in term.text if one not in draft.ids} - characters
        # A merge chain makes a token of each of its steps, and of each character that was none.
        steps = 1 if is_added else len(term.text) - 1 + len(lacking)
        cost = 0 if term.text in draft.ids else steps
        if cost > room:
            left_out.append(term.text)
            continue
        room -= cost
        characters |= lacking
        (added if is_added else merged).append(term.text)
    cost = up_to - len(draft.names) - room
    return Chosen(added=tuple(added), merged=tuple(merged), left_out=tuple(left_out), cost=cost)


def may_be_added(term: str, screened: Mapping[str, Overlap]) -> bool:
    """Whether a term may be found before any merge: long enough, and it seldom cuts a general word."""
    overlap = screened.get(term)
    return len(term) >= MIN_ADDED_CHARS and (overlap is None or not overlap.is_harmful)


def join(draft: Draft, term: str) -> None:
    """Append the merges that make a term of the pieces which it has now: alone, it is one token from then on.

    Earlier merges come first, so they make the same pieces as before, and later ones cannot come between.
    """
    pieces = spelled(draft, term)
    while len(pieces) > 1:
        pieces[:2] = [draft.merge((pieces[0], pieces[1]))]


def spelled(draft: Draft, term: str) -> list[int]:
    """Return the tokens that the draft's merges make of a term that stands alone."""
    ranks = draft.ranks
    pieces = [draft.ids[character] if character in draft.ids else draft.add(character) for character in term]
    while len(pieces) > 1:
        pairs: list[Pair] = list(pairwise(pieces))
        best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        at = pairs.index(best)
        pieces[at : at + 2] = [draft.ids[draft.names[best[0]] + draft.names[best[1]]]]
    return pieces


def without(runs: Mapping[str, int], terms: Sequence[str]) -> Counter[str]:
    """Return the runs with the terms masked, which the merges will never see."""
    if not terms:
        return Counter(runs)
    text = "\n".join(runs)
    parts: list[str] = []
    at = 0
    for _, start, end in Finder(terms).places(text):
        parts += (text[at:start], MASK * (end - start))
        at = end
    parts.append(text[at:])
    masked: Counter[str] = Counter()
    for run, count in zip("".join(parts).split("\n"), runs.values(), strict=True):
        if run.strip(MASK):
            masked[run] += count
    return masked


def _alphabet(counts: TextCounts, sizes: Sizes) -> list[str]:
    floor = 1 + counts.num_chars // RARE_CHARACTER_PER
    known = {character: count for character, count in counts.characters.items() if count >= floor}
    return bpe.alphabet_of(known, limit=bpe.alphabet_limit(sizes.vocab_size))


def _wordly(counts: TextCounts, terms: Sequence[Term], sizes: Sizes) -> Counter[str]:
    """Return the words that the core learns from, frequent terms among them, which a segmenter may cut in several."""
    words = Counter({word: count for word, count in counts.words.items() if count > 1})
    words.update({term.text: term.count for term in terms if term.count > 1 and len(term.text) <= sizes.max_word_chars})
    return words


def _learn(draft: Draft, pieces: Pieces, *, up_to: int, min_count: int, max_chars: int) -> None:
    def merged(pair: Pair) -> int | None:
        if len(draft.names) >= up_to:
            return None
        name = draft.names[pair[0]] + draft.names[pair[1]]
        return None if TWO_NUMERALS.search(name) else draft.merge(pair)

    pieces.learn(num_merges=up_to - len(draft.names), min_count=min_count, max_chars=max_chars, next_token=merged)
