"""Which domains a member of a consumer group has at present."""

from aiokafka import ConsumerRebalanceListener
from aiokafka.partitioner import murmur2
from aiokafka.structs import TopicPartition

from contracts.envelope import Domain
from contracts.topics import NUM_PARTITIONS

OWN_EVERY = 3
"""Every other partition gets so many events of a topic that is spread for one that the domain's own gets."""


def partition_of(domain: Domain) -> int:
    """Return the partition that Kafka's default partitioner puts a domain's events in, on every topic that is not spread."""
    return int(murmur2(domain.encode()) & 0x7FFFFFFF) % NUM_PARTITIONS


def partition_in_turn(domain: Domain, turn: int) -> int:
    """Return the partition of a domain's next event on a topic that is spread: all others in turn, and the domain's own seldom.

    The member that has the domain's own partition also has the work that cannot be shared. In equal shares the others would wait
    for it at the end; so, of two members with two partitions each, it gets four of ten events.

    Args:
        domain: The event's.
        turn: How many events of this domain its sender has spread before.
    """
    others, place = NUM_PARTITIONS - 1, turn % (OWN_EVERY * (NUM_PARTITIONS - 1) + 1)
    return (partition_of(domain) + (1 + place % others if place < OWN_EVERY * others else 0)) % NUM_PARTITIONS


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Remembers whether the group has been joined, and what this member has of it.

    Attributes:
        is_settled: The group has spoken and does not move partitions now.
        num_assignments: Counts them.
    """

    def __init__(self) -> None:
        self.joined = False
        self.is_settled = False
        self.num_assignments = 0
        self.partitions: frozenset[int] = frozenset()

    def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Partitions are moving: until the group has spoken, this member has none."""
        self.partitions = frozenset()
        self.is_settled = False

    def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """The group has spoken; a standby may have got none."""
        self.joined = self.is_settled = True
        self.num_assignments += 1
        self.partitions = frozenset(place.partition for place in assigned)
