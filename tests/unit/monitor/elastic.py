"""The Elasticsearch store for tests."""

from shared.clock import FakeClock
from shared.telemetry_store.elastic import ElasticsearchTelemetryStore
from shared.telemetry_store.elastic_api import ElasticsearchApi


def store_at(url: str, prefix: str, clock: FakeClock, *, timeout_s: float = 20) -> ElasticsearchTelemetryStore:
    api = ElasticsearchApi(url, api_key=None, timeout_s=timeout_s)
    return ElasticsearchTelemetryStore(api, clock=clock, prefix=prefix)
