"""Files on the local disk that appear whole or not at all."""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write `data` under a temporary name, flush it to disk and rename it: no reader sees a part of it.

    Args:
        path: The file, in a folder that exists; it has one writer at a time.
        data: All of its new content.
        mode: Its permissions from the first byte on; None: what the process's umask gives.
    """
    partial = path.with_name(f".{path.name}.partial")
    if mode is not None:
        # What a crash left may be readable by more than this mode allows.
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600, exist_ok=False)
        partial.chmod(mode)
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
