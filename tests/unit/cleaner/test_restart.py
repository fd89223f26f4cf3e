from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from contracts.topics import BATCH_CLEANED, CORPUS_VERSIONED, TRAINING_REQUESTED
from services.cleaner.settings import CorpusRules
from shared.bus import MAX_DEAD_LETTERS_IN_A_ROW
from shared.clock import FakeClock
from shared.releases import decided_ref
from shared.telemetry import Telemetry
from tests.unit.cleaner.conftest import START, running
from tests.unit.cleaner.test_handlers import request

RULES = CorpusRules(min_new_documents=2, quiet_s=5)


class Crash(Exception):
    """Stands for the end of the process."""


async def test_what_was_seen_and_asked_for_survives_a_restart(tmp_path: Path, telemetry: Telemetry):
    clock = FakeClock(START)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.receive("a", "一")
        late = cleaner.batch("b", [])
        await cleaner.user.publish(TRAINING_REQUESTED, request(late.batch_id))
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.cutter.announce_again()
        await cleaner.later(60)
        assert [event.num_new_documents for event in cleaner.of(BATCH_CLEANED)] == [1]
        assert cleaner.of(CORPUS_VERSIONED) == []
        await cleaner.receive("b", "一", "二")
        await cleaner.later(0)
        (version,) = cleaner.of(CORPUS_VERSIONED)
        assert (version.num_documents, version.training_request_id) == (2, request().event_id)


async def test_the_quiet_begins_anew_at_a_start(tmp_path: Path, telemetry: Telemetry):
    clock = FakeClock(START)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.receive("a", "一", "二")
    clock.set(START + timedelta(hours=1))
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.later(4)
        assert cleaner.of(CORPUS_VERSIONED) == []
        await cleaner.later(1)
        assert len(cleaner.of(CORPUS_VERSIONED)) == 1


@pytest.mark.parametrize(
    "step",
    [
        "services.cleaner.versions.write_manifest",
        "services.cleaner.ledger.Ledger.add_version",
        "services.cleaner.versions.point_at_latest",
        "shared.bus.Bus.publish",
        "services.cleaner.ledger.Ledger.mark_published",
    ],
)
async def test_a_cut_that_a_crash_interrupted_is_completed_at_the_next_start(
    tmp_path: Path, telemetry: Telemetry, monkeypatch, step
):
    def crash(*_: object, **__: object) -> None:
        raise Crash

    clock = FakeClock(START)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.receive("a", "一", "二")
        with monkeypatch.context() as patched:
            patched.setattr(step, crash)
            with pytest.raises(Crash):
                await cleaner.later(5)
        said_before = cleaner.of(CORPUS_VERSIONED)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.cutter.announce_again()
        await cleaner.later(5)
        await cleaner.later(5)
        (version,) = cleaner.of(CORPUS_VERSIONED)
        assert (version.number, version.num_documents) == (1, 2)
        assert said_before in ([], [version])
        assert cleaner.store.read_ref("corpus/law/latest") == version.model_dump_json().encode()


async def test_what_the_broker_could_not_be_told_is_told_at_a_later_tick(
    tmp_path: Path, telemetry: Telemetry, monkeypatch, caplog
):
    async def away(*_: object, **__: object) -> None:
        raise KafkaConnectionError("no broker")

    async with running(tmp_path, telemetry, FakeClock(START), RULES) as cleaner:
        await cleaner.receive("a", "一", "二")
        with monkeypatch.context() as patched:
            patched.setattr(cleaner.bus, "publish", away)
            await cleaner.later(5)
        assert [record.message for record in caplog.records] == ["corpus version not cut or announced, will try again"]
        await cleaner.later(0.5)
        assert [version.number for version in cleaner.of(CORPUS_VERSIONED)] == [1]


async def test_versions_that_led_to_no_decision_are_announced_again_word_for_word_at_every_start(
    tmp_path: Path, telemetry: Telemetry
):
    clock = FakeClock(START)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        for name, texts in {"a": "一二", "b": "三四", "c": "五六"}.items():
            await cleaner.receive(name, *texts)
            await cleaner.later(5)
        versions = cleaner.of(CORPUS_VERSIONED)
        cleaned = cleaner.of(BATCH_CLEANED)
    decided = [None, versions[0], versions[1], versions[2]]
    said = []
    for version in decided:
        async with running(tmp_path, telemetry, clock, RULES) as cleaner:
            if version:
                cleaner.store.write_ref(decided_ref("law", version.corpus_digest), b"")
            await cleaner.cutter.announce_again()
            assert cleaner.of(BATCH_CLEANED) == cleaned
            said.append(cleaner.of(CORPUS_VERSIONED))
    assert said == [versions, versions[1:], versions[2:], versions[2:]]


async def test_versions_that_never_lead_to_a_decision_do_not_stop_who_hears_of_them(
    tmp_path: Path, telemetry: Telemetry
):
    clock = FakeClock(START)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        for number in range(MAX_DEAD_LETTERS_IN_A_ROW):
            await cleaner.receive(f"batch {number}", f"甲{number}", f"乙{number}")
            await cleaner.later(5)
    async with running(tmp_path, telemetry, clock, RULES) as cleaner:
        await cleaner.cutter.announce_again()
        numbers = [version.number for version in cleaner.of(CORPUS_VERSIONED)]
    assert len(numbers) < MAX_DEAD_LETTERS_IN_A_ROW
    assert numbers == sorted(numbers)
    assert numbers[-1] == MAX_DEAD_LETTERS_IN_A_ROW


async def test_a_standby_cuts_and_announces_nothing_until_it_has_the_domain(
    tmp_path: Path, telemetry: Telemetry, monkeypatch
):
    async def away(*_: object, **__: object) -> None:
        raise KafkaConnectionError("no broker")

    async with running(tmp_path, telemetry, FakeClock(START), RULES) as cleaner:
        await cleaner.receive("a", "一", "二")
        cleaner.others.add("law")
        await cleaner.later(5)
        assert cleaner.ledger.latest_version("law") is None
        cleaner.others.clear()
        with monkeypatch.context() as patched:
            patched.setattr(cleaner.bus, "publish", away)
            await cleaner.later(5)
        cleaner.others.add("law")
        await cleaner.later(5)
        assert cleaner.of(CORPUS_VERSIONED) == []
        cleaner.others.clear()
        await cleaner.later(5)
        assert [version.number for version in cleaner.of(CORPUS_VERSIONED)] == [1]
