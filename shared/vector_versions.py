"""Where the word vectors of corpus versions are named: by domain and number, what waits apart from what is done."""

from pydantic import ValidationError

from contracts.envelope import Domain
from contracts.word_vectors import VectorsVersion
from shared.artifacts import ArtifactStore
from shared.errors import ArtifactCorrupt

WAITING, DONE = "word-vectors/waiting", "word-vectors/done"


def note_waiting(store: ArtifactStore, version: VectorsVersion) -> None:
    """Note that a version's vectors are to be learnt, unless they are or could not be."""
    done = read_version(store, _name(DONE, version.domain, version.number))
    if done is None or done.corpus_digest != version.corpus_digest:
        store.write_ref(_name(WAITING, version.domain, version.number), version.model_dump_json().encode())


def note_done(store: ArtifactStore, version: VectorsVersion) -> None:
    """Note what became of a version."""
    store.write_ref(_name(DONE, version.domain, version.number), version.model_dump_json().encode())
    store.delete_ref(_name(WAITING, version.domain, version.number))


def waiting(store: ArtifactStore) -> list[str]:
    """Return the names of what waits, by domain, the oldest version first. A listing."""
    return list(store.ref_names(WAITING))


def domain_of(name: str) -> Domain:
    """Return the domain of what waits under a name."""
    return name.removeprefix(f"{WAITING}/").partition("/")[0]


def versions_of(store: ArtifactStore, domain: Domain) -> list[VectorsVersion]:
    """Return a domain's versions, oldest first. A listing.

    Raises:
        ArtifactCorrupt: A ref holds something else.
    """
    names = [name for state in (WAITING, DONE) for name in store.ref_names(f"{state}/{domain}")]
    found = [read_version(store, name) for name in names]
    by_number = {version.number: version for version in found if version is not None}
    return [by_number[number] for number in sorted(by_number)]


def latest_learnt(store: ArtifactStore, domain: Domain, *, before: int | None = None) -> VectorsVersion | None:
    """Return the newest version that has vectors; of those with a lower number than `before`, where that is given.

    Raises:
        ArtifactCorrupt: A ref holds something else.
    """
    for name in sorted(store.ref_names(f"{DONE}/{domain}"), reverse=True):
        version = read_version(store, name)
        if version and version.state == "learnt" and (before is None or version.number < before):
            return version
    return None


def read_version(store: ArtifactStore, name: str) -> VectorsVersion | None:
    """Return what a ref holds, or None.

    Raises:
        ArtifactCorrupt: It holds something else.
    """
    data = store.read_ref(name)
    try:
        return VectorsVersion.model_validate_json(data) if data else None
    except ValidationError as error:
        raise ArtifactCorrupt(f"{name} does not hold a version of word vectors: {error}") from error


def _name(state: str, domain: Domain, number: int) -> str:
    # Padded: the order of names is the order of numbers.
    return f"{state}/{domain}/{number:08d}"
