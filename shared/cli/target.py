"""The mesh that a command talks to: the one that settings name, else the one that runs in the state directory."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.cli.settings import MeshSettings, mesh_settings
from shared.embedded.control import running_mesh
from shared.embedded.errors import MeshNotRunning
from shared.embedded.layout import Layout, operator_token
from shared.embedded.record import MeshRecord


@dataclass(frozen=True, kw_only=True)
class Target:
    """A mesh's addresses.

    Attributes:
        urls: Base URLs by daemon; of a mesh that settings name, those that are set.
        bootstrap_servers: Its Kafka, comma-separated host:port.
        operator_token: Lets the operator through; None where it is not known.
        record: Its processes; None where no supervisor of this machine runs them.
    """

    urls: Mapping[str, str]
    bootstrap_servers: str
    operator_token: str | None
    record: MeshRecord | None

    def url(self, name: str) -> str:
        """Return a daemon's base URL.

        Raises:
            MeshNotRunning: It is not known.
        """
        if name not in self.urls:
            variable = f"PLUMBLINE_URLS__{name.upper().replace('-', '_')}"
            raise MeshNotRunning(
                f"The address of {name} is not known: {variable} is not set, while other PLUMBLINE_URLS__* are.",
                next_step=f"Set {variable}, or unset the others to use the mesh of the state directory.",
            )
        return self.urls[name]

    def as_operator(self) -> dict[str, str]:
        """Return the headers that let the operator through.

        Raises:
            MeshNotRunning: The token is not known.
        """
        if not self.operator_token:
            raise MeshNotRunning(
                "The operator's token is not known: neither PLUMBLINE_OPERATOR_TOKEN nor a file plumbline_operator_token in "
                "the folder PLUMBLINE_SECRETS_DIR.",
                next_step="Set one of the two; the mesh was started with the same.",
            )
        return {"authorization": f"Bearer {self.operator_token}"}


def target_of(layout: Layout) -> Target:
    """Return the mesh that settings name, else the one that runs in a state directory.

    Raises:
        MeshNotRunning: Settings name none, and none runs there.
        ArgumentRefused: A setting is wrong.
    """
    return named_target(mesh_settings()) or _embedded(layout)


def named_target(settings: MeshSettings) -> Target | None:
    """Return the mesh that settings name, None where they name none."""
    urls = settings.urls.by_name()
    if not urls:
        return None
    token = settings.operator_token.get_secret_value() if settings.operator_token else None
    return Target(urls=urls, bootstrap_servers=settings.kafka.bootstrap_servers, operator_token=token, record=None)


def embedded_target(record: MeshRecord, layout: Layout) -> Target:
    """Return the mesh of a record."""
    return Target(
        urls=record.urls, bootstrap_servers=record.bootstrap_servers, operator_token=operator_token(layout),
        record=record,
    )  # fmt: skip


def _embedded(layout: Layout) -> Target:
    return embedded_target(running_mesh(layout), layout)
