from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from shared.telemetry_store.sqlite import SqliteTelemetryStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTelemetryStore]:
    async with aclosing(SqliteTelemetryStore(tmp_path / "telemetry.db")) as opened:
        yield opened
