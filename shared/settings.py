"""The groups that daemons compose their settings of, read from `PLUMBLINE_*`, e.g. PLUMBLINE_KAFKA__BOOTSTRAP_SERVERS."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from shared.errors import SecretRefused


class Group(BaseModel):
    """A frozen group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Group):
    """Where the broker is."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Comma-separated host:port; the embedded mesh sets all addresses itself."""
    group_suffix: str = ""
    """Appended to group ids, so that tests stay apart."""


class RedisSettings(Group):
    """Where the cache is."""

    url: str = "redis://127.0.0.1:6379/0"
    """The cache; losing it costs speed only."""
    timeout_s: Annotated[float, Field(gt=0)] = 0.2
    """A cache that is slower than this is treated as absent."""


class ArtifactSettings(Group):
    """Where artifacts and refs are."""

    url: str
    """Where: file:///path, or s3://bucket/prefix with the `s3` extra installed."""


class TelemetrySettings(Group):
    """How telemetry leaves a daemon."""

    enabled: bool = True
    """Off: spans, metrics and logs go nowhere, and the monitor has nothing to judge by."""
    buffer_items: Annotated[int, Field(gt=0)] = 20_000
    """Spans and log records held in memory until the next flush; beyond it the oldest are dropped and counted."""
    spool_bytes: Annotated[int, Field(ge=2**20)] = 256 * 2**20
    """Telemetry kept on disk, in the state folder, while the broker is away; beyond it the oldest is dropped and counted."""
    flush_interval_s: Annotated[float, Field(gt=0)] = 0.25
    """How often spans and log records are sent: so much of them may a kill cost."""
    metric_interval_s: Annotated[float, Field(gt=0)] = 1.0
    """How often metrics are read and sent; alerts are decided once a second."""


class DaemonSettings(BaseSettings):
    """What every daemon is told."""

    model_config = SettingsConfigDict(
        env_prefix="PLUMBLINE_", env_nested_delimiter="__", frozen=True, extra="ignore", populate_by_name=True
    )

    state_dir: Path
    """A folder of the daemon's own: scratch space, checkpoints, keyed stores."""
    artifacts: ArtifactSettings
    kafka: KafkaSettings = KafkaSettings()
    telemetry: TelemetrySettings = TelemetrySettings()


class SecretSettings(BaseSettings):
    """The base of groups that hold secrets: each is a file of the folder, named like its variable in lower case.

    An environment variable wins over its file. Secrets have no default: what needs one that is absent is refused.
    """

    # The delimiter is said again, since a daemon that inherits from both groups takes the last one's configuration.
    model_config = SettingsConfigDict(
        env_prefix="PLUMBLINE_", env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    secrets_dir: Path | None = None
    """The folder that `plumb secrets create` made; the embedded mesh makes its own."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the files after the environment.

        Raises:
            SecretRefused: The folder that is named does not exist.
        """
        folder = {**env_settings(), **init_settings()}.get("secrets_dir")
        if folder is None:
            return (init_settings, env_settings)
        if not Path(folder).is_dir():
            raise SecretRefused(
                f"PLUMBLINE_SECRETS_DIR names {folder}, which is no folder",
                next_step="make it with `plumb secrets create DIR`, or correct the variable",
            )
        return (init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder))


class BundleSigningSettings(SecretSettings):
    """What the trainer signs bundles with."""

    bundle_key: SecretStr | None = None
    """The Ed25519 private key, as PEM, that bundles are signed with."""


class BundleVerifyingSettings(SecretSettings):
    """By what a bundle's signature is checked."""

    bundle_public_keys: str | None = None
    """The public keys, as PEM, whose bundles are taken; several while keys are changed."""


class OperatorSigningSettings(SecretSettings):
    """What operators' commands are signed with, by the daemons that take the orders."""

    operator_key: SecretStr | None = None
    """The Ed25519 private key, as PEM, that commands are signed with."""


class OperatorVerifyingSettings(SecretSettings):
    """By what an operator's command is checked."""

    operator_public_keys: str | None = None
    """The public keys, as PEM, whose commands are taken; several while keys are changed."""
    command_max_age_s: Annotated[float, Field(gt=0)] = 3600.0
    """A command whose own time is further from the present is refused: it may be an old one that was sent again."""


class OperatorSettings(SecretSettings):
    """The secret of the operator's endpoints; without it they answer 403."""

    operator_token: SecretStr | None = None
    """Lets the operator roll back, ask for a training, decide on held batches and on terms, and arm faults."""
