"""Files that documents come in: what they are by their names, and their bytes without compression. Bounded memory throughout."""

import gzip
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import zstandard

from shared.cli.errors import FileRefused

STDIN = Path("-")
CHUNK_BYTES = 64 * 1024
ZSTD_INPUT_BYTES = 8 * 1024
"""Compressed bytes that are taken at a time: zstd may make thirty thousand times as many of them."""


class Format(StrEnum):
    """What a file holds."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    TEXT = "text"


SUFFIXES = {
    ".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".csv": Format.CSV, ".tsv": Format.CSV, ".parquet": Format.PARQUET,
    ".txt": Format.TEXT,
}  # fmt: skip
COMPRESSIONS = (".gz", ".zst")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to read.

    Attributes:
        name: As the user wrote it, for messages and ids.
        path: Where the bytes lie.
        format: What they are once they are decompressed.
        compression: `.gz`, `.zst`, or nothing.
    """

    name: str
    path: Path
    format: Format
    compression: str = ""


def source_of(path: Path, format_given: Format | None = None) -> Source:
    """Return what a file is by its name; a name that says nothing is taken for JSONL.

    Args:
        path: As the user wrote it; `-` is standard input.
        format_given: What it is, whatever its name says.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    known = SUFFIXES.get(suffixes[-1], Format.JSONL) if suffixes else Format.JSONL
    name = "standard input" if path == STDIN else path.as_posix()
    return Source(name=name, path=path, format=format_given or known, compression=compression)


@contextmanager
def readable_twice(sources: Sequence[Source]) -> Iterator[tuple[Source, ...]]:
    """Yield the sources, each at a place that can be read again and, where its format asks for it, from any position.

    Standard input and compressed Parquet are copied to temporary files, which are removed at the end.
    """
    with ExitStack() as stack:
        yield tuple(_spooled(source, stack) if _must_spool(source) else source for source in sources)


@contextmanager
def opened(source: Source) -> Iterator["io.BufferedReader[Any]"]:
    """Open a file's bytes, decompressed.

    Raises:
        FileRefused: What is read from it is not what its name says, or it ends too early.
    """
    try:
        with source.path.open("rb") as file, _decompressed(file, source.compression) as plain:
            yield plain
    except (gzip.BadGzipFile, zlib.error, zstandard.ZstdError, EOFError) as error:
        raise FileRefused(
            f"{source.name}: it cannot be decompressed ({error}); nothing was sent.",
            next_step="Copy the file again: it is damaged, cut off, or not compressed as its name says.",
        ) from error


def _must_spool(source: Source) -> bool:
    return source.path == STDIN or (source.format is Format.PARQUET and bool(source.compression))


def _spooled(source: Source, stack: ExitStack) -> Source:
    copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="plumb-ingest-"))  # noqa: SIM115 (the stack closes it)
    if source.path == STDIN:
        shutil.copyfileobj(sys.stdin.buffer, copy, CHUNK_BYTES)
        compression = source.compression
    else:
        with opened(source) as plain:
            shutil.copyfileobj(plain, copy, CHUNK_BYTES)
        compression = ""
    copy.flush()
    return replace(source, path=Path(copy.name), compression=compression)


@contextmanager
def _decompressed(file: "io.BufferedReader[Any]", compression: str) -> Iterator["io.BufferedReader[Any]"]:
    match compression:
        case ".gz":
            with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(unpacked, CHUNK_BYTES) as plain:
                yield plain
        case ".zst":
            with io.BufferedReader(_Zstd(file), CHUNK_BYTES) as plain:
                yield plain
        case _:
            yield file


class _Zstd(io.RawIOBase):
    """The content of zstd frames. Unlike the package's own reader, it does not take a file that was cut off for a whole one."""

    def __init__(self, file: "io.BufferedReader[Any]") -> None:
        self._file = file
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._content = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # (typeshed: any writable buffer)
        while not self._content:
            packed = self._unused() or self._file.read(ZSTD_INPUT_BYTES)
            if not packed:
                if self._frame is not None and not self._frame.eof:
                    msg = "the last zstd frame is cut off"
                    raise EOFError(msg)
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._content = memoryview(self._frame.decompress(packed))
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        return size

    def _unused(self) -> bytes:
        """Return what follows the frame that has just ended, once."""
        if self._frame is None or not self._frame.eof:
            return b""
        rest, self._frame = self._frame.unused_data, None
        return rest
