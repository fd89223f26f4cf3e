"""A tokenizer's page tells its numbers, is one file, and escapes what terms hold."""

import re
from datetime import UTC, datetime

from contracts.lexicon import LexiconEntry
from shared.report import drawing
from shared.report.tokenizer_page import page
from tests.unit.report.samples import TOKENIZER_REPORT

FILTERED = LexiconEntry(
    term="<b>问题</b>", origin="mined", status="filtered", score=0.6, count=9, reason="general: 0.2"
)


def html_of(report=TOKENIZER_REPORT, entries=None) -> str:
    return page(report, entries=entries or {}, title="Tokenizer 777", written_at=datetime(2025, 6, 1, tzinfo=UTC))


def test_it_tells_the_decision_the_numbers_and_what_was_not_compared() -> None:
    html = html_of()
    assert "extended: 12 new terms, 3 of them users&#39;, save 4.10 % of the tokens" in html
    assert "3,839 held-out texts of 460,999 characters" in html
    assert "38.6%" in html
    assert "o200k, DeepSeek V4" in html
    assert "17 accepted ones are no token of their own" in html
    assert "<td>不动产登记</td><td>it cuts 登记簿 at 3 of 3 places</td>" in html
    assert html.count("<svg") == 3
    assert "99.94%" in html, "a bar says its share"


def test_terms_are_those_that_occur_and_none_is_no_full_share() -> None:
    html = html_of()
    assert "2,030 accepted terms occur" in html
    assert "2,038 are accepted in all" in html
    assert "99.56%" in html
    none = {
        "num_terms": 0,
        "terms_whole": None,
        "terms_unbroken": None,
        "core_term_coverage": None,
        "accepted_terms_whole": None,
    }
    without = html_of(TOKENIZER_REPORT.model_copy(update=none))
    assert "no accepted term occurs" in without
    assert "terms unbroken in the text" not in without


def test_terms_are_shown_by_status_and_escaped() -> None:
    html = html_of(entries={"accepted": (), "filtered": (FILTERED,)})
    assert "&lt;b&gt;问题&lt;/b&gt;" in html
    assert "<b>问题" not in html
    assert "<h3>accepted" not in html


def test_it_stands_alone_in_light_and_dark() -> None:
    html = html_of()
    assert not re.search(r"""(src|href)=["'](?!#)""", html)
    assert not re.search(r"url\((?!['\"]?#)|@import", html)
    assert not any(color in html for color in drawing.VARIABLES)


def test_absent_general_tokenizers_are_named_with_what_to_install() -> None:
    html = html_of(TOKENIZER_REPORT.model_copy(update={"not_compared": ("o200k", "Qwen 2.5")}))
    assert "o200k, Qwen 2.5" in html
    assert "plumbline-mesh[compare]" in html


def test_without_general_tokenizers_it_says_so() -> None:
    html = html_of(
        TOKENIZER_REPORT.model_copy(
            update={"compared": (), "not_compared": (), "is_held_out": False, "num_entries": {}}
        )
    )
    assert "No general tokenizer was there to compare with." in html
    assert "3,839 new texts" in html
    assert "No terms." in html
