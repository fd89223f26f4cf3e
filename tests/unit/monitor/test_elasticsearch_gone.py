"""A store whose server does not answer."""

import socket
import time
from contextlib import aclosing
from uuid import uuid4

import pytest
from aiohttp import web

from contracts import topics
from services.monitor.core.events import record_of
from shared.clock import FakeClock
from shared.telemetry_store.elastic_api import Stream
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


async def test_a_stream_that_another_monitor_deleted_is_gone_as_well():
    async def is_missing(_: web.Request) -> web.Response:
        body = {"error": {"type": "index_not_found_exception"}, "status": 404}
        return web.json_response(body, status=404, headers={"x-elastic-product": "Elasticsearch"})

    app = web.Application()
    app.router.add_route("DELETE", "/{path:.*}", is_missing)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aclosing(store_at(url, "test", FakeClock(at(0)))) as store:
        await store._api.delete_stream(Stream("test-logs-2025.01.01", (".ds",)), is_empty=False)
    await runner.cleanup()
