"""Sticky routing with exact weights: a user's bucket is a hash, a bundle owns a range of buckets.

No cookie and no table of users: the same user stays on the same side while the weights stand, and when a candidate's share
grows, users only move to it. The hash is salted with the newest bundle's digest, so that each rollout tries other users.
"""

import hashlib
from collections.abc import Collection, Sequence

from contracts.envelope import Digest
from contracts.release import Route

NUM_BUCKETS = 10_000
BUCKETS_PER_PERCENT = NUM_BUCKETS // 100


def bucket_of(user: str, *, salt: str) -> int:
    """Return the user's bucket, 0 to 9,999, evenly spread over users.

    Source: first 8 bytes of SHA-256 over salt and user, modulo 10,000; the bias of the modulo is below 1e-15.
    """
    digest = hashlib.sha256(f"{salt}\x00{user}".encode()).digest()
    return int.from_bytes(digest[:8]) % NUM_BUCKETS


def pick_bundle(routes: Sequence[Route], user: str) -> Digest | None:
    """Return the bundle that answers `user`, or None where nothing is routed.

    Args:
        routes: The baseline first, the newest last; weights sum to 100.
        user: Any stable name.
    """
    if not routes:
        return None
    bucket = bucket_of(user, salt=routes[-1].bundle_digest)
    # The newest owns the lowest buckets: when its share grows, its users stay.
    for route in reversed(routes):
        bucket -= route.weight_percent * BUCKETS_PER_PERCENT
        if bucket < 0:
            return route.bundle_digest
    return routes[0].bundle_digest


def servable_routes(
    wanted: Sequence[Route], loaded: Collection[Digest], *, present: Sequence[Route]
) -> tuple[Route, ...]:
    """Return the routes that a gateway can follow now.

    All wanted ones, if all their bundles are loaded. Otherwise those at present, if they can still be served, and else whatever
    of the wanted ones is loaded, in the same proportions.

    Example:
        Wanted a 100 where only b is loaded and routed: b goes on until a is there.
    """
    if all(route.bundle_digest in loaded for route in wanted):
        return tuple(wanted)
    if present and all(route.bundle_digest in loaded for route in present):
        return tuple(present)
    return _scaled([route for route in wanted if route.bundle_digest in loaded])


def _scaled(routes: Sequence[Route]) -> tuple[Route, ...]:
    total = sum(route.weight_percent for route in routes)
    if not total:
        return ()
    scaled = [route.model_copy(update={"weight_percent": route.weight_percent * 100 // total}) for route in routes]
    rest = 100 - sum(route.weight_percent for route in scaled)
    first = scaled[0].model_copy(update={"weight_percent": scaled[0].weight_percent + rest})
    return (first, *scaled[1:])
