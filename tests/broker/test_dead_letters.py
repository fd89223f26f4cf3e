"""What can never be handled moves to the dead-letter topic with its reason; a run of that stops the consumer."""

import json
import logging

import pytest

from contracts import topics
from contracts.topics import MAX_MESSAGE_BYTES
from shared.bus import MAX_DEAD_LETTERS_IN_A_ROW, TRUNCATED_BYTES
from shared.cli.dlq_letters import Place, letter_of
from shared.cli.dlq_topics import dead_letter_topics
from shared.cli.errors import LetterTruncated
from shared.errors import ArtifactMissing
from shared.messages import cloudevent_headers
from shared.settings import KafkaSettings
from tests.broker.harness import Inbox, header, make_bus, num_committed, records, running, send_raw, until
from tests.contracts.payloads import example

pytestmark = pytest.mark.broker
TOPIC = topics.MODEL_TRAINED


async def test_a_permanent_error_moves_the_message_with_its_reason(kafka: KafkaSettings) -> None:
    inbox = Inbox()
    lost = example(TOPIC, "full")

    async def refusing(event: object) -> None:
        await inbox(event)
        if event == lost:
            raise ArtifactMissing("no artifact has the digest abc", next_step="look for it")

    after = example(TOPIC)
    async with running(make_bus("evaluator", kafka, {TOPIC: refusing})) as bus:
        await bus.publish(TOPIC, lost, traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        await bus.publish(TOPIC, after)
        assert [await inbox.next(), await inbox.next()] == [lost, after]
        (record,) = await records(kafka, TOPIC.dead_letter_name, 1)

    original = (await records(kafka, TOPIC.name, 1))[0]
    assert record.value == original.value == lost.model_dump_json().encode()
    assert record.key == b"law"
    assert {name for name, _ in original.headers} <= {name for name, _ in record.headers}
    assert header(record, "ce_id") == str(lost.event_id)
    assert header(record, "traceparent") == header(original, "traceparent")
    assert header(record, "plumbline_error_type") == "ArtifactMissing"
    assert header(record, "plumbline_error") == "no artifact has the digest abc"
    assert header(record, "plumbline_next_step") == "look for it"
    assert header(record, "plumbline_service") == "evaluator"
    assert header(record, "plumbline_origin") == f"{TOPIC.name}/{original.partition}/{original.offset}"


async def test_what_does_not_fit_its_contract_is_named_and_passed_over(kafka: KafkaSettings) -> None:
    good = example(TOPIC)
    later = cloudevent_headers(TOPIC, good, service="test") | {"ce_type": "plumbline.model-trained.v9"}
    lacking = json.loads(good.model_dump_json())
    del lacking["corpus_digest"]
    await send_raw(kafka, TOPIC, good.model_dump_json().encode(), headers=later)
    await send_raw(kafka, TOPIC, json.dumps(lacking).encode())
    await send_raw(kafka, TOPIC, b"\xff\xfe not json")
    await send_raw(kafka, TOPIC, None)
    await send_raw(kafka, TOPIC, good.model_dump_json().encode())

    inbox = Inbox()
    async with running(make_bus("evaluator", kafka, {TOPIC: inbox})):
        assert await inbox.next() == good
        found = await records(kafka, TOPIC.dead_letter_name, 4)

    assert [header(record, "plumbline_error_type") for record in found] == ["UnknownEventVersion"] + [
        "InvalidEvent"
    ] * 3
    assert "plumbline.model-trained.v9" in (header(found[0], "plumbline_error") or "")
    assert "corpus_digest: Field required" in (header(found[1], "plumbline_error") or "")
    assert found[1].value == json.dumps(lacking).encode()


async def test_a_defect_is_tried_three_times_before_it_moves(kafka: KafkaSettings) -> None:
    attempts: list[object] = []

    async def defective(event: object) -> None:
        attempts.append(event)
        raise KeyError("oops")

    event = example(TOPIC)
    async with running(make_bus("evaluator", kafka, {TOPIC: defective})) as bus:
        await bus.publish(TOPIC, event)
        (record,) = await records(kafka, TOPIC.dead_letter_name, 1)

    assert attempts == [event] * 3
    assert header(record, "plumbline_error_type") == "KeyError"


async def test_transient_errors_do_not_use_up_the_attempts_of_a_defect(kafka: KafkaSettings) -> None:
    errors: list[Exception] = [OSError("away"), OSError("away"), OSError("away"), KeyError("oops")]
    inbox = Inbox()

    async def recovering(event: object) -> None:
        if errors:
            raise errors.pop(0)
        await inbox(event)

    event = example(TOPIC)
    async with running(make_bus("evaluator", kafka, {TOPIC: recovering})) as bus:
        await bus.publish(TOPIC, event)
        assert await inbox.next() == event


async def test_the_largest_message_fits_into_the_dead_letter_topic(kafka: KafkaSettings) -> None:
    # Its headers say why it is there, so a dead letter is larger than the message was.
    junk = b"x" * (MAX_MESSAGE_BYTES - 200)
    await send_raw(kafka, TOPIC, junk)
    inbox = Inbox()
    async with running(make_bus("evaluator", kafka, {TOPIC: inbox})) as bus:
        event = example(TOPIC)
        await bus.publish(TOPIC, event)
        assert await inbox.next() == event
        (record,) = await records(kafka, TOPIC.dead_letter_name, 1)
    assert record.value == junk


async def test_what_is_too_large_for_a_dead_letter_is_truncated_and_blocks_nothing(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    # Compressed it is small: the broker takes it, if its producer allows it.
    junk = b"x" * (3 << 20)
    await send_raw(kafka, TOPIC, junk, compression="gzip")
    inbox, event = Inbox(), example(TOPIC)
    async with running(make_bus("evaluator", kafka, {TOPIC: inbox})) as bus:
        await bus.publish(TOPIC, event)
        assert await inbox.next() == event
        (record,) = await records(kafka, TOPIC.dead_letter_name, 1)

    assert record.value == junk[:TRUNCATED_BYTES]
    assert header(record, "plumbline_original_bytes") == str(len(junk))
    assert header(record, "plumbline_error_type") == "InvalidEvent"
    assert (header(record, "plumbline_origin") or "").startswith(TOPIC.name)
    assert any("dead letter truncated" in said.message for said in caplog.records)
    place = Place(record.topic, record.partition, record.offset)
    async with dead_letter_topics(kafka.bootstrap_servers) as letters:
        whole = await letters.record(place)
        with pytest.raises(LetterTruncated, match=f"first 65,536 of {len(junk)} bytes"):
            await letters.replay(whole, [letter_of(whole)])


async def test_ten_dead_letters_in_a_row_stop_the_consumer_with_the_rest_uncommitted(
    kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    async def on_model_trained(event: object) -> None:
        if broken:
            raise ArtifactMissing("the store is empty")
        await inbox(event)

    inbox = Inbox()
    events = [example(TOPIC) for _ in range(MAX_DEAD_LETTERS_IN_A_ROW + 2)]
    async with running(make_bus("evaluator", kafka, {TOPIC: on_model_trained})) as bus:
        for event in events:
            await bus.publish(TOPIC, event)
        await until(lambda: bus.unready_because is not None)
        assert "10 messages in a row" in (bus.unready_because or "")
        assert "the store is empty" in (bus.unready_because or "")
        (subscriber,) = bus.broker.subscribers
        await until(lambda: subscriber.consumer is None)
        assert await num_committed(kafka, "evaluator", TOPIC) == MAX_DEAD_LETTERS_IN_A_ROW
    assert any(record.levelno == logging.ERROR and "consumer stopped" in record.message for record in caplog.records)

    broken = False
    async with running(make_bus("evaluator", kafka, {TOPIC: on_model_trained})):
        assert [await inbox.next(), await inbox.next()] == events[-2:]
    found = await records(kafka, TOPIC.dead_letter_name, MAX_DEAD_LETTERS_IN_A_ROW)
    assert [header(record, "ce_id") for record in found] == [str(event.event_id) for event in events[:-2]]


async def test_a_success_between_them_starts_the_count_again(kafka: KafkaSettings) -> None:
    inbox = Inbox()
    good, bad = example(TOPIC), b"{}"
    for body in [bad] * 9 + [good.model_dump_json().encode()] + [bad] * 9 + [good.model_dump_json().encode()]:
        await send_raw(kafka, TOPIC, body)

    async with running(make_bus("evaluator", kafka, {TOPIC: inbox})) as bus:
        assert [await inbox.next(), await inbox.next()] == [good, good]
        assert bus.unready_because is None
    assert len(await records(kafka, TOPIC.dead_letter_name, 18)) == 18


STRANGE_HEADERS = {"x-latin": b"caf\xe9", "x-null": None, "reply_to": b"\xff", "traceparent": b"\xfe"}


async def test_headers_that_are_not_text_do_not_keep_a_message_from_its_handler(kafka: KafkaSettings) -> None:
    event = example(TOPIC)
    await send_raw(kafka, TOPIC, event.model_dump_json().encode(), headers=STRANGE_HEADERS)

    inbox = Inbox()
    async with running(make_bus("evaluator", kafka, {TOPIC: inbox})):
        assert await inbox.next() == event
        await until(lambda: _is_committed(kafka, 1))
    assert inbox.events == [event]


async def test_a_message_whose_type_is_not_text_is_dead_lettered_with_its_headers(kafka: KafkaSettings) -> None:
    event = example(TOPIC)
    for ce_type in (b"\xff\xfe", None):
        await send_raw(kafka, TOPIC, event.model_dump_json().encode(), headers=STRANGE_HEADERS | {"ce_type": ce_type})

    async with running(make_bus("evaluator", kafka)):
        found = await records(kafka, TOPIC.dead_letter_name, 2)
    assert [header(record, "plumbline_error_type") for record in found] == ["UnknownEventVersion"] * 2
    assert [header(record, "ce_type") for record in found] == ["\N{REPLACEMENT CHARACTER}" * 2, ""]
    assert [record.value for record in found] == [event.model_dump_json().encode()] * 2


async def _is_committed(kafka: KafkaSettings, count: int) -> bool:
    return await num_committed(kafka, "evaluator", TOPIC) == count
