"""The numbers of many texts, by value and unit."""

import numpy as np
from numpy.typing import NDArray

from services.cleaner.core.near import numerals
from services.cleaner.core.near.codepoints import Codepoints
from services.cleaner.core.near.guard_tables import CODE_BITS, LETTER, NUMERAL, RATE, tables
from services.cleaner.core.near.sketch import mixed

_SEED = np.uint64(0xA0761D6478BD642F)
_RATE_SEED = np.uint64(0x8EBC6AF09C88C6E3)
_SPACE = 0x20
_MICRO = ord("μ")
_SECOND = np.uint64(CODE_BITS)
_THIRD = np.uint64(2 * CODE_BITS)
_NEGATIVE = np.uint64(1 << 63)
_POWERS_OF_TEN = np.array([10**power for power in range(numerals.MAX_PLAIN_DIGITS + 1)], dtype=np.uint64)
_MAX_UNIT = 8
"""Characters of a unit before a slash: mmol/kg/."""
_PART = (ord("分"), ord("之"))


def numbers(
    texts: Codepoints,
    place: NDArray[np.int64],
    text: NDArray[np.int64],
    own: NDArray[np.uint32],
    behind: NDArray[np.uint32],
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return which numerals begin a number, and the numbers' hashes.

    Args:
        texts: What they stand in.
        place: Of each numeral, at least one. Shape (numerals,), as all of these.
        text: Which text it stands in.
        own: The numeral.
        behind: The character behind it.

    Returns:
        Numerals that begin a number and, for each, a hash of its value and unit; 0 for the 百 of 百分之五, which is the unit.
        Shape (numbers,) each.
    """
    symbol = tables().symbol.take(own).astype(np.int64)
    starts = _starts(place, text, own, symbol)
    lengths = np.diff(starts, append=len(place))
    lasts = starts + lengths - 1
    is_unit, percent = _percents(texts, place[starts], own[starts], lengths, text[starts])
    units = np.where(percent != 0, percent, _units(texts, place[lasts], behind[lasts], text[starts]))
    negative = _are_negative(texts, place[starts], text[starts])
    negative[1:] |= negative[:-1] & is_unit[:-1]
    units ^= np.where(negative, _NEGATIVE, np.uint64(0))
    hashes = mixed(mixed(_values(symbol, starts, lengths)) ^ _SEED ^ units)
    hashes[is_unit] = 0
    return starts, hashes


def _starts(
    place: NDArray[np.int64], text: NDArray[np.int64], own: NDArray[np.uint32], symbol: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return where numbers begin: 10万 is one, but in 表5一 an Arabic one ends where a Chinese one begins."""
    is_digit = symbol < numerals.FIRST_MULTIPLIER
    is_arabic = tables().is_arabic.take(own)
    is_chinese = is_digit & ~is_arabic
    breaks = (place[1:] != place[:-1] + 1) | (text[1:] != text[:-1])
    breaks |= (is_chinese[1:] & is_arabic[:-1]) | (
        is_arabic[1:] & ~is_arabic[:-1] & (symbol[:-1] < numerals.POINT_SYMBOL)
    )
    return np.flatnonzero(np.concatenate(([True], breaks)))


def _values(symbol: NDArray[np.int64], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return each number's value, see `numerals.number`: of digits alone, as most are, for all of them together."""
    offset = np.arange(len(symbol)) - np.repeat(starts, lengths)
    exponent = np.minimum(np.repeat(lengths, lengths) - 1 - offset, numerals.MAX_PLAIN_DIGITS)
    digits = (symbol - numerals.ZERO_SYMBOL).astype(np.uint64) * _POWERS_OF_TEN.take(exponent)
    values = np.add.reduceat(digits, starts)
    is_plain = np.maximum.reduceat(symbol, starts) < numerals.FIRST_MULTIPLIER
    is_plain &= lengths <= numerals.MAX_PLAIN_DIGITS
    shift = np.minimum(offset, numerals.MAX_PACKED) * numerals.SYMBOL_BITS
    packed = np.add.reduceat(symbol.astype(np.uint64) << shift.astype(np.uint64), starts)
    is_short = lengths <= numerals.MAX_PACKED
    short = np.flatnonzero(~is_plain & is_short)
    distinct, which = np.unique(packed[short], return_inverse=True)
    values[short] = np.array([numerals.packed_number(int(run)) for run in distinct], dtype=np.uint64)[which]
    for at in np.flatnonzero(~is_plain & ~is_short):
        values[at] = numerals.number(symbol[starts[at] : starts[at] + lengths[at]].tolist())
    return values


def rates(
    texts: Codepoints, place: NDArray[np.int64], text: NDArray[np.int64], behind: NDArray[np.uint32]
) -> NDArray[np.uint64]:
    """Return a hash of what stands behind each slash between a unit and what it is per: /h, /min, /平方米.

    Args:
        texts: What they stand in.
        place: Of each slash, at least one. Shape (slashes,), as all of these.
        text: Which text it stands in.
        behind: The character behind it.

    Returns:
        Hashes; 0 where no number with its unit stands before the slash, or no unit behind it. Shape (slashes,).
    """
    kind, unit, values, starts = tables().kind, tables().unit, texts.values, texts.starts.take(text)
    goes_on, is_rate = np.ones(len(place), dtype=np.bool_), np.zeros(len(place), dtype=np.bool_)
    for back in range(1, _MAX_UNIT + 1):
        before = values.take(place - back, mode="clip")
        goes_on &= place - back >= starts
        is_rate |= goes_on & (kind.take(before) == NUMERAL)
        goes_on &= ~is_rate & ((unit.take(before) != 0) | (kind.take(before) == RATE) | (before == _SPACE))
    units = _units(texts, place, behind, text)
    return np.where(is_rate & (units != 0), mixed(units ^ _RATE_SEED), np.uint64(0))


def _units(
    texts: Codepoints, last: NDArray[np.int64], behind: NDArray[np.uint32], text: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Return what each number counts; two characters of some, since 工作日 is not 自然日, three Latin letters: kWh."""
    unit, values, unit_end, ends = tables().unit, texts.values, tables().unit_end, texts.ends.take(text)
    first = unit.take(behind)
    second_at = last + 2 + (values.take(last + 1, mode="clip") == _SPACE)
    second_at += values.take(second_at, mode="clip") == _SPACE
    following = values.take(second_at, mode="clip")
    letter = unit.take(following)
    second = np.where((_are_latin(first) | (first == _MICRO)) & _are_latin(letter), letter, 0)
    second = np.where(tables().longer_unit.take(behind), unit_end.take(following), second)
    second[second_at >= ends] = 0
    third = unit.take(values.take(second_at + 1, mode="clip"))
    third[~_are_latin(second) | ~_are_latin(third) | (second_at + 1 >= ends)] = 0
    packed: NDArray[np.uint64] = first.astype(np.uint64)
    packed |= second.astype(np.uint64) << _SECOND
    packed |= third.astype(np.uint64) << _THIRD
    written = np.searchsorted(tables().unit_names, packed)
    named = tables().unit_names.take(written, mode="clip") == packed
    packed[named] = tables().unit_signs.take(written[named])
    return packed


def _are_negative(texts: Codepoints, place: NDArray[np.int64], text: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which numbers have a minus before them; in 2020-01-01, 3-5 and GB-5 it is none."""
    values, starts, is_minus = texts.values, texts.starts.take(text), tables().is_minus
    are_negative: NDArray[np.bool_] = is_minus.take(values.take(place - 1, mode="clip")) & (place > starts)
    some = np.flatnonzero(are_negative)
    before = values.take(place[some] - 2, mode="clip")
    kind = tables().kind.take(before)
    divides = (kind == NUMERAL) | (kind == LETTER) | is_minus.take(before)
    are_negative[some] = ~divides | (place[some] - 1 == starts[some])
    return are_negative


def _are_latin(units: NDArray[np.uint32]) -> NDArray[np.bool_]:
    return (units >= ord("A")) & (units <= ord("z"))


def _percents(
    texts: Codepoints,
    place: NDArray[np.int64],
    own: NDArray[np.uint32],
    lengths: NDArray[np.int64],
    text: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
    """Return which numbers are the 百 of 百分之五, and the unit of those that are the 五, 0 for the others."""
    values, percent = texts.values, tables().percent
    is_part = (lengths == 1) & (percent.take(own) != 0) & (place + 3 < texts.ends.take(text))
    for step, character in enumerate(_PART, 1):
        is_part &= values.take(place + step, mode="clip") == character
    is_part &= tables().kind.take(values.take(place + 3, mode="clip")) == NUMERAL
    is_part[-1:] = False
    # The number behind 百分之 is the next one, unless the 一 there is none.
    follows = np.zeros(len(place), dtype=np.bool_)
    follows[1:] = is_part[:-1] & (place[1:] == place[:-1] + 3)
    is_part[:-1] &= follows[1:]
    units = np.zeros(len(place), dtype=np.uint64)
    behind = np.flatnonzero(follows)
    units[behind] = percent.take(own[behind - 1])
    return is_part, units
