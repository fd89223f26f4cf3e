"""The near-duplicate index on disk: a folder of files that are written once, and a manifest that says which of them count.

A snapshot writes what is new since the last one and then replaces the manifest, so a kill at any moment leaves the old state
or the new one. A short file is written anew together with what follows it, so a folder holds few of them.

A domain that moves to another cleaner has two that keep its index for a while. They take turns by a lock, and each sees by the
manifest whether the other one was there: what is longer stays, since both are made of the same documents in the same order.

    lock               held while the folder is read or written
    manifest.json      formats, bands, and per file: its name, range of documents, rows, CRC-32
    columns-3.bin      a range of documents: sketches, guards, ranks, families, one column after the other
    edges-4.bin        the pairs whose later document is in a range
    segment-5.bin      a run of the index, band by band
"""

import json
import logging
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from services.cleaner.core.near.columns import Columns
from services.cleaner.core.near.edges import Edges
from services.cleaner.core.near.guard import GUARD_FORMAT
from services.cleaner.core.near.index import IndexState
from services.cleaner.core.near.segments import Segment
from services.cleaner.core.near.sketch import NUM_SKETCH_BYTES, SKETCH_FORMAT
from shared.errors import PermanentError
from shared.files import make_folders, replacing, write_atomically

FILES_FORMAT: Final = 1
FORMATS: Final = [FILES_FORMAT, SKETCH_FORMAT, GUARD_FORMAT]
LOCK: Final = "lock"
MANIFEST: Final = "manifest.json"
MERGE_RATIO: Final = 2
"""A file is written anew with what follows it while it is less than so many times as long."""

COLUMN_TYPES: Final = (f"({NUM_SKETCH_BYTES},)u1", "<u8", "<u4", "<u4")
EDGE_TYPES: Final = ("<u4", "<u4", "<f4", "?")
ENTRY_TYPE: Final = "<u8"

log = logging.getLogger(__name__)


class NearIndexUnreadable(PermanentError):
    """The files of a near-duplicate index are damaged or of another format; it can be built again from the documents."""


@dataclass(frozen=True, kw_only=True)
class File:
    """What the manifest says of a file.

    Attributes:
        first: First document number.
        end: Last one plus 1.
        rows: Rows of its arrays, one number each.
        crc: CRC-32 of its bytes.
    """

    name: str
    first: int
    end: int
    rows: list[int]
    crc: int


class NearFiles:
    """Keeps one index in one folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made if it is not there."""
        self._folder = folder
        self._columns: list[File] = []
        self._edges: list[File] = []
        self._segments: dict[Segment, File] = {}
        self._next_file = 0
        self._num_truncations = 0
        self._manifest_then: bytes | None = None

    def load(self) -> IndexState | None:
        """Return the last snapshot, None: there is none.

        Raises:
            NearIndexUnreadable: It is damaged or of another format.
        """
        if not (self._folder / MANIFEST).exists():
            return None
        with self._alone():
            self._manifest_then = self._read_manifest()
            try:
                return self._loaded(json.loads(self._manifest_then or b""))
            except (OSError, ValueError, LookupError, TypeError) as error:
                self._columns, self._edges, self._segments = [], [], {}
                msg = f"near-duplicate index in {self._folder}: {error}"
                raise NearIndexUnreadable(msg, next_step="remove the folder, and the index is built again") from error

    def save(self, state: IndexState) -> None:
        """Write what the folder does not have yet; the last snapshot counts until all of it is there.

        Args:
            state: Of an index that started from what was loaded here, or from nothing if nothing was.
        """
        make_folders(self._folder)
        with self._alone():
            manifest = self._read_manifest()
            if manifest != self._manifest_then and not self._gives_way(manifest, state):
                return
            self._save(state)

    def _alone(self) -> FileLock:
        return FileLock(self._folder / LOCK)

    def _read_manifest(self) -> bytes | None:
        path = self._folder / MANIFEST
        return path.read_bytes() if path.exists() else None

    def _gives_way(self, manifest: bytes | None, state: IndexState) -> bool:
        """Whether what another cleaner has left here is shorter; then all of it is written anew."""
        try:
            theirs = json.loads(manifest or b"{}")
            num_documents = max((file["end"] for file in theirs.get("columns", [])), default=0)
            if theirs.get("format") == FORMATS and num_documents >= len(state.columns):
                return False
            self._next_file = max(self._next_file, int(theirs.get("next_file", 0)))
        except (ValueError, LookupError, TypeError, AttributeError):
            log.warning(
                "near-duplicate index on disk cannot be read and is replaced", extra={"folder": str(self._folder)}
            )
        self._columns, self._edges, self._segments = [], [], {}
        return True

    def _save(self, state: IndexState) -> None:
        if state.num_truncations != self._num_truncations:
            self._columns, self._edges = [], []
        self._columns = self._extended("columns", self._columns, state)
        self._edges = self._extended("edges", self._edges, state)
        self._segments = {one: self._segments.get(one) or self._write_segment(one) for one in state.segments}
        self._num_truncations = state.num_truncations
        self._manifest_then = json.dumps(self._manifest(state)).encode()
        write_atomically(self._folder / MANIFEST, self._manifest_then)
        self._remove_unused()

    # ---- writing

    def _extended(self, kind: str, files: Sequence[File], state: IndexState) -> list[File]:
        """Return the files with one more up to the last document, short ones before it taken in."""
        kept, end = list(files), len(state.columns)
        first = kept[-1].end if kept else 0
        if first == end:
            return kept
        while kept and kept[-1].end - kept[-1].first < MERGE_RATIO * (end - first):
            first = kept.pop().first
        arrays = _column_arrays(state.columns, first, end) if kind == "columns" else _edge_arrays(state.edges, first)
        return [*kept, self._write(kind, first, end, arrays)]

    def _write_segment(self, segment: Segment) -> File:
        entries = [run.astype(ENTRY_TYPE, copy=False) for _, run in sorted(segment.entries.items())]
        return self._write("segment", segment.first, segment.end, entries)

    def _write(self, kind: str, first: int, end: int, arrays: Sequence[NDArray[Any]]) -> File:
        name, crc = f"{kind}-{self._next_file}.bin", 0
        self._next_file += 1
        with replacing(self._folder / name) as file:
            for array in arrays:
                data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
                crc = zlib.crc32(data, crc)
                file.write(data)
        return File(name=name, first=first, end=end, rows=[len(array) for array in arrays], crc=crc)

    def _manifest(self, state: IndexState) -> dict[str, object]:
        return {
            "format": FORMATS,
            "next_file": self._next_file,
            "bands": list(state.bands),
            "columns": [asdict(file) for file in self._columns],
            "edges": [asdict(file) for file in self._edges],
            "segments": [asdict(file) for file in self._segments.values()],
            "crowded": {band: sorted(buckets.items()) for band, buckets in state.crowded.items()},
        }

    def _remove_unused(self) -> None:
        """Remove what no manifest names, also what a kill left behind."""
        used = {file.name for file in (*self._columns, *self._edges, *self._segments.values())}
        for path in self._folder.glob("*.bin*"):
            if path.name not in used:
                path.unlink(missing_ok=True)

    # ---- reading

    def _loaded(self, manifest: dict[str, Any]) -> IndexState:
        if manifest["format"] != FORMATS:
            msg = f"is of format {manifest['format']}, not {FORMATS}"
            raise ValueError(msg)
        bands = tuple(manifest["bands"])
        self._next_file = manifest["next_file"]
        self._columns = [File(**file) for file in manifest["columns"]]
        self._edges = [File(**file) for file in manifest["edges"]]
        files = [File(**file) for file in manifest["segments"]]
        runs = [self._read(file, [ENTRY_TYPE] * len(bands)) for file in files]
        self._segments = {
            Segment(file.first, file.end, dict(zip(bands, entries, strict=True))): file
            for file, entries in zip(files, runs, strict=True)
        }
        self._num_truncations = 0
        return IndexState(
            bands=bands,
            columns=Columns(*self._joined(self._columns, COLUMN_TYPES)),
            segments=tuple(self._segments),
            crowded={int(band): dict(buckets) for band, buckets in manifest["crowded"].items()},
            edges=Edges(*self._joined(self._edges, EDGE_TYPES)),
        )

    def _joined(self, files: Iterable[File], types: Sequence[str]) -> list[NDArray[Any]]:
        pieces = [self._read(file, types) for file in files] or [[np.zeros(0, dtype=one) for one in types]]
        if len(pieces) == 1:
            return pieces[0]
        return [np.concatenate(column) for column in zip(*pieces, strict=True)]

    def _read(self, file: File, types: Sequence[str]) -> list[NDArray[Any]]:
        data = (self._folder / file.name).read_bytes()
        if zlib.crc32(data) != file.crc:
            msg = f"{file.name} is damaged"
            raise ValueError(msg)
        arrays, offset = [], 0
        for kind, rows in zip(types, file.rows, strict=True):
            arrays.append(np.frombuffer(data, dtype=kind, count=rows, offset=offset))
            offset += arrays[-1].nbytes
        return arrays


def _column_arrays(columns: Columns, first: int, end: int) -> list[NDArray[Any]]:
    rows = columns.rows(first, end)
    return [
        rows.packed,
        rows.guards.astype("<u8", copy=False),
        rows.ranks.astype("<u4", copy=False),
        rows.families.astype("<u4", copy=False),
    ]


def _edge_arrays(edges: Edges, first: int) -> list[NDArray[Any]]:
    """Return the pairs from a document on; they lie in the order of the later documents."""
    begin = int(np.searchsorted(edges.number, first))
    return [
        edges.number[begin:].astype("<u4", copy=False),
        edges.other[begin:].astype("<u4", copy=False),
        edges.similarity[begin:].astype("<f4", copy=False),
        edges.same_guard[begin:],
    ]
