"""`plumb batches statistics`: what a batch holds, or what a domain got so far."""

from collections.abc import Iterator, Mapping
from typing import Annotated
from uuid import UUID

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from contracts.api import BatchView, DomainStatistics
from shared.cli import screen
from shared.cli.client import answer_of, daemon
from shared.cli.options import DEFAULT_DOMAIN, DEFAULT_STATE_DIR, AsJson, Domain, StateDir
from shared.embedded.layout import layout_of

MOST_NAMES = 8

BatchId = Annotated[
    UUID | None, typer.Argument(metavar="[ID]", help="A batch's id; without it, all that the domain got so far.")
]


def statistics(
    batch_id: BatchId = None,
    *,
    domain: Domain = DEFAULT_DOMAIN,
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: AsJson = False,
) -> None:
    """Show what a batch, or a domain so far, holds: languages, scripts, lengths, labels, sources, freshness, what was known."""
    found: BatchView | DomainStatistics
    with daemon(layout_of(state_dir), "ingest") as client:
        if batch_id is None:
            found = answer_of(client.get(f"/v1/domains/{domain}/statistics"), DomainStatistics)
        else:
            found = answer_of(client.get(f"/v1/batches/{batch_id}"), BatchView)
    if as_json:
        screen.show_json(found)
    else:
        screen.stdout().print(statistics_table(found), soft_wrap=True)


def statistics_table(found: BatchView | DomainStatistics) -> RenderableType:
    """Return statistics for people."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, told in _rows(found):
        table.add_row(name, escape(told))
    return table


def _rows(found: BatchView | DomainStatistics) -> Iterator[tuple[str, str]]:
    statistics, figures = found.statistics, found.figures
    if isinstance(found, BatchView):
        yield "batch", f"{found.batch_id}, {found.domain}, {found.received_at:%Y-%m-%d %H:%M}, over {found.source}"
        by = f", accepted by {found.decided_by}" if found.decided_by and found.state == "accepted" else ""
        yield "state", "; ".join([f"{found.state}{by}", *found.reasons])
    else:
        yield "domain", f"{found.domain}, {found.num_batches:,} accepted batches"
    yield "documents", f"{statistics.num_documents:,}"
    if isinstance(found, BatchView):
        yield "left out", f"{found.num_refused_documents:,} records"
    yield (
        "characters",
        f"{statistics.num_chars:,}; {figures.mean_chars:,.0f} a document, half have up to {figures.median_chars:,.0f}",
    )
    yield "languages", _mix(statistics.languages)
    yield "scripts", _mix(statistics.script_chars)
    yield "labels", f"{_mix(statistics.labels)}; diversity {figures.topic_bits:.1f} bits"
    yield "sources", f"{_mix(statistics.sources)}; diversity {figures.source_bits:.1f} bits"
    yield "licences", _mix(statistics.licences)
    yield "published within two years", f"{_share(figures.fresh_share)} of {statistics.num_dated:,} dated ones"
    yield "known before, word for word", _share(figures.known_share)
    yield "pairs of characters known before", _share(figures.relevance)
    yield "repeated within their batch", _share(figures.repeated_share)


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _mix(counts: Mapping[str, int]) -> str:
    """Return the commonest names with their shares."""
    total = sum(counts.values())
    named = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {count / total:.1%}" for name, count in named[:MOST_NAMES])
    further = f" and {len(named) - MOST_NAMES} more" if len(named) > MOST_NAMES else ""
    return f"{shown}{further}" if shown else "none"
