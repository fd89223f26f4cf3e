"""New terms for a tokenizer that serves: all old ids stay, and a text without the new terms gives the same tokens as before.

A term that is found before any merge touches nothing else. Nor does one merge of two pieces: it applies where they stand side by
side, which is where the term's own letters stand. A chain of merges would also join its first pieces elsewhere, and is not made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from contracts.tokenizers import TermLeftOut
from services.tokenizer_builder.core import bpe
from services.tokenizer_builder.core.recipe import may_be_added, spelled
from services.tokenizer_builder.core.screen import Overlap
from services.tokenizer_builder.core.terms import Term

NO_ROOM = "there is no room for it"


@dataclass(frozen=True, kw_only=True)
class Extended:
    """A tokenizer with new terms.

    Attributes:
        added: Terms that became tokens, in the order of their ids.
        left_out: Terms that would change how other text is read, and those that there is no room for, each with the reason.
        num_new_tokens: How many ids are new; those before are as they were.
    """

    tokenizer: Tokenizer
    added: tuple[str, ...]
    left_out: tuple[TermLeftOut, ...]
    num_new_tokens: int


def extend(
    tokenizer: Tokenizer, terms: Sequence[Term], screened: Mapping[str, Overlap], *, max_terms: int | None = None
) -> Extended:
    """Return a tokenizer with terms that it has in pieces now.

    Args:
        tokenizer: One of ours.
        terms: What shall be one token, what matters most first.
        screened: How they stand in a text.
        max_terms: At most so many, a token each; None: all.
    """
    draft = bpe.reopened(tokenizer)
    num_before = len(draft.names)
    added: list[str] = []
    left_out: list[TermLeftOut] = []
    for term in terms:
        if max_terms is not None and len(added) >= max_terms:
            left_out.append(TermLeftOut(term=term.text, reason=NO_ROOM))
            continue
        if may_be_added(term.text, screened):
            draft.add_term(term.text)
        elif (pair := _pair(draft, term.text)) is not None:
            draft.merge(pair)
        else:
            left_out.append(TermLeftOut(term=term.text, reason=_why(term.text, screened)))
            continue
        added.append(term.text)
    return Extended(
        tokenizer=draft.tokenizer(), added=tuple(added), left_out=tuple(left_out),
        num_new_tokens=len(draft.names) - num_before,
    )  # fmt: skip


def new_terms(tokenizer: Tokenizer, terms: Sequence[Term]) -> list[Term]:
    """Return the terms that are not one token yet."""
    encodings = tokenizer.encode_batch_fast([term.text for term in terms], add_special_tokens=False)
    return [term for term, encoding in zip(terms, encodings, strict=True) if len(encoding) > 1]


def _why(term: str, screened: Mapping[str, Overlap]) -> str:
    """Return why a term that occurs can be no token of a tokenizer that serves."""
    overlap = screened.get(term)
    if overlap is not None and overlap.is_harmful:
        return f"it cuts {overlap.example} at {overlap.num_cuts} of {overlap.num_places} places"
    return "it is too short to be found before any merge, and is not two tokens now that one merge could join"


def _pair(draft: bpe.Draft, term: str) -> tuple[int, int] | None:
    """Return the two pieces of a term, None where it has more, or a character that is no token."""
    if any(character not in draft.ids for character in term) or any(known in term for known in draft.terms):
        return None
    pieces = spelled(draft, term)
    return (pieces[0], pieces[1]) if len(pieces) == 2 else None  # noqa: PLR2004 (a pair)
