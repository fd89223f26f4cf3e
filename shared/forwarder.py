"""From the spool to Kafka: a thread that sends what waits, and forgets it once the broker has it.

What the broker acknowledged and a crash kept from being forgotten is sent again: stores tell a repetition by its id.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from contracts.topics import MAX_MESSAGE_BYTES
from shared.settings import KafkaSettings
from shared.spool import Spool, Spooled

REQUEST_TIMEOUT_MS = 5_000
FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 2.0
CLOSE_TIMEOUT_S = 1.2
STOP_PRODUCER_S = 0.3

log = logging.getLogger(__name__)


class SpooledSink:
    """Takes OTLP messages into the spool, and sends them to their topics from a thread of its own."""

    def __init__(self, spool: Spool, settings: KafkaSettings, service: str) -> None:
        self._spool = spool
        self._settings = settings
        self._service = service
        self._thread = threading.Thread(target=self._run, name="otlp-forwarder", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._is_closing = False
        self._has_said_defect = False

    def send(self, messages: Sequence[tuple[str, bytes]]) -> bool:
        """Keep messages until the broker has them."""
        self._spool.put(messages)
        if self._thread.ident is None:
            self._thread.start()
        self._tell(self._news)
        return True

    def close(self) -> None:
        """Send what waits, for a moment at most; the rest is sent after the next start."""
        self._is_closing = True
        self._tell(self._closing)
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S + 2 * STOP_PRODUCER_S)
        self._spool.close()

    def _tell(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            # A loop that has just been closed needs no news.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(event.set)

    def _run(self) -> None:
        asyncio.run(self._forward())

    async def _forward(self) -> None:
        self._loop = asyncio.get_running_loop()
        sending = asyncio.create_task(self._send_for_ever(), name="send")
        if not self._is_closing:
            await self._closing.wait()
        self._news.set()
        await asyncio.wait([sending], timeout=CLOSE_TIMEOUT_S)
        sending.cancel()
        await asyncio.wait([sending])

    async def _send_for_ever(self) -> None:
        producer: AIOKafkaProducer | None = None
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                self._news.clear()
                waiting = self._spool.take()
                if not waiting:
                    if self._is_closing:
                        return
                    await self._news.wait()
                    continue
                try:
                    producer = producer or await self._connected()
                    has_sent = await self._send(producer, waiting)
                except (KafkaError, OSError, TimeoutError):
                    has_sent = False
                    # Not logged at a level that is itself shipped: the log would feed the spool that is filling.
                    log.debug("telemetry not sent", exc_info=True)
                except Exception as error:  # noqa: BLE001 (a defect that ended the task would end all telemetry in silence)
                    has_sent = False
                    self._say_defect_once(error)
                if has_sent:
                    pause_s = FIRST_PAUSE_S
                else:
                    # A fresh one reaches a broker that came back at once, whatever state this one was left in.
                    stale, producer = producer, None
                    await _dropped(stale)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, MAX_PAUSE_S)
        finally:
            await _dropped(producer)

    def _say_defect_once(self, error: Exception) -> None:
        """Log a defect; once only, since the log is itself shipped from here."""
        if not self._has_said_defect:
            self._has_said_defect = True
            log.error("telemetry not sent, for a defect; it is tried again", exc_info=error)

    async def _send(self, producer: AIOKafkaProducer, waiting: Sequence[Spooled]) -> bool:
        """Send messages in order, and forget those that arrived; return whether all did."""
        underway: list[asyncio.Future[object]] = []
        refusal: BaseException | None = None
        for message in waiting:
            try:
                underway.append(
                    await producer.send(message.topic, value=message.payload, key=self._service.encode())
                )  # fmt: skip
            except (KafkaError, OSError, TimeoutError) as error:
                refusal = error
                break
        outcomes = [*await asyncio.gather(*underway, return_exceptions=True), *([refusal] if refusal else [])]
        told = list(zip(waiting, outcomes, strict=False))
        self._spool.remove([message for message, outcome in told if not isinstance(outcome, BaseException)])
        too_large = [message for message, outcome in told if isinstance(outcome, MessageSizeTooLargeError)]
        if too_large:
            # For its size the broker would refuse it for ever, and all that waits behind it.
            self._spool.drop(too_large)
        return not any(isinstance(outcome, BaseException) for outcome in outcomes)

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers.split(","),
            client_id=f"{self._service}-telemetry",
            acks="all",
            compression_type="gzip",
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await producer.start()
        except BaseException:
            await _stop(producer)
            raise
        return producer


async def _dropped(producer: AIOKafkaProducer | None) -> None:
    """Stop a producer that is given up, whatever it says to that."""
    if producer is None:
        return
    try:
        await _stop(producer)
    except Exception:
        log.debug("producer not stopped", exc_info=True)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer, whether or not its broker still answers."""
    try:
        async with asyncio.timeout(STOP_PRODUCER_S):
            await producer.stop()
    except TimeoutError:
        await producer.client.close()
