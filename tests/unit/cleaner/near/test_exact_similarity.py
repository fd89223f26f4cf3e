"""The benchmark's truth, against the comparison of all with all."""

import random
from itertools import islice

import pytest

from tests.benchmarks.corpus_generator import EDITS, REAL, WEIGHTS, CorpusGenerator
from tests.benchmarks.exact_similarity import near_pairs
from tests.unit.cleaner.near.made import articles, grams


def texts_and_copies():
    chosen = [text for text in random.Random(4).sample(articles(), 120) if len(text) > 20]
    generator = CorpusGenerator(chosen, 5)
    return [document.text for document in generator.documents(500)] + ["", "甲", "甲乙丙", "甲、乙丙"]


@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0])
def test_it_is_the_comparison_of_all_with_all(threshold):
    texts = texts_and_copies()
    own = [grams(text) for text in texts]
    expected = {}
    for later, left in enumerate(own):
        for earlier, right in enumerate(own[:later]):
            similarity = len(left & right) / len(left | right) if left | right else 0.0
            if similarity >= threshold:
                expected[later, earlier] = similarity
    found = near_pairs(texts, threshold)
    assert len(expected) > 20
    assert (
        dict(zip(zip(found.later.tolist(), found.earlier.tolist(), strict=True), found.jaccard, strict=True))
        == expected
    )


def test_the_generator_repeats_itself_and_holds_each_article_once():
    chosen = list(dict.fromkeys(articles()[:200]))
    first, again = (list(CorpusGenerator(chosen, 3).documents(1_000)) for _ in range(2))
    assert first == again
    assert sorted(made.text for made in first if made.kind == REAL) == sorted(chosen)
    assert {made.kind for made in first} == {REAL, *WEIGHTS}
    assert [made.kind for made in islice(CorpusGenerator(chosen, 3).documents(50), 50)] == [REAL] * 50


@pytest.mark.parametrize("kind", sorted(EDITS.keys() - {"copied"}))
def test_an_edit_changes_most_texts(kind):
    rng = random.Random(2)
    chosen = [text for text in articles()[::200] if text.count("，") > 1]
    changed = [EDITS[kind](text, rng, "法律条文") != text for text in chosen]
    assert sum(changed) > 0.5 * len(changed)
