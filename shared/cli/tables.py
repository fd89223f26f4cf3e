"""Tables that can be read at any width: what has no room beside a row stands beneath it, and nothing is cut off."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

GAP = "  "
INDENT = 4
NOTHING = frozenset({"", "-", "0"})
"""Cells that say nothing: beneath a row they are left out, and a column of nothing but empty ones is."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column, its cells from the first row to the last, each one line.

    Attributes:
        rank: The larger, the sooner it goes beneath the rows; 0 never does.
        is_number: Stands at the right of its column.
    """

    heading: str
    cells: Sequence[str]
    rank: int = 0
    is_number: bool = False

    @property
    def width(self) -> int:
        """Its width on a terminal, where a Han character takes two cells."""
        return max(map(cell_len, (self.heading, *self.cells)))

    def padded(self, cell: str) -> str:
        """Return a cell, or the heading, as wide as the column."""
        blanks = " " * (self.width - cell_len(cell))
        return blanks + cell if self.is_number else set_cell_size(cell, self.width)


def readable(columns: Sequence[Column], *, width: int) -> RenderableType:
    """Return rows under their headings, and beneath each row what has no room beside it.

    Args:
        columns: From left to right, all of as many cells.
        width: Of the terminal, in cells.
    """
    told = [column for column in columns if any(column.cells) or not column.cells]
    beside = _that_fit(told, width)
    beneath = [column for column in told if column not in beside]
    lines: list[RenderableType] = [_line(beside, [column.heading for column in beside])]
    for row in range(len(columns[0].cells)):
        lines.append(_line(beside, [column.cells[row] for column in beside]))
        said = [f"{one.heading}: {one.cells[row]}" for one in beneath if one.cells[row] not in NOTHING]
        if said:
            lines.append(Padding(Text("; ".join(said), overflow="fold"), (0, 0, 0, INDENT), expand=False))
    return Group(*lines)


def _that_fit(columns: Sequence[Column], width: int) -> list[Column]:
    kept = list(columns)
    while sum(column.width for column in kept) + len(GAP) * (len(kept) - 1) > width:
        last = max(kept, key=lambda column: column.rank)
        if not last.rank:
            break
        kept.remove(last)
    return kept


def _line(columns: Sequence[Column], cells: Sequence[str]) -> Text:
    padded = [column.padded(cell) for column, cell in zip(columns, cells, strict=True)]
    return Text(GAP.join(padded).rstrip(), overflow="fold")
