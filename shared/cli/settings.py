"""Where the mesh is that commands talk to, where it is not the one of the state directory: Docker Compose, Kubernetes."""

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.cli.errors import ArgumentRefused
from shared.settings import Group

BaseUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+")]


class MeshUrls(Group):
    """Base URLs of the daemons that commands talk to, e.g. http://127.0.0.1:8080."""

    ingest: BaseUrl | None = None
    """Base URL for `plumb ingest`. Once one of these is set, commands look for no mesh in the state directory."""
    cleaner: BaseUrl | None = None
    """Base URL for `plumb corpus`."""
    tokenizer_builder: BaseUrl | None = None
    """Base URL for `plumb lexicon` and `plumb vectors`."""
    release_manager: BaseUrl | None = None
    """Base URL for `plumb rollback`."""
    inference_gateway: BaseUrl | None = None
    """Base URL for `plumb ask`."""
    monitor: BaseUrl | None = None
    """Base URL for `plumb status`, `plumb why` and `plumb train now`."""

    def by_name(self) -> dict[str, str]:
        """Return what is set, by the daemon's name, without a slash at the end."""
        return {name.replace("_", "-"): url.rstrip("/") for name, url in self.model_dump(exclude_none=True).items()}


class BrokerAddress(Group):
    """Where the Kafka of a mesh is that was started elsewhere."""

    # Its other settings concern the daemons.
    model_config = ConfigDict(frozen=True, extra="ignore")

    bootstrap_servers: str = "127.0.0.1:9092"
    """That mesh's Kafka, comma-separated host:port, for `plumb demo`."""


class MeshSettings(BaseSettings):
    """What a user may say of a mesh that was started elsewhere."""

    model_config = SettingsConfigDict(
        env_prefix="PLUMBLINE_", env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    urls: MeshUrls = MeshUrls()
    kafka: BrokerAddress = BrokerAddress()
    operator_token: SecretStr | None = None
    """Sent by `plumb rollback` and `plumb demo`; else the file `plumbline_operator_token` of the secrets folder is read."""
    secrets_dir: Path | None = None
    """A folder of secrets, a file each, named like their variables in small letters."""


def mesh_settings() -> MeshSettings:
    """Return the settings of this process's environment and of the secrets folder that it names.

    Raises:
        ArgumentRefused: One of them is wrong.
    """
    try:
        settings = MeshSettings()
        if settings.secrets_dir and settings.secrets_dir.is_dir():
            return MeshSettings(_secrets_dir=settings.secrets_dir)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        name = "PLUMBLINE_" + "__".join(str(part).upper() for part in first["loc"])
        raise ArgumentRefused(f"{name}: {first['msg']}", next_step="Correct or unset it.") from error
    return settings
