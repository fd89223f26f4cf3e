"""What the last `plumb ingest` sent: `plumb train now` waits for it, even where the monitor has not heard of it yet."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from shared.embedded.layout import Layout


def remember(layout: Layout, domain: str, batch_ids: Sequence[UUID]) -> None:
    """Remember a domain's last batches in the state directory; a reader sees the old or the new ones whole."""
    path = _path(layout, domain)
    draft = path.with_suffix(f".{os.getpid()}")
    layout.root.mkdir(parents=True, exist_ok=True)
    draft.write_text(json.dumps([str(batch_id) for batch_id in batch_ids]), encoding="utf-8")
    draft.replace(path)


def last_batches(layout: Layout, domain: str) -> tuple[UUID, ...]:
    """Return a domain's last batches; none where nothing was sent, or the file cannot be read as such."""
    try:
        return tuple(UUID(batch_id) for batch_id in json.loads(_path(layout, domain).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return ()


def _path(layout: Layout, domain: str) -> Path:
    return layout.root / f"last-batches-{domain}.json"
