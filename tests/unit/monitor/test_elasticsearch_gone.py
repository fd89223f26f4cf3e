"""A store whose server does not answer."""

import socket
import time
from contextlib import aclosing
from datetime import timedelta
from uuid import uuid4

import pytest
from aiohttp import web

from contracts import topics
from services.monitor.core.events import record_of
from shared.clock import FakeClock
from shared.telemetry_store.documents import log_document
from shared.telemetry_store.elastic_api import ElasticsearchApi, Stream
from shared.telemetry_store.elastic_writing import Writer
from shared.telemetry_store.records import LogQuery, StoreUnavailable
from shared.telemetry_store.streams import kinds_of
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


def test_a_clock_that_jumps_forward_lets_nothing_expire_and_what_expires_is_said(caplog: pytest.LogCaptureFixture):
    clock, kinds = FakeClock(at(0)), kinds_of(timedelta(days=90))
    writer = Writer(
        ElasticsearchApi("http://127.0.0.1:1", api_key=None, timeout_s=1), kinds, prefix="test", clock=clock
    )
    clock.jump(365 * 86_400)
    assert len(writer._items(kinds.logs, [log_document(log("1"))])) == 1
    assert writer._items(kinds.logs, [log_document(log("2", second=-92 * 86_400))] * 2) == []
    assert [(record.levelname, record.num_records) for record in caplog.records] == [("WARNING", 2)]
