"""Batches over HTTP, whole in one request of any size."""

import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from contracts.api import UploadReceipt
from contracts.corpus import Document
from contracts.envelope import Domain
from services.ingest.api.bodies import NDJSON, PARQUET, Body, body_kind, refusal
from services.ingest.core.parts import Tally
from services.ingest.reading import Reader
from services.ingest.receipts import receipt_of
from services.ingest.run import Intake
from services.ingest.settings import UploadLimits
from services.ingest.spooling import too_large, write_all
from shared.errors import PlumblineError, RequestRefused, StorageFull
from shared.problems import RESPONSE

SPARE_BYTES = 16 << 20
"""What a body that says its size must leave free on the disk of the state directory."""

BODY_DOCS = {
    "requestBody": {
        "required": True,
        "description": "One JSON object a line, with the fields of `Document`; or plain text, a document a line; or Parquet with "
        "such columns. Also packed, with Content-Encoding gzip or zstd.",
        "content": {
            NDJSON: {"schema": Document.model_json_schema()},
            "text/plain": {"schema": {"type": "string"}},
            PARQUET: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((413, 415, 422, 503, 507), RESPONSE)
DocumentId = Annotated[str | None, Query(min_length=1, max_length=300, description="Makes a plain text one document.")]
Strict = Annotated[bool, Query(description="Refuse all if one record cannot be taken.")]


class OpenBodies:
    """How many bodies are under way; one too many is asked to come back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._num = 0

    def __enter__(self) -> None:
        """Count one more.

        Raises:
            RequestRefused: 503, it is one too many.
        """
        if self._num >= self._most:
            raise RequestRefused(
                503, "too-many-uploads", "Too many uploads at present", f"{self._num} uploads are under way",
                next_step="come back when one of them has ended",
            )  # fmt: skip
        self._num += 1

    def __exit__(self, *_: object) -> None:
        self._num -= 1


def routes(*, intake: Intake, reader: Reader, limits: UploadLimits) -> APIRouter:
    """Return the endpoints that take a whole body."""
    router = APIRouter(tags=["batches"])
    open_bodies = OpenBodies(limits.max_open)

    async def take(request: Request, domain: str, document_id: str | None, *, strict: bool) -> Response:
        body, path, tally = Body(request.receive), request.url.path, Tally()
        try:
            with open_bodies:
                headers = request.headers
                kind = body_kind(
                    headers.get("content-type", ""), headers.get("content-encoding", ""), document_id=document_id,
                    strict=strict, path=path,
                )  # fmt: skip
                _check_size(headers.get("content-length"), reader, limits)
                with reader.scratch() as file:
                    await write_all(body.chunks(), file, max_bytes=limits.max_bytes)
                    file.seek(0)
                    kept = await intake.take(file, kind, domain=domain, tally=tally)
        except PlumblineError as error:
            return refusal(error, path, body)
        return JSONResponse(receipt_of(kept, tally.ignored_fields).model_dump(mode="json"), status_code=201)

    documented: dict[str, Any] = {
        "status_code": 201, "response_model": UploadReceipt, "responses": REFUSALS, "openapi_extra": BODY_DOCS,
    }  # fmt: skip

    @router.post("/v1/batches", summary="Hand over documents", **documented)
    async def post(
        request: Request,
        domain: Annotated[Domain, Query(description="The domain that the documents belong to, e.g. law")],
        document_id: DocumentId = None,
        strict: Strict = False,  # noqa: FBT002 (a query parameter)
    ) -> Response:
        """Keep what can be taken of a body of any size, in batches of 10,000 documents; what cannot is left out and listed.

        The receipt comes when all of it is durable. The same documents again add nothing.
        """
        return await take(request, domain, document_id, strict=strict)

    @router.post("/v1/domains/{domain}/batches", summary="Hand over documents of a domain", **documented)
    async def post_to_domain(
        request: Request,
        domain: Annotated[Domain, Path(description="The domain that the documents belong to, e.g. law")],
        document_id: DocumentId = None,
        strict: Strict = False,  # noqa: FBT002 (a query parameter)
    ) -> Response:
        """The same as `POST /v1/batches?domain=...`."""
        return await take(request, domain, document_id, strict=strict)

    return router


def _check_size(content_length: str | None, reader: Reader, limits: UploadLimits) -> None:
    """Refuse what says that it is too large, before it is sent.

    Raises:
        RequestRefused: 413.
        StorageFull: There is no space for it.
    """
    if content_length is None or not content_length.isdecimal():
        return
    num_bytes = int(content_length)
    if num_bytes > limits.max_bytes:
        raise too_large(limits.max_bytes)
    if num_bytes > SPARE_BYTES and reader.folder.is_dir():
        free = shutil.disk_usage(reader.folder).free
        if num_bytes + SPARE_BYTES > free:
            raise StorageFull(
                f"the upload has {num_bytes:,} bytes, and the disk of the state directory {free:,} free",
                next_step="free space there, or send it in parts; nothing was taken",
            )
