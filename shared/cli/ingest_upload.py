"""A resumable upload as its client sees it: pieces behind each other, again from where the daemon is after a cut."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

import httpx
from pydantic import ValidationError

from contracts.api import UploadReceipt, UploadStatus
from shared.cli.client import answer_of, check

PIECE_BYTES = 8 << 20
PATIENCE_S = 60.0
"""How long a daemon that does not answer is waited for; a crashed one is back within seconds."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
LOOK_S = 1.0
"""Between two looks at how far the reading of a whole upload is."""
READING_TIMEOUT_S = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Body:
    """What is to be uploaded.

    Attributes:
        file: The bytes, from any position.
        num_bytes: How many.
        encoding: Its Content-Encoding; empty: it is not packed.
        memory: A file that remembers where the upload is, so that the same command goes on with it after it was ended.
    """

    file: IO[bytes]
    num_bytes: int
    encoding: str = ""
    memory: Path


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Who is told how far it is.

    Attributes:
        sent: Told how many bytes the daemon has.
        read: Told how many documents it has read of the whole upload.
        waits: Told why nothing goes on at present.
    """

    sent: Callable[[int], None] = lambda _: None
    read: Callable[[int], None] = lambda _: None
    waits: Callable[[str], None] = lambda _: None


def upload(
    client: httpx.Client, body: Body, *, domain: str, strict: bool, watching: Watching | None = None
) -> UploadReceipt:
    """Upload a body of JSON lines and return its receipt.

    Args:
        client: Of ingest.
        body: What is sent.
        domain: Whose documents they are.
        strict: One bad record refuses all.
        watching: Who is told how far it is.

    Raises:
        ProblemAnswered: It was refused.
        httpx.TransportError: Ingest does not answer, or no longer within a minute.
    """
    watching = watching or Watching()
    place = _known(client, body) or _begun(client, body, domain=domain, strict=strict)
    offset = _offset(client, place, watching)
    while True:
        watching.sent(offset)
        body.file.seek(offset)
        piece = body.file.read(PIECE_BYTES)
        is_last = offset + len(piece) >= body.num_bytes
        try:
            answer = _sent(client, place, offset, piece, is_last=is_last, watching=watching)
        except httpx.TransportError as error:
            watching.waits(str(error) or type(error).__name__)
            offset = _offset(client, place, watching)
            continue
        if answer.status_code == HTTPStatus.CONFLICT:
            offset = _offset(client, place, watching)
            continue
        if is_last:
            if answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                body.memory.unlink(missing_ok=True)
            return answer_of(answer, UploadReceipt)
        check(answer)
        offset += len(piece)


def _begun(client: httpx.Client, body: Body, *, domain: str, strict: bool) -> str:
    headers = {"content-type": "application/x-ndjson", "upload-complete": "?0"}
    if body.encoding:
        headers["content-encoding"] = body.encoding
    params = {"domain": domain, **({"strict": "true"} if strict else {})}
    answer = client.post("/v1/uploads", params=params, headers=headers)
    check(answer)
    place = answer.headers["location"]
    body.memory.parent.mkdir(parents=True, exist_ok=True)
    body.memory.write_text(place, encoding="ascii")
    return str(place)


def _known(client: httpx.Client, body: Body) -> str | None:
    """Return the upload that the same command began before, if the daemon still has it and it may go on."""
    try:
        place = body.memory.read_text(encoding="ascii")
        status = UploadStatus.model_validate_json(client.get(place).content)
    except (FileNotFoundError, UnicodeDecodeError, ValidationError, httpx.InvalidURL):
        return None
    return place if status.state != "refused" and status.num_bytes <= body.num_bytes else None


def _offset(client: httpx.Client, place: str, watching: Watching) -> int:
    """Return how many bytes the daemon has, as soon as it answers."""
    until, pause_s = time.monotonic() + PATIENCE_S, FIRST_PAUSE_S
    while True:
        try:
            answer = client.head(place)
        except httpx.TransportError as error:
            if time.monotonic() >= until:
                raise
            watching.waits(str(error) or type(error).__name__)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        else:
            check(answer)
            return int(answer.headers["upload-offset"])


def _sent(
    client: httpx.Client, place: str, offset: int, piece: bytes, *, is_last: bool, watching: Watching
) -> httpx.Response:
    headers = {
        "content-type": "application/partial-upload",
        "upload-offset": str(offset),
        "upload-complete": "?1" if is_last else "?0",
    }
    if not is_last:
        return client.patch(place, content=piece, headers=headers)
    with _in_background(
        lambda: client.patch(place, content=piece, headers=headers, timeout=READING_TIMEOUT_S)
    ) as answer:
        while True:
            try:
                return answer.result(timeout=LOOK_S)
            except NotYet:
                _look(client, place, watching)


def _look(client: httpx.Client, place: str, watching: Watching) -> None:
    try:
        status = UploadStatus.model_validate_json(client.get(place).content)
    except (httpx.TransportError, ValidationError):
        return
    watching.sent(status.num_bytes)
    watching.read(status.num_documents)


@contextmanager
def _in_background(work: Callable[[], httpx.Response]) -> Iterator[Future[httpx.Response]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)
