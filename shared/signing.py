"""Ed25519 signatures (RFC 8032) over the exact bytes that are stored or sent.

What is signed is DSSE's pre-authentication encoding of a kind and a body, so that bytes signed as one thing cannot be shown as
another. A signature names its key by the first half of the SHA-256 of the raw public key: a verifier may know several, and old
and new keys overlap while they are changed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import SecretStr

from contracts.signature import Signature
from shared.errors import SecretRefused, SignatureRefused

KEY_ID_DIGITS = 32
PEM_BLOCK = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
HOW_TO_MAKE = "make keys with `plumb secrets create DIR`, and name that folder in PLUMBLINE_SECRETS_DIR"


class Signer:
    """Signs with one private key.

    Attributes:
        key_id: What its signatures name it by.
        public_pem: The public key that verifies them.
    """

    def __init__(self, private_pem: str) -> None:
        """Take a private key.

        Raises:
            SecretRefused: It is no Ed25519 private key in PEM (PKCS #8).
        """
        try:
            key = load_pem_private_key(private_pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SecretRefused("a private key cannot be read: it is not PEM", next_step=HOW_TO_MAKE) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SecretRefused("a private key is not of the kind Ed25519", next_step=HOW_TO_MAKE)
        self._key = key
        self.key_id = key_id_of(key.public_key())
        self.public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, kind: str, body: bytes) -> Signature:
        """Return the signature of a body; the same key, kind and body give the same one."""
        value = self._key.sign(_encoded(kind, body))
        return Signature(key_id=self.key_id, value=base64.b64encode(value).decode())


class PublicKeys:
    """The keys whose signatures are taken.

    Attributes:
        key_ids: What signatures name them by, in their order.
    """

    def __init__(self, public_pems: str) -> None:
        """Take one or more public keys, as PEM blocks one after the other; text between them is passed over.

        Raises:
            SecretRefused: There is none, or one is no Ed25519 public key.
        """
        keys = [_public_key(block) for block in PEM_BLOCK.findall(public_pems)]
        if not keys:
            raise SecretRefused("there is no public key in what should hold some", next_step=HOW_TO_MAKE)
        self._keys = {key_id_of(key): key for key in keys}
        self.key_ids = tuple(self._keys)

    def check(self, kind: str, body: bytes, signatures: Iterable[Signature]) -> None:
        """Let a body pass that a known key has signed.

        Raises:
            SignatureRefused: None of the signatures is by a known key, or one that is does not fit the body.
        """
        given = list(signatures)
        if not given:
            raise SignatureRefused(f"this {kind} carries no signature", next_step="have it signed by who may say it")
        known = [one for one in given if one.key_id in self._keys]
        if not known:
            names = ", ".join(one.key_id for one in given)
            raise SignatureRefused(
                f"this {kind} is signed with an unknown key: {names}",
                next_step=f"known are {', '.join(self.key_ids)}; if the key is yours, add its public key to the secrets",
            )
        for one in known:
            self._check_one(kind, body, one)

    def _check_one(self, kind: str, body: bytes, signature: Signature) -> None:
        try:
            value = base64.b64decode(signature.value, validate=True)
            self._keys[signature.key_id].verify(value, _encoded(kind, body))
        except (InvalidSignature, binascii.Error) as error:
            raise SignatureRefused(
                f"the signature of this {kind} by key {signature.key_id} does not fit: it was altered, or is forged",
                next_step="find out who wrote it; nothing was done with it",
            ) from error


def signer_of(secret: SecretStr | None, *, owner: str, name: str) -> Signer:
    """Return the signer that a daemon's settings give.

    Args:
        secret: What the settings hold.
        owner: The daemon, for the error.
        name: The setting, for the error.

    Raises:
        SecretRefused: The secret is absent or no key.
    """
    return Signer(_present(secret.get_secret_value() if secret else None, owner, name))


def public_keys_of(text: str | None, *, owner: str, name: str) -> PublicKeys:
    """Return the public keys that a daemon's settings give; arguments and errors as of `signer_of`."""
    return PublicKeys(_present(text, owner, name))


def new_private_pem() -> str:
    """Return a fresh private key."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the name of a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:KEY_ID_DIGITS]


def _present(text: str | None, owner: str, name: str) -> str:
    if not text:
        raise SecretRefused(f"{owner} has no {name}", next_step=HOW_TO_MAKE)
    return text


def _public_key(pem: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SecretRefused("a public key cannot be read: its PEM is damaged", next_step=HOW_TO_MAKE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SecretRefused("a public key is not of the kind Ed25519", next_step=HOW_TO_MAKE)
    return key


def _encoded(kind: str, body: bytes) -> bytes:
    """DSSE v1's pre-authentication encoding."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(body), body)
