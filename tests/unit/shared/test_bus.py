"""What the bus says of itself while a message is tried again."""

import pytest

from shared.bus import LASTING_ATTEMPTS, Waits
from shared.errors import InvalidEvent, StorageUnavailable


def test_a_transient_error_that_lasts_is_a_reason_to_be_unready() -> None:
    waits = Waits()
    for _ in range(LASTING_ATTEMPTS - 1):
        waits.after(ConnectionRefusedError("the registry is away"))
        assert waits.reason is None
    waits.after(ConnectionRefusedError("the registry is away"))
    assert waits.reason == "ConnectionRefusedError: the registry is away"
    waits.end()
    assert waits.reason is None


def test_storage_that_is_away_is_a_reason_at_once() -> None:
    waits = Waits()
    waits.after(StorageUnavailable("the bucket is away"))
    assert waits.reason == "StorageUnavailable: the bucket is away"


@pytest.mark.parametrize("error", [InvalidEvent("no"), KeyError("oops")])
def test_what_ends_as_a_dead_letter_is_no_longer_waited_for(error: Exception) -> None:
    waits = Waits()
    waits.after(StorageUnavailable("the bucket is away"))
    waits.after(error)
    assert waits.reason is None
