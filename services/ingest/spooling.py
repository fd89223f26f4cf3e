"""Bodies on their way to a file, piece by piece, without a write that holds up the event loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import IO

from shared.disk import is_full
from shared.errors import RequestRefused, StorageFull

WRITE_BYTES = 1 << 20
"""What comes is gathered up to this size: a write goes through a thread."""


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn a full disk into an error that says what to do.

    Raises:
        StorageFull: There is no space left.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise StorageFull(
            f"cannot {doing}: the disk of the state directory is full ({error.strerror})",
            next_step="free space there and in the folder of artifacts, then send it again; nothing was taken by half",
        ) from error


async def write_all(chunks: AsyncIterator[bytes], file: IO[bytes], *, max_bytes: int) -> int:
    """Write what comes; what was written before an error stays written.

    Args:
        chunks: The body.
        file: Where it goes; one that is not buffered may take part of a piece, and is given the rest again.
        max_bytes: Most that may come.

    Returns:
        How much came.

    Raises:
        RequestRefused: 413, it is more; or whatever the body ends with.
        StorageFull: There is no space left.
    """
    gathered, num_bytes = bytearray(), 0
    try:
        async for chunk in chunks:
            num_bytes += len(chunk)
            if num_bytes > max_bytes:
                raise too_large(max_bytes)
            gathered += chunk
            if len(gathered) >= WRITE_BYTES:
                data, gathered = bytes(gathered), bytearray()
                await asyncio.to_thread(_write, file, data)
    finally:
        if gathered:
            await asyncio.to_thread(_write, file, bytes(gathered))
    return num_bytes


def too_large(max_bytes: int) -> RequestRefused:
    """Return the error of a body that is longer than any may be."""
    return RequestRefused(
        413, "batch-too-large", "The upload is too large", f"the upload is longer than {max_bytes:,} bytes",
        next_step="split the input and send each part; nothing of this one was taken",
    )  # fmt: skip


def _write(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    with storage_errors("keep the upload"):
        while rest:
            # (a file in memory says how much it took, one with a buffer may say nothing)
            rest = rest[file.write(rest) or len(rest) :]
