"""Resumable uploads over HTTP, after the IETF's draft "Resumable Uploads for HTTP"; a tus client's pieces are taken too.

POST makes one, PATCH appends from an offset, HEAD tells it, the last PATCH says `Upload-Complete: ?1` and gets the receipt.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from contracts.api import UploadReceipt, UploadStatus
from contracts.envelope import Domain
from services.ingest.api.batches import BODY_DOCS, REFUSALS, DocumentId, Strict
from services.ingest.api.bodies import Body, body_kind, refusal
from services.ingest.settings import UploadLimits
from services.ingest.uploads import Uploads
from shared.errors import PlumblineError, RequestRefused
from shared.problems import RESPONSE

PIECES = frozenset({"application/partial-upload", "application/offset+octet-stream"})
"""Media types of a piece: the draft's and tus 1.0's."""
YES, NO = "?1", "?0"
"""Booleans in structured headers (RFC 9651)."""

Offset = Annotated[int, Header(ge=0, description="Where the piece begins; the number of bytes that are there.")]


def routes(uploads: Uploads, limits: UploadLimits) -> APIRouter:
    """Return the endpoints of resumable uploads."""
    router = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses={404: RESPONSE})

    @router.post(
        "",
        status_code=201,
        summary="Begin an upload",
        response_class=Response,
        responses=REFUSALS,
        openapi_extra=BODY_DOCS,
    )
    async def create(
        request: Request,
        domain: Annotated[Domain, Query(description="The domain that the documents belong to, e.g. law")],
        document_id: DocumentId = None,
        strict: Strict = False,  # noqa: FBT002 (a query parameter)
    ) -> Response:
        """Make an upload; its Content-Type and Content-Encoding say what its pieces make together. A body is its first piece."""
        body, headers = Body(request.receive), request.headers
        try:
            kind = body_kind(
                headers.get("content-type", ""), headers.get("content-encoding", ""), document_id=document_id,
                strict=strict, path=request.url.path,
            )  # fmt: skip
            upload_id = uploads.create(domain, kind)
            offset = await uploads.append(upload_id, 0, body.chunks())
        except PlumblineError as error:
            return refusal(error, request.url.path, body)
        return Response(
            status_code=201,
            headers={"location": f"/v1/uploads/{upload_id}", **_told(offset, limits, is_complete=False)},
        )

    @router.head("/{upload_id}", status_code=204, summary="How many bytes are there")
    async def head(upload_id: UUID) -> Response:
        """Tell where the upload goes on. Whoever still sends to it is cut off."""
        offset = await uploads.offset(upload_id)
        is_complete = uploads.about(upload_id).is_complete
        return Response(status_code=204, headers=_told(offset, limits, is_complete=is_complete))

    @router.patch(
        "/{upload_id}", status_code=204, summary="Go on with an upload",
        responses={201: {"model": UploadReceipt, "description": "It is complete, and durable"}, 409: RESPONSE, **REFUSALS},
    )  # fmt: skip
    async def patch(
        upload_id: UUID,
        request: Request,
        upload_offset: Offset,
        upload_complete: Annotated[str, Header(pattern=r"^\?[01]$")] = NO,
    ) -> Response:
        """Append a piece; `Upload-Complete: ?1` says that it is the last one, and the answer is the receipt."""
        body = Body(request.receive)
        try:
            _check_piece(request.headers.get("content-type", ""))
            offset = await uploads.append(upload_id, upload_offset, body.chunks())
            if upload_complete == NO:
                is_complete = uploads.about(upload_id).is_complete
                return Response(status_code=204, headers=_told(offset, limits, is_complete=is_complete))
            receipt = await uploads.complete(upload_id)
        except PlumblineError as error:
            return refusal(error, request.url.path, body)
        return JSONResponse(
            receipt.model_dump(mode="json"), status_code=201, headers=_told(offset, limits, is_complete=True)
        )

    @router.get("/{upload_id}", summary="How far an upload is")
    async def get(upload_id: UUID) -> UploadStatus:
        return uploads.status(upload_id)

    @router.delete("/{upload_id}", status_code=204, summary="Give an upload up")
    async def delete(upload_id: UUID) -> Response:
        await uploads.remove(upload_id)
        return Response(status_code=204)

    return router


def _check_piece(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() not in PIECES:
        raise RequestRefused(
            415, "not-a-piece", "The body is no piece of an upload", f"content-type is {content_type!r}",
            next_step=f"send it as {min(PIECES, key=len)}",
        )  # fmt: skip


def _told(offset: int, limits: UploadLimits, *, is_complete: bool) -> dict[str, str]:
    return {
        "upload-offset": str(offset),
        "upload-complete": YES if is_complete else NO,
        "upload-limit": f"max-size={limits.max_bytes}, max-age={limits.expire_s:.0f}",
        "cache-control": "no-store",
    }
