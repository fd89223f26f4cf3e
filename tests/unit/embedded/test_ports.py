import random
import socket

import pytest

from shared.embedded.errors import PortTaken
from shared.embedded.ports import LOOPBACK, PORT_RANGE, choose_ports, is_free

NAMES = ("broker", "cache", "inference-gateway")


def test_ports_differ_and_lie_below_the_ephemeral_range() -> None:
    ports = choose_ports(NAMES, fixed={}, former={}, rng=random.Random(7))
    assert set(ports) == set(NAMES)
    assert len(set(ports.values())) == 3
    assert all(port in PORT_RANGE for port in ports.values())


def test_former_ports_are_kept_where_they_are_free() -> None:
    former = {"broker": 20_001, "cache": 20_002, "inference-gateway": 20_003}
    ports = choose_ports(NAMES, fixed={}, former=former, rng=random.Random(7), free=lambda port: port != 20_002)
    assert (ports["broker"], ports["inference-gateway"]) == (20_001, 20_003)
    assert ports["cache"] not in former.values()


def test_a_fixed_port_goes_before_another_names_former_one() -> None:
    ports = choose_ports(NAMES, fixed={"inference-gateway": 20_001}, former={"broker": 20_001}, rng=random.Random(7))
    assert ports["inference-gateway"] == 20_001
    assert ports["broker"] != 20_001


def test_a_fixed_port_in_use_is_refused_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortTaken, match=f"Port {port}") as refused:
            choose_ports(NAMES, fixed={"cache": port}, former={}, rng=random.Random(7))
    assert refused.value.next_step
