"""What a keyword search compares: one meaning of a word for every store, in English and in Chinese.

Chinese has no blanks, so a run of its characters is cut into overlapping pairs, and its last character stands once more by
itself: then any part of the run is a sequence of those, and a single character is the beginning of one.

>>> words_of("Bundle 劳动法 not loaded")
['bundle', '劳动', '动法', '法', 'not', 'loaded']
"""

import re
from typing import NamedTuple
from unicodedata import normalize

MAX_TOKEN_CHARS = 64
"""Of a longer word only the beginning counts; a SHA-256 digest just fits."""
MAX_TEXT_CHARS = 20_000

# Han with its extensions, kana and hangul: scripts in which a word has no end of its own, or not one that a reader would type.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")


class Phrase(NamedTuple):
    """Words that stand one after another; of the last one only the beginning is known where `is_prefix`."""

    words: tuple[str, ...]
    is_prefix: bool


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order, in lower case and without width variants; the first 20,000 characters count."""
    return [word for run in _runs(text) for word in _cut(run)]


def phrases_of(query: str) -> list[Phrase]:
    """Return what a query asks for: all of its phrases. What is typed without a blank must stand together in the text.

    An asterisk at the end asks for a beginning, e.g. of a digest: `07daf0d*`.
    """
    phrases = (_phrase(_runs(chunk), chunk.endswith("*")) for chunk in query.split())
    return [phrase for phrase in phrases if phrase.words]


def _phrase(runs: list[str], ends_in_asterisk: bool) -> Phrase:  # noqa: FBT001 (not a mode: what was typed)
    words = [word for run in runs for word in _cut(run)]
    if not runs or not _IS_CJK.match(runs[-1]):
        return Phrase(tuple(words), ends_in_asterisk)
    # The run may go on in the text: its last character there need not stand by itself.
    is_single = len(runs[-1]) == 1
    return Phrase(tuple(words if is_single else words[:-1]), is_single)


def _runs(text: str) -> list[str]:
    return _RUN.findall(normalize("NFKC", text[:MAX_TEXT_CHARS]).lower())


def _cut(run: str) -> list[str]:
    if not _IS_CJK.match(run):
        return [run[:MAX_TOKEN_CHARS]]
    return [*(run[at : at + 2] for at in range(len(run) - 1)), run[-1]]
