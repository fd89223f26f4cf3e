"""What people say of a domain's terms and see of its tokenizer, over HTTP."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request

from contracts.envelope import Domain
from contracts.lexicon import MAX_LEXICON_BYTES, LexiconAdded, LexiconDecision, LexiconEntry, LexiconListing
from contracts.tokenizers import TokenizerReport
from services.tokenizer_builder.core.lexicon import Lexicon, LexiconState, known_of, listed
from services.tokenizer_builder.core.lexicon_files import parsed
from services.tokenizer_builder.lexicons import change_lexicon, read_lexicon, read_lexicon_state, read_report
from shared.artifacts import ArtifactStore
from shared.daemon import check_operator
from shared.errors import RequestRefused
from shared.settings import OperatorSettings

MAX_LISTED = 20_000
BODY_DOCS = {
    "requestBody": {
        "required": True,
        "description": "One term a line: plain, `word freq tag`, `term<TAB>df`, CSV, or a JSON object; or a JSON list.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}

Authorization = Annotated[str | None, Header()]
Status = Literal["accepted", "waiting", "proposed", "filtered", "rejected"]


def routes(store: ArtifactStore, *, operator: OperatorSettings) -> APIRouter:
    """Return the tokenizer-builder's endpoints."""
    router = APIRouter(prefix="/v1/domains/{domain}", tags=["lexicon"])

    @router.get("/lexicon", summary="The terms of a domain, and what became of each")
    async def lexicon(
        domain: Domain, status: Status | None = None, limit: Annotated[int, Query(ge=0, le=MAX_LISTED)] = 100
    ) -> LexiconListing:
        return await asyncio.to_thread(_listing, store, domain, status, limit)

    @router.post("/lexicon/terms", summary="Add terms; they count from the next tokenizer on", openapi_extra=BODY_DOCS)
    async def add(domain: Domain, request: Request, authorization: Authorization = None) -> LexiconAdded:
        check_operator(operator, authorization)
        return await asyncio.to_thread(_add, store, domain, await _body(request))

    @router.post("/lexicon/decisions", summary="Accept or reject a term")
    async def decide(domain: Domain, request: LexiconDecision, authorization: Authorization = None) -> LexiconEntry:
        check_operator(operator, authorization)
        return await asyncio.to_thread(_decide, store, domain, request)

    @router.get("/tokenizer-report", summary="What is told of the domain's last tokenizer")
    async def report(domain: Domain) -> TokenizerReport:
        return await asyncio.to_thread(_report, store, domain)

    return router


async def _body(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        RequestRefused: It is too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_LEXICON_BYTES:
            raise RequestRefused(
                413, "lexicon-too-large", "The file of terms is too large", f"at most {MAX_LEXICON_BYTES:,} bytes are read",
                next_step="send it in parts; terms that are there already stay",
            )  # fmt: skip
    return bytes(body)


def _listing(store: ArtifactStore, domain: Domain, status: Status | None, limit: int) -> LexiconListing:
    state = read_lexicon_state(store, domain)
    return listed(domain, state, _version(store, state), status=status, limit=limit)


def _version(store: ArtifactStore, state: LexiconState) -> Lexicon | None:
    return read_lexicon(store, state.version_digest) if state.version_digest else None


def _add(store: ArtifactStore, domain: Domain, file: bytes) -> LexiconAdded:
    terms = parsed(file)
    before, after = change_lexicon(store, domain, lambda state: state.with_terms(terms))
    return LexiconAdded(num_terms=len(terms), num_new=len(after.decisions) - len(before.decisions))


def _decide(store: ArtifactStore, domain: Domain, request: LexiconDecision) -> LexiconEntry:
    decision: Literal["accepted", "rejected"] = "accepted" if request.decision == "accept" else "rejected"

    def change(state: LexiconState) -> LexiconState:
        return state.with_decision(request.term, decision)

    _, state = change_lexicon(store, domain, change)
    return known_of(state, _version(store, state))[request.term]


def _report(store: ArtifactStore, domain: Domain) -> TokenizerReport:
    digest = read_lexicon_state(store, domain).report_digest
    if digest is None:
        raise RequestRefused(
            404, "no-tokenizer", "No tokenizer yet", f"no tokenizer was fitted in the domain {domain}",
            next_step="send documents with `plumb ingest`; see how far it is with `plumb status`",
        )  # fmt: skip
    return read_report(store, digest)
