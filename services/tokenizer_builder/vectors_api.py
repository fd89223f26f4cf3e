"""What a domain's word vectors tell, over HTTP."""

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from contracts.envelope import Domain
from contracts.word_vectors import Drift, Synonyms, VectorsListing
from shared import vector_versions
from shared.artifacts import ArtifactStore
from shared.problems import RESPONSE

if TYPE_CHECKING:
    from services.tokenizer_builder.vector_reading import VectorReading

MAX_WORDS = 100
MAX_NEAREST = 100
MAX_LISTED = 1_000
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((404, 422), RESPONSE)

Words = Annotated[list[str], Query(min_length=1, max_length=MAX_WORDS)]
OptionalWords = Annotated[list[str] | None, Query(max_length=MAX_WORDS)]
Number = Annotated[int | None, Query(ge=1)]
Nearest = Annotated[int, Query(ge=1, le=MAX_NEAREST)]
Cosine = Annotated[float, Query(ge=-1, le=1)]
Limit = Annotated[int, Query(ge=1, le=MAX_LISTED)]
Occurrences = Annotated[int, Query(ge=1)]


def routes(store: ArtifactStore) -> APIRouter:
    """Return the endpoints."""
    router = APIRouter(prefix="/v1/domains/{domain}/word-vectors", tags=["word vectors"], responses=REFUSALS)

    @cache
    def reading() -> "VectorReading":
        # Here, since numpy costs a start a tenth of a second, and few ask.
        from services.tokenizer_builder.vector_reading import VectorReading  # noqa: PLC0415

        return VectorReading(store)

    @router.get("", summary="Which corpus versions have word vectors")
    async def versions(domain: Domain) -> VectorsListing:
        found = await asyncio.to_thread(vector_versions.versions_of, store, domain)
        return VectorsListing(versions=tuple(found))

    @router.get("/synonyms", summary="Words that may mean the same, for a person to judge")
    async def synonyms(
        domain: Domain, word: Words, number: Number = None, nearest: Nearest = 10, min_cosine: Cosine = 0.4
    ) -> Synonyms:
        return await asyncio.to_thread(lambda: reading().synonyms(domain, word, number, nearest, min_cosine))

    @router.get("/drift", summary="Words whose company changed from one corpus version to another")
    async def drift(
        domain: Domain,
        word: OptionalWords = None,
        before: Number = None,
        after: Number = None,
        min_count: Occurrences = 50,
        limit: Limit = 20,
    ) -> Drift:
        """Without numbers the last two versions; without words those that moved most, of which both know `min_count`."""
        return await asyncio.to_thread(lambda: reading().drift(domain, word, (before, after), min_count, limit))

    return router
