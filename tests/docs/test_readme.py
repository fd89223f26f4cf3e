"""What the README says of commands, topics, settings and files is so, and what there is of them stands in it."""

import re
import shlex
from typing import Any

import pytest
from typer.main import get_command

from contracts.corpus import MAX_TEXT_CHARS, Document
from contracts.telemetry import LATENCY_LIMIT_MS
from contracts.topics import MAX_MESSAGE_BYTES, NUM_PARTITIONS
from services.cleaner.settings import CorpusRules
from services.evaluator.settings import Gates
from services.monitor.core.alerts import rule_table
from services.monitor.core.windows import WINDOW_S
from services.release_manager.settings import RolloutRules
from shared.cli.app import application
from tests.docs import tables

ROOT = tables.README.parent
TEXT = tables.README.read_text(encoding="utf-8")
CODE = [
    *(
        line.partition(" #")[0]
        for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
        for line in block.splitlines()
    ),
    *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)),
]
"""Lines of shell blocks, comments cut off, and what stands between backticks in the text."""
PLUMB = [words[1:] for line in CODE if (words := shlex.split(line.removeprefix(".venv/bin/"))) and words[0] == "plumb"]
MAKE = [line.split()[1] for line in CODE if line.startswith("make ")]
ALERT = next(rule for rule in rule_table(LATENCY_LIMIT_MS) if rule.signal == "latency")
PATHS = sorted({code for code in CODE if re.fullmatch(r"(contracts|services|shared|tests)/[\w./-]+", code)})


def test_tables_are_up_to_date() -> None:
    assert tables.rewritten(TEXT) == TEXT, "run `python -m tests.docs.regenerate`"


def test_rewriting_needs_its_markers() -> None:
    with pytest.raises(ValueError, match="<!-- topics -->"):
        tables.rewritten("no tables here")


@pytest.mark.parametrize("words", PLUMB, ids=" ".join)
def test_a_plumb_command_and_its_options_exist(words: list[str]) -> None:
    command: Any = get_command(application())
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands
        command, words = command.commands[words[0]], words[1:]
    known = {option for param in command.params for option in param.opts} | {"--help"}
    assert {word for word in words if word.startswith("-")} <= known


def test_every_plumb_command_is_named() -> None:
    named = {" ".join(words) for words in PLUMB}
    assert [command for command in tables.leaf_commands() if not any(one.startswith(command) for one in named)] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert MAKE
    assert set(MAKE) <= targets


def test_files_exist() -> None:
    assert len(PATHS) > 15, "the walk through the code"
    assert [path for path in PATHS if not (ROOT / path).exists()] == []


def test_settings_are_real_and_explained() -> None:
    real = {setting.variable: setting for _, setting in tables.all_settings()}
    assert set(re.findall(r"PLUMBLINE_\w*\w", TEXT)) == set(real)
    assert [one.variable for one in real.values() if not one.meaning] == []


def test_one_variable_is_not_read_as_two_things() -> None:
    meanings: dict[str, set[str]] = {}
    for reader, setting in tables.all_settings():
        if reader in tables.ALL_DAEMONS:
            meanings.setdefault(setting.variable, set()).add(setting.default)
    # Each daemon looks at its own clock; the variable sets them all.
    assert {variable for variable, defaults in meanings.items() if len(defaults) > 1} <= {"PLUMBLINE_TICK_S"}


def test_document_fields_are_those_of_the_contract() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (required|optional) \|", TEXT, re.MULTILINE)
    fields = Document.model_fields.items()
    assert rows == [(name, "required" if field.is_required() else "optional") for name, field in fields]


@pytest.mark.parametrize(
    "claim",
    [
        f"1 to {MAX_TEXT_CHARS:,} characters",
        f"a message of at most {MAX_MESSAGE_BYTES >> 20} MB",
        f"every topic has {NUM_PARTITIONS} partitions",
        f"at {CorpusRules().min_new_documents:,} new documents and {CorpusRules().quiet_s:.0f} seconds of quiet",
        f"at least {Gates().min_documents} labelled held-out documents",
        f"takes {RolloutRules().canary_percent} % of the users",
        f"at least {RolloutRules().min_answers}",
        f"for {RolloutRules().window_s / 60:.0f} minutes",
        f"more than {ALERT.limit * 100:.0f} %, and at least {ALERT.min_harmed}, of a bundle's answers",
        f"took over {LATENCY_LIMIT_MS:.0f} ms, in {ALERT.num_breaches} of the last {ALERT.num_evaluations} evaluations",
        f"a {WINDOW_S}-second window with at least {ALERT.min_answers} answers",
    ],
)
def test_numbers_in_the_text_are_those_of_the_code(claim: str) -> None:
    assert claim in " ".join(TEXT.split())
