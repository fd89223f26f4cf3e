"""Rules inside single values, which a schema cannot say."""

import pytest
from pydantic import ValidationError

from contracts.corpus import Document
from contracts.monitoring import LatencyHistogram
from contracts.release import Phase


def test_a_histogram_has_one_count_more_than_bounds() -> None:
    assert LatencyHistogram(bounds_ms=(100.0, 300.0), counts=(1, 2, 3)).counts == (1, 2, 3)
    with pytest.raises(ValidationError, match="a histogram of 2 bounds has one count more, not 2"):
        LatencyHistogram(bounds_ms=(100.0, 300.0), counts=(1, 2))


def test_four_phases_end_a_rollout() -> None:
    final = {phase for phase in Phase if phase.is_final}
    assert final == {Phase.STABLE, Phase.ROLLED_BACK, Phase.INCONCLUSIVE, Phase.REFUSED}


@pytest.mark.parametrize(
    ("field", "value"), [("text", ""), ("text", "x" * 200_001), ("document_id", ""), ("label", "")]
)
def test_a_document_within_its_limits_is_taken_and_no_other(field: str, value: str) -> None:
    document = {"document_id": "note-1", "text": "x" * 200_000, "label": "a"}
    assert Document.model_validate(document).split_group == "note-1"
    with pytest.raises(ValidationError, match=field):
        Document.model_validate(document | {field: value})
