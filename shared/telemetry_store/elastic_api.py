"""The few calls of Elasticsearch that the store makes: each ends within a bounded time, with an answer or one of our errors."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError, TransportError

from shared.errors import PermanentError
from shared.telemetry_store.bulk import Item
from shared.telemetry_store.records import StoreUnavailable

_LACK_OF_RIGHTS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CAN_PASS = _LACK_OF_RIGHTS | {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}


class StoreRefused(PermanentError):
    """Elasticsearch refuses a whole request for what it says; asking again cannot help."""


class RequestTooLarge(StoreRefused):
    """A request is larger than Elasticsearch, or what stands before it, takes."""


class Stream(NamedTuple):
    """A data stream and the indices behind it, the one that is written to last."""

    name: str
    indices: tuple[str, ...]


class ElasticsearchApi:
    """Calls one cluster."""

    def __init__(self, url: str, *, api_key: str | None, timeout_s: float) -> None:
        parts = urlsplit(url)
        # A name and a password may stand in it.
        self._url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._timeout_s = timeout_s
        self._client = AsyncElasticsearch(
            url, api_key=api_key, request_timeout=timeout_s, max_retries=0, retry_on_timeout=False
        )

    async def bulk(self, items: Sequence[Item]) -> Mapping[str, Any]:
        """Send items; return the answer, which says for each what became of it."""
        lines: list[Any] = [item.lines for item in items]
        async with self._asking():
            answer = await self._client.bulk(operations=lines)
        return dict(answer)

    async def search(self, index: str, **asked: Any) -> Mapping[str, Any]:  # noqa: ANN401 (the body of a search)
        """Search in all streams that match, also in none; all of them must answer."""
        async with self._asking():
            found = await self._client.search(
                index=index, ignore_unavailable=True, allow_no_indices=True, allow_partial_search_results=False, **asked
            )
        return dict(found)

    async def refresh(self, index: str) -> None:
        """Let searches find what was written."""
        async with self._asking():
            await self._client.indices.refresh(index=index, ignore_unavailable=True, allow_no_indices=True)

    async def count(self, index: str) -> int:
        """Return how many documents there are; in a stream that is gone, none."""
        async with self._asking():
            answer = await self._client.count(index=index, ignore_unavailable=True, allow_no_indices=True)
        return int(answer["count"])

    async def template_version(self, name: str) -> int | None:
        """Return the version of an index template, or None where there is none."""
        async with self._asking():
            try:
                answer = await self._client.indices.get_index_template(name=name)
            except NotFoundError:
                return None
        return int(answer["index_templates"][0]["index_template"].get("version", 0))

    async def put_template(self, name: str, template: Mapping[str, Any]) -> None:
        """Install an index template."""
        async with self._asking():
            await self._client.indices.put_index_template(name=name, **template)

    async def streams(self, pattern: str) -> list[Stream]:
        """Return the data streams whose names match."""
        async with self._asking():
            answer = await self._client.indices.resolve_index(name=pattern)
        return [Stream(one["name"], tuple(one["backing_indices"])) for one in answer["data_streams"]]

    async def delete_stream(self, stream: Stream, *, is_empty: bool) -> None:
        """Delete a data stream; one that another monitor deleted is gone as well.

        On a server without that call its documents go, and the empty stream stays.
        """
        async with self._asking():
            try:
                await self._client.indices.delete_data_stream(name=stream.name)
            except NotFoundError:
                return
            except ApiError as error:
                if error.meta.status != HTTPStatus.METHOD_NOT_ALLOWED:
                    raise
                if not is_empty:
                    await self._client.indices.rollover(alias=stream.name)
                    await self._client.indices.delete(index=",".join(stream.indices))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Turn what goes wrong into our errors, and end what takes too long.

        Raises:
            StoreUnavailable: Asking again can help.
            StoreRefused: It cannot.
        """
        try:
            async with asyncio.timeout(2 * self._timeout_s):
                yield
        except (TransportError, TimeoutError) as error:
            raise self._unavailable(repr(error)) from error
        except ApiError as error:
            raise self._error_of(error) from error

    def _error_of(self, error: ApiError) -> Exception:
        status = error.meta.status
        said = f"{status} {error}"
        if status in _LACK_OF_RIGHTS:
            return self._unavailable(
                said, next_step="see that PLUMBLINE_STORE__API_KEY may manage and write its indices"
            )
        if status in _CAN_PASS or status >= HTTPStatus.INTERNAL_SERVER_ERROR or status < HTTPStatus.BAD_REQUEST:
            return self._unavailable(said)
        kind = RequestTooLarge if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else StoreRefused
        return kind(f"Elasticsearch at {self._url} refuses a request: {said[:500]}")

    def _unavailable(
        self, reason: str, *, next_step: str = "see that Elasticsearch runs and has room"
    ) -> StoreUnavailable:
        return StoreUnavailable(f"Elasticsearch at {self._url} cannot be used: {reason[:500]}", next_step=next_step)
