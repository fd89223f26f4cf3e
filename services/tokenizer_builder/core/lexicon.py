"""The lexicon of a domain: users' terms and mined ones, each with what became of it. A version belongs to each tokenizer."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from contracts.envelope import Contract, Digest, Domain
from contracts.lexicon import LexiconEntry, LexiconListing
from services.tokenizer_builder.core.terms import Term, standing

Decision = Literal["accepted", "rejected"]
ORDER = ("accepted", "waiting", "proposed", "filtered", "rejected")


class LexiconState(Contract):
    """What users said of a domain's terms; `lexicons/<domain>` in the artifact store.

    Attributes:
        decisions: accepted or rejected, by term.
        version_digest: The lexicon that the last tokenizer was made with.
        report_digest: The report of the last tokenizer.
    """

    decisions: dict[str, Decision] = Field(default_factory=dict)
    version_digest: Digest | None = None
    report_digest: Digest | None = None

    def with_terms(self, terms: Iterable[str]) -> "LexiconState":
        """Return this with terms accepted that nobody has decided on yet: a rejected one stays rejected."""
        return self.model_copy(update={"decisions": {**dict.fromkeys(terms, "accepted"), **self.decisions}})

    def with_decision(self, term: str, decision: Decision) -> "LexiconState":
        """Return this with a term decided on."""
        return self.model_copy(update={"decisions": {**self.decisions, term: decision}})


class Lexicon(Contract):
    """A version of a domain's lexicon: an artifact.

    Attributes:
        entries: Accepted ones first; of mined ones that were filtered or are proposed, the most frequent.
        num_entries: How many there are in all, by status.
        contrast: What general text the mined ones were contrasted with.
    """

    format_version: Literal[1] = 1
    entries: tuple[LexiconEntry, ...]
    num_entries: dict[str, int]
    contrast: str

    @property
    def accepted(self) -> tuple[LexiconEntry, ...]:
        """The terms that shall be one token, those that wait excluded."""
        return tuple(entry for entry in self.entries if entry.status == "accepted")

    def with_waiting(self, waiting: Mapping[str, str]) -> "Lexicon":
        """Return this with accepted mined terms called waiting, which the tokenizer that it belongs to was not extended by.

        Args:
            waiting: Why, by term.
        """
        if not waiting:
            return self
        entries = [
            entry.model_copy(update={"status": "waiting", "reason": f"{entry.reason}; {waiting[entry.term]}"})
            if entry.status == "accepted" and entry.term in waiting else entry
            for entry in self.entries
        ]  # fmt: skip
        entries.sort(key=lambda entry: ORDER.index(entry.status))
        num_waiting = sum(entry.status == "waiting" for entry in entries)
        numbers = {"accepted": self.num_entries["accepted"] - num_waiting, "waiting": num_waiting}
        return self.model_copy(update={"entries": tuple(entries), "num_entries": {**self.num_entries, **numbers}})


def combined(
    user: LexiconState,
    found: Sequence[LexiconEntry],
    counts: Mapping[str, int],
    in_pieces: Mapping[str, str],
    *,
    contrast: str,
    max_shown: int,
) -> Lexicon:
    """Return a version of the lexicon: a person's word goes before what was mined.

    Args:
        user: What users said.
        found: What was mined.
        counts: How often users' terms occur in the training text.
        in_pieces: Those that the training text keeps in pieces, each with the reason.
        contrast: What the mined ones were contrasted with.
        max_shown: Mined ones that are listed of those that were filtered, and of those that are proposed.
    """
    told = [
        _of_user(term, decision, counts.get(term, 0), why=in_pieces.get(term))
        for term, decision in user.decisions.items()
    ]
    entries = [*told, *(entry for entry in found if entry.term not in user.decisions)]
    entries.sort(key=lambda entry: (ORDER.index(entry.status), entry.origin != "user", -(entry.count or 0), entry.term))
    seen: Counter[str] = Counter()
    kept: list[LexiconEntry] = []
    for entry in entries:
        seen[entry.status] += 1
        if entry.origin == "user" or entry.status == "accepted" or seen[entry.status] <= max_shown:
            kept.append(entry)
    return Lexicon(entries=tuple(kept), num_entries=dict(seen), contrast=contrast)


def _of_user(term: str, decision: Decision, count: int, *, why: str | None = None) -> LexiconEntry:
    why = (standing(term) or why) if decision == "accepted" else None
    status: Literal["accepted", "rejected", "filtered"] = "filtered" if why else decision
    return LexiconEntry(term=term, origin="user", status=status, count=count, reason=why or f"{decision} by a person")


def terms_of(lexicon: Lexicon) -> list[Term]:
    """Return the accepted terms, what matters most first: those of users that occur, mined ones, those of users that may come.

    Mined ones are ordered by what they save: occurrences by characters.
    """

    def weight(entry: LexiconEntry) -> tuple[int, int, str]:
        count = entry.count or 0
        place = 1 if entry.origin == "mined" else 0 if count else 2
        return place, -count * (len(entry.term) - 1), entry.term

    return [Term(text=entry.term, count=entry.count or 0) for entry in sorted(lexicon.accepted, key=weight)]


def known_of(user: LexiconState, version: Lexicon | None) -> dict[str, LexiconEntry]:
    """Return what is known of each term: what users said since the last version counts already."""
    known = {entry.term: entry for entry in (version.entries if version else ())}
    fresh = {term: _of_user(term, decision, 0) for term, decision in user.decisions.items()}
    for term, entry in fresh.items():
        if term not in known or (known[term].status != entry.status and not _is_kept_in_pieces(known[term], entry)):
            count = known[term].count if term in known else None
            known[term] = entry.model_copy(update={"count": count})
    return known


def _is_kept_in_pieces(known: LexiconEntry, said: LexiconEntry) -> bool:
    """Whether a term that a person accepts was, when it was looked at in the text, kept in pieces all the same."""
    return known.origin == "user" and (known.status, said.status) == ("filtered", "accepted")


def listed(
    domain: Domain, user: LexiconState, version: Lexicon | None, *, status: str | None, limit: int
) -> LexiconListing:
    """Return a domain's terms for people.

    Args:
        domain: Its name.
        user: What users said.
        version: The lexicon of the last tokenizer.
        status: Only those of this status; None: all.
        limit: At most so many.
    """
    entries = sorted(
        known_of(user, version).values(), key=lambda one: (ORDER.index(one.status), -(one.count or 0), one.term)
    )
    numbers: Counter[str] = Counter(entry.status for entry in entries)
    for name, number in (version.num_entries if version else {}).items():
        numbers[name] = max(numbers[name], number)
    shown = [entry for entry in entries if status in {None, entry.status}][:limit]
    return LexiconListing(
        domain=domain, version_digest=user.version_digest, num_entries=dict(numbers), entries=tuple(shown)
    )
