"""`plumb report` fetches a domain's events page by page and writes one file."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from shared.cli import report_pages
from shared.cli.errors import ArgumentRefused, NothingToReport, PackageMissing
from shared.cli.target import target_of
from shared.demo import play
from shared.demo.screen import Screen
from tests.unit.cli.conftest import Terminal
from tests.unit.report.samples import SECOND, THIRD, record, story_events


@pytest.fixture
def told(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal.apis.events = [record(event) for event in story_events()]
    monkeypatch.setattr(report_pages, "PAGE_LIMIT", 7)
    return terminal


def test_the_last_release_is_told_by_default(told: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    result = told.plumb("report", "--output", str(path))
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["Release", f"{THIRD[:12]}:", str(path)]
    html = path.read_text(encoding="utf-8")
    assert "21</b> by the model" in html, "all pages of traffic were fetched"
    assert "from scratch" not in html, "the first release is another story"


def test_any_release_and_all_of_them_can_be_told(told: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    assert told.plumb("report", SECOND[:6], "--output", str(path)).exit_code == 0
    assert f"<title>Release {SECOND[:12]}</title>" in path.read_text(encoding="utf-8")
    assert told.plumb("report", "--all", "--output", str(path)).exit_code == 0
    html = path.read_text(encoding="utf-8")
    assert "<title>All releases of law</title>" in html
    assert all(digest in html for digest in ("a" * 64, SECOND, THIRD))


def test_a_release_that_there_is_not_is_refused_with_those_that_there_are(told: Terminal, tmp_path: Path) -> None:
    _, error = told.fails("report", "9", "--output", str(tmp_path / "r.html"))
    assert isinstance(error, NothingToReport)
    assert SECOND[:12] in (error.next_step or "")
    assert not (tmp_path / "r.html").exists()


def test_without_a_training_there_is_nothing_to_report(terminal: Terminal, tmp_path: Path) -> None:
    for arguments in ((), ("--all",)):
        _, error = terminal.fails("report", *arguments, "--output", str(tmp_path / "r.html"))
        assert isinstance(error, NothingToReport)
        assert error.next_step


def test_wrong_arguments_are_refused(told: Terminal, tmp_path: Path) -> None:
    for arguments in (("a", "--all"), ("--output", str(tmp_path / "nowhere" / "r.html"))):
        _, error = told.fails("report", *arguments)
        assert isinstance(error, ArgumentRefused)


def test_without_what_draws_the_command_that_installs_it_is_named(
    told: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_pages, "find_spec", lambda name: None if name == "matplotlib" else object())
    _, error = told.fails("report")
    assert isinstance(error, PackageMissing)
    assert "matplotlib" in str(error)
    assert "pip install" in (error.next_step or "")


def test_the_demo_writes_its_story_and_says_what_hinders_it(told: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    said = StringIO()
    screen = Screen(Console(file=said, width=200))
    play._write_page(told.layout, target_of(told.layout), screen, "law")
    html = (told.layout.root / play.PAGE).read_text(encoding="utf-8")
    assert "<title>The demo&#39;s story</title>" in html
    assert str(told.layout.root / play.PAGE) in said.getvalue()
    monkeypatch.setattr(report_pages, "find_spec", lambda _: None)
    play._write_page(told.layout, target_of(told.layout), screen, "law")
    assert "no report for people" in said.getvalue()
