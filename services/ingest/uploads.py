"""Resumable uploads: what came of a body lies in the state directory, flushed before its offset is told, until it is whole.

A folder each: `body`, and `upload.json`, which says what it is, whether it is complete, and what became of it. The length of
`body` is the offset, so a killed daemon knows it again.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4

from pydantic import AwareDatetime, ValidationError

from contracts.api import Problem, UploadReceipt, UploadStatus
from contracts.envelope import Contract, Domain
from services.ingest.core.parts import Tally
from services.ingest.core.unpacking import Compression
from services.ingest.reading import BodyKind, Format
from services.ingest.settings import UploadLimits
from services.ingest.spooling import storage_errors, write_all
from shared.clock import Clock
from shared.errors import PermanentError, PlumblineError, RequestRefused, StorageUnavailable, TransientError
from shared.files import make_folders, write_atomically
from shared.problems import problem_of

ABOUT, BODY = "upload.json", "body"
ENDED_EXPIRE_S = 3600.0
"""So long a client that was cut off may ask what became of its upload."""

Take = Callable[[IO[bytes], BodyKind, str, Tally], Awaitable[UploadReceipt]]
"""Takes a whole body for a domain."""

log = logging.getLogger(__name__)


class About(Contract):
    """What an upload is.

    Attributes:
        is_complete: All of it came,
        num_bytes: and so much it was; None before.
        receipt: What it became.
        problem: Why it was refused.
    """

    domain: Domain
    format: Format
    compression: Compression
    document_id: str | None
    strict: bool
    created_at: AwareDatetime
    is_complete: bool = False
    num_bytes: int | None = None
    receipt: UploadReceipt | None = None
    problem: Problem | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it is known what became of it."""
        return self.receipt is not None or self.problem is not None

    @property
    def kind(self) -> BodyKind:
        """How its body is to be read."""
        return BodyKind(
            format=self.format, compression=self.compression, document_id=self.document_id, strict=self.strict
        )


class _Live:
    """What this process knows of an upload beyond its files."""

    def __init__(self) -> None:
        self.writing = asyncio.Lock()
        self.superseded = asyncio.Event()
        self.tally = Tally()
        self.taking: asyncio.Task[UploadReceipt] | None = None


class Uploads:
    """The uploads of a state directory; one process has it."""

    def __init__(self, folder: Path, limits: UploadLimits, take: Take, clock: Clock) -> None:
        """Open the folder; it is made when the first upload is.

        Args:
            folder: Where uploads lie.
            limits: How many, how large, how long.
            take: Takes a body that is complete.
            clock: The wall clock.
        """
        self._folder = folder
        self._limits = limits
        self._take = take
        self._clock = clock
        self._live: dict[UUID, _Live] = {}
        self._open = {upload_id for upload_id, about in self._all() if not about.has_ended}

    # ---- what the endpoints do

    def create(self, domain: Domain, kind: BodyKind) -> UUID:
        """Make an upload of no bytes and return its id.

        Raises:
            RequestRefused: 503, there are too many.
            StorageFull: There is no space left.
        """
        if len(self._open) >= self._limits.max_unfinished:
            raise RequestRefused(
                503, "too-many-uploads", "Too many uploads at present",
                f"{len(self._open):,} uploads are not finished", next_step="come back when one of them has ended",
            )  # fmt: skip
        upload_id = uuid4()
        about = About(
            domain=domain, format=kind.format, compression=kind.compression, document_id=kind.document_id,
            strict=kind.strict, created_at=self._clock.now(),
        )  # fmt: skip
        with storage_errors("make the upload"):
            make_folders(self._place(upload_id))
            self._body(upload_id).touch()
            self._write(upload_id, about)
        self._open.add(upload_id)
        return upload_id

    def about(self, upload_id: UUID) -> About:
        """Return what an upload is.

        Raises:
            RequestRefused: 404, there is none, or no longer.
        """
        try:
            return About.model_validate_json((self._place(upload_id) / ABOUT).read_bytes())
        except (FileNotFoundError, ValidationError):
            raise RequestRefused(
                404, "unknown-upload", "No such upload", f"there is no upload {upload_id}, or it has expired",
                next_step="begin a new one with POST /v1/uploads",
            ) from None  # fmt: skip

    async def offset(self, upload_id: UUID) -> int:
        """Return how many bytes are kept; whoever still sends is cut off first, so that they do not grow behind it."""
        self.about(upload_id)
        async with await self._alone(upload_id):
            return self._size(upload_id, self.about(upload_id))

    async def append(self, upload_id: UUID, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Write what comes behind what is there; return the new offset, which is flushed to disk.

        Raises:
            RequestRefused: 409, the upload does not go on there, or is complete; 413, it is too large; 400, the client went away.
            StorageFull: There is no space left; what was written stays.
        """
        self.about(upload_id)
        async with await self._alone(upload_id):
            about = self.about(upload_id)
            size = self._size(upload_id, about)
            if about.is_complete:
                # A last piece that is sent again, since its answer was lost, holds nothing more.
                if offset != size or await _holds_anything(chunks):
                    raise completed(upload_id, about, size)
                return size
            if offset != size:
                raise mismatch(size, offset)
            with self._body(upload_id).open("ab", buffering=0) as body:
                try:
                    coming = self._until_superseded(upload_id, chunks)
                    size += await write_all(coming, body, max_bytes=self._limits.max_bytes - size)
                finally:
                    await asyncio.to_thread(os.fsync, body.fileno())
            return size

    async def complete(self, upload_id: UUID) -> UploadReceipt:
        """Take an upload that is there as a whole; one that was taken gives the same receipt.

        Raises:
            RequestRefused: It was refused before; or 500, its body brings out a defect, which stands in the log.
            PlumblineError: It is refused, or cannot be taken at the moment.
        """
        about = self.about(upload_id)
        if about.problem is not None:
            raise refused_again(about.problem)
        if about.receipt is not None:
            return about.receipt
        if not about.is_complete:
            ended = about.model_copy(update={"is_complete": True, "num_bytes": self._size(upload_id, about)})
            with storage_errors("complete the upload"):
                self._write(upload_id, ended)
        live = self._of(upload_id)
        if live.taking is None or live.taking.done():
            live.taking = asyncio.create_task(self._taken(upload_id), name=f"take {upload_id}")
            # How it ended stands in its folder; nobody may be left to be told.
            live.taking.add_done_callback(lambda task: task.cancelled() or task.exception())
        # A client that goes away does not end the work; it asks again.
        return await asyncio.shield(live.taking)

    def status(self, upload_id: UUID) -> UploadStatus:
        """Return how far an upload is."""
        about = self.about(upload_id)
        tally = self._of(upload_id).tally
        receipt = about.receipt
        state = "stored" if receipt else "refused" if about.problem else "reading" if about.is_complete else "receiving"
        return UploadStatus(
            upload_id=upload_id,
            domain=about.domain,
            state=state,
            num_bytes=self._size(upload_id, about),
            num_documents=receipt.num_documents if receipt else tally.num_documents,
            num_refused_documents=receipt.num_refused_documents if receipt else tally.num_refused,
            receipt=receipt,
            problem=about.problem,
        )

    async def remove(self, upload_id: UUID) -> None:
        """Forget an upload; what was taken of it stays taken.

        Raises:
            RequestRefused: 404, there is none; 409, it is being read.
        """
        self.about(upload_id)
        live = self._of(upload_id)
        if live.taking is not None and not live.taking.done():
            raise RequestRefused(
                409, "upload-is-read", "The upload is being read", f"upload {upload_id} is complete and is being taken",
                next_step=f"see how far it is with GET /v1/uploads/{upload_id}",
            )  # fmt: skip
        async with await self._alone(upload_id):
            self._forget(upload_id)

    # ---- what the daemon does by itself

    async def go_on(self) -> None:
        """Take what is complete and could not be taken: the daemon had ended, or the disk was full."""
        for upload_id, about in list(self._all()):
            if about.is_complete and not about.has_ended:
                log.info("upload is read again", extra={"upload": str(upload_id), "domain": about.domain})
                with suppress(PlumblineError):
                    await self.complete(upload_id)

    async def expire(self) -> None:
        """Forget uploads that nobody has gone on with for long, and sooner those that have ended."""
        now = self._clock.now()
        for upload_id, about in list(self._all()):
            live = self._of(upload_id)
            is_busy = live.writing.locked() or (live.taking is not None and not live.taking.done())
            kept_s = min(ENDED_EXPIRE_S, self._limits.expire_s) if about.has_ended else self._limits.expire_s
            if not is_busy and self._touched_at(upload_id, about) < now - timedelta(seconds=kept_s):
                log.info("upload expired", extra={"upload": str(upload_id), "domain": about.domain})
                self._forget(upload_id)

    # ---- inside

    async def _taken(self, upload_id: UUID) -> UploadReceipt:
        about, live = self.about(upload_id), self._of(upload_id)
        live.tally = Tally()
        try:
            with self._body(upload_id).open("rb") as body:
                receipt = await self._take(body, about.kind, about.domain, live.tally)
        except PermanentError as error:
            self._end(upload_id, about.model_copy(update={"problem": problem_of(error)}))
            raise
        except TransientError as error:
            log.warning("upload not taken yet", extra={"upload": str(upload_id), "error": str(error)})
            raise
        except OSError as error:
            log.warning("upload not taken yet", extra={"upload": str(upload_id), "error": repr(error)})
            msg = f"the body of upload {upload_id} cannot be read: {error}"
            raise StorageUnavailable(msg, next_step="see whether the disk of the state directory fails") from error
        except Exception as error:
            # A defect that the body brings out: it would again, so nobody is to wait for another try.
            log.exception(
                "upload ended by an unexpected error", extra={"upload": str(upload_id), "domain": about.domain}
            )
            problem = problem_of(error)
            self._end(upload_id, about.model_copy(update={"problem": problem}))
            raise refused_again(problem) from error
        self._end(upload_id, about.model_copy(update={"receipt": receipt}))
        return receipt

    def _end(self, upload_id: UUID, about: About) -> None:
        """Remember how an upload ended; its body is not needed any more."""
        with storage_errors("note how the upload ended"):
            self._write(upload_id, about)
        os.truncate(self._body(upload_id), 0)
        self._open.discard(upload_id)

    async def _alone(self, upload_id: UUID) -> asyncio.Lock:
        """Return the lock of an upload's body; whoever holds it is cut off: its connection may be dead without knowing."""
        live = self._of(upload_id)
        if live.writing.locked():
            live.superseded.set()
        return live.writing

    async def _until_superseded(self, upload_id: UUID, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        live = self._of(upload_id)
        live.superseded.clear()
        cut_off = asyncio.ensure_future(live.superseded.wait())
        try:
            while True:
                coming = asyncio.ensure_future(anext(chunks, None))
                await asyncio.wait({coming, cut_off}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    with suppress(asyncio.CancelledError):
                        await coming
                    raise RequestRefused(
                        409, "upload-superseded", "Another request goes on with this upload",
                        f"upload {upload_id} was asked for by another request", next_step="ask for its offset with HEAD",
                    )  # fmt: skip
                if (chunk := coming.result()) is None:
                    return
                yield chunk
        finally:
            cut_off.cancel()

    def _of(self, upload_id: UUID) -> _Live:
        return self._live.setdefault(upload_id, _Live())

    def _all(self) -> Iterator[tuple[UUID, About]]:
        if not self._folder.is_dir():
            return
        for place in sorted(self._folder.iterdir()):
            with suppress(RequestRefused, ValueError):
                yield UUID(place.name), self.about(UUID(place.name))

    def _place(self, upload_id: UUID) -> Path:
        return self._folder / str(upload_id)

    def _body(self, upload_id: UUID) -> Path:
        return self._place(upload_id) / BODY

    def _size(self, upload_id: UUID, about: About) -> int:
        return self._body(upload_id).stat().st_size if about.num_bytes is None else about.num_bytes

    def _touched_at(self, upload_id: UUID, about: About) -> datetime:
        written = datetime.fromtimestamp(self._body(upload_id).stat().st_mtime, tz=about.created_at.tzinfo)
        return max(written, about.created_at)

    def _write(self, upload_id: UUID, about: About) -> None:
        write_atomically(self._place(upload_id) / ABOUT, about.model_dump_json().encode())

    def _forget(self, upload_id: UUID) -> None:
        shutil.rmtree(self._place(upload_id), ignore_errors=True)
        self._live.pop(upload_id, None)
        self._open.discard(upload_id)


def mismatch(expected: int, provided: int) -> RequestRefused:
    """Return the error of a piece that does not fit behind what is there."""
    return RequestRefused(
        409, "mismatching-upload-offset", "The upload does not go on there",
        f"{expected} bytes are there, and the piece begins at {provided}",
        next_step="ask for the offset with HEAD and send what follows it",
    )  # fmt: skip


def completed(upload_id: UUID, about: About, num_bytes: int) -> RequestRefused:
    """Return the error of a piece for an upload that is whole: says what became of it."""
    status = f"GET /v1/uploads/{upload_id}"
    if about.receipt is not None:
        became = f"it is stored: {about.receipt.num_documents:,} documents, batch {about.receipt.batch_id}"
        next_step = f"see its receipt with {status}; begin a new upload for more with POST /v1/uploads"
    elif about.problem is not None:
        became = f"it was refused: {about.problem.detail or about.problem.title}"
        next_step = f"{about.problem.next or f'see why with {status}'}; then begin a new upload with POST /v1/uploads"
    else:
        became, next_step = "it is being read", f"see how far it is with {status}"
    what = f"upload {upload_id} is complete with {num_bytes:,} bytes, and takes no more; {became}"
    return RequestRefused(409, "completed-upload", "The upload is complete", what, next_step=next_step)


async def _holds_anything(chunks: AsyncIterator[bytes]) -> bool:
    async for chunk in chunks:
        if chunk:
            return True
    return False


def refused_again(problem: Problem) -> RequestRefused:
    """Return the error of an upload that was refused when it was read."""
    kind = problem.type.rpartition(":")[2]
    return RequestRefused(problem.status, kind, problem.title, problem.detail, next_step=problem.next)
