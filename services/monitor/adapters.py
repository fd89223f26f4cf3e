"""The telemetry store that the settings name."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from services.monitor.settings import StoreSettings
from shared.clock import Clock
from shared.telemetry_store.records import TelemetryStore
from shared.telemetry_store.sqlite import SqliteTelemetryStore

DATABASE = "telemetry.db"


def open_store(settings: StoreSettings, state_dir: Path, clock: Clock) -> TelemetryStore:
    """Return the store; a server is not called before it is needed, so that the monitor starts without it."""
    retention = timedelta(days=settings.retention_days)
    if not settings.url:
        return SqliteTelemetryStore(state_dir / DATABASE, retention=retention)
    parts = urlsplit(settings.url)
    if parts.scheme == "sqlite":
        path = Path(parts.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteTelemetryStore(path, retention=retention)
    # The client is large: a mesh with SQLite does without its 60 MB and its second at the start.
    from shared.telemetry_store.elastic import ElasticsearchTelemetryStore  # noqa: PLC0415 (see above)
    from shared.telemetry_store.elastic_api import ElasticsearchApi  # noqa: PLC0415 (see above)

    key = settings.api_key.get_secret_value() if settings.api_key else None
    api = ElasticsearchApi(settings.url, api_key=key, timeout_s=settings.timeout_s)
    return ElasticsearchTelemetryStore(api, clock=clock, prefix=settings.index_prefix, retention=retention)
