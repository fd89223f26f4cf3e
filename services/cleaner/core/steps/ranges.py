"""Ranges of code points."""

from collections.abc import Iterable


def members(ranges: Iterable[tuple[int, int]]) -> str:
    """Return the characters of the ranges, both ends included."""
    return "".join(chr(code) for first, last in ranges for code in range(first, last + 1))
