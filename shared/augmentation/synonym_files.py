"""Files of synonyms in the usual formats: Solr's and Elasticsearch's, words in a line, and Cilin's codes."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from shared.errors import PermanentError

_BETWEEN = re.compile(r"[\s,，、;；|]+")
_CILIN = re.compile(r"^[A-Z][a-z]\d{2}[A-Z]\d{2}(?P<kind>[=#@])")
"""Line codes of the thesaurus Cilin: of its three kinds only those with = are synonyms."""
_SYNONYMS = "="
_ONE_WAY = "=>"
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


class SynonymsRefused(PermanentError):
    """A file of synonyms holds a line that says nothing."""


def synonyms_in(text: str) -> dict[str, tuple[str, ...]]:
    r"""Return for each word what may stand in its place, in the file's order.

    A line lists words of which each may stand for each other one, or `word, word => word, word`, which holds from left to right
    only. Empty lines and those that begin with # are passed over.

    Raises:
        SynonymsRefused: A line has only one word, or nothing on a side.

    Example:
        >>> synonyms_in("企业, 公司\n职工 => 员工\n\n# 谓词\nHi12A01= 报告 汇报\n")
        {'企业': ('公司',), '公司': ('企业',), '职工': ('员工',), '报告': ('汇报',), '汇报': ('报告',)}
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for number, line in enumerate(text.removeprefix(BYTE_ORDER_MARK).splitlines(), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
            for word, others in _entries(content, number):
                found[word].update(dict.fromkeys(others))
    return {word: tuple(others) for word, others in found.items()}


def _entries(content: str, number: int) -> Iterator[tuple[str, Sequence[str]]]:
    if coded := _CILIN.match(content):
        if coded["kind"] != _SYNONYMS:
            return
        content = content[coded.end() :]
    left, arrow, right = content.partition(_ONE_WAY)
    words, others = _words(left), _words(right)
    if (arrow and not (words and others)) or (not arrow and len(words) == 1):
        msg = f"line {number} names no synonym: {content}"
        raise SynonymsRefused(msg, next_step="write words that stand for each other in a line, or word => word")
    for word in words:
        yield word, [other for other in (others if arrow else words) if other != word]


def _words(text: str) -> list[str]:
    return [word for word in _BETWEEN.split(text.strip()) if word]
