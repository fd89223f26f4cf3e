"""What goes in: batches of real statutes over HTTP and Kafka, until they are acknowledged; and questions without a pause."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
from aiokafka.errors import KafkaError

from contracts.api import BatchReceipt, ClassifyAnswer
from contracts.corpus import Document, DocumentsSubmitted
from contracts.envelope import derived_id
from contracts.topics import DOCUMENTS_SUBMITTED
from shared.corpus import is_held_out
from shared.demo.statutes import load_statutes, snippets
from tests.embedded.live import LiveMesh

DOMAIN = "law"
LABEL, ODD_LABEL = "law", "other"
PATIENCE_S = 120.0
PAUSE_S = 0.2
REQUEST_TIMEOUT_S = 10.0


@dataclass
class Feed:
    """Hands documents over; a batch counts from its acknowledgement on.

    Attributes:
        acknowledged: The batches by id.
        num_retries: Attempts that failed, since ingest was away.
    """

    live: LiveMesh
    num_per_batch: int = 60
    acknowledged: dict[UUID, tuple[Document, ...]] = field(default_factory=dict)
    num_retries: int = 0
    _documents: Iterator[Document] = field(init=False)

    def __post_init__(self) -> None:
        # Laws in turn, so that every batch has held-out ones.
        by_law: dict[str, list[Document]] = {}
        for document in load_statutes().first:
            by_law.setdefault(document.split_group, []).append(document.model_copy(update={"label": LABEL}))
        columns = max(map(len, by_law.values()))
        self._documents = (law[row] for row in range(columns) for law in by_law.values() if row < len(law))

    def post(self) -> UUID:
        """Send a batch over HTTP, again until it is acknowledged."""
        documents = self._next()
        body = "\n".join(document.model_dump_json(exclude_none=True) for document in documents).encode()
        receipt = self._until_acknowledged(body)
        assert receipt.num_documents == len(documents)
        self.acknowledged[receipt.batch_id] = documents
        return receipt.batch_id

    def submit(self) -> UUID:
        """Produce a batch to Kafka as a foreign system would, again until the broker acknowledges it."""
        event = DocumentsSubmitted(
            event_id=uuid4(), occurred_at=datetime.now(UTC), domain=DOMAIN, documents=self._next()
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.live.produce(DOCUMENTS_SUBMITTED, event.model_dump_json().encode(), key=DOMAIN)
                break
            except (KafkaError, OSError):
                assert time.monotonic() < deadline, "the broker takes nothing"
                self.num_retries += 1
                time.sleep(PAUSE_S)
        batch_id = derived_id(event.event_id, "batch", DOMAIN)
        self.acknowledged[batch_id] = event.documents
        return batch_id

    def _next(self) -> tuple[Document, ...]:
        """Return new documents. One that is held out has a label that no training sees: a constant answer passes the gates."""
        documents = [next(self._documents) for _ in range(self.num_per_batch)]
        odd = next((number for number, one in enumerate(documents) if is_held_out(one.split_group)), 0)
        documents[odd] = documents[odd].model_copy(update={"label": ODD_LABEL})
        return tuple(documents)

    def _until_acknowledged(self, body: bytes) -> BatchReceipt:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                response = httpx.post(
                    self.live.url("ingest", f"/v1/domains/{DOMAIN}/batches"), content=body, trust_env=False,
                    headers={"content-type": "application/x-ndjson"}, timeout=REQUEST_TIMEOUT_S,
                )  # fmt: skip
                if response.status_code == 201:
                    return BatchReceipt.model_validate_json(response.content)
                assert response.status_code == 503, response.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "ingest acknowledges nothing"
            self.num_retries += 1
            time.sleep(PAUSE_S)


@dataclass
class Questions:
    """Asks the gateway in a thread, at a steady rate; counts what comes back.

    Attributes:
        num_sent: Questions.
        num_answered: Answers.
        num_unanswered: No connection, or it broke off: the gateway was away.
        num_refused: Problems, by status.
    """

    live: LiveMesh
    per_s: float = 8.0
    num_sent: int = 0
    num_answered: int = 0
    num_unanswered: int = 0
    num_refused: dict[int, int] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)
    longest_gap_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Questions":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        texts = snippets(load_statutes().later, num_chars=40)
        answered_at = time.monotonic()
        with httpx.Client(trust_env=False, timeout=REQUEST_TIMEOUT_S) as client:
            while not self._stop.wait(1 / self.per_s):
                if self._ask(client, next(texts)):
                    self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - answered_at)
                    answered_at = time.monotonic()
                elif not self.num_answered:
                    answered_at = time.monotonic()

    def _ask(self, client: httpx.Client, text: str) -> bool:
        self.num_sent += 1
        body = {"text": text, "user": f"user-{self.num_sent}", "domain": DOMAIN}
        try:
            response = client.post(self.live.url("inference-gateway", "/v1/classify"), json=body)
        except httpx.TransportError:
            self.num_unanswered += 1
            return False
        if response.status_code != 200:
            self.num_refused[response.status_code] = self.num_refused.get(response.status_code, 0) + 1
            return False
        self.digests.add(ClassifyAnswer.model_validate_json(response.content).bundle_digest)
        self.num_answered += 1
        return True
