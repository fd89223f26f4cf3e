"""A signature, as it stands beside what it signs."""

from typing import Annotated

from pydantic import Field

from contracts.envelope import Contract


class Signature(Contract):
    """An Ed25519 signature and the key that made it.

    Attributes:
        key_id: First half of the SHA-256 of the raw public key, in hexadecimal.
        value: The 64 bytes, in base64.
    """

    key_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    value: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
