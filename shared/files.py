"""Files on the local disk that appear whole or not at all, also after a power cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write `data` under a temporary name, flush it to disk and rename it: no reader sees a part of it.

    Args:
        path: The file, in a folder that exists; it has one writer at a time.
        data: All of its new content.
        mode: Its permissions from the first byte on; None: those of the file that is there, else what the umask gives.
    """
    with replacing(path, mode=mode) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, mode: int | None = None, is_alone: bool = True) -> Iterator[IO[bytes]]:
    """Yield a file that takes the place of `path` when the block ends; an error leaves what was there, and nothing else.

    The file and then its folder are flushed, so that after a power cut there is the old file or the new one.

    Args:
        path: The file, in a folder that exists.
        mode: Its permissions from the first byte on; None: those of the file that is there, else what the umask gives.
        is_alone: It has one writer at a time: what a killed one left is removed.
    """
    partial = path.with_name(f".{path.name}.{'partial' if is_alone else uuid4().hex}")
    if is_alone:
        partial.unlink(missing_ok=True)
    try:
        with _opened(partial, _permissions(path) if mode is None else mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    flush_folder(path.parent)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, each of them there after a power cut."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk: a file's own flush does not say that its name will be there."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _permissions(path: Path) -> int | None:
    try:
        return path.stat().st_mode & 0o7777
    except FileNotFoundError:
        return None


def _opened(path: Path, mode: int | None) -> IO[bytes]:
    """Make a file with these permissions from its first byte on; None: with what the umask gives."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)
    if mode is not None:
        os.fchmod(opened, mode)
    return os.fdopen(opened, "wb")
