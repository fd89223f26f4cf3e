"""The page holds all that is told, loads nothing, and what came from outside stays text."""

import re
from html.parser import HTMLParser

import pytest

from contracts.evaluation import ModelEvaluated
from contracts.release import ReleaseChanged
from contracts.training import ModelTrained
from shared.report import drawing
from shared.report.page import page
from shared.report.story import story_of
from tests.unit.report.samples import FIRST, SECOND, START, THIRD, story_events


class Elements(HTMLParser):
    """Counts elements and gathers text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.references += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "data", "action"}
        ]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def html() -> str:
    story = story_of("law", story_events())
    assert story
    return page(story, title="故事 <i>", written_at=START, notes=("a note",))


def test_every_section_and_plot_is_there(html: str) -> None:
    found = Elements(html)
    sections = ["bundles", "scores", "weights", "traffic", "alerts", "lineage", "training", "timeline"]
    assert [name for name in found.ids if name in sections] == sections
    assert found.tags.count("svg") == 4
    text = " ".join(" ".join(found.words).split())
    for words in ("rolled-back: latency", "50.0%", "45.1% to 54.9%", "from scratch", "21 by the model", "a note"):
        assert words in text
    for digest in (FIRST, SECOND, THIRD):
        assert digest[:12] in text


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    found = Elements(html)
    assert not {"script", "link", "iframe", "img", "object"} & set(found.tags)
    assert all(reference.startswith("#") for reference in found.references)
    assert not re.search(r"url\((?!['\"]?#)|@import", html)


def test_what_came_from_outside_stays_text(html: str) -> None:
    found = Elements(html)
    assert "<b>太慢</b>" not in html
    assert any("<b>太慢</b> 70.6% of 17 answers" in words for words in found.words)
    assert "故事 <i>" in found.words


def test_drawings_take_their_colours_and_font_from_the_page(html: str) -> None:
    assert not any(color in html for color in drawing.VARIABLES)
    for variable in ("var(--ink)", "var(--bad)", "var(--series-0)", "var(--series-2)", "var(--font)"):
        assert variable in html
    assert "DejaVu" not in html


def test_the_same_story_is_the_same_page(html: str) -> None:
    story = story_of("law", story_events())
    assert story
    assert page(story, title="故事 <i>", written_at=START, notes=("a note",)) == html


def test_a_bundle_that_was_only_trained_has_a_page() -> None:
    events = [event for event in story_events() if not isinstance(event, ModelEvaluated | ReleaseChanged)]
    first = next(event for event in events if isinstance(event, ModelTrained))
    story = story_of("law", [event for event in events if event.occurred_at <= first.occurred_at])
    assert story
    found = Elements(page(story, title="x", written_at=START))
    assert "not released" in found.words
    assert "None fired." in found.words
    assert "weights" not in found.ids
    assert "scores" not in found.ids
