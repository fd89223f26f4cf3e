"""Commands that an operator can cause: signed by the daemon that took the order, refused unless signed, fresh and new.

So nobody takes a release back by writing a command to Kafka.
Signed are the exact bytes of the message, its topic and its key; the signature is a header, which dead letters keep. A command
that drift causes is signed alike: the key says that the monitor or the release-manager said it, the body says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from contracts.envelope import Event
from contracts.signature import Signature
from contracts.topics import Topic
from shared.clock import Clock
from shared.errors import CommandReplayed, CommandUntimely, SecretRefused, SignatureRefused
from shared.settings import OperatorSigningSettings, OperatorVerifyingSettings
from shared.signing import PublicKeys, Signer, public_keys_of, signer_of

SIGNATURE, KEY_ID = "plumbline_signature", "plumbline_key_id"
"""Kafka headers of a command."""
MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Place:
    """Where a message lies in its topic. A redelivery comes from the same place, a replay from another one."""

    partition: int
    offset: int


class CommandGuard:
    """Signs commands, or checks them, or both, for one daemon."""

    def __init__(self, *, clock: Clock, max_age_s: float, keys: PublicKeys | None, signer: Signer | None) -> None:
        """Start with no command known.

        Args:
            clock: The wall clock.
            max_age_s: How far from the present a command's own time may lie, in seconds.
            keys: Whose commands are taken; None: this daemon takes none.
            signer: Signs; None: this daemon gives none.
        """
        self._clock = clock
        self._max_age = timedelta(seconds=max_age_s)
        self._keys = keys
        self._signer = signer
        self._known: dict[UUID, tuple[Place, datetime]] = {}

    def signed(self, topic: Topic, key: str, body: bytes) -> dict[str, str]:
        """Return the headers that sign a command.

        Raises:
            SecretRefused: This daemon has no key to sign with.
        """
        if self._signer is None:
            raise SecretRefused(f"a message to {topic.name} must be signed, and this daemon has no operator_key")
        signature = self._signer.sign(_kind(topic, key), body)
        return {SIGNATURE: signature.value, KEY_ID: signature.key_id}

    def check(
        self, topic: Topic, event: Event, *, key: str, body: bytes, headers: Mapping[str, Any], place: Place
    ) -> None:
        """Let a command pass that is signed, fresh and new.

        Raises:
            SignatureRefused: It is not signed, or not by who may.
            CommandUntimely: It is too old, or from the future.
            CommandReplayed: It was handled, and has been sent again.
        """
        self.check_signature(topic, key=key, body=body, headers=headers)
        now = self._clock.now()
        if abs(now - event.occurred_at) > self._max_age:
            raise CommandUntimely(
                f"the command {event.event_id} says that it was given at {event.occurred_at:%Y-%m-%d %H:%M:%S %Z}, more than "
                f"{self._max_age.total_seconds():.0f} s from now",
                next_step="if it is still wanted, give it again; if it is new, see that the clocks agree",
            )
        known = self._known.get(event.event_id)
        if known is not None and known[0] != place:
            raise CommandReplayed(
                f"the command {event.event_id} was handled before, and was sent again",
                next_step="find out who writes to the topic; its effect has not been repeated",
            )

    def check_signature(self, topic: Topic, *, key: str, body: bytes, headers: Mapping[str, Any]) -> None:
        """Let a command pass that is signed, however old: to be remembered, not to be obeyed.

        Raises:
            SignatureRefused: It is not signed, or not by who may.
        """
        if self._keys is None:
            raise SecretRefused(
                f"messages of {topic.name} must be checked, and this daemon has no operator_public_keys"
            )
        self._keys.check(_kind(topic, key), body, _signatures(headers))

    def remember(self, event: Event, place: Place) -> None:
        """Know a command that was handled, for as long as it is fresh."""
        now = self._clock.now()
        self._known[event.event_id] = (place, event.occurred_at)
        if len(self._known) > MAX_REMEMBERED:
            fresh = [(known, seen) for known, seen in self._known.items() if now - seen[1] <= self._max_age]
            self._known = dict(fresh[-MAX_REMEMBERED:])


def guard_of(
    service: str,
    clock: Clock,
    *,
    verifying: OperatorVerifyingSettings,
    signing: OperatorSigningSettings | None = None,
) -> CommandGuard:
    """Return the guard that a daemon's settings give.

    Raises:
        SecretRefused: A key is absent or none.
    """
    return CommandGuard(
        clock=clock,
        max_age_s=verifying.command_max_age_s,
        keys=public_keys_of(verifying.operator_public_keys, owner=service, name="operator_public_keys"),
        signer=signer_of(signing.operator_key, owner=service, name="operator_key") if signing else None,
    )


def _kind(topic: Topic, key: str) -> str:
    return f"plumbline command {topic.name} {key}"


def _signatures(headers: Mapping[str, Any]) -> list[Signature]:
    value, key_id = headers.get(SIGNATURE), headers.get(KEY_ID)
    if value is None and key_id is None:
        return []
    try:
        return [Signature(value=value or "", key_id=key_id or "")]
    except ValidationError as error:
        raise SignatureRefused(
            "the signature of a command cannot be read", next_step="find out who wrote it; nothing was done with it"
        ) from error
