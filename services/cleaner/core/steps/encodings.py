"""The characters that UTF-8 text turns into when its bytes are read as another encoding."""

from typing import Final

# cp1252 as browsers read it: the five bytes that it leaves open are the control characters of Latin-1.
CP1252_BYTES: Final = {
    bytes([byte]).decode("cp1252"): byte for byte in range(0x80, 0xA0) if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}
"""Characters of cp1252 that Latin-1 lacks, and their bytes."""
TO_LATIN_1: Final = {ord(character): chr(byte) for character, byte in CP1252_BYTES.items()}

LATIN_LEADS: Final = "".join(map(chr, range(0xC2, 0xF5)))
"""First bytes of UTF-8 sequences, read as Latin-1."""
LATIN_CONTINUATIONS: Final = "".join(map(chr, range(0x80, 0xC0))) + "".join(CP1252_BYTES)
"""Later bytes of UTF-8 sequences, read as Latin-1 or cp1252."""

LATIN_HIGHS: Final = "".join(map(chr, range(0xA1, 0xFF)))
"""Bytes of GB 2312, read as Latin-1 or cp1252."""

_HAN_LEADS: Final = range(0xE4, 0xEA)
_CONTINUATIONS: Final = range(0x80, 0xC0)


def _pairs(first: range, second: range) -> str:
    decoded = (bytes([a, b]).decode("gb18030", "ignore") for a in first for b in second)
    return "".join(text for text in decoded if len(text) == 1)


GBK_LEADS: Final = _pairs(_HAN_LEADS, _CONTINUATIONS)
"""What the two first bytes of a Han character in UTF-8 are in GBK."""
GBK_MIDDLES: Final = _pairs(_CONTINUATIONS, _HAN_LEADS)
"""What its third byte and the next one's first are."""
