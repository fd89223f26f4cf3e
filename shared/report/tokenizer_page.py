"""A tokenizer's report as one HTML file: nothing is loaded from anywhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup

from contracts.lexicon import LexiconEntry
from contracts.tokenizers import TokenizerReport
from shared.report import tokenizer_plots
from shared.report.templates import template_of

TEMPLATE = "tokenizer.html.j2"
MEANINGS = {
    "accepted": "shall be one token",
    "waiting": "are good enough, and become tokens with the next extension; plumb lexicon accept TERM brings one at once",
    "proposed": "wait for a person: plumb lexicon accept TERM, or reject",
    "filtered": "are no terms of the domain",
    "rejected": "a person said no",
}


def page(
    report: TokenizerReport, *, entries: Mapping[str, Sequence[LexiconEntry]], title: str, written_at: datetime
) -> str:
    """Return the HTML.

    Args:
        report: What is told.
        entries: The lexicon's first entries, by status.
        title: Its heading.
        written_at: Now.
    """
    plots = {
        "fertility": tokenizer_plots.fertility_plot(report),
        "shares": tokenizer_plots.shares_plot(report),
        "lengths": tokenizer_plots.lengths_plot(report),
    }
    return template_of(TEMPLATE).render(
        report=report,
        title=title,
        written_at=written_at,
        facts=_facts(report),
        entries={status: found for status, found in entries.items() if found},
        meanings=MEANINGS,
        # The drawings are made here, of numbers and of our own names only.
        plots={name: Markup(svg) for name, svg in plots.items()},  # noqa: S704
    )


def _facts(report: TokenizerReport) -> list[tuple[str, str]]:
    return [
        ("tokens in the vocabulary", f"{report.parts.vocab_size:,}"),
        ("of them the core", f"{report.parts.core_size:,}"),
        ("terms that are one token", f"{report.parts.num_terms:,}"),
        ("tokens per character", f"{report.tokens_per_char:.3f}"),
        ("byte tokens in the text", f"{report.num_byte_tokens:,}"),
        ("unknown", f"{report.num_unknown:,}"),
    ]
