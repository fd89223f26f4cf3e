"""What Markdown and pandoc leave in text, as far as it is certain: masked names (张**诉李**), formulas and numbering stay."""

import operator
import re
from typing import Final

MIN_RULING: Final = 3
"""Dashes in a row that make a line of nothing else a ruling."""

_HAN = "\u4e00-\u9fff"
_IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\([^()\s]*(?:[ \t]+\"[^\"\n]*\")?\)(?:\{[^{}\n]*\})?")
_LINK = re.compile(r"\[([^\[\]\n]+)\]\((?:https?://|www\.|mailto:|\.{0,2}/|#)[^()\s]*(?:[ \t]+\"[^\"\n]*\")?\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(?=\S)", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*`{3,}[\w+-]*[ \t]*(?:\n|\Z)", re.MULTILINE)
# Bold where the asterisks touch no other letter outside, or where a colon ends it.
_BOLD = re.compile(r"(?<![\w*])\*\*([\w《“（(](?:[^*\n]*[\w》”）)%％])?)\*\*(?![\w*])")
_BOLD_TITLE = re.compile(r"\*\*([^\s*][^*\n]{0,40}[:：])\*\*")
_ESCAPE = re.compile(r"\\([<>*_#|`\"'])")
_LEFT_BORDER = re.compile(rf"[ \t]*\|[ \t{_HAN}]")
_RIGHT_BORDER = re.compile(rf"[ \t{_HAN}]\|[ \t]*$")
_RULING = re.compile(r"[ \t|+:=-]*")


def strip_markdown(text: str) -> tuple[str, int]:
    r"""Return the text without images' addresses, links', marks of headings, bold, fences, escapes, and a table's frame.

    Example:
        >>> strip_markdown("## 税率\n| 税目 | 税率 |\n|---|---|\n| 原油 | 6％ |\n见[附件](https://flk.npc.gov.cn/a)，张**诉李**。")
        ('税率\n税目 | 税率\n原油 | 6％\n见附件，张**诉李**。', 5)
    """
    changed = 0
    for mark, pattern in _PATTERNS:
        if mark in text:
            text, count = pattern.subn(_inside, text)
            changed += count
    if "---" in text or "===" in text or "|" in text:
        lines = text.split("\n")
        unframed = [_unframe(line) for line in lines]
        changed += sum(map(operator.ne, lines, unframed))
        text = "\n".join(line for line in unframed if line is not None)
    return text, changed


_PATTERNS: Final = (
    ("](", _IMAGE),
    ("](", _LINK),
    ("#", _HEADING),
    ("```", _FENCE),
    ("**", _BOLD),
    ("**", _BOLD_TITLE),
    ("\\", _ESCAPE),
)


def _inside(match: re.Match[str]) -> str:
    """Return what the pattern's group holds; what has no group goes."""
    return match[1] if match.re.groups else ""


def _unframe(line: str) -> str | None:
    """Return the line without a table's outer borders; None for one that is nothing but a ruling or an empty row."""
    if "---" not in line and "===" not in line and "|" not in line:
        return line
    if _RULING.fullmatch(line) and not line.isspace():
        return None
    if line.count("|") > 1 and _LEFT_BORDER.match(line):
        line = line.lstrip(" \t|")
    if line.count("|") > 1 and _RIGHT_BORDER.search(line[-3:]):
        line = line.rstrip(" \t|")
    return line
