"""Which texts each domain was given in accepted batches: a file of 8 bytes a text in the state directory.

It is for statistics: the cleaner decides what is a duplicate. A file that is not there is made anew from the batches; of a batch
whose daemon is killed the moment after it was taken, the texts may be missing.
"""

import errno
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import UUID

import numpy as np

from services.ingest.adapters import Batches
from services.ingest.core.known import HASH_BYTES, Hashes, TextSet, hashes_of_bytes, text_hashes
from shared.errors import PermanentError
from shared.files import make_folders, write_atomically
from shared.shards import read_table

NONE: Hashes = np.empty(0, dtype="<u8")

log = logging.getLogger(__name__)


class Taking:
    """A domain's texts while batches are taken, those that are about to be included."""

    def __init__(self, texts: TextSet, file: IO[bytes]) -> None:
        self._texts = texts
        self._file = file

    def count(self, hashes: Hashes) -> int:
        """Return how many of the texts the domain has."""
        return self._texts.count(hashes)

    def add(self, hashes: Hashes) -> None:
        """Let the domain have them.

        Raises:
            OSError: There is no space for it.
        """
        self._texts.add(hashes)
        data = hashes.astype("<u8", copy=False).tobytes()
        if self._file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class KnownTexts:
    """The texts of all domains; one process has the folder."""

    def __init__(self, folder: Path, batches: Batches) -> None:
        """Open the folder; it is made when the first batch comes.

        Args:
            folder: Where the files lie.
            batches: What they are made from when they are not there.
        """
        self._folder = folder
        self._batches = batches
        self._texts: dict[str, TextSet] = {}
        self._lock = threading.Lock()

    @contextmanager
    def taking(self, domain: str) -> Iterator[Taking]:
        """Yield a domain's texts; what is added to them is kept when the block ends, and forgotten when it fails."""
        with self._lock:
            if domain not in self._texts or not self._place(domain).exists():
                self._texts[domain] = TextSet(self._loaded(domain))
            place = self._place(domain)
            # A write that was cut off ends within a hash.
            size = place.stat().st_size // HASH_BYTES * HASH_BYTES
            try:
                # Not buffered: no space is to be noticed at once, while nothing is taken yet.
                with place.open("r+b", buffering=0) as file:
                    file.seek(size)
                    yield Taking(self._texts[domain], file)
            except BaseException:
                del self._texts[domain]
                os.truncate(place, size)
                raise

    def include(self, domain: str, batch_id: UUID, raw_digest: str) -> None:
        """Let a domain have the texts of a stored batch; where that fails, they count as new when they come again."""
        try:
            with self.taking(domain) as texts:
                texts.add(self._hashes_of(raw_digest))
        except (OSError, PermanentError) as error:
            _warn(domain, batch_id, error)

    def _hashes_of(self, raw_digest: str) -> Hashes:
        return text_hashes(read_table(self._batches.store, raw_digest, ["text"]).column("text").to_pylist())

    def _loaded(self, domain: str) -> Hashes:
        try:
            data = self._place(domain).read_bytes()
        except FileNotFoundError:
            return self._made_anew(domain)
        return hashes_of_bytes(data)

    def _made_anew(self, domain: str) -> Hashes:
        found = [NONE]
        for batch in self._batches.accepted(domain):
            try:
                found.append(self._hashes_of(batch.event.raw_digest))
            except PermanentError as error:
                _warn(domain, batch.event.batch_id, error)
        hashes = np.concatenate(found)
        make_folders(self._folder)
        write_atomically(self._place(domain), hashes.tobytes())
        return hashes

    def _place(self, domain: str) -> Path:
        return self._folder / f"{domain}.u64"


def _warn(domain: str, batch_id: UUID, error: Exception) -> None:
    extra = {"domain": domain, "batch": str(batch_id), "error": str(error)}
    log.warning("texts of a stored batch not counted as known", extra=extra)
