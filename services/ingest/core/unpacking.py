"""Compressed bodies, unpacked piece by piece. What a few bytes can make of themselves is bounded."""

import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import IO

import zstandard

from shared.errors import InvalidDocuments

BLOCK_BYTES = 1 << 18
ZSTD_INPUT_BYTES = 1 << 10
"""Compressed bytes that are taken at a time: zstd makes up to thirty thousand times as many of them."""
MAX_WINDOW_BYTES = 1 << 27
"""zstd's own limit for a decoder that is told nothing else; `--long` beyond 27 is refused."""
FREE_EXPANSION_BYTES = 64 << 20
"""So much is unpacked whatever the ratio."""
ANEW = "pack it again, or send it unpacked; nothing was taken"


class Compression(StrEnum):
    """How a body is packed."""

    NONE = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


class ExpandsTooFar(InvalidDocuments):
    """A body unpacks to so many times its size that it can only be meant to fill the disk."""


def unpacked(file: IO[bytes], compression: Compression, *, max_expansion: float) -> Iterator[bytes]:
    """Yield a body's content in pieces of at most 256 kB.

    Args:
        file: The packed body.
        compression: How it is packed; several gzip members or zstd frames may follow each other.
        max_expansion: Content bytes for each packed byte, beyond the first 64 MB of content.

    Raises:
        ExpandsTooFar: There are more.
        InvalidDocuments: It is not packed so, or ends too early.
    """
    if compression is Compression.NONE:
        while block := file.read(BLOCK_BYTES):
            yield block
        return
    pieces = _gzip(file) if compression is Compression.GZIP else _zstd(file)
    num_bytes = 0
    try:
        for piece in pieces:
            num_bytes += len(piece)
            if num_bytes > max(FREE_EXPANSION_BYTES, max_expansion * file.tell()):
                what = f"the body unpacks to more than {max_expansion:g} times its size"
                raise ExpandsTooFar(what, next_step="send it unpacked; nothing was taken")
            for start in range(0, len(piece), BLOCK_BYTES):
                yield piece[start : start + BLOCK_BYTES]
    except (zlib.error, zstandard.ZstdError) as error:
        raise InvalidDocuments(
            f"the body is no {compression.value} that can be read: {error}", next_step=ANEW
        ) from error


def _gzip(file: IO[bytes]) -> Iterator[bytes]:
    def member() -> "zlib._Decompress":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)

    unpacker, packed = member(), b""
    is_started = False
    while packed or (packed := file.read(BLOCK_BYTES)):
        if unpacker.eof:
            # Zeros behind a member pad it to a block, as gzip itself takes them.
            if not (packed := packed.lstrip(b"\0")):
                continue
            unpacker, is_started = member(), False
        piece = unpacker.decompress(packed, BLOCK_BYTES)
        is_started = True
        packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        yield piece
    while is_started and not unpacker.eof and (piece := unpacker.decompress(b"", BLOCK_BYTES)):
        yield piece
    _check_end(is_whole=unpacker.eof or not is_started, name="gzip member")


def _zstd(file: IO[bytes]) -> Iterator[bytes]:
    new: Callable[[], zstandard.ZstdDecompressionObj] = zstandard.ZstdDecompressor(
        max_window_size=MAX_WINDOW_BYTES
    ).decompressobj
    frame, packed = new(), b""
    is_started = False
    while packed or (packed := file.read(ZSTD_INPUT_BYTES)):
        if frame.eof:
            frame = new()
        piece = frame.decompress(packed)
        is_started = True
        packed = frame.unused_data if frame.eof else b""
        yield piece
    _check_end(is_whole=frame.eof or not is_started, name="zstd frame")


def _check_end(*, is_whole: bool, name: str) -> None:
    if not is_whole:
        raise InvalidDocuments(
            f"the body ends in the middle of a {name}", next_step="send all of it; nothing was taken"
        )
