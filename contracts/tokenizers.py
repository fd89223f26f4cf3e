"""What is told of a tokenizer: its parts, and what it does to held-out text."""

from typing import Literal

from pydantic import Field

from contracts.envelope import Contract, Digest, Domain


class TokenizerParts(Contract):
    """What a vocabulary is made of, in tokens; terms that are words of the core count there.

    Attributes:
        core_size: The first so many tokens.
        num_terms: Terms of the lexicon that are one token.
    """

    vocab_size: int
    core_size: int
    num_terms: int
    num_terms_left_out: int


class TermLeftOut(Contract):
    """A term that occurs in the training text, is good enough, and is no token, and why."""

    term: str
    reason: str


class ComparedTokenizer(Contract):
    """A general tokenizer on the same text.

    Attributes:
        ratio: Our tokens over its tokens; lower is better for us.
    """

    name: str
    num_tokens: int
    tokens_per_char: float
    ratio: float


class TokenizerReport(Contract):
    """A tokenizer, the decision that led to it, and what it does to text. Shares run from 0 to 1.

    Attributes:
        is_held_out: Whether the text is held-out; a corpus without any is measured on its new text.
        coverage: Share of characters that need no byte fallback.
        tokens_per_char: Fertility; lower is better.
        word_coverage: Occurrences of words of two and more characters, as a segmenter cuts them, that are one token.
        core_term_coverage: Occurrences of the thousand most frequent terms that are one token of the core; None: no term occurs.
        num_terms: Accepted terms that occur, in the training text or in this one. Those that wait for the next extension are
            counted in `num_entries` only, here and below.
        terms_whole: Those of them that alone are one token; None: there are none.
        num_accepted_terms: Accepted terms, those that never occur included.
        accepted_terms_whole: Those of them that alone are one token; None: there are none.
        terms_unbroken: Occurrences of terms in the text with no token's edge inside; where a general word reaches over the edge
            of a term's letters, the term does not occur. None where none occurs.
        crossing: Tokens that join a part of a word to its neighbour, of all tokens; lower is better.
        spanning: Tokens of several whole words.
        round_trip: Texts that come back from their tokens letter for letter.
        num_tokens_by_chars: Tokens of the text by their length in characters; a byte token counts as one.
        compared: General tokenizers, those whose packages are installed.
        not_compared: Those whose packages are not.
        num_entries: The lexicon's entries by status.
        terms_left_out: The first accepted terms that occur in the training text and are no token.
    """

    format_version: Literal[1] = 1
    domain: Domain
    corpus_digest: Digest
    tokenizer_digest: Digest
    decision: Literal["built", "reused", "extended", "rebuilt"]
    reason: str
    parts: TokenizerParts
    is_held_out: bool
    num_texts: int
    num_chars: int
    num_tokens: int
    coverage: float
    tokens_per_char: float
    word_coverage: float
    core_term_coverage: float | None
    num_terms: int
    terms_whole: float | None
    terms_unbroken: float | None
    num_term_occurrences: int
    crossing: float
    spanning: float
    num_byte_tokens: int
    num_unknown: int
    round_trip: float
    num_tokens_by_chars: dict[int, int] = Field(default_factory=dict)
    compared: tuple[ComparedTokenizer, ...] = ()
    not_compared: tuple[str, ...] = ()
    num_entries: dict[str, int]
    num_accepted_terms: int = 0
    accepted_terms_whole: float | None = None
    terms_left_out: tuple[TermLeftOut, ...] = ()
