"""Faults for drills: an operator makes one bundle's answers slow, for a limited time. None is armed unless asked for."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from contracts.api import Fault, FaultRequest
from contracts.envelope import Digest

Faults = Mapping[Digest, Fault]


def armed(faults: Faults, request: FaultRequest, *, now: datetime) -> dict[Digest, Fault]:
    """Return the faults with one more; a second one for a bundle takes the first one's place."""
    fault = Fault(
        bundle_digest=request.bundle_digest,
        delay_ms=request.delay_ms,
        armed_at=now,
        expires_at=now + timedelta(seconds=request.for_s),
        first_answer_at=None,
    )
    return {**faults, request.bundle_digest: fault}


def delay_s(faults: Faults, digest: Digest, *, now: datetime) -> float:
    """Return by how many seconds an answer of this bundle is to be delayed; 0 without a fault or after its time."""
    fault = faults.get(digest)
    return fault.delay_ms / 1000 if fault and now < fault.expires_at else 0.0


def with_first_answer(faults: Faults, digest: Digest, *, now: datetime) -> Faults:
    """Return the faults with the time noted at which this one first slowed an answer."""
    fault = faults[digest]
    if fault.first_answer_at:
        return faults
    return {**faults, digest: fault.model_copy(update={"first_answer_at": now})}
