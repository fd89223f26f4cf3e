"""Writing a report: the events from the monitor's API, the story that they tell, the page."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

import httpx
from pydantic import TypeAdapter

from contracts.api import EventRecord
from contracts.envelope import Digest, Event
from contracts.topics import DOCUMENTS_SUBMITTED, EVENT_TOPICS, TRAFFIC_OBSERVED, TRAINING_PROGRESSED, Topic
from contracts.training import ModelTrained
from shared.cli.client import check
from shared.cli.errors import NothingToReport, PackageMissing
from shared.files import write_atomically
from shared.report.story import TRAFFIC_LAG, decoded, released, story_of, window_of
from shared.summary import short

PAGE_LIMIT = 10_000
PACKAGES = ("jinja2", "matplotlib")
FLEETING = (TRAFFIC_OBSERVED, TRAINING_PROGRESSED)
"""Events of every second: of one release only those of its time are fetched."""
LASTING = tuple(topic for topic in EVENT_TOPICS if topic not in {*FLEETING, DOCUMENTS_SUBMITTED})
RECORDS = TypeAdapter(tuple[EventRecord, ...])


def write_page(
    monitor: httpx.Client,
    path: Path,
    *,
    domain: str,
    release: str | None,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Write the report of one release or of all; return its title.

    Args:
        monitor: A client of the monitor.
        path: The file; it is replaced as a whole.
        domain: Whose story is told.
        release: The first digits of a bundle's digest; empty: the last one that was released; None: all of them.
        title: The heading, if not one that follows from `release`.
        notes: Lines below it.

    Raises:
        PackageMissing: What draws is not installed.
        NothingToReport: Nothing was trained yet, or no such bundle.
        ProblemAnswered: The monitor refused.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise PackageMissing(
            f"A report needs {' and '.join(missing)}, which the daemons do not.",
            next_step="pip install 'jinja2>=3.1' 'matplotlib>=3.10'",
        )
    events = [event for topic in LASTING for event in _fetched(monitor, domain, topic)]
    digest = None if release is None else digest_of(events, release)
    window = window_of(sorted(events, key=lambda event: event.occurred_at), digest) if digest else None
    events += [event for topic in FLEETING for event in _fetched(monitor, domain, topic, window)]
    told = story_of(domain, sorted(events, key=lambda event: event.occurred_at), release=digest)
    if told is None:
        raise NothingToReport(
            f"Nothing was trained in {domain} yet.",
            next_step="`plumb ingest FILE...`; `plumb status` shows how far it is.",
        )
    heading = title or (f"Release {short(digest)}" if digest else f"All releases of {domain}")
    html = import_module("shared.report.page").page(told, title=heading, written_at=datetime.now(UTC), notes=notes)
    write_atomically(path, html.encode())
    return heading


def digest_of(events: Sequence[Event], release: str) -> Digest:
    """Return the bundle that the first digits of its digest name; with none, the last one that was released or trained.

    Raises:
        NothingToReport: There is no such bundle, or the digits fit several.
    """
    in_order = sorted(events, key=lambda event: event.occurred_at)
    trained = [event.bundle_digest for event in in_order if isinstance(event, ModelTrained)]
    spoken_of = [digest for digest in released(in_order) if digest in trained] or trained
    found = [digest for digest in dict.fromkeys(trained) if digest.startswith(release)] if release else spoken_of[-1:]
    if len(found) != 1:
        shown = ", ".join(short(digest) for digest in dict.fromkeys(trained)) or "none"
        what = f"{release} fits {len(found)} bundles." if release else "Nothing was released yet."
        raise NothingToReport(what, next_step=f"Bundles that were trained: {shown}.")
    return found[0]


def _fetched(
    monitor: httpx.Client, domain: str, topic: Topic, window: tuple[datetime, datetime] | None = None
) -> list[Event]:
    """Return a topic's events, page by page; those of a time where one is given."""
    after: datetime | UUID | None = window[0] if window else None
    found: list[EventRecord] = []
    while True:
        asked = {"domain": domain, "topic": topic.name, "limit": str(PAGE_LIMIT)}
        if after:
            asked["after"] = after.isoformat() if isinstance(after, datetime) else str(after)
        response = monitor.get("/v1/events", params=asked)
        check(response)
        records = RECORDS.validate_json(response.content)
        found += records
        is_over = bool(window and records and records[-1].occurred_at > window[1] + TRAFFIC_LAG)
        if len(records) < PAGE_LIMIT or is_over:
            return decoded(found)
        after = records[-1].event_id
