"""Rows that say the same at every width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from shared.cli.tables import Column, readable

CELLS = st.text("ab海商法[]/ -0", max_size=30).map(str.strip)


def rendered(columns: list[Column], width: int) -> str:
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as said:
        console.print(readable(columns, width=width))
    return said.get()


def columns_of(rows: list[tuple[str, str, str]]) -> list[Column]:
    first, second, third = ([row[at] for row in rows] for at in range(3))
    return [
        Column(heading="id", cells=[f"{number}" for number in range(len(rows))], is_number=True),
        Column(heading="one", cells=first, rank=2),
        Column(heading="two", cells=second, rank=1),
        Column(heading="three", cells=third, rank=3),
    ]


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6), st.integers(10, 120))
def test_no_line_is_too_long_and_no_cell_is_lost(rows: list[tuple[str, str, str]], width: int):
    output = rendered(columns_of(rows), width)
    assert all(cell_len(line.rstrip()) <= width for line in output.splitlines())
    letters = "".join(output.split())
    for row in rows:
        for cell in row:
            assert cell in {"-", "0"} or "".join(cell.split()) in letters


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (40, ["id  one   two  three", " 0  海商  b    long text"]),
        (20, ["id  one   two", " 0  海商  b", "    three: long text"]),
        (12, ["id  two", " 0  b", "    one:", "    海商;", "    three:", "    long", "    text"]),
    ],
)
def test_columns_go_beneath_the_rows_by_their_rank(width: int, lines: list[str]):
    output = rendered(columns_of([("海商", "b", "long text")]), width)
    assert [line.rstrip() for line in output.splitlines()] == lines


def test_what_says_nothing_is_not_said_beneath_a_row():
    assert rendered(columns_of([("-", "", "0")]), 6).split() == ["id", "0"]


def test_headings_stand_alone_where_there_are_no_rows():
    assert rendered(columns_of([]), 80).split() == ["id", "one", "two", "three"]
