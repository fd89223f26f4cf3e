"""Plots of a tokenizer: what it costs beside general ones, what it leaves whole, how long its tokens are."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from contracts.tokenizers import TokenizerReport
from shared.report.drawing import INK, MUTED, SERIES, figure_of, svg_of

OWN = "this one"
LONGEST = 9
"""Tokens of so many characters and more share a bar."""


def fertility_plot(report: TokenizerReport) -> str:
    """Return tokens per character, this tokenizer's and those of the general ones that were there to compare with."""
    rows = [(OWN, report.tokens_per_char), *((one.name, one.tokens_per_char) for one in report.compared)]
    with figure_of(height_in=0.6 + 0.36 * len(rows)) as (figure, (axes,)):
        _bars(axes, rows, "{:.3f}")
        axes.set_xlim(left=0)
        axes.set_xlabel("tokens per character; lower is better")
        return svg_of(figure)


def shares_plot(report: TokenizerReport) -> str:
    """Return the shares of the text and of its words and terms that are as they should be, of terms where there are any."""
    shares = [
        ("characters without byte fallback", report.coverage),
        ("words that are one token", report.word_coverage),
        ("frequent terms in the core", report.core_term_coverage),
        ("terms that occur and are one token", report.terms_whole),
        ("accepted terms that are one token", report.accepted_terms_whole),
        ("terms unbroken in the text", report.terms_unbroken),
        ("tokens that cross no word", 1 - report.crossing),
        ("texts that come back", report.round_trip),
    ]
    rows = [(name, share) for name, share in shares if share is not None]
    with figure_of(height_in=0.6 + 0.36 * len(rows)) as (figure, (axes,)):
        _bars(axes, rows, "{:.2%}")
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
        return svg_of(figure)


def lengths_plot(report: TokenizerReport) -> str:
    """Return how much of the text tokens of each length make up."""
    chars = [0] * (LONGEST + 1)
    for length, number in report.num_tokens_by_chars.items():
        chars[min(length, LONGEST)] += length * number
    total = max(sum(chars), 1)
    with figure_of(height_in=2.3) as (figure, (axes,)):
        axes.bar(range(1, LONGEST + 1), [number / total for number in chars[1:]], color=SERIES[0], width=0.7)
        axes.set_xticks(range(1, LONGEST + 1), [*map(str, range(1, LONGEST)), f"{LONGEST}+"])
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.set_xlabel("characters of a token")
        axes.set_title("share of the text's characters")
        axes.grid(visible=False, axis="x")
        return svg_of(figure)


def _bars(axes: Axes, rows: Sequence[tuple[str, float]], form: str) -> None:
    """Draw a bar for each row, the first on top, with its number."""
    places = range(len(rows) - 1, -1, -1)
    colors = [SERIES[0] if name == OWN or form.endswith("%}") else MUTED for name, _ in rows]
    axes.barh(places, [value for _, value in rows], color=colors, height=0.62)
    for place, (_, value) in zip(places, rows, strict=True):
        axes.annotate(
            form.format(value), (value, place), xytext=(4, 0), textcoords="offset points", va="center", color=INK
        )
    axes.set_yticks(places, [name for name, _ in rows])
    axes.tick_params(axis="y", colors=INK, length=0)
    axes.grid(visible=False, axis="y")
