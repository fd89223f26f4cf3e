"""What each domain was given in accepted batches: which texts, and which pairs of characters, as files of the state directory.

It is for statistics: the cleaner decides what is a duplicate. Files that are not there are made anew from the batches; of a batch
whose daemon is killed the moment after it was taken, the content may be missing.
"""

import errno
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from services.ingest.adapters import Batches
from services.ingest.core.known import HASH_BYTES, Hashes, TextSet, hashes_of_bytes, text_hashes
from services.ingest.core.pairs import CELL_BYTES, Cells, PairCount, cells_of_bytes, known_pairs
from services.ingest.core.statistics import codes_of, runs_of
from shared.errors import PermanentError
from shared.files import make_folders, write_atomically
from shared.shards import read_table

MOST_DOMAINS = 8
"""Domains whose content is held in memory: 4 MB each, and 4 bytes a text."""
READ_BYTES = 8 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Content:
    """What a domain has: its texts, and a flag for each cell that a pair of characters may have."""

    texts: TextSet
    pairs: NDArray[np.bool_]


class Taking:
    """A domain's content while batches are taken, that of those that are about to be included."""

    def __init__(self, content: Content, texts: IO[bytes], pairs: IO[bytes]) -> None:
        """Go on behind what is there.

        Args:
            content: What the domain has.
            texts: Where the hashes of its texts lie,
            pairs: and the cells of its pairs; both at their end, neither buffered.
        """
        self._content = content
        self._texts = texts
        self._pairs = pairs

    def count(self, hashes: Hashes) -> int:
        """Return how many of the texts the domain has."""
        return self._content.texts.count(hashes)

    def add(self, hashes: Hashes, cells: Cells) -> None:
        """Let the domain have texts and pairs.

        Raises:
            OSError: There is no space for them.
        """
        self._content.texts.add(hashes)
        new = cells[~self._content.pairs[cells]]
        self._content.pairs[new] = True
        _write(self._texts, hashes.astype("<u8", copy=False).tobytes())
        _write(self._pairs, new.astype("<u4", copy=False).tobytes())


class KnownContent:
    """The content of all domains; one process has the folder."""

    def __init__(self, folder: Path, batches: Batches) -> None:
        """Open the folder; it is made when the first batch comes.

        Args:
            folder: Where the files lie.
            batches: What they are made from when they are not there.
        """
        self._folder = folder
        self._batches = batches
        self._held: OrderedDict[str, Content] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def taking(self, domain: str) -> Iterator[Taking]:
        """Yield a domain's content; what is added to it is kept when the block ends, and forgotten when it fails."""
        with self._lock:
            content = self._content(domain)
            texts, pairs = self._texts_file(domain), self._pairs_file(domain)
            sizes = {texts: _whole(texts, HASH_BYTES), pairs: _whole(pairs, CELL_BYTES)}
            try:
                # Not buffered: no space is to be noticed at once, while nothing is taken yet.
                with texts.open("r+b", buffering=0) as texts_file, pairs.open("r+b", buffering=0) as pairs_file:
                    texts_file.seek(sizes[texts])
                    pairs_file.seek(sizes[pairs])
                    yield Taking(content, texts_file, pairs_file)
            except BaseException:
                del self._held[domain]
                for path, size in sizes.items():
                    with suppress(OSError):
                        os.truncate(path, size)
                raise

    def pairs_of(self, domain: str) -> NDArray[np.bool_] | None:
        """Return which pairs of characters a domain has; None: it has none."""
        with self._lock:
            content = self._content(domain)
        return content.pairs if len(content.texts) else None

    def include(self, domain: str, batch_id: UUID, raw_digest: str) -> None:
        """Let a domain have the content of a stored batch; where that fails, it counts as new when it comes again."""
        try:
            with self.taking(domain) as known:
                known.add(*self._stored(raw_digest))
        except (OSError, PermanentError) as error:
            _warn(domain, batch_id, error)

    def _content(self, domain: str) -> Content:
        texts, pairs = self._texts_file(domain), self._pairs_file(domain)
        if not (texts.exists() and pairs.exists()):
            self._held.pop(domain, None)
            self._make_anew(domain)
        if domain not in self._held:
            self._held[domain] = Content(_read_texts(texts), known_pairs(cells_of_bytes(pairs.read_bytes())))
        self._held.move_to_end(domain)
        while len(self._held) > MOST_DOMAINS:
            self._held.popitem(last=False)
        return self._held[domain]

    def _make_anew(self, domain: str) -> None:
        texts, pairs = [b""], known_pairs(cells_of_bytes(b""))
        for batch in self._batches.accepted(domain):
            try:
                hashes, cells = self._stored(batch.event.raw_digest)
            except PermanentError as error:
                _warn(domain, batch.event.batch_id, error)
            else:
                texts.append(hashes.tobytes())
                pairs[cells] = True
        make_folders(self._folder)
        write_atomically(self._pairs_file(domain), np.flatnonzero(pairs).astype("<u4").tobytes())
        write_atomically(self._texts_file(domain), b"".join(texts))

    def _stored(self, raw_digest: str) -> tuple[Hashes, Cells]:
        """Return the hashes and cells of a stored batch."""
        texts = read_table(self._batches.store, raw_digest, ["text"]).column("text").to_pylist()
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        pairs = PairCount()
        for start, end in runs_of(lengths):
            pairs.add(codes_of(texts[start:end]), lengths[start:end])
        return text_hashes(texts), pairs.new_cells

    def _texts_file(self, domain: str) -> Path:
        return self._folder / f"{domain}.texts"

    def _pairs_file(self, domain: str) -> Path:
        return self._folder / f"{domain}.pairs"


def _read_texts(path: Path) -> TextSet:
    texts = TextSet()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            texts.add(hashes_of_bytes(data))
    return texts


def _whole(path: Path, item_bytes: int) -> int:
    """Return a file's size without what a write that was cut off left behind its last whole item."""
    return path.stat().st_size // item_bytes * item_bytes


def _write(file: IO[bytes], data: bytes) -> None:
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _warn(domain: str, batch_id: UUID, error: Exception) -> None:
    extra = {"domain": domain, "batch": str(batch_id), "error": str(error)}
    log.warning("content of a stored batch not counted as known", extra=extra)
