"""Which characters sound alike, and how a text becomes a sequence of sounds.

Readings are those of pypinyin's dictionary. Two characters sound alike if they share a syllable without its tone, or one that
input methods take for the same ("fuzzy pinyin"): z/zh, c/ch, s/sh, l/n, an/ang, en/eng, in/ing.
"""

import re
import unicodedata
from collections import Counter
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pypinyin.pinyin_dict import pinyin_dict

NUM_CODES = 256
NO_SOUND = 0
"""Whatever is no Han character; no term's pattern holds it."""
RARE_SOUND = 1
"""Syllables that no common character has."""

SIZE = 0x10000
_RETROFLEX = re.compile("^([zcs])h")
_NASAL = re.compile("(?<=[aei])ng$")
_FIRST_LEVEL = range(0xB0, 0xD8)


@cache
def syllables(character: str) -> frozenset[str]:
    """Return all readings of a character, fuzzy and without tones; empty if it has none.

    Example:
        >>> sorted(syllables("行"))
        ['han', 'hen', 'xin']
    """
    return frozenset(map(fuzzy, _readings(character)))


def sound_alike(one: str, other: str) -> bool:
    """Whether two characters share a fuzzy syllable."""
    return not syllables(one).isdisjoint(syllables(other))


def fuzzy(reading: str) -> str:
    """Return a reading as fuzzy pinyin spells it, without its tone.

    Example:
        >>> fuzzy("zhèng"), fuzzy("lǐn"), fuzzy("nǚ")
        ('zen', 'nin', 'nv')
    """
    # The tone is a combining mark once decomposed; that of ü is no tone.
    letters = unicodedata.normalize("NFD", unicodedata.normalize("NFC", reading).translate(_UMLAUT))
    plain = "".join(letter for letter in letters if "a" <= letter <= "z")
    plain = _NASAL.sub("n", _RETROFLEX.sub(r"\1", plain))
    return "n" + plain[1:] if plain.startswith("l") else plain


_UMLAUT = str.maketrans(dict.fromkeys("üǖǘǚǜ", "v"))


@cache
def common_characters() -> tuple[str, ...]:
    """Return the 3,755 characters of the first level of GB 2312, the standard's selection of those in frequent use."""
    codes = (bytes([row, cell]) for row in _FIRST_LEVEL for cell in range(0xA1, 0xFF))
    return tuple(code.decode("gb2312") for code in codes if code < b"\xd7\xfa")


def is_traditional(character: str) -> bool:
    """Whether a character is written in traditional Chinese only: it is in Big5 and not in GB 2312."""
    return _has(character, "big5") and not _has(character, "gb2312")


@cache
def sound_codes() -> NDArray[np.uint8]:
    """Return each character's code by its first reading, by code point; (65,536,) uint8.

    There are 280 fuzzy syllables of common characters and 254 codes, so the rarest share one: equal codes only propose,
    `sound_alike` decides. One byte a character is what lets an automaton read a text three times as fast as in UTF-8.
    """
    codes = _codes_of_syllables()
    table = np.full(SIZE, NO_SOUND, dtype=np.uint8)
    for point, readings in pinyin_dict.items():
        if point < SIZE:
            table[point] = codes.get(fuzzy(readings.split(",")[0]), RARE_SOUND)
    return table


def sounds_of(text: str) -> bytes:
    """Return a text's codes, one a character."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return sound_codes()[np.where(points < SIZE, points, 0)].tobytes()


def _codes_of_syllables() -> dict[str, int]:
    counts = Counter(fuzzy(_readings(character)[0]) for character in common_characters())
    frequent_first = sorted(counts, key=lambda syllable: (-counts[syllable], syllable))
    return {syllable: 2 + rank % (NUM_CODES - 2) for rank, syllable in enumerate(frequent_first)}


def _readings(character: str) -> list[str]:
    known = pinyin_dict.get(ord(character))
    return known.split(",") if known else []


def _has(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
