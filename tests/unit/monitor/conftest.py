import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from shared.telemetry_store.sqlite import SqliteTelemetryStore
from tests.unit.monitor.harness import Daemon, running


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTelemetryStore]:
    async with aclosing(SqliteTelemetryStore(tmp_path / "telemetry.db")) as opened:
        yield opened


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "telemetry.db") as running_daemon:
        yield running_daemon


@pytest.fixture
def elasticsearch_url() -> str:
    """The address of an Elasticsearch in which tests may make data streams."""
    url = os.environ.get("PLUMBLINE_TEST_ELASTICSEARCH")  # noqa: TID251 (a switch of the tests)
    if not url:
        pytest.skip("set PLUMBLINE_TEST_ELASTICSEARCH to the URL of an Elasticsearch 8.12 or later")
    return url
