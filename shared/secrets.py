"""The folder of secrets: what lies in it, and how it is made. `PLUMBLINE_SECRETS_DIR` names it to a daemon.

Each file is named like the setting that is read from it. Private ones are their owner's alone; a deployment may mount each daemon
only the files that its settings name.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from shared.errors import SecretRefused
from shared.files import write_atomically
from shared.signing import PublicKeys, Signer, new_private_pem

PREFIX = "plumbline_"
TOKEN = f"{PREFIX}operator_token"
LOCK = ".lock"
PRIVATE_MODE, PUBLIC_MODE, FOLDER_MODE = 0o600, 0o644, 0o700
TOKEN_BYTES = 32

Kind = TypeVar("Kind", Signer, PublicKeys)


@dataclass(frozen=True)
class KeyPair:
    """Two files of the folder.

    Attributes:
        name: `bundle`, which the trainer signs with, or `operator`, for commands.
    """

    name: str

    @property
    def private(self) -> str:
        """The file of the private key."""
        return f"{PREFIX}{self.name}_key"

    @property
    def public(self) -> str:
        """The file of the public keys that are taken: one, or several while keys are changed."""
        return f"{PREFIX}{self.name}_public_keys"


BUNDLE = KeyPair("bundle")
OPERATOR = KeyPair("operator")
PAIRS = (BUNDLE, OPERATOR)


def create(folder: Path) -> tuple[str, ...]:
    """Make the secrets that a folder lacks; none that is there is changed. Return the names of the files that were made.

    Every file appears whole or not at all, a private key before its public one: so what a crash leaves is completed by the next
    call.

    Args:
        folder: Made with mode 0700 where it is absent.

    Raises:
        SecretRefused: A file is not what it must be, or a public key has lost its private one.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with FileLock(folder / LOCK):
        pairs = [(pair, _signer(folder, pair)) for pair in PAIRS]
        for pair, signer in pairs:
            _check_public(folder, pair, signer)
        _check_token(folder)
        made = [TOKEN] if _write(folder / TOKEN, secrets.token_urlsafe(TOKEN_BYTES), PRIVATE_MODE) else []
        for pair, signer in pairs:
            made += _complete(folder, pair, signer)
    return tuple(made)


def _complete(folder: Path, pair: KeyPair, signer: Signer | None) -> list[str]:
    private = new_private_pem()
    made = [pair.private] if _write(folder / pair.private, private, PRIVATE_MODE) else []
    public = (signer or Signer(private)).public_pem
    return made + ([pair.public] if _write(folder / pair.public, public, PUBLIC_MODE) else [])


def _write(path: Path, text: str, mode: int) -> bool:
    """Write a file unless it is there; tell whether it was written."""
    if path.exists():
        return False
    write_atomically(path, text.strip().encode("ascii") + b"\n", mode=mode)
    return True


def _signer(folder: Path, pair: KeyPair) -> Signer | None:
    path = folder / pair.private
    if path.exists():
        return _checked(path, Signer)
    if (folder / pair.public).exists():
        raise SecretRefused(
            f"{folder / pair.public} is there, but the private key {pair.private} is not",
            next_step="restore the private key from a copy, or remove the public file to get a new pair",
        )
    return None


def _check_public(folder: Path, pair: KeyPair, signer: Signer | None) -> None:
    path = folder / pair.public
    if signer is None or not path.exists():
        return
    if signer.key_id not in _checked(path, PublicKeys).key_ids:
        raise SecretRefused(
            f"{path} lacks the public key of {pair.private}: what is signed with it would be refused everywhere",
            next_step="restore the pair from a copy, or remove the public file to have it made from the private key",
        )


def _check_token(folder: Path) -> None:
    path = folder / TOKEN
    if path.exists() and not path.read_text(encoding="utf-8").strip():
        raise SecretRefused(f"{path} is empty", next_step="restore it from a copy, or remove it to get a new token")


def _checked(path: Path, kind: type[Kind]) -> Kind:
    try:
        return kind(path.read_text(encoding="utf-8"))
    except (SecretRefused, UnicodeDecodeError) as error:
        raise SecretRefused(
            f"{path}: {error}", next_step="restore it from a copy; nothing in the folder was changed"
        ) from error
