"""What the acts of the story share: the mesh's addresses, what watches it, and the record of what was proved."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import httpx
from aiokafka import AIOKafkaProducer

from contracts import topics
from contracts.api import (
    Accepted,
    BatchReceipt,
    ClassifyAnswer,
    ClassifyRequest,
    Fault,
    FaultRequest,
    TrainNowRequest,
    Why,
)
from contracts.corpus import Document, DocumentsSubmitted
from contracts.envelope import Domain, derived_id
from shared.cli.client import answer_of, check
from shared.cli.target import Target
from shared.demo.load import Load
from shared.demo.report import Proof, Step
from shared.demo.screen import Screen
from shared.demo.settings import DOCUMENTS_PER_MESSAGE, DOCUMENTS_PER_UPLOAD
from shared.demo.statutes import Statutes
from shared.demo.tail import EventTail, Seen
from shared.demo.watch import WeightWatch
from shared.messages import cloudevent_headers

NDJSON = "application/x-ndjson"
SUBMISSIONS = UUID("5a0d1f3e-6a4b-4b52-9d0c-6f6d6f1c8a10")
"""The namespace of the demo's own event ids."""


@dataclass(kw_only=True)
class Stage:
    """The demo's hands and eyes.

    Attributes:
        http: A client without a base URL.
        domain: Whose story is played; it had none before.
    """

    mesh: Target
    http: httpx.AsyncClient
    tail: EventTail
    watch: WeightWatch
    load: Load
    screen: Screen
    statutes: Statutes
    domain: Domain
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=monotonic)
    steps: list[Step] = field(default_factory=list)

    def step(self, name: str, proofs: Sequence[Seen], *, began: float, answer_ids: Sequence[str] = ()) -> None:
        """Note that a step is done, with what proves it."""
        duration_s = monotonic() - began
        step = Step(
            name=name,
            ended_at=datetime.now(UTC),
            duration_s=duration_s,
            proofs=tuple(_proof(seen) for seen in proofs),
            answer_ids=tuple(answer_ids),
        )
        self.steps.append(step)
        self.screen.say(f"[bold green]done[/] {name} [dim]in {duration_s:.1f} s[/]")

    # ---- the APIs that the story uses

    async def upload(self, documents: Sequence[Document]) -> list[BatchReceipt]:
        """Send documents through the ingest API, in batches."""
        url = f"{self.mesh.url('ingest')}/v1/domains/{self.domain}/batches"
        receipts = []
        for part in _parts(documents, DOCUMENTS_PER_UPLOAD):
            body = "\n".join(document.model_dump_json(exclude_none=True) for document in part)
            response = await self.http.post(url, content=body.encode(), headers={"content-type": NDJSON})
            receipts.append(answer_of(response, BatchReceipt))
        return receipts

    async def produce(self, documents: Sequence[Document]) -> list[DocumentsSubmitted]:
        """Produce documents to Kafka, as a user's system would; return the events."""
        events = [self._submission(part) for part in _parts(documents, DOCUMENTS_PER_MESSAGE)]
        producer = AIOKafkaProducer(bootstrap_servers=self.mesh.bootstrap_servers)
        await producer.start()
        try:
            for event in events:
                headers = cloudevent_headers(topics.DOCUMENTS_SUBMITTED, event, service="demo")
                await producer.send_and_wait(
                    topics.DOCUMENTS_SUBMITTED.name,
                    event.model_dump_json(exclude_none=True).encode(),
                    key=event.domain.encode(),
                    headers=[(name, value.encode()) for name, value in headers.items()],
                )
        finally:
            await producer.stop()
        return events

    async def train_now(self, request: TrainNowRequest) -> Accepted:
        """Ask for a corpus version now."""
        url = f"{self.mesh.url('monitor')}/v1/training-requests"
        response = await self.http.post(url, json=request.model_dump(mode="json"), headers=self.mesh.as_operator())
        return answer_of(response, Accepted)

    async def classify(self, text: str, *, user: str) -> ClassifyAnswer:
        """Ask the gateway."""
        request = ClassifyRequest(text=text, user=user, domain=self.domain)
        response = await self.http.post(f"{self._gateway}/v1/classify", json=request.model_dump())
        return answer_of(response, ClassifyAnswer)

    async def arm(self, request: FaultRequest) -> Fault:
        """Make a bundle slow."""
        response = await self.http.post(
            f"{self._gateway}/v1/operator/faults", json=request.model_dump(), headers=self.mesh.as_operator()
        )
        return answer_of(response, Fault)

    async def fault(self, digest: str) -> Fault:
        """Return a bundle's fault as the gateway knows it."""
        response = await self.http.get(f"{self._gateway}/v1/operator/faults", headers=self.mesh.as_operator())
        check(response)
        faults = [Fault.model_validate(fault) for fault in response.json()]
        return next(fault for fault in faults if fault.bundle_digest == digest)

    async def why(self, subject: str) -> Why:
        """Walk from an answer back to its data."""
        response = await self.http.get(f"{self.mesh.url('monitor')}/v1/why/{subject}")
        return answer_of(response, Why)

    @property
    def _gateway(self) -> str:
        return self.mesh.url("inference-gateway")

    def _submission(self, documents: Sequence[Document]) -> DocumentsSubmitted:
        name = f"{self.began_at.isoformat()}:{documents[0].document_id}"
        return DocumentsSubmitted(
            event_id=derived_id(SUBMISSIONS, name),
            occurred_at=datetime.now(UTC),
            domain=self.domain,
            documents=tuple(documents),
        )


def _parts(documents: Sequence[Document], size: int) -> list[Sequence[Document]]:
    return [documents[start : start + size] for start in range(0, len(documents), size)]


def _proof(seen: Seen) -> Proof:
    return Proof(
        topic=seen.topic.name,
        event_id=seen.event.event_id,
        causation_id=seen.event.causation_id,
        occurred_at=seen.event.occurred_at,
        trace_id=seen.trace_id,
    )
