"""Files on the local disk that appear whole or not at all."""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name, flush it to disk and rename it: no reader sees a part of it.

    Args:
        path: The file, in a folder that exists; it has one writer at a time.
        data: All of its new content.
    """
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
