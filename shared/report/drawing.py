"""Drawings as SVG that take their colours and their font from the page: one serves light and dark."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID, BAD = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#050505", "#060606", "#070707", "#080808", "#090909", "#0a0a0a")
"""Stand-ins: the page's own colours take their place."""
VARIABLES = {
    INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", BAD: "var(--bad)",
    **{color: f"var(--series-{number})" for number, color in enumerate(SERIES)},
}  # fmt: skip
WIDTH_IN = 9.6
STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "plumbline", "font.size": 10, "axes.edgecolor": GRID, "axes.labelcolor": MUTED,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID,
    "grid.linewidth": 0.8, "xtick.color": MUTED, "ytick.color": MUTED, "text.color": INK, "lines.linewidth": 1.8,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
    "axes.titlelocation": "left", "axes.titlesize": 10, "axes.titlecolor": MUTED,
}  # fmt: skip


@contextmanager
def figure_of(*, height_in: float, rows: int = 1) -> Iterator[tuple[Figure, tuple[Axes, ...]]]:
    """Open a figure in the page's style, with plots below each other."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        yield figure, tuple(figure.subplots(rows, 1, squeeze=False).flat)


def legend_of(axes: Axes) -> None:
    """Put a legend beside a plot."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), labelcolor=INK, fontsize=9, handlelength=1.2)


def svg_of(figure: Figure) -> str:
    """Return a figure as an element of the page."""
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, variable)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--font)", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", svg)
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", re.sub(r'height="[^"]*pt" ', "", svg, count=1), count=1)
