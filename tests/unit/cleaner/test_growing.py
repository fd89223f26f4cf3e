"""Growing columns hold what joining all parts gives, and what was read before does not change."""

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.cleaner.core.facts import Facts, document_digests
from services.cleaner.core.growing import GrowingArray, GrowingFacts
from shared.demo.statutes import load_statutes
from shared.shards import table_of


@given(st.lists(st.integers(0, 40).flatmap(lambda rows: arrays(np.uint8, (rows, 3))), max_size=8))
def test_an_array_is_all_its_parts_and_earlier_views_stay(parts):
    grown = GrowingArray(np.empty((0, 3), np.uint8))
    seen = []
    for part in parts:
        grown.append(part)
        seen.append((grown.all, grown.all.copy()))
    assert len(grown) == sum(map(len, parts))
    assert np.array_equal(grown.all, np.concatenate([np.empty((0, 3), np.uint8), *parts]))
    assert all(np.array_equal(view, copy) for view, copy in seen)


def test_facts_of_batches_are_the_facts_of_all_documents():
    table = table_of(load_statutes().later)
    expected = Facts.of(table, document_digests(table))
    grown = GrowingFacts()
    grown.append(Facts.none())
    for start in range(0, len(table), 700):
        part = table.slice(start, 700)
        grown.append(Facts.of(part, document_digests(part)))
    assert len(grown) == len(table)
    for one in fields(Facts):
        found, wanted = getattr(grown.all, one.name), getattr(expected, one.name)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
