"""Text whose bytes were read as another encoding, mostly UTF-8: repaired where that is certain.

A repair has to be exact (all bytes of the run are valid UTF-8) and plausible (the characters are everyday Chinese or
typographic marks, and the document holds at least two Han of them); for GB 2312 see `gbk_as_latin`. This step comes first: the
wrong characters include controls, soft hyphens and no-break spaces, which other steps remove.
"""

import re
from collections.abc import Callable
from typing import Final

import numpy as np

from services.cleaner.core.steps.encodings import GBK_LEADS, GBK_MIDDLES, LATIN_CONTINUATIONS, TO_LATIN_1
from services.cleaner.core.steps.gbk_as_latin import num_unread, repair_pairs
from services.cleaner.core.steps.joined import Flags, JoinedTexts, runs
from services.cleaner.core.steps.ranges import members
from services.cleaner.core.steps.traits import Trait

MIN_HAN: Final = 2
"""One repaired character alone may be chance: a French é, a no-break space and a » are the UTF-8 of 頻."""

MIN_HIGHS: Final = 4
"""Two characters of GB 2312 in a row: no word of a European language has so many letters with accents."""

MAX_READINGS: Final = 2
"""What was read wrongly more often has lost bytes on the way."""

_GB2312: Final = frozenset(
    bytes([row, cell]).decode("gb2312", "ignore") for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF)
)
"""The 6,763 everyday Han of GB 2312."""
_MARKS: Final = frozenset(
    members(
        ((0x2013, 0x2014), (0x2018, 0x2019), (0x201C, 0x201D), (0x2022, 0x2022), (0x2026, 0x2026), (0x3000, 0x3011))
    )
    + members(((0xFF01, 0xFF5E), (0x2460, 0x2473), (0xB7, 0xB7), (0xA5, 0xA5)))
    + "²³°±×÷‰℃"
)
"""Marks that Chinese and English text is set with."""

_PLAUSIBLE: Final = _GB2312 | _MARKS

_LATIN: Final = frozenset(map(chr, range(0x100))) | frozenset(LATIN_CONTINUATIONS)

_CONTINUATION = f"[{re.escape(LATIN_CONTINUATIONS)}]"
_LATIN_RUN = re.compile(f"(?:[\xe0-\xef]{_CONTINUATION}{{2}}|[\xc2-\xdf]{_CONTINUATION})+")
_ONLY_UTF_8 = re.compile("[\x80-\x84\x86-\x9fŠŒŽšœžŸƒˆ˜‚„†‡‰‹›]")
"""No byte of GB 2312 is read as one of these, and they are rare in any text; a next line (0x85) is not."""
_GBK_RUN = re.compile("[^\x00-\x7f]{2,}")
_GBK_LEAD = re.compile(f"[{GBK_LEADS}]")

_GBK_PAIR = re.compile(f"[{GBK_LEADS}][{GBK_MIDDLES}]")
MIN_PAIRS: Final = 4
"""So many pairs of characters that UTF-8 turns into in GBK are no chance."""

_REMAINS = re.compile(f"\ufffd+|(?:锟斤拷)+|[烫]{{3,}}|[屯]{{3,}}|(?:[\xc2\xc3\xe2-\xef]{_CONTINUATION}{{1,2}}){{2,}}")
"""Replacement characters, their GBK reading, uninitialised memory read as GBK, and sequences that lost a byte."""


def needs(joined: JoinedTexts) -> Flags:
    """Return which documents hold the beginning of a wrongly read character."""
    # A later byte's bit is the one above its first byte's, so that one shift lines both encodings up.
    begins = (joined.traits[:-1] & np.uint32(Trait.LATIN_LEAD | Trait.GBK_LEAD)) << np.uint32(1)
    flags = joined.documents_with((begins & joined.traits[1:]) != 0)
    if not joined.has(Trait.LATIN_HIGH).any():
        return flags
    return flags | joined.documents_with(runs(joined.at(Trait.LATIN_HIGH), MIN_HIGHS))


def may_be_broken(joined: JoinedTexts) -> Flags:
    """Return which documents `broken_share` may be above 0 for."""
    return joined.has(Trait.BROKEN) | needs(joined)


def repair(text: str) -> tuple[str, int]:
    r"""Return the text with what was certainly read wrongly read again, and how many runs that were.

    Example:
        >>> repair("ä¸\xadå›½äººæ°‘")
        ('中国人民', 1)
    """
    # Before the UTF-8: pairs of GB 2312 may be that by chance, but text of many of them is not.
    text, num_pairs = (text, 0) if _ONLY_UTF_8.search(text) else repair_pairs(text, _GB2312, _MARKS)
    text, num_latin = _repair(text, _LATIN_RUN, _read_latin)
    if not _GBK_LEAD.search(text):
        return text, num_pairs + num_latin
    text, num_gbk = _repair(text, _GBK_RUN, _read_gbk)
    return text, num_pairs + num_latin + num_gbk


def broken_share(text: str) -> float:
    """Return the share of characters, 0 to 1, that stand for others that are lost."""
    broken = sum(len(match[0]) for match in _REMAINS.finditer(text)) + num_unread(text)
    misread = len(_GBK_PAIR.findall(text))
    # Of three characters of UTF-8 in GBK two are a pair; some pairs are words (山楂茶, 菊花枸杞), so a few prove nothing.
    broken += 3 * misread if misread >= MIN_PAIRS else 0
    return min(broken / len(text), 1.0) if text else 0.0


def _repair(text: str, runs: re.Pattern[str], read: Callable[[str], str]) -> tuple[str, int]:
    spans = [match.span() for match in runs.finditer(text)]
    readings = {run: again for run in {text[start:end] for start, end in spans} if (again := read(run))}
    if not readings:
        return text, 0
    num_han = sum(map(_GB2312.__contains__, "".join(readings.values())))
    if num_han < MIN_HAN and not _is_typographic(readings):
        return text, 0
    pieces, at, changed = [], 0, 0
    for start, end in spans:
        if text[start:end] in readings:
            pieces += [text[at:start], readings[text[start:end]]]
            at, changed = end, changed + 1
    return "".join([*pieces, text[at:]]), changed


def _is_typographic(readings: dict[str, str]) -> bool:
    """Whether all runs are quotation marks, dashes and the like, which English text breaks with: three characters each."""
    return all(run[0] == "\xe2" and _MARKS.issuperset(again) for run, again in readings.items())


def _read_latin(run: str) -> str:
    """Read again, and once more what was read wrongly twice."""
    for _ in range(MAX_READINGS):
        if not (run := _decoded(_latin_bytes(run))):
            return ""
        if _PLAUSIBLE.issuperset(run):
            return run
    return ""


def _latin_bytes(run: str) -> bytes:
    """Return the bytes, none where a character is neither of Latin-1 nor of cp1252."""
    try:
        return run.encode("latin-1")
    except UnicodeEncodeError:
        # Translation is slow, and only cp1252 has need of it.
        return run.translate(TO_LATIN_1).encode("latin-1", "ignore") if _LATIN.issuperset(run) else b""


def _read_gbk(run: str) -> str:
    again = _decoded(run.encode("gb18030", "replace")) if _GBK_LEAD.search(run) else ""
    return again if _PLAUSIBLE.issuperset(again) else ""


def _decoded(utf_8: bytes) -> str:
    """Return the text, or nothing where it is not UTF-8."""
    try:
        return utf_8.decode()
    except UnicodeDecodeError:
        return ""
