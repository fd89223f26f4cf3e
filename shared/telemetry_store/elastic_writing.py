"""Writing to Elasticsearch until every document is kept, was kept before, or is refused for what it holds."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from shared.clock import CautiousClock, Clock
from shared.telemetry_store import elastic_templates
from shared.telemetry_store.bulk import Item, Refusal, item_of, requests_of, verdict_of
from shared.telemetry_store.documents import Document
from shared.telemetry_store.elastic_api import ElasticsearchApi, RequestTooLarge
from shared.telemetry_store.records import StoreUnavailable
from shared.telemetry_store.streams import Kind, Kinds, has_expired, pattern_of_kind, stream_of

PAUSES_S = (0.1, 0.2, 0.4)
"""Between attempts at items that a busy server put off; after them the caller hears of it."""
MAX_SHOWN_CHARS = 2_000

log = logging.getLogger(__name__)


class Writer:
    """Creates documents in the streams of their days.

    Attributes:
        num_refused: Documents that can never be kept, since the start.
        num_expired: Documents that were older than they would be kept, since the start.
    """

    def __init__(self, api: ElasticsearchApi, kinds: Kinds, *, prefix: str, clock: Clock) -> None:
        self.num_refused = 0
        self.num_expired = 0
        self._api = api
        self._kinds = kinds
        self._prefix = prefix
        self._clock = clock
        self._expiry_clock = CautiousClock(clock)
        self._installed: set[Kind] = set()
        self._installing = asyncio.Lock()

    async def write(self, kind: Kind, documents: Sequence[Document]) -> None:
        """Keep documents.

        Raises:
            StoreUnavailable: Some may not be kept; all of them may be written again.
        """
        if not documents:
            return
        await self._install_template(kind)
        for request in requests_of(self._items(kind, documents)):
            await self._create(kind, request)

    def _items(self, kind: Kind, documents: Sequence[Document]) -> list[Item]:
        now, expiry_now = self._clock.now(), self._expiry_clock.now()
        kept = [document for document in documents if not has_expired(kind, document.time_ns, expiry_now)]
        if num_expired := len(documents) - len(kept):
            self.num_expired += num_expired
            log.warning("records not kept: older than their retention", extra={"num_records": num_expired})
        return [
            item_of(stream_of(self._prefix, kind, document.time_ns, now), document.id, document.fields)
            for document in kept
        ]

    async def _create(self, kind: Kind, items: Sequence[Item]) -> None:
        trouble = ""
        for pause_s in (0.0, *PAUSES_S):
            await asyncio.sleep(pause_s)
            try:
                verdict = verdict_of(items, await self._api.bulk(items))
            except RequestTooLarge as error:
                await self._create_parts(kind, items, error)
                return
            self._note(verdict.refused)
            if not verdict.unsure:
                return
            items, trouble = verdict.unsure, verdict.trouble
            if verdict.lacks_template:
                self._installed.discard(kind)
                await self._install_template(kind)
        msg = f"Elasticsearch has not kept {len(items)} documents yet: {trouble}"
        raise StoreUnavailable(msg, next_step="see that Elasticsearch runs and has room")

    async def _create_parts(self, kind: Kind, items: Sequence[Item], error: RequestTooLarge) -> None:
        if len(items) == 1:
            self._note([Refusal(items[0], str(error))])
            return
        half = len(items) // 2
        await self._create(kind, items[:half])
        await self._create(kind, items[half:])

    async def _install_template(self, kind: Kind) -> None:
        async with self._installing:
            if kind in self._installed:
                return
            name = f"{self._prefix}-{kind.name}"
            version = await self._api.template_version(name)
            if version is None or version < elastic_templates.VERSION:
                pattern = pattern_of_kind(self._prefix, kind)
                await self._api.put_template(name, elastic_templates.template(kind.name, pattern))
                log.info("index template installed", extra={"template": name})
            self._installed.add(kind)

    def _note(self, refusals: Sequence[Refusal]) -> None:
        if not refusals:
            return
        self.num_refused += len(refusals)
        # The documents themselves stand in the log only: one of each reason, since a defect would repeat.
        for reason, count in Counter(refusal.reason for refusal in refusals).items():
            first = next(refusal.item for refusal in refusals if refusal.reason == reason)
            shown = first.lines[:MAX_SHOWN_CHARS]
            log.error("records refused", extra={"reason": reason, "num_records": count, "first": shown})
