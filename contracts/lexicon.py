"""Terms of a domain: what users say of them, what a text shows, and what became of each."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.envelope import Contract, Digest, Domain

MAX_TERM_CHARS = 64
MAX_LEXICON_BYTES = 16 * 2**20

TermText = Annotated[str, Field(min_length=1, max_length=MAX_TERM_CHARS)]


def why_no_term(term: str) -> str | None:
    """Return why a string cannot be a term, for people; None: it can."""
    if not term or len(term) > MAX_TERM_CHARS:
        return f"a term has 1 to {MAX_TERM_CHARS} characters, this one {len(term)}"
    if not term.isprintable():
        return f"the term {term!r} holds what cannot be printed"
    if term != term.strip():
        return f"{term!r} has blanks at its edges"
    if "=>" in term:
        return f"{term!r} is a pair of words; synonyms are no terms"
    if not any(map(str.isalnum, term)):
        return f"{term!r} holds neither a letter nor a digit"
    return None


class LexiconEntry(Contract):
    """A term, where it comes from, and what became of it.

    Attributes:
        origin: A user named it, or it was mined from the corpus.
        status: accepted: shall be one token; waiting: mined and good enough, the next extension of the tokenizer takes it;
            proposed: waits for a person; filtered: is no term of the domain, with the reason; rejected: a person said no.
        score: How well a mined one holds together and stands free, 0 to 1.
        count: How often it occurs in the training text, at least.
        reason: Why it has its status, for people.
    """

    term: TermText
    origin: Literal["user", "mined"]
    status: Literal["accepted", "waiting", "proposed", "filtered", "rejected"]
    score: float | None = None
    count: int | None = None
    reason: str | None = None


class LexiconListing(Contract):
    """The terms of a domain: what users said, and what the last tokenizer's build found.

    Attributes:
        version_digest: The lexicon that the last tokenizer was made with; None before there was one.
        num_entries: By status; `entries` may hold fewer.
    """

    domain: Domain
    version_digest: Digest | None
    num_entries: dict[str, int]
    entries: tuple[LexiconEntry, ...]


class LexiconAdded(Contract):
    """What a file of terms brought."""

    num_terms: int
    num_new: int


class LexiconDecision(Contract):
    """A person's word on a term. Anything may be rejected: an older version may have taken it."""

    term: TermText
    decision: Literal["accept", "reject"]

    @model_validator(mode="after")
    def _accepts_a_term(self) -> Self:
        if self.decision == "accept" and (why := why_no_term(self.term)):
            raise ValueError(why)
        return self
