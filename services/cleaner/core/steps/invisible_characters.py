"""Line breaks of all kinds become line feeds; characters that show nothing go."""

import re
from typing import Final

from services.cleaner.core.steps.ranges import members

LINE_BREAKS: Final = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Whatever ends a line or a paragraph, apart from the line feed itself."""

_INVISIBLE: Final = (
    (0x00, 0x08), (0x0E, 0x1B), (0x1F, 0x1F), (0x7F, 0x84), (0x86, 0x9F),  # controls that are neither tab nor line break
    (0xAD, 0xAD), (0x61C, 0x61C),  # soft hyphen, Arabic letter mark
    (0x115F, 0x1160), (0x3164, 0x3164), (0xFFA0, 0xFFA0),  # Hangul fillers
    (0x17B4, 0x17B5), (0x180B, 0x180E),  # Khmer inherent vowels, Mongolian selectors
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF),  # zero widths, directions, byte order mark
    (0xD800, 0xDFFF), (0xFFF9, 0xFFFB), (0xFFFE, 0xFFFF),  # halves of surrogate pairs, interlinear marks, non-characters
    (0xFE00, 0xFE0F), (0xE0000, 0xE01EF),  # variation selectors, tags
)  # fmt: skip
INVISIBLE_CHARACTERS: Final = members(_INVISIBLE)

_LINE_BREAK = re.compile(f"\r\n|[{LINE_BREAKS}]")
_INVISIBLE_CHARACTER = re.compile(f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in _INVISIBLE)}]")
_ANY = re.compile(f"{_LINE_BREAK.pattern}|{_INVISIBLE_CHARACTER.pattern}")


def remove_invisible(text: str) -> tuple[str, int]:
    r"""Return the text with line feeds for line breaks and without invisible characters, and how many there were.

    Example:
        >>> remove_invisible("零\u200b宽\r\n行")
        ('零宽\n行', 2)
    """
    if not _ANY.search(text):
        return text, 0
    text, num_breaks = _LINE_BREAK.subn("\n", text)
    text, num_removed = _INVISIBLE_CHARACTER.subn("", text)
    return text, num_breaks + num_removed
