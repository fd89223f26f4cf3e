"""Lexicons and reports, as the artifact store holds them."""

from collections.abc import Callable

from pydantic import ValidationError

from contracts.envelope import Digest, Domain
from contracts.tokenizers import TokenizerReport
from services.tokenizer_builder.core.lexicon import Lexicon, LexiconState
from shared.artifacts import ABSENT, ArtifactStore
from shared.errors import ArtifactCorrupt, RefConflict

NUM_ATTEMPTS = 20
"""Writers of a domain's lexicon are a person and a run: they seldom meet, and then one reads again."""


def lexicon_ref(domain: Domain) -> str:
    """Return the name of the ref that holds what users said of a domain's terms."""
    return f"lexicons/{domain}"


def read_lexicon_state(store: ArtifactStore, domain: Domain) -> LexiconState:
    """Return what users said of a domain's terms, nothing where nobody said anything.

    Raises:
        ArtifactCorrupt: The ref holds something else.
    """
    found = store.read_ref(lexicon_ref(domain))
    return _state_of(found, domain) if found else LexiconState()


def change_lexicon(
    store: ArtifactStore, domain: Domain, change: Callable[[LexiconState], LexiconState]
) -> tuple[LexiconState, LexiconState]:
    """Change what is known of a domain's terms, and return it as it was before and after.

    Raises:
        RefConflict: Others change it all the time.
        ArtifactCorrupt: The ref holds something else.
    """
    for attempt in range(1, NUM_ATTEMPTS + 1):
        found = store.read_ref_version(lexicon_ref(domain))
        before = _state_of(found[0], domain) if found else LexiconState()
        after = change(before)
        try:
            data = after.model_dump_json().encode()
            store.write_ref(lexicon_ref(domain), data, expected=found[1] if found else ABSENT)
        except RefConflict:
            if attempt == NUM_ATTEMPTS:
                raise
        else:
            return before, after
    raise AssertionError  # pragma: no cover (the last attempt raises)


def read_lexicon(store: ArtifactStore, digest: Digest) -> Lexicon:
    """Return a version of a lexicon.

    Raises:
        ArtifactMissing: It is gone.
        ArtifactCorrupt: The artifact is none.
    """
    try:
        return Lexicon.model_validate_json(store.read_bytes(digest))
    except ValidationError as error:
        raise ArtifactCorrupt(f"artifact {digest} is not a lexicon: {error}") from error


def read_report(store: ArtifactStore, digest: Digest) -> TokenizerReport:
    """Return a tokenizer's report.

    Raises:
        ArtifactMissing: It is gone.
        ArtifactCorrupt: The artifact is none.
    """
    try:
        return TokenizerReport.model_validate_json(store.read_bytes(digest))
    except ValidationError as error:
        raise ArtifactCorrupt(f"artifact {digest} is not a tokenizer's report: {error}") from error


def _state_of(data: bytes, domain: Domain) -> LexiconState:
    try:
        return LexiconState.model_validate_json(data)
    except ValidationError as error:
        raise ArtifactCorrupt(f"{lexicon_ref(domain)} does not hold a lexicon: {error}") from error
