"""The forwarder of telemetry goes on after whatever a producer does, and with a fresh one."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber

from shared.forwarder import SpooledSink
from shared.settings import KafkaSettings
from shared.spool import Spool, Spooled


class Flaky(SpooledSink):
    """Fails with what it is told to, once each, and notes its producers."""

    def __init__(self, spool: Spool, errors: list[Exception]) -> None:
        super().__init__(spool, KafkaSettings(), "test")
        self.producers: list[Producer] = []
        self.all_sent = threading.Event()
        self._errors = errors

    async def _connected(self) -> Any:
        self.producers.append(Producer())
        return self.producers[-1]

    async def _send(self, producer: Any, waiting: Sequence[Spooled]) -> bool:
        if self._errors:
            raise self._errors.pop(0)
        self._spool.remove(waiting)
        self.all_sent.set()
        return True


class Producer:
    """Knows whether it was stopped."""

    is_stopped = False

    async def stop(self) -> None:
        self.is_stopped = True


@pytest.mark.parametrize("error", [KeyError("oops"), OutOfOrderSequenceNumber()])
def test_after_a_failed_round_it_goes_on_with_a_fresh_producer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    sink = Flaky(Spool(tmp_path / "spool", max_bytes=1 << 20), [error, error])
    sink.send([("otlp-logs-v1", b"x")])
    assert sink.all_sent.wait(10)
    sink.close()
    assert len(sink.producers) == 3
    assert all(producer.is_stopped for producer in sink.producers)
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == (1 if isinstance(error, KeyError) else 0), "a defect is said once, an outage is not"
