"""A daemon that makes spans and can be killed: `python -m tests.broker.observed FOLDER`; no broker answers it.

It says how many spans it made a flush interval ago, and goes on making some.
"""

import sys
import time
from pathlib import Path

from shared.forwarder import SpooledSink
from shared.settings import KafkaSettings, TelemetrySettings
from shared.spool import Spool
from shared.telemetry import Telemetry

NUM_SPANS = 2_000
FLUSHES = 3


def main(folder: Path) -> None:
    settings = TelemetrySettings()
    spool = Spool(folder / "spool.db", max_bytes=settings.spool_bytes)
    telemetry = Telemetry(
        "cleaner", settings, SpooledSink(spool, KafkaSettings(bootstrap_servers="127.0.0.1:1"), "cleaner")
    )
    telemetry.start()
    number = 0
    began = time.monotonic()
    is_said = False
    while True:
        telemetry.tracer.start_span(f"span {number}").end()
        number += 1
        if number % 20 == 0:
            time.sleep(0.002)
        if number == NUM_SPANS:
            began = time.monotonic()
        if number > NUM_SPANS and not is_said and time.monotonic() - began > FLUSHES * settings.flush_interval_s:
            is_said = True
            print(NUM_SPANS, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
