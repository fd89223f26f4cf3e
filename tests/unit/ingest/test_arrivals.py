from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.corpus import Document, DocumentsSubmitted
from services.ingest.core.arrivals import submitted, upload_id_of, uploaded
from services.ingest.core.records import Record

NOW = datetime(2025, 6, 1, tzinfo=UTC)
ONE, OTHER = Record(document_id="a", text="甲"), Record(document_id="b", text="b")


def submission(event_id: int = 1) -> DocumentsSubmitted:
    documents = (Document(document_id="a", text="甲"),)
    return DocumentsSubmitted(event_id=UUID(int=event_id), occurred_at=NOW, domain="law", documents=documents)


def test_the_same_upload_is_the_same_batch_and_event():
    first, again = uploaded("law", (ONE, OTHER), NOW), uploaded("law", (ONE, OTHER), NOW + timedelta(days=1))
    assert (first.batch_id, first.event_id) == (again.batch_id, again.event_id)
    others = [uploaded("law", (OTHER, ONE), NOW), uploaded("law", (ONE,), NOW), uploaded("medicine", (ONE, OTHER), NOW)]
    assert len({arrival.batch_id for arrival in [first, *others]}) == 4


def test_a_batchs_id_never_changes_for_the_same_documents():
    """Pinned: an upload that is known already must not be taken for a new one by a later version."""
    document = Record(document_id="专利法/1", text="制定本法。", label="民法商法")
    assert str(uploaded("law", (document,), NOW).batch_id) == "14491d3a-efe8-509d-b0ab-cfe766760ebe"


def test_the_announcement_counts_documents_and_their_bytes():
    event = uploaded("law", (ONE, OTHER), NOW).announcement("0" * 64, num_refused=3)
    assert (event.num_documents, event.num_bytes, event.source, event.causation_id) == (2, 4, "http", None)
    assert event.num_refused_documents == 3


def test_the_same_event_is_the_same_batch_and_causes_the_announcement():
    first, again = submitted(submission(), [ONE], NOW), submitted(submission(), [ONE], NOW)
    assert first == again
    assert first.causation_id == UUID(int=1)
    assert first.batch_id != submitted(submission(2), [ONE], NOW).batch_id


def test_what_came_together_has_an_id_that_follows_from_its_batches():
    one, two = UUID(int=1), UUID(int=2)
    assert upload_id_of([one]) == one
    assert upload_id_of([one, two]) == upload_id_of([one, two]) != upload_id_of([two, one])
