"""Cutting rows out of a safetensors file without reading it into memory, whatever its numbers are.

The format: eight bytes with the length of the header, the header as JSON, the tensors' bytes one after the other, row by row. So
a row is a piece of the file, and neither torch nor a type of numpy's is needed for bfloat16.
"""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from services.tokenizer_builder.core.surgery import UncuttableVocabulary

LENGTH = struct.Struct("<Q")
METADATA = "__metadata__"
CHUNK_BYTES = 1 << 24
ALIGNMENT = 8
MAX_HEADER_BYTES = 100_000_000
"""What the format allows."""


@dataclass(frozen=True)
class Tensors:
    """What a file holds.

    Attributes:
        entries: Type, shape and place of each tensor, by its name, as the header has them.
        metadata: Texts by name.
        begin: Where the tensors' bytes begin in the file.
    """

    path: Path
    entries: dict[str, dict[str, Any]]
    metadata: dict[str, str]
    begin: int

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(self.entries[name]["shape"])

    def num_elements(self, name: str) -> int:
        """Return how many numbers a tensor has."""
        return math.prod(self.shape(name))


def read_header(path: Path) -> Tensors:
    """Return what a file holds.

    Raises:
        UncuttableVocabulary: It is no safetensors file.
    """
    with path.open("rb") as file:
        head = file.read(LENGTH.size)
        size = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else MAX_HEADER_BYTES + 1
        if size > MAX_HEADER_BYTES:
            raise _damaged(path)
        try:
            header = json.loads(file.read(size))
        except ValueError as error:
            raise _damaged(path) from error
    metadata = header.pop(METADATA, {})
    return Tensors(path, header, metadata, LENGTH.size + size)


def write_cut(source: Tensors, target: Path, rows: Sequence[int], names: Sequence[str]) -> None:
    """Write the file with some rows of some tensors, and all of the others.

    Args:
        source: The file.
        target: Where it goes.
        rows: Which rows stay, in the order that they get.
        names: The tensors that are cut along their first dimension.
    """
    order = sorted(source.entries, key=lambda name: source.entries[name]["data_offsets"][0])
    header: dict[str, Any] = {METADATA: source.metadata} if source.metadata else {}
    at = 0
    for name in order:
        entry, is_cut = source.entries[name], name in names
        num_bytes = _size(entry) // entry["shape"][0] * len(rows) if is_cut else _size(entry)
        shape = [len(rows), *entry["shape"][1:]] if is_cut else entry["shape"]
        header[name] = {"dtype": entry["dtype"], "shape": shape, "data_offsets": [at, at + num_bytes]}
        at += num_bytes
    with source.path.open("rb") as original, target.open("wb") as file:
        _write_header(file, header)
        for name in order:
            if name in names:
                _copy_rows(source, name, rows, file)
            else:
                _copy(
                    original, source.begin + source.entries[name]["data_offsets"][0], _size(source.entries[name]), file
                )


def _size(entry: dict[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    return int(end - begin)


def _write_header(file: IO[bytes], header: dict[str, Any]) -> None:
    data = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    data += b" " * (-len(data) % ALIGNMENT)
    file.write(LENGTH.pack(len(data)) + data)


def _copy(original: IO[bytes], begin: int, num_bytes: int, file: IO[bytes]) -> None:
    original.seek(begin)
    while num_bytes:
        data = original.read(min(num_bytes, CHUNK_BYTES))
        if not data:
            raise _damaged(Path(original.name))
        file.write(data)
        num_bytes -= len(data)


def _copy_rows(source: Tensors, name: str, rows: Sequence[int], file: IO[bytes]) -> None:
    entry = source.entries[name]
    num_rows = entry["shape"][0]
    width = _size(entry) // num_rows
    begin = source.begin + entry["data_offsets"][0]
    if source.path.stat().st_size < begin + _size(entry):
        raise _damaged(source.path)
    matrix = np.memmap(source.path, dtype=np.uint8, mode="r", offset=begin, shape=(num_rows, width))
    step = max(1, CHUNK_BYTES // max(1, width))
    for start in range(0, len(rows), step):
        file.write(matrix[list(rows[start : start + step])].tobytes())


def _damaged(path: Path) -> UncuttableVocabulary:
    return UncuttableVocabulary(f"{path} is no complete safetensors file", next_step="fetch the model again")
