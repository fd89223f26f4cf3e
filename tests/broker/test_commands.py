"""A foreign system that can write to Kafka gives no commands: what it sends ends in the dead-letter topic, with the reason."""

from uuid import uuid4

import pytest

from contracts import topics
from contracts.release import ReleaseRequested
from shared.clock import SystemClock
from shared.messages import cloudevent_headers
from shared.settings import KafkaSettings
from tests.broker.harness import Inbox, header, make_bus, records, running, send_raw
from tests.contracts.payloads import example
from tests.keys import OPERATOR_SIGNER, STRANGER, command_guard

pytestmark = pytest.mark.broker
TOPIC = topics.RELEASE_REQUESTED


def command() -> ReleaseRequested:
    event = example(TOPIC, occurred_at=SystemClock().now(), domain="law")
    assert isinstance(event, ReleaseRequested)
    return event


async def send(kafka: KafkaSettings, event: ReleaseRequested, *, signed_by=OPERATOR_SIGNER, body: bytes = b"") -> None:
    """Send a command as a foreign system would; `body` replaces the one that was signed."""
    written = event.model_dump_json().encode()
    signature = command_guard(signer=signed_by).signed(TOPIC, "law", written) if signed_by else {}
    headers = cloudevent_headers(TOPIC, event, service="release-manager") | signature
    await send_raw(kafka, TOPIC, body or written, headers=headers)


async def test_only_a_signed_fresh_and_new_command_is_handled(kafka: KafkaSettings) -> None:
    inbox = Inbox()
    given, last = command(), command()
    old = command().model_copy(update={"occurred_at": example(TOPIC).occurred_at})
    tampered = command()
    async with running(make_bus("release-manager", kafka, {TOPIC: inbox})) as bus:
        bus._guard = command_guard(max_age_s=3600)
        await bus.publish(TOPIC, given)
        await send(kafka, command(), signed_by=None)
        await send(kafka, command(), signed_by=STRANGER)
        await send(kafka, tampered, body=tampered.model_copy(update={"reason": "mine"}).model_dump_json().encode())
        await send(kafka, tampered, body=tampered.model_copy(update={"event_id": uuid4()}).model_dump_json().encode())
        await send(kafka, old)
        await send(kafka, given)
        await bus.publish(TOPIC, last)
        dead = await records(kafka, TOPIC.dead_letter_name, 6)
        assert [await inbox.next(), await inbox.next()] == [given, last]

    assert len(inbox.events) == 2
    assert [header(record, "plumbline_error_type") for record in dead] == [
        "SignatureRefused", "SignatureRefused", "SignatureRefused", "SignatureRefused", "CommandUntimely", "CommandReplayed",
    ]  # fmt: skip
    assert all(header(record, "plumbline_error") and header(record, "plumbline_next_step") for record in dead)


async def test_a_dead_letter_keeps_its_signature_so_that_it_can_be_sent_back(kafka: KafkaSettings) -> None:
    async def fail(_: object) -> None:
        raise ValueError("a defect")

    event, inbox = command(), Inbox()
    async with running(make_bus("release-manager", kafka, {TOPIC: fail})) as bus:
        await bus.publish(TOPIC, event)
        (dead,) = await records(kafka, TOPIC.dead_letter_name, 1)
    headers = {name: value for name, value in dead.headers if not name.startswith("plumbline_error")}
    async with running(make_bus("release-manager", kafka, {TOPIC: inbox})):
        await send_raw(kafka, TOPIC, dead.value, headers=headers)
        assert await inbox.next() == event
