"""`plumb dlq` on a broker: what was dead-lettered is listed, shown, and sent again as it was, once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from contracts import topics
from contracts.envelope import Event
from shared.cli.app import application
from shared.cli.errors import BrokerUnreachable, LetterReplayed, UnknownLetter
from shared.cli.exits import Exit, exit_of
from shared.embedded.layout import layout_of, prepare
from shared.errors import ArtifactMissing
from shared.settings import KafkaSettings
from tests.broker.harness import Inbox, make_bus, records, running, send_raw, until
from tests.contracts.payloads import example
from tests.unit.cli.conftest import write_mesh

pytestmark = pytest.mark.broker
TOPIC = topics.MODEL_TRAINED
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Plumb:
    """Runs `plumb` beside the daemons, against their broker."""

    def __init__(self, state_dir: Path, kafka: KafkaSettings) -> None:
        self._state_dir = state_dir
        prepare(layout_of(state_dir), ())
        write_mesh(layout_of(state_dir), port=1, bootstrap_servers=kafka.bootstrap_servers)

    async def __call__(self, *arguments: str, answer: str | None = None) -> Result:
        environment = {"PLUMBLINE_STATE_DIR": str(self._state_dir), "COLUMNS": "200", "TERM": "dumb"}
        return await asyncio.to_thread(
            CliRunner().invoke, application(), ["dlq", *arguments], env=environment, input=answer
        )

    async def json(self, *arguments: str) -> Any:
        result = await self(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    async def letters(self, *arguments: str) -> list[Any]:
        return list((await self.json("list", *arguments))["letters"])


@pytest.fixture
def plumb(tmp_path: Path, kafka: KafkaSettings) -> Plumb:
    return Plumb(tmp_path, kafka)


class Evaluator:
    """Refuses events until what they need is there."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.has_artifact = False

    async def __call__(self, event: Event) -> None:
        if not self.has_artifact:
            raise ArtifactMissing("no artifact has the digest abc", next_step="bring it back")
        await self.inbox(event)


async def test_a_bad_event_is_listed_shown_mended_and_replayed_once(kafka: KafkaSettings, plumb: Plumb) -> None:
    event, evaluator = example(TOPIC, "full"), Evaluator()
    async with running(make_bus("evaluator", kafka, {TOPIC: evaluator})) as bus:
        await bus.publish(TOPIC, event, traceparent=TRACEPARENT)
        await records(kafka, TOPIC.dead_letter_name, 1)

        (letter,) = await plumb.letters()
        assert (letter["topic"], letter["event_id"]) == (TOPIC.name, str(event.event_id))
        assert (letter["error_type"], letter["service"]) == ("ArtifactMissing", "evaluator")
        assert (letter["reason"], letter["next_step"]) == ("no artifact has the digest abc", "bring it back")
        shown = (await plumb("list")).stdout
        assert letter["id"] in shown
        assert "ArtifactMissing in evaluator: no artifact has the digest abc" in shown
        assert "next bring it back" in shown
        whole = await plumb.json("show", letter["id"])
        assert whole["body"] == event.model_dump_json()
        assert dict(whole["headers"])["traceparent"][:35] == TRACEPARENT[:35]
        assert '"corpus_digest": "' in (await plumb("show", letter["id"])).stdout

        evaluator.has_artifact = True
        result = await plumb("replay", letter["id"])
        assert "1 message sent again" in result.stdout
        assert await evaluator.inbox.next() == event

        refused = await plumb("replay", letter["id"])
        assert isinstance(refused.exception, LetterReplayed)
        assert "--again" in (refused.exception.next_step or "")
        assert "no dead letter waits" in (await plumb("replay", "--all", "--yes")).stdout
        original, again = await records(kafka, TOPIC.name, 2)
        assert (again.value, again.key, again.headers) == (original.value, original.key, original.headers)
        assert again.partition == original.partition

    assert await plumb.letters() == []
    (replayed,) = await plumb.letters("--all")
    assert replayed["id"] == letter["id"]
    assert replayed["replayed_at"]


async def test_what_fails_again_is_a_new_letter(kafka: KafkaSettings, plumb: Plumb) -> None:
    async with running(make_bus("evaluator", kafka, {TOPIC: Evaluator()})) as bus:
        await bus.publish(TOPIC, example(TOPIC))
        await records(kafka, TOPIC.dead_letter_name, 1)
        (first,) = await plumb.letters()
        assert (await plumb("replay", first["id"])).exit_code == 0
        await records(kafka, TOPIC.dead_letter_name, 3)  # the letter, its mark, the new letter
    (second,) = await plumb.letters()
    assert second["id"] != first["id"]
    assert second["event_id"] == first["event_id"]


async def test_what_two_groups_refused_goes_back_once(kafka: KafkaSettings, plumb: Plumb) -> None:
    """Both `evaluator` and `monitor` consume it: each makes a letter, and the message is one."""
    evaluator = Evaluator()
    async with (
        running(make_bus("evaluator", kafka, {TOPIC: evaluator})) as bus,
        running(make_bus("monitor", kafka, {TOPIC: evaluator})),
    ):
        await bus.publish(TOPIC, example(TOPIC))
        await records(kafka, TOPIC.dead_letter_name, 2)
        letters = await plumb.letters()
        assert {letter["service"] for letter in letters} == {"evaluator", "monitor"}
        evaluator.has_artifact = True
        assert "1 message sent again" in (await plumb("replay", letters[0]["id"])).stdout
        await until(lambda: len(evaluator.inbox.events) == 2)
    assert await plumb.letters() == []


async def test_several_are_replayed_only_when_said_so(kafka: KafkaSettings, plumb: Plumb) -> None:
    bodies = [b'{"event_id": "not an id"}', b"\xff\xfe no text", b"x" * 1_040_000, None]
    for domain, body in zip(("law", "medicine", "law", "tax"), bodies, strict=True):
        await send_raw(kafka, TOPIC, body, key=domain, headers={"mine": b"\xe6\xb3\x95"})
    await send_raw(kafka, topics.TOKENIZER_READY, b"{}")
    async with (
        running(make_bus("evaluator", kafka, {TOPIC: Inbox()})),
        running(make_bus("trainer", kafka)),
    ):
        await until(lambda: _lie(kafka, TOPIC.dead_letter_name, 4))
        await until(lambda: _lie(kafka, topics.TOKENIZER_READY.dead_letter_name, 1))
    listed = (await plumb("list")).stdout
    assert all(line in " ".join(listed.split()) for line in ("model-trained-v1 4 0", "tokenizer-ready-v1 1 0"))

    asked = await plumb("replay", "--topic", TOPIC.name, answer="n\n")
    assert asked.exit_code == 1
    assert "Send 4 messages again (4 to model-trained-v1)?" in asked.stdout
    assert len(await plumb.letters("--topic", TOPIC.name)) == 4
    assert (await plumb("replay", "--topic", TOPIC.name, answer="y\n")).exit_code == 0
    assert [letter["topic"] for letter in await plumb.letters()] == [topics.TOKENIZER_READY.name]
    assert len(await plumb.json("replay", "--all", "--yes")) == 1
    assert await plumb.letters() == []

    found = await records(kafka, TOPIC.name, 8)
    # Nothing at all is sent again as nothing in zero bytes.
    sent = sorted((record.key, record.value or b"", tuple(record.headers)) for record in found)
    assert {headers for _, _, headers in sent} == {(("mine", b"\xe6\xb3\x95"),)}
    assert sent[::2] == sent[1::2], "each twice, the bytes unchanged"


async def _lie(kafka: KafkaSettings, name: str, count: int) -> bool:
    return len(await records(kafka, name, count)) == count


async def test_an_id_that_names_no_letter_is_refused(kafka: KafkaSettings, plumb: Plumb) -> None:
    for command in ("show", "replay"):
        for letter_id in ("nonsense", "model-trained-v1-dlq/0/7", "model-trained-v1-dlq/77/0"):
            result = await plumb(command, letter_id)
            assert isinstance(result.exception, UnknownLetter), result.output
            assert result.exception.next_step


async def test_a_letter_that_somebody_else_wrote_cannot_steer_the_terminal(kafka: KafkaSettings, plumb: Plumb) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        headers = [("plumbline_error", b"\x1b[31m[bold]red"), ("empty", None)]
        await producer.send_and_wait(TOPIC.dead_letter_name, b"\x1b]0;title\x07", headers=headers, partition=1)
    finally:
        await producer.stop()
    (letter,) = await plumb.letters()
    assert (letter["error_type"], letter["origin"], letter["event_id"]) == ("unknown", "unknown", None)
    for arguments in (("list",), ("show", letter["id"])):
        output = (await plumb(*arguments)).stdout
        assert "\x1b" not in output
        assert "\x07" not in output
        assert "[31m[bold]red" in output


async def test_a_broker_that_is_away_is_named(tmp_path: Path) -> None:
    away = Plumb(tmp_path, KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    result = await away("list")
    assert isinstance(result.exception, BrokerUnreachable)
    assert "127.0.0.1:1" in str(result.exception)
    assert exit_of(result.exception) is Exit.NOT_RUNNING
