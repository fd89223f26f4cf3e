"""A daemon as it is, that ends itself with SIGKILL at the moment it is told to. `python -m tests.faults.mesh` runs eight of them.

The product has no hooks for this: its functions are wrapped here, before the daemon is built.
"""

import functools
import inspect
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer
from fastapi import FastAPI

from shared import child
from shared.artifacts import ArtifactStore
from shared.bus import Bus
from shared.embedded.plan import PROCESS_VARIABLE
from shared.embedded.settings import inherited_environment
from shared.files import write_atomically
from tests.faults.moments import CHILD_STARTED, FOLDER_VARIABLE, IDLE, Hit, Order, hit_file, order_file, read_order

LOOK_S = 0.02
Point = Callable[..., str | None]
"""From a call's arguments, what the moment is about; None: not a moment."""


class Doom:
    """Knows what the daemon was told, and does it."""

    def __init__(self, folder: Path, daemon: str) -> None:
        self._folder = folder
        self._daemon = daemon
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self.num_busy = 0
        threading.Thread(target=self._watch_for_idle, daemon=True).start()

    def reached(self, point: str, child_pid: int | None = None) -> None:
        """Come to a point; the end of this process, if this is the one."""
        order = read_order(self._folder, self._daemon)
        if order is None or order.point != point:
            return
        with self._lock:
            self._counts[order.order_id] = count = self._counts.get(order.order_id, 0) + 1
        if count == order.nth and order.delay_s:
            threading.Timer(order.delay_s, self._strike_if_busy, [order, child_pid]).start()
        elif count == order.nth:
            self._strike(order, child_pid)

    def _watch_for_idle(self) -> None:
        while True:
            time.sleep(LOOK_S)
            order = read_order(self._folder, self._daemon)
            if order and order.point == IDLE and not self.num_busy:
                self._strike(order, None)

    def _strike_if_busy(self, order: Order, child_pid: int | None) -> None:
        if child_pid and is_alive(child_pid):
            self._strike(order, child_pid)
        else:
            # It was over sooner: the next one, then.
            self._counts.pop(order.order_id, None)

    def _strike(self, order: Order, child_pid: int | None) -> None:
        hit = Hit(order_id=order.order_id, daemon=self._daemon, pid=os.getpid(), at=time.time(), child_pid=child_pid)
        order_file(self._folder, self._daemon).unlink(missing_ok=True)
        write_atomically(hit_file(self._folder, order.order_id), hit.model_dump_json().encode())
        os.kill(child_pid if order.child_only and child_pid else os.getpid(), signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def build() -> FastAPI:
    """Return the daemon that the supervisor named, wrapped."""
    environment = inherited_environment()
    name = environment[PROCESS_VARIABLE]
    doom = Doom(Path(environment[FOLDER_VARIABLE]), name)
    wrap_shared(doom)
    wrap_own(doom, name)
    app: FastAPI = import_module(f"services.{name.replace('-', '_')}.app").build()
    return app


def wrap_shared(doom: Doom) -> None:
    """Make points of what all daemons do."""
    wrap(doom, Bus, "publish", "publish", lambda _, topic, *__: topic.name)
    wrap(doom, Bus, "_deliver", "deliver", lambda _, message, *__: message.raw_message.topic, busy=True)
    wrap(doom, Bus, "_handle", "handle", lambda _, message, *__: message.raw_message.topic)
    wrap(doom, AIOKafkaConsumer, "commit", "commit", lambda *_: "")
    wrap(doom, ArtifactStore, "write_ref", "ref", lambda _, name, *__: ref_kind(name))
    wrap(doom, ArtifactStore, "put_bytes", "put", lambda *_: "bytes")
    wrap(doom, ArtifactStore, "put_file", "put", lambda *_: "file")
    keep = Bus.keep

    def keep_noticed(bus: Bus, store: Any) -> None:
        async def store_noticed(*records: Any) -> Any:
            doom.reached("store-before")
            stored = await store(*records)
            doom.reached("store-after")
            return stored

        keep(bus, store_noticed)

    Bus.keep = keep_noticed
    forward = child._forward

    async def forward_noticed(process: Any, on_progress: Any) -> None:
        doom.reached(CHILD_STARTED, process.pid)
        await forward(process, on_progress)

    child._forward = forward_noticed


def wrap_own(doom: Doom, name: str) -> None:
    """Make points of what one daemon does."""
    match name:
        case "cleaner":
            from services.cleaner.ledger import Ledger
            from services.cleaner.near_files import NearFiles

            for method in ("add_batch", "add_batch_event", "add_version"):
                wrap(doom, Ledger, method, "ledger", functools.partial(lambda method, *_: method, method))
            wrap(doom, NearFiles, "save", "near", lambda *_: "index")
        case "inference-gateway":
            from services.inference_gateway.adapters import BundleShelf
            from services.inference_gateway.serving import Serving

            wrap(doom, BundleShelf, "_open", "load", lambda *_: "bundle")
            wrap(doom, Serving, "follow", "follow", routes_change)
            wrap(doom, Serving, "_suffer_fault", "", lambda *_: "answer")


def ref_kind(name: str) -> str:
    """Return what a ref is about: its folder, and of a run whether it is the claim or the result."""
    folder, _, rest = name.partition("/")
    return f"run-{rest.rpartition('/')[2]}" if folder == "runs" else folder


def routes_change(serving: Any, domain: str, state: Any) -> str | None:
    return "routes" if state.routes != serving._routes.get(domain, ()) else None


def wrap(doom: Doom, owner: type, method: str, what: str, about: Point, *, busy: bool = False) -> None:
    """Come to a point before and after each call of a method."""
    inner = getattr(owner, method)

    def point(side: str, subject: str) -> str:
        return subject if not what else f"{what}-{side}:{subject}".removesuffix(":")

    @functools.wraps(inner)
    async def noticed_async(*args: Any, **kwargs: Any) -> Any:
        subject = about(*args)
        doom.num_busy += busy
        if subject is not None:
            doom.reached(point("before", subject))
        try:
            result = await inner(*args, **kwargs)
        finally:
            doom.num_busy -= busy
        if subject is not None:
            doom.reached(point("after", subject))
        return result

    @functools.wraps(inner)
    def noticed(*args: Any, **kwargs: Any) -> Any:
        subject = about(*args)
        if subject is not None:
            doom.reached(point("before", subject))
        result = inner(*args, **kwargs)
        if subject is not None:
            doom.reached(point("after", subject))
        return result

    setattr(owner, method, noticed_async if inspect.iscoroutinefunction(inner) else noticed)
