"""What the guard of commands lets through, and what it refuses."""

import base64
from datetime import timedelta
from importlib import import_module
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import topics
from contracts.release import ReleaseRequested
from contracts.topics import ALL_DAEMONS, Topic
from shared.clock import FakeClock, SystemClock
from shared.commands import KEY_ID, MAX_REMEMBERED, SIGNATURE, CommandGuard, Place
from shared.errors import CommandReplayed, CommandUntimely, SecretRefused, SignatureRefused
from tests.contracts.payloads import example
from tests.keys import OPERATOR_KEYS, STRANGER, command_guard

COMMAND = example(topics.RELEASE_REQUESTED)
BODY = COMMAND.model_dump_json().encode()
CLOCK = FakeClock(COMMAND.occurred_at)
HEADERS = command_guard().signed(topics.RELEASE_REQUESTED, "law", BODY)
HERE, ELSEWHERE = Place(0, 1), Place(0, 2)
SIGNED = [topic for topic in topics.EVENT_TOPICS if topic.signed]


def check(
    guard: CommandGuard,
    *,
    topic: Topic = topics.RELEASE_REQUESTED,
    key: str = "law",
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    place: Place = HERE,
) -> None:
    guard.check(topic, COMMAND, key=key, body=body, headers=HEADERS if headers is None else headers, place=place)


def fresh(**changes: object) -> CommandGuard:
    return command_guard(CLOCK, **{"max_age_s": 60.0, **changes})  # type: ignore[arg-type]


def test_a_signed_command_passes() -> None:
    check(fresh())


@settings(deadline=None)
@given(st.integers(0, 8 * len(BODY) - 1))
def test_any_flipped_bit_of_a_command_is_refused(bit: int) -> None:
    flipped = bytearray(BODY)
    flipped[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SignatureRefused):
        check(fresh(), body=bytes(flipped))


@settings(deadline=None)
@given(st.integers(0, 8 * 64 - 1))
def test_any_flipped_bit_of_its_signature_is_refused(bit: int) -> None:
    value = bytearray(base64.b64decode(HEADERS[SIGNATURE]))
    value[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SignatureRefused):
        check(fresh(), headers=HEADERS | {SIGNATURE: base64.b64encode(value).decode()})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"headers": {}}, "carries no signature"),
        ({"headers": {KEY_ID: HEADERS[KEY_ID]}}, "cannot be read"),
        ({"headers": {SIGNATURE: HEADERS[SIGNATURE]}}, "cannot be read"),
        ({"headers": HEADERS | {SIGNATURE: "no"}}, "cannot be read"),
        ({"headers": HEADERS | {KEY_ID: STRANGER.key_id}}, "unknown key"),
        ({"key": "medicine"}, "does not fit"),
        ({"key": ""}, "does not fit"),
        ({"topic": topics.TRAINING_REQUESTED}, "does not fit"),
    ],
)
def test_what_is_not_signed_as_it_is_sent_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(SignatureRefused, match=reason) as refused:
        check(fresh(), **changes)  # type: ignore[arg-type]
    assert refused.value.next_step


def test_a_stranger_s_signature_is_refused_also_under_a_known_name() -> None:
    forged = fresh(signer=STRANGER).signed(topics.RELEASE_REQUESTED, "law", BODY)
    with pytest.raises(SignatureRefused, match="unknown key"):
        check(fresh(), headers=forged)
    with pytest.raises(SignatureRefused, match="forged"):
        check(fresh(), headers=forged | {KEY_ID: HEADERS[KEY_ID]})


@pytest.mark.parametrize(("seconds", "passes"), [(0, True), (60, True), (61, False), (-60, True), (-61, False)])
def test_a_command_is_fresh_for_its_time(seconds: int, *, passes: bool) -> None:
    guard = command_guard(FakeClock(COMMAND.occurred_at + timedelta(seconds=seconds)), max_age_s=60.0)
    if passes:
        check(guard)
    else:
        with pytest.raises(CommandUntimely, match="60 s from now"):
            check(guard)


def test_a_redelivery_passes_and_a_replay_does_not() -> None:
    guard = fresh()
    check(guard)
    check(guard, place=ELSEWHERE)
    guard.remember(COMMAND, HERE)
    check(guard)
    with pytest.raises(CommandReplayed, match=str(COMMAND.event_id)):
        check(guard, place=ELSEWHERE)


def test_known_commands_do_not_grow_without_end() -> None:
    guard = fresh()
    for number in range(MAX_REMEMBERED + 100):
        guard.remember(COMMAND.model_copy(update={"event_id": uuid4()}), Place(0, number))
    guard.remember(COMMAND, HERE)
    assert len(guard._known) <= MAX_REMEMBERED
    with pytest.raises(CommandReplayed):
        check(guard, place=ELSEWHERE)


def test_who_has_no_key_neither_signs_nor_takes() -> None:
    guard = CommandGuard(clock=SystemClock(), max_age_s=1, keys=None, signer=None)
    with pytest.raises(SecretRefused, match="operator_key"):
        guard.signed(topics.RELEASE_REQUESTED, "law", BODY)
    with pytest.raises(SecretRefused, match="operator_public_keys"):
        check(guard)
    with pytest.raises(SecretRefused):
        CommandGuard(clock=SystemClock(), max_age_s=1, keys=OPERATOR_KEYS, signer=None).signed(
            topics.RELEASE_REQUESTED, "law", BODY
        )


def test_operators_commands_are_the_signed_topics() -> None:
    assert [topic.event for topic in SIGNED] == [topics.TRAINING_REQUESTED.event, ReleaseRequested]


@pytest.mark.parametrize("daemon", ALL_DAEMONS)
def test_a_daemon_that_needs_keys_does_not_start_without(
    daemon: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("daemon")
    monkeypatch.delenv("PLUMBLINE_SECRETS_DIR")
    monkeypatch.setenv("PLUMBLINE_STATE_DIR", str(folder / "state"))
    monkeypatch.setenv("PLUMBLINE_ARTIFACTS__URL", f"file://{folder}/artifacts")
    monkeypatch.setenv("PLUMBLINE_TELEMETRY__ENABLED", "false")
    build = import_module(f"services.{daemon.replace('-', '_')}.app").build
    if daemon in {"ingest", "tokenizer-builder"}:
        build()
        return
    with pytest.raises(SecretRefused, match=f"{daemon} has no") as refused:
        build()
    assert "plumb secrets create" in str(refused.value.next_step)
