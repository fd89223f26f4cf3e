"""Who sealed a bundle: the trainer signs the manifest, and who loads, judges or routes a bundle asks for the signature first.

The signature is a ref beside the manifest, since the manifest's own bytes are what the bundle's digest is made of. It covers
exactly those bytes, and they name the digest of every file: what is checked once for a digest holds for all that is read by it.
"""

import asyncio
import logging

from pydantic import ValidationError

from contracts.envelope import Contract, Digest, Event
from contracts.release import BundleRejected
from contracts.signature import Signature
from contracts.topics import BUNDLE_REJECTED
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.clock import Clock
from shared.errors import SignatureRefused
from shared.signing import PublicKeys, Signer

KIND = "plumbline bundle manifest v1"
NEXT_STEP = (
    "if you know where it comes from, see that the trainer's key is among PLUMBLINE_BUNDLE_PUBLIC_KEYS, and send the dead "
    "letter again; else find out who wrote to the artifact store or to Kafka"
)

log = logging.getLogger(__name__)


class Signatures(Contract):
    """What the ref holds: one signature, or several while keys are changed."""

    signatures: tuple[Signature, ...]


def signature_ref(digest: Digest) -> str:
    """Return the name of the ref that holds a bundle's signatures; the trainer is its writer."""
    return f"bundles/{digest}/signature"


def sign(store: ArtifactStore, digest: Digest, signer: Signer) -> None:
    """Attach a signature to a sealed bundle; those of other keys stay.

    Raises:
        ArtifactMissing: There is no such bundle.
        ArtifactCorrupt: Its manifest is damaged.
    """
    made = signer.sign(KIND, store.read_bytes(digest))
    kept = [one for one in _attached(store, digest) if one.key_id != made.key_id]
    store.write_ref(signature_ref(digest), Signatures(signatures=(*kept, made)).model_dump_json().encode())


def check(store: ArtifactStore, digest: Digest, keys: PublicKeys) -> None:
    """Let a bundle pass that a known key has signed; reads the store, so call it off the event loop.

    Raises:
        SignatureRefused: It is not signed, or not by who may.
        ArtifactMissing: There is no such bundle.
        ArtifactCorrupt: Its manifest is damaged.
    """
    manifest = store.read_bytes(digest)
    try:
        keys.check(KIND, manifest, _attached(store, digest))
    except SignatureRefused as error:
        raise SignatureRefused(f"bundle {digest} is refused: {error}", next_step=NEXT_STEP) from error


class Admission:
    """Refuses bundles for one daemon, and tells the mesh of each that it refused."""

    def __init__(self, bus: Bus, store: ArtifactStore, keys: PublicKeys, *, clock: Clock) -> None:
        """Check against `keys`, and tell over `bus`."""
        self._bus = bus
        self._store = store
        self._keys = keys
        self._clock = clock

    async def admit(self, cause: Event, digest: Digest) -> None:
        """Let a bundle pass, or publish that it is refused and raise.

        Raises:
            SignatureRefused: It is not signed, or not by who may.
        """
        try:
            await asyncio.to_thread(check, self._store, digest, self._keys)
        except SignatureRefused as error:
            await self.reject(cause, digest, error)
            raise

    async def reject(self, cause: Event, digest: Digest, error: SignatureRefused) -> None:
        """Publish that a bundle is refused; the same refusal again is the same event."""
        log.error("bundle refused", extra={"bundle_digest": digest, "reason": str(error)})
        rejected = BundleRejected.caused_by(
            cause,
            now=self._clock.now(),
            key=f"{self._bus.service}:{digest}",
            bundle_digest=digest,
            stage=self._bus.service,
            reason=str(error),
            next_step=error.next_step or NEXT_STEP,
        )
        await self._bus.publish(BUNDLE_REJECTED, rejected)


def _attached(store: ArtifactStore, digest: Digest) -> tuple[Signature, ...]:
    """Return a bundle's signatures; what cannot be read is none."""
    data = store.read_ref(signature_ref(digest))
    try:
        return Signatures.model_validate_json(data).signatures if data else ()
    except ValidationError:
        log.warning("signatures cannot be read", extra={"bundle_digest": digest})
        return ()
