"""JSON lines in another encoding than UTF-8, as UTF-8. Bounded memory."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.cli.ingest_text import decoded

CHUNK_CHARS = 64 * 1024
UTF8 = frozenset({None, "utf-8", "utf-8-sig"})


@contextmanager
def in_utf8(file: "io.BufferedReader[Any]", *, name: str, encoding: str | None) -> Iterator["io.BufferedReader[Any]"]:
    """Yield the bytes of a text as UTF-8; what is said to be that, or nothing, goes as it is.

    Args:
        file: The text's bytes.
        name: The file, for messages.
        encoding: What they are in.

    Raises:
        FileRefused: They are not text in it.
    """
    if encoding in UTF8:
        yield file
        return
    with decoded(file, name=name, encoding=encoding) as text, io.BufferedReader(_Recoded(text.text)) as recoded:
        yield recoded


class _Recoded(io.RawIOBase):
    """A text's characters in UTF-8."""

    def __init__(self, text: "io.TextIOWrapper[Any]") -> None:
        self._text = text
        self._content = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # (typeshed: any writable buffer)
        if not self._content:
            self._content = memoryview(self._text.read(CHUNK_CHARS).encode())
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        return size
