"""An Apache Kafka that the mesh does not run: its topics are made once, and no mesh takes up the messages of another."""

import asyncio
from pathlib import Path

import pytest

from contracts import topics
from shared.embedded.errors import ForeignMessages
from shared.embedded.external import prepare_topics
from shared.embedded.layout import Layout, layout_of
from shared.settings import KafkaSettings
from shared.topics_admin import create_topics
from tests.broker.harness import Inbox, make_bus, num_committed, running, until
from tests.contracts.payloads import example

pytestmark = [pytest.mark.broker, pytest.mark.engine]


async def prepare(kafka: KafkaSettings, layout: Layout, *, fresh: bool = False) -> None:
    await asyncio.to_thread(
        prepare_topics, kafka.bootstrap_servers, layout, fresh=fresh, create_topics=create_topics
    )  # fmt: skip


async def test_a_mesh_goes_on_where_it_was_and_another_one_is_refused(kafka: KafkaSettings, tmp_path: Path) -> None:
    mine, other = layout_of(tmp_path / "mine"), layout_of(tmp_path / "other")
    for layout in (mine, other):
        layout.root.mkdir()
    await prepare(kafka, mine)
    await prepare(kafka, other)  # (nothing lies there yet, so nothing can be mixed)

    inbox, event = Inbox(), example(topics.MODEL_TRAINED)
    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: inbox})) as bus:
        await bus.publish(topics.MODEL_TRAINED, event)
        assert await inbox.next() == event
        await prepare(kafka, mine)
        with pytest.raises(ForeignMessages, match="knows nothing of"):
            await prepare(kafka, layout_of(tmp_path / "third"))
        with pytest.raises(ForeignMessages, match=f"at work on Kafka.*evaluator{kafka.group_suffix}"):
            await prepare(kafka, mine, fresh=True)


async def test_fresh_topics_hold_nothing_and_are_no_longer_the_old_mesh_s(kafka: KafkaSettings, tmp_path: Path) -> None:
    old, new = layout_of(tmp_path / "old"), layout_of(tmp_path / "new")
    for layout in (old, new):
        layout.root.mkdir()
    await prepare(kafka, old)
    first, second = example(topics.MODEL_TRAINED), example(topics.MODEL_TRAINED)
    inbox = Inbox()
    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: inbox})) as bus:
        await bus.publish(topics.MODEL_TRAINED, first)
        assert await inbox.next() == first

        async def committed() -> bool:
            return await num_committed(kafka, "evaluator", topics.MODEL_TRAINED) == 1

        await until(committed)

    await prepare(kafka, new, fresh=True)
    async with running(make_bus("evaluator", kafka, {topics.MODEL_TRAINED: inbox})) as bus:
        await bus.publish(topics.MODEL_TRAINED, second)
        # The group has forgotten its offsets with the topics: a mesh that starts anew misses nothing.
        assert await inbox.next() == second
    with pytest.raises(ForeignMessages):
        await prepare(kafka, old)
