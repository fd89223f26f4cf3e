"""Which bundle serves each domain, for daemons that compare with it or go on from it.

Known from `release-changed`, read without a group, and from the release-manager's ref, whichever is newer: a daemon that has just
started has not read the topic to its end, and would take a serving domain for a new one or an old bundle for the serving one.
"""

import logging

from pydantic import ValidationError

from contracts.envelope import Contract, Digest, Domain
from contracts.release import ReleaseChanged, ReleaseState
from shared.artifacts import ArtifactStore

log = logging.getLogger(__name__)

REFS = "releases"
DECIDED = "decided"
"""Folder of the refs that the release-manager writes: a corpus version that has one led to a judgement, which it took."""


def snapshot_ref(domain: Domain) -> str:
    """Return the name of the ref that holds a domain's release state; the release-manager is its writer."""
    return f"{REFS}/{domain}.json"


def decided_ref(domain: Domain, corpus_digest: Digest) -> str:
    """Return the name of the ref that says that a corpus version has come to its end."""
    return f"{DECIDED}/{domain}/{corpus_digest}"


def announced(store: ArtifactStore) -> list[ReleaseChanged]:
    """Return each domain's last `release-changed` as the release-manager keeps it: what to serve before the topic was read.

    A domain whose ref cannot be read is left out with an error in the log: the others are served.
    """
    snapshots = [_read(store, name) for name in store.ref_names(REFS)]
    return [snapshot.announcement.event for snapshot in snapshots if snapshot and snapshot.announcement]


class _Announcement(Contract):
    event: ReleaseChanged


class _Snapshot(Contract):
    """As much of the ref as is read here."""

    state: ReleaseState
    announcement: _Announcement | None = None


def _read(store: ArtifactStore, name: str) -> _Snapshot | None:
    data = store.read_ref(name)
    try:
        return _Snapshot.model_validate_json(data) if data else None
    except ValidationError as error:
        domain = name.removeprefix(f"{REFS}/").removesuffix(".json")
        reason = error.errors(include_url=False)[0]["msg"]
        log.error(  # noqa: TRY400 (the reason says it all)
            "release state cannot be read, domain left out",
            extra={"domain": domain, "reason": reason, "next_step": f"restore the ref {name} from a copy"},
        )
        return None


class ServingBundles:
    """The newest release state of each domain."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._states: dict[Domain, ReleaseState] = {}

    async def remember(self, event: ReleaseChanged) -> None:
        """Take a domain's state, unless a newer one is known."""
        known = self._states.get(event.domain)
        if known is None or event.state.revision >= known.revision:
            self._states[event.domain] = event.state

    def digest(self, domain: Domain) -> Digest | None:
        """Return the bundle that serves a domain, or None; may read a ref, so call it off the event loop."""
        states = [self._states.get(domain, ReleaseState()), self._snapshot(domain)]
        return max(states, key=lambda state: state.revision).serving_digest

    def _snapshot(self, domain: Domain) -> ReleaseState:
        data = self._store.read_ref(snapshot_ref(domain))
        return _Snapshot.model_validate_json(data).state if data else ReleaseState()
