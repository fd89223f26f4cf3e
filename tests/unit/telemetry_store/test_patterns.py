import pytest

from shared.telemetry_store.patterns import TEMPLATE_ATTRIBUTE, level_of, pattern_of, stripped
from tests.unit.monitor.store_contract import log


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("corpus version cut", "corpus version cut"),
        ("broker-1 ended with -9, see /tmp/x/y.log", "broker-<n> ended with <n>, see <path>"),
        ("no answer from 127.0.0.1:9092 at 2026-11-22T01:02:03.4Z", "no answer from <address> at <time>"),
        ("id 3f2504e0-4f89-41d3-9a0c-0305e82c3301 isn't known, don't ask", "id <id> isn't known, don't ask"),
        ("bundle 07daf0d1c2 and " + "a1" * 32, "bundle <hex> and <hex>"),
        ("第12条 已清洗 3,000 条", "第<n>条 已清洗 <n> 条"),
        ("int8 by sha256, v2, and/or defaced", "int8 by sha256, v2, and/or defaced"),
        ("GET https://x.org/a?b=1 took 12.5 ms", "GET <url> took <n> ms"),
        ("KeyError: 'plumbline.domain'", "KeyError: '<text>'"),
        ('refused "law\'s text" twice', 'refused "<text>" twice'),
        ("first\n  second 2", "first"),
        ("a\t b", "a b"),
        ("", ""),
    ],
)
def test_what_changes_from_one_message_to_the_next_is_left_out(message: str, pattern: str):
    assert stripped(message) == pattern


def test_a_long_message_has_a_pattern_of_bounded_length():
    assert len(stripped("word " * 5000)) == 300


def test_a_logger_that_knows_its_template_is_believed():
    assert pattern_of(log("1", "child 7 died", **{TEMPLATE_ATTRIBUTE: "child %s died"})) == "child %s died"
    assert pattern_of(log("1", "child 7 died")) == "child <n> died"


@pytest.mark.parametrize(
    ("severity", "level"),
    [("INFO", 9), ("WARNING", 13), ("warn", 13), ("Error", 17), ("ERROR2", 17), ("CRITICAL", 21), ("", 9), ("?", 9)],
)
def test_levels_of_other_senders_are_understood(severity: str, level: int):
    assert level_of(severity) == level
