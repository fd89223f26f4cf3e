"""The keys of tests: made of fixed seeds, so that a folder of secrets need not be made anew for each test."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from contracts.topics import Topic
from shared.clock import Clock, SystemClock
from shared.commands import CommandGuard
from shared.secrets import BUNDLE, OPERATOR, KeyPair
from shared.signing import PublicKeys, Signer


def private_pem(seed: int) -> str:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


PRIVATE: dict[KeyPair, str] = {BUNDLE: private_pem(1), OPERATOR: private_pem(2)}
BUNDLE_SIGNER, OPERATOR_SIGNER, STRANGER = Signer(private_pem(1)), Signer(private_pem(2)), Signer(private_pem(3))
BUNDLE_KEYS, OPERATOR_KEYS = PublicKeys(BUNDLE_SIGNER.public_pem), PublicKeys(OPERATOR_SIGNER.public_pem)


def write_keys(folder: Path) -> Path:
    """Write the key files of a folder of secrets, and no token."""
    for pair, private in PRIVATE.items():
        (folder / pair.private).write_text(private)
        (folder / pair.public).write_text(Signer(private).public_pem)
    return folder


AGES_S = 1e9
"""For tests whose clock stands still, or whose events are examples: a command of any time is fresh."""


def command_guard(
    clock: Clock | None = None, *, max_age_s: float = AGES_S, signer: Signer = OPERATOR_SIGNER
) -> CommandGuard:
    """Return a guard that signs and checks with the keys of tests."""
    return CommandGuard(clock=clock or SystemClock(), max_age_s=max_age_s, keys=OPERATOR_KEYS, signer=signer)


def command_headers(topic: Topic, key: str, body: bytes) -> dict[str, str]:
    """Return what signs a message, if its topic asks for it."""
    return command_guard().signed(topic, key, body) if topic.signed else {}
