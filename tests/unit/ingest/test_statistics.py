import itertools
import math
import unicodedata
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.corpus import BatchStatistics
from services.ingest.core import statistics
from services.ingest.core.pairs import PairCount, cells_of_bytes, known_pairs
from services.ingest.core.records import Record
from services.ingest.core.statistics import (
    OTHERS,
    SCRIPTS,
    diversity,
    fresh_share,
    length_quantile,
    merged,
    statistics_of,
)

TODAY = date(2026, 6, 1)
ARTICLE = "为了保护专利权人的合法权益，鼓励发明创造，制定本法。"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
RECORDS = st.lists(
    st.builds(
        Record,
        document_id=st.uuids().map(str),
        text=TEXTS,
        label=st.none() | st.sampled_from(["刑法", "民法商法"]),
        source=st.none() | st.sampled_from(["a", "b"]),
        published_on=st.none() | st.dates(date(2020, 1, 1), TODAY),
        language=st.none() | st.sampled_from(["zh", "zh-Hans", "EN"]),
    ),
    max_size=12,
)


def of(*texts: str, **fields: object) -> BatchStatistics:
    records = [Record(document_id=str(number), text=text, **fields) for number, text in enumerate(texts)]
    return statistics_of(records, today=TODAY)


@settings(deadline=None)
@given(RECORDS, RECORDS)
def test_batches_add_up_to_what_they_are_together(one: list[Record], other: list[Record]) -> None:
    parts = [statistics_of(records, today=TODAY) for records in (one, other)]
    both, together = merged(parts), statistics_of([*one, *other], today=TODAY)
    apart = {"num_repeated", "num_distinct_bigrams"}
    assert both.model_dump(exclude=apart) == together.model_dump(exclude=apart)
    assert both == merged(reversed(parts))


@settings(deadline=None)
@given(RECORDS)
def test_counts_are_those_of_a_plain_loop(records: list[Record]) -> None:
    found = statistics_of(records, today=TODAY)
    text = "".join(record.text for record in records)
    assert (found.num_documents, found.num_chars) == (len(records), len(text))
    assert sum(found.script_chars.values()) == sum(found.character_counts) == len(text)
    assert sum(found.length_counts) == len(records)
    assert sum(found.languages.values()) == len(records)
    pairs = [pair for record in records for pair in itertools.pairwise(record.text)]
    assert found.num_bigrams == len(pairs)
    assert found.num_distinct_bigrams == pytest.approx(len(set(pairs)), abs=1)
    assert found.num_repeated == len(records) - len({record.text for record in records})
    for record in records:
        k = next(k for k in itertools.count() if len(record.text) ** 2 < 2 ** (k + 1))
        assert found.length_counts[k] > 0


def test_long_batches_are_counted_in_runs_with_the_same_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{ARTICLE * (number % 7 + 1)}{number}" for number in range(200)]
    whole = of(*texts)
    monkeypatch.setattr(statistics, "CHARS_AT_A_TIME", 500)
    in_runs = of(*texts)
    assert in_runs == whole


def test_scripts_agree_with_the_character_names_of_unicode() -> None:
    names = {
        "CJK UNIFIED": "han",
        "LATIN": "latin",
        "HIRAGANA": "kana",
        "KATAKANA": "kana",
        "HANGUL": "hangul",
        "CYRILLIC": "cyrillic",
    }
    table = statistics._script_table()
    wrong = []
    for code in (
        *range(0x20, 0x250),
        *range(0x400, 0x500),
        *range(0x3041, 0x30FB),
        *range(0x4E00, 0xA000, 97),
        *range(0xAC00, 0xD7A4, 97),
    ):
        name = unicodedata.name(chr(code), "")
        expected = next((script for start, script in names.items() if name.startswith(start)), None)
        if expected and unicodedata.category(chr(code)).startswith("L") and SCRIPTS[table[code]] != expected:
            wrong.append((hex(code), name))
    assert wrong == []
    assert of("法a1，。 か한я€").script_chars == {
        "han": 1, "latin": 1, "digit": 1, "punctuation": 2, "space": 1, "kana": 1, "hangul": 1, "cyrillic": 1, "other": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ARTICLE, "zh"), ("It is a truth universally acknowledged", "und-Latn"), ("吾輩は猫である。名前はまだ無い。", "ja"),
        ("모든 국민은 법 앞에 평등하다", "ko"), ("Все равны перед законом", "und-Cyrl"), ("123 ，。", "und"),
    ],
)  # fmt: skip
def test_a_document_that_names_no_language_is_counted_by_its_script(text: str, language: str) -> None:
    assert of(text).languages == {language: 1}
    assert of(text, language="de-AT").languages == {"de": 1}


def test_dates_labels_sources_and_repetitions() -> None:
    records = [
        Record(document_id="1", text="x", published_on=date(2024, 6, 3), label="a", labels=("b", "c"), source="s"),
        Record(document_id="2", text="x", published_on=date(2024, 6, 1), label="a", licence="CC0-1.0"),
        Record(document_id="3", text="y"),
    ]
    found = statistics_of(records, today=TODAY)
    assert (found.num_dated, found.num_fresh, fresh_share(found)) == (2, 1, 0.5)
    assert found.labels == {"a": 2, "b": 1, "c": 1}
    assert (found.sources, found.licences) == ({"s": 1}, {"CC0-1.0": 1})
    assert (found.num_repeated, found.num_known, found.relevance) == (1, None, None)
    assert fresh_share(of("x")) is None
    told = found.model_copy(update={"num_compared_bigrams": 30, "num_known_bigrams": 9, "num_known": 2})
    two = merged([told, found, found.model_copy(update={"num_compared_bigrams": 10, "num_known_bigrams": 1})])
    assert (two.num_known, two.relevance) == (2, 0.25)


def test_relevance_is_the_share_of_pairs_that_were_known() -> None:
    before = PairCount()
    statistics_of([Record(document_id="1", text="甲乙丙")], today=TODAY, pairs=before)
    assert len(before.new_cells) == 2
    known = known_pairs(before.new_cells)
    after = PairCount(known)
    texts = ["甲乙丁", "乙丙", "丙", "丙甲乙"]
    found = statistics_of([Record(document_id=text, text=text) for text in texts], today=TODAY, pairs=after)
    # 甲乙 乙丁 | 乙丙 | 丙甲 甲乙: of five, three; what meets where texts meet does not count.
    assert (found.num_bigrams, found.num_distinct_bigrams, found.relevance) == (5, 4, 0.6)
    assert len(after.new_cells) == 2
    assert cells_of_bytes(after.new_cells.tobytes() + b"cut").tolist() == after.new_cells.tolist()
    assert statistics_of([Record(document_id="1", text="甲")], today=TODAY, pairs=PairCount(known)).relevance is None


def test_cells_are_pinned_since_they_lie_in_files() -> None:
    pairs = PairCount()
    statistics_of([Record(document_id="1", text="第一条")], today=TODAY, pairs=pairs)
    places = [((ord(a) << 21 | ord(b)) * 0x9E37_79B9_7F4A_7C15) % 2**64 >> 42 for a, b in ("第一", "一条")]
    assert pairs.new_cells.tolist() == sorted(places)


def test_rare_names_are_counted_together_and_none_is_lost() -> None:
    records = [Record(document_id=str(n), text="x", label=f"label {n:03}") for n in range(70)] * 2
    records += [Record(document_id="z", text="x", label="common")]
    labels = statistics_of(records, today=TODAY).labels
    assert len(labels) == statistics.MAX_NAMES
    assert sum(labels.values()) == 141
    assert (labels["common"] if "common" in labels else labels[OTHERS]) >= 1
    twice = merged([statistics_of(records, today=TODAY)] * 2).labels
    assert (len(twice), sum(twice.values())) == (statistics.MAX_NAMES, 282)


def test_quantiles_are_right_within_their_class() -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 3_000, 500)
    found = of(*("法" * int(length) for length in lengths))
    for share in (0.05, 0.5, 0.95):
        assert 1 / math.sqrt(2) <= length_quantile(found, share) / np.quantile(lengths, share) <= math.sqrt(2)
    with pytest.raises(ValueError, match="no documents"):
        length_quantile(of(), 0.5)


def test_distinct_bigrams_are_estimated_closely() -> None:
    rng = np.random.default_rng(5)
    text = "".join(map(chr, rng.integers(0x4E00, 0x9FFF, 190_000)))
    exact = len(set(itertools.pairwise(text)))
    found = of(text)
    assert found.num_distinct_bigrams == pytest.approx(exact, rel=0.01)
    assert of(ARTICLE, *[ARTICLE] * 99).num_distinct_bigrams < 40


def test_diversity_is_the_entropy_of_names() -> None:
    assert diversity({}) == diversity({"a": 5}) == 0
    assert diversity(dict.fromkeys("abcdefgh", 3)) == pytest.approx(3)
