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
