import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest

from shared.cli.logs import parsed_since
from tests.unit.cli.apis import TRACE
from tests.unit.cli.conftest import Terminal


def asked(terminal: Terminal) -> dict[str, list[str]]:
    return parse_qs(terminal.apis.queries[-1])


def test_logs_shows_the_oldest_first_with_what_a_record_says(terminal: Terminal) -> None:
    lines = terminal.plumb("logs").stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("06-01 12:00:00.250 error   trainer child died code=-9 ValueError: bad")
    assert lines[0].endswith(f"trace={TRACE}")
    assert lines[1].startswith("06-01 12:00:01.000 warning cleaner 劳动 [red]not markup[/]")
    assert "\x1b" not in lines[1]


def test_logs_passes_on_what_is_asked_for(terminal: Terminal) -> None:
    terminal.plumb("logs", "劳动", "not*", "--service", "cleaner", "--level", "error", "--trace", TRACE, "--limit", "7")
    assert asked(terminal) == {
        "words": ["劳动 not*"], "service": ["cleaner"], "level": ["error"], "trace_id": [TRACE], "limit": ["7"]
    }  # fmt: skip
    terminal.plumb("logs", "--since", "2026-11-22T15:00:00Z")
    assert datetime.fromisoformat(asked(terminal)["since"][0]) == datetime(2026, 11, 22, 15, tzinfo=UTC)


def test_logs_can_print_json_and_count_patterns(terminal: Terminal) -> None:
    assert len(json.loads(terminal.plumb("logs", "--json").stdout)["logs"]) == 2
    table = terminal.plumb("logs", "--patterns").stdout
    for fact in ("1,234", "child <n> died", "trainer", "06-01 12:00:00"):
        assert fact in table


@pytest.mark.parametrize("arguments", [("--since", "yesterday"), ("--level", "loud"), ("--limit", "0")])
def test_logs_says_which_option_is_wrong(terminal: Terminal, arguments: tuple[str, str]) -> None:
    result = terminal.plumb("logs", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.output


@pytest.mark.parametrize(("text", "ago_s"), [("30s", 30), ("15m", 900), ("2h", 7200), ("7d", 7 * 86_400)])
def test_since_may_be_said_as_how_long_ago(text: str, ago_s: int) -> None:
    since = parsed_since(text)
    assert since
    assert abs((datetime.now(UTC) - since) - timedelta(seconds=ago_s)) < timedelta(seconds=5)


def test_trace_shows_spans_below_their_parents_with_their_logs_and_links(terminal: Terminal) -> None:
    lines = terminal.plumb("trace", TRACE).stdout.splitlines()
    assert f"trace {TRACE}" in lines[0]
    assert "2 spans of 2 services, 2 log lines, 46.0 s" in lines[0]
    places = {
        name: next(at for at, line in enumerate(lines) if name in line) for name in ("train ", "seal", "child died")
    }
    assert places["train "] < places["seal"] < places["child died"]
    assert lines[places["train "]].index("trainer") < lines[places["seal"]].index("evaluator")
    assert "-> " + "d" * 32 in lines[places["train "]]
    assert "failed KafkaError" in lines[places["seal"]]
    assert "at +1,000 ms" in lines[places["seal"]]
    assert "goes on in " + "e" * 32 in lines[-1]


def test_trace_takes_the_last_answer(terminal: Terminal) -> None:
    terminal.plumb("ask", "盗窃", "--user", "u1")
    terminal.plumb("trace")
    assert terminal.apis.bodies[-1][0] == "/v1/traces/answer-u1"
    assert json.loads(terminal.plumb("trace", "x", "--json").stdout)["trace_id"] == TRACE
