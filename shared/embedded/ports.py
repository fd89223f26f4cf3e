"""Free ports for the mesh's processes."""

import random
import socket
from collections.abc import Callable, Iterable, Mapping

from shared.embedded.errors import PortTaken

LOOPBACK = "127.0.0.1"
PORT_RANGE = range(20_000, 30_000)
"""Below what Linux (32768) and macOS (49152) give to outgoing connections: one could take a restarting daemon's port."""


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(
    names: Iterable[str],
    *,
    fixed: Mapping[str, int],
    former: Mapping[str, int],
    rng: random.Random,
    free: Callable[[int], bool] = is_free,
) -> dict[str, int]:
    """Give each name a port: the fixed one, else its former one where that is free, else any free one.

    Raises:
        PortTaken: A fixed port is in use.
    """
    chosen: dict[str, int] = {}
    for name in sorted(names, key=lambda name: name not in fixed):
        if name in fixed:
            chosen[name] = _fixed_port(name, fixed[name], free)
            continue
        candidates = [former[name]] if name in former else []
        candidates += rng.sample(PORT_RANGE, k=100)
        chosen[name] = next(port for port in candidates if port not in chosen.values() and free(port))
    return chosen


def _fixed_port(name: str, port: int, free: Callable[[int], bool]) -> int:
    if not free(port):
        raise PortTaken(
            f"Port {port} on {LOOPBACK}, set for {name}, is in use.",
            next_step="Choose another one, or none for a free one, or end the process that listens there.",
        )
    return port
