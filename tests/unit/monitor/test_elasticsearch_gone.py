"""A store whose server does not answer."""

import socket
import time
from contextlib import aclosing
from uuid import uuid4

import pytest

from contracts import topics
from services.monitor.core.events import record_of
from shared.clock import FakeClock
from shared.telemetry_store.records import LogQuery, StoreUnavailable
from tests.unit.monitor.elastic import store_at
from tests.unit.monitor.samples import at, received
from tests.unit.monitor.store_contract import log


@pytest.mark.parametrize("is_frozen", [True, False])
async def test_a_server_that_is_frozen_or_gone_is_noticed_in_time(is_frozen: bool):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if not is_frozen:
        listener.close()
    async with aclosing(store_at(f"http://127.0.0.1:{port}", "test", FakeClock(at(0)), timeout_s=0.3)) as store:
        for asked in (
            lambda: store.add_logs([log("1")]),
            lambda: store.add_events([record_of(topics.BATCH_RECEIVED, received(uuid4()), None)]),
            lambda: store.search_logs(LogQuery()),
            lambda: store.delete_expired(at(0)),
        ):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}"):
                await asked()
            assert time.monotonic() - started < 3
    listener.close()
