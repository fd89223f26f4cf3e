"""What a batch is like, in numbers that add up: counts, lengths, scripts, languages, labels, freshness, repetition.

All texts of a batch are one array of code points, and everything about characters is done on it at once.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cache, reduce

import numpy as np
from numpy.typing import NDArray

from contracts.api import StatisticsFigures
from contracts.corpus import BatchStatistics
from services.ingest.core.pairs import PairCount
from services.ingest.core.records import Record

FRESH_FOR = timedelta(days=2 * 365)
"""Two years, as issue trackers and statute books count them; leap days aside."""
MAX_NAMES = 50
OTHERS = "…"
"""What the rarest names are counted under."""
NUM_BUCKETS = 256
BUCKET_FACTOR = np.uint32(2_654_435_761)
"""2^32 divided by the golden ratio, the nearest odd integer: Knuth's multiplicative hash (TAOCP 3, 6.4)."""
CHARS_AT_A_TIME = 1 << 20
MOSTLY = 0.5
SOME_KANA = 0.05
"""Japanese prose has a good third of kana; Chinese that quotes a Japanese name has next to none."""

OTHER, HAN, LATIN, DIGIT, SPACE, PUNCTUATION, KANA, HANGUL, CYRILLIC, UNASSIGNED = range(10)
SCRIPTS = (
    "other", "han", "latin", "digit", "space", "punctuation", "kana", "hangul", "cyrillic", "unassigned",
)  # fmt: skip
RANGES = (
    (0x00, 0x1F, UNASSIGNED), (0x09, 0x0D, SPACE), (0x20, 0x20, SPACE), (0x21, 0x2F, PUNCTUATION), (0x30, 0x39, DIGIT),
    (0x3A, 0x40, PUNCTUATION), (0x41, 0x5A, LATIN), (0x5B, 0x60, PUNCTUATION), (0x61, 0x7A, LATIN),
    (0x7B, 0x7E, PUNCTUATION), (0x7F, 0x9F, UNASSIGNED), (0xA0, 0xA0, SPACE), (0xA1, 0xBF, PUNCTUATION),
    (0xC0, 0x24F, LATIN), (0x400, 0x52F, CYRILLIC), (0x1100, 0x11FF, HANGUL), (0x1E00, 0x1EFF, LATIN),
    (0x2000, 0x200F, SPACE), (0x2010, 0x206F, PUNCTUATION), (0x2E80, 0x2FDF, HAN), (0x3000, 0x3000, SPACE),
    (0x3001, 0x3003, PUNCTUATION), (0x3005, 0x3007, HAN), (0x3008, 0x303F, PUNCTUATION), (0x3041, 0x30FF, KANA),
    (0x3130, 0x318F, HANGUL), (0x31F0, 0x31FF, KANA), (0x3400, 0x4DBF, HAN), (0x4E00, 0x9FFF, HAN),
    (0xAC00, 0xD7AF, HANGUL), (0xD800, 0xF8FF, UNASSIGNED), (0xF900, 0xFAFF, HAN), (0xFE30, 0xFE4F, PUNCTUATION),
    (0xFF01, 0xFF0F, PUNCTUATION), (0xFF10, 0xFF19, DIGIT), (0xFF1A, 0xFF20, PUNCTUATION), (0xFF21, 0xFF3A, LATIN),
    (0xFF3B, 0xFF40, PUNCTUATION), (0xFF41, 0xFF5A, LATIN), (0xFF5B, 0xFF65, PUNCTUATION), (0xFF66, 0xFF9F, KANA),
    (0xFFF0, 0xFFFF, UNASSIGNED), (0x20000, 0x323AF, HAN), (0xE0000, 0x10FFFF, UNASSIGNED),
)  # fmt: skip
"""Blocks of Unicode 16 by script, as far as a corpus needs them apart; a later range wins. Private use counts as unassigned."""


def statistics_of(records: Sequence[Record], *, today: date, pairs: PairCount | None = None) -> BatchStatistics:
    """Return what a batch is like, all but `num_known`: that depends on the batches before it.

    Args:
        records: Its documents.
        today: The day on which it arrived; what is fresh counts from there.
        pairs: Counts their pairs of characters, against those that the domain has; is filled.
    """
    pairs = pairs or PairCount()
    texts = [record.text for record in records]
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    scripts = np.zeros((len(texts), len(SCRIPTS)), dtype=np.int64)
    characters = np.zeros(NUM_BUCKETS, dtype=np.int64)
    for start, end in runs_of(lengths):
        codes = codes_of(texts[start:end])
        scripts[start:end] = _scripts(codes, lengths[start:end])
        characters += np.bincount((codes * BUCKET_FACTOR) >> np.uint32(24), minlength=NUM_BUCKETS)
        pairs.add(codes, lengths[start:end])
    dates = [record.published_on for record in records if record.published_on]
    return BatchStatistics(
        num_documents=len(records),
        num_chars=int(lengths.sum()),
        length_counts=_length_counts(lengths),
        script_chars=_named(zip(SCRIPTS, scripts.sum(axis=0).tolist(), strict=True)),
        character_counts=tuple(characters.tolist()) if texts else (),
        languages=_languages(records, scripts),
        labels=_commonest(Counter(label for record in records for label in _labels(record))),
        sources=_commonest(Counter(record.source for record in records if record.source)),
        licences=_commonest(Counter(record.licence for record in records if record.licence)),
        num_dated=len(dates),
        num_fresh=sum(1 for day in dates if day > today - FRESH_FOR),
        num_repeated=len(texts) - len(set(texts)),
        num_bigrams=pairs.num,
        num_distinct_bigrams=pairs.num_distinct,
        num_compared_bigrams=pairs.num_compared,
        num_known_bigrams=pairs.num_known,
        num_compared_texts=pairs.num_compared_texts,
        num_unlike_texts=pairs.num_unlike_texts,
    )


def merged(parts: Iterable[BatchStatistics]) -> BatchStatistics:
    """Return the statistics of several batches together."""
    return reduce(_merged, parts, BatchStatistics())


def length_quantile(statistics: BatchStatistics, share: float) -> float:
    """Return the length, in characters, that `share` of the documents do not exceed, within a factor of the square root of 2.

    Raises:
        ValueError: There is no document.
    """
    if not statistics.num_documents:
        raise ValueError("no documents have no lengths")
    reached = np.cumsum(statistics.length_counts)
    place = int(np.searchsorted(reached, share * reached[-1]))
    return float(2 ** ((place + 0.5) / 2))


def diversity(counts: Mapping[str, int]) -> float:
    """Return the entropy of a distribution over names, in bits: 0 of one name, log2(n) of n equally frequent ones."""
    total = sum(counts.values())
    return sum(count / total * math.log2(total / count) for count in counts.values() if count) if total else 0.0


def fresh_share(statistics: BatchStatistics) -> float | None:
    """Return the share of the dated documents that were published within two years; None: none is dated."""
    return statistics.num_fresh / statistics.num_dated if statistics.num_dated else None


def figures_of(statistics: BatchStatistics) -> StatisticsFigures:
    """Return what statistics come to; of no documents, zeros."""
    num_documents = statistics.num_documents
    if not num_documents:
        return StatisticsFigures()
    return StatisticsFigures(
        mean_chars=statistics.num_chars / num_documents,
        median_chars=length_quantile(statistics, 0.5),
        fresh_share=fresh_share(statistics),
        known_share=None if statistics.num_known is None else statistics.num_known / num_documents,
        relevance=statistics.relevance,
        repeated_share=statistics.num_repeated / num_documents,
        topic_bits=diversity(statistics.labels),
        source_bits=diversity(statistics.sources),
    )


def _merged(one: BatchStatistics, other: BatchStatistics) -> BatchStatistics:
    return BatchStatistics(
        num_documents=one.num_documents + other.num_documents,
        num_chars=one.num_chars + other.num_chars,
        length_counts=_summed(one.length_counts, other.length_counts),
        script_chars=_added(one.script_chars, other.script_chars),
        character_counts=_summed(one.character_counts, other.character_counts),
        languages=_added(one.languages, other.languages),
        labels=_commonest(_added(one.labels, other.labels)),
        sources=_commonest(_added(one.sources, other.sources)),
        licences=_commonest(_added(one.licences, other.licences)),
        num_dated=one.num_dated + other.num_dated,
        num_fresh=one.num_fresh + other.num_fresh,
        num_repeated=one.num_repeated + other.num_repeated,
        num_known=_sum_of_known(one, other),
        num_bigrams=one.num_bigrams + other.num_bigrams,
        num_distinct_bigrams=one.num_distinct_bigrams + other.num_distinct_bigrams,
        num_compared_bigrams=one.num_compared_bigrams + other.num_compared_bigrams,
        num_known_bigrams=one.num_known_bigrams + other.num_known_bigrams,
        num_compared_texts=one.num_compared_texts + other.num_compared_texts,
        num_unlike_texts=one.num_unlike_texts + other.num_unlike_texts,
    )


def _sum_of_known(one: BatchStatistics, other: BatchStatistics) -> int | None:
    known = [part.num_known for part in (one, other) if part.num_known is not None]
    return sum(known) if known else None


def _summed(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    shorter, longer = sorted((one, other), key=len)
    return (*(a + b for a, b in zip(shorter, longer, strict=False)), *longer[len(shorter) :])


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))


def _commonest(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the commonest names, the rest under one; those of equal number by name, so that order decides nothing."""
    if len(counts) <= MAX_NAMES:
        return dict(counts)
    named = sorted((item for item in counts.items() if item[0] != OTHERS), key=lambda item: (-item[1], item[0]))
    kept = dict(named[: MAX_NAMES - 1])
    return {**kept, OTHERS: sum(counts.values()) - sum(kept.values())}


def _named(items: Iterable[tuple[str, int]]) -> dict[str, int]:
    return {name: count for name, count in items if count}


def _labels(record: Record) -> Iterator[str]:
    if record.label:
        yield record.label
    yield from record.labels


# ---- characters


def runs_of(lengths: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield runs of documents of about a million characters: four bytes each, and some copies of them, are held at a time."""
    start = num_chars = 0
    for index, length in enumerate(lengths.tolist()):
        num_chars += length
        if num_chars >= CHARS_AT_A_TIME:
            yield start, index + 1
            start, num_chars = index + 1, 0
    if start < len(lengths):
        yield start, len(lengths)


def codes_of(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Return the code points of texts, one behind the other."""
    return np.frombuffer("".join(texts).encode("utf-32-le", errors="surrogatepass"), dtype="<u4")


def _scripts(codes: NDArray[np.uint32], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each document's characters by script; shape (documents, scripts)."""
    places = np.repeat(np.arange(len(lengths)) * len(SCRIPTS), lengths)
    counts = np.bincount(places + _script_table()[codes], minlength=len(lengths) * len(SCRIPTS))
    return counts.reshape(len(lengths), len(SCRIPTS))


@cache
def _script_table() -> NDArray[np.uint8]:
    table = np.full(0x110000, OTHER, dtype=np.uint8)
    for first, last, script in RANGES:
        table[first : last + 1] = script
    return table


def _length_counts(lengths: NDArray[np.int64]) -> tuple[int, ...]:
    if not len(lengths):
        return ()
    # The small constant keeps a power of two on its side, whatever the logarithm rounds to.
    classes = np.floor(2 * np.log2(np.maximum(lengths, 1)) + 1e-9).astype(np.int64)
    return tuple(np.bincount(classes).tolist())


def _languages(records: Sequence[Record], scripts: NDArray[np.int64]) -> dict[str, int]:
    """Return documents by language: the one that they name, without its region; else what their script says."""
    stated = Counter(record.language.partition("-")[0].lower() for record in records if record.language)
    silent = np.fromiter((not record.language for record in records), dtype=bool, count=len(records))
    return _commonest(stated + Counter(_guessed(scripts[silent]).tolist()))


def _guessed(scripts: NDArray[np.int64]) -> NDArray[np.str_]:
    letters = np.maximum(scripts[:, [OTHER, HAN, LATIN, KANA, HANGUL, CYRILLIC]].sum(axis=1), 1)
    shares = scripts / letters[:, np.newaxis]
    conditions = [
        shares[:, KANA] >= SOME_KANA,
        shares[:, HANGUL] > MOSTLY,
        shares[:, HAN] > MOSTLY,
        shares[:, LATIN] > MOSTLY,
        shares[:, CYRILLIC] > MOSTLY,
    ]
    return np.select(conditions, ["ja", "ko", "zh", "und-Latn", "und-Cyrl"], default="und")
