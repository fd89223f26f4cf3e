"""Wires the inference-gateway."""

import socket
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from fastapi import FastAPI

from services.inference_gateway.adapters import AnswerCache, BundleShelf
from services.inference_gateway.api import add_routes
from services.inference_gateway.handlers import ReleaseFollower
from services.inference_gateway.serving import Serving
from services.inference_gateway.settings import GatewaySettings
from shared.artifacts import ArtifactStore
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.clock import SystemClock
from shared.daemon import daemon_app
from shared.settings import OperatorSettings
from shared.signing import public_keys_of
from shared.telemetry import Telemetry

SERVICE = "inference-gateway"


def build(settings: GatewaySettings | None = None) -> FastAPI:
    """Return the gateway, ready to be served."""
    settings = settings or GatewaySettings()
    telemetry = Telemetry.to_kafka(SERVICE, settings.telemetry, settings.kafka, settings.state_dir)
    bus = Bus(SERVICE, settings.kafka, telemetry)
    clock = SystemClock()
    store = ArtifactStore(settings.artifacts.url)
    keys = public_keys_of(settings.bundle_public_keys, owner=SERVICE, name="bundle_public_keys")
    shelf = BundleShelf(store, settings.state_dir / "bundles", keys)
    cache = AnswerCache(settings.redis, ttl_s=settings.cache_ttl_s)
    threads = ThreadPoolExecutor(settings.inference_threads, thread_name_prefix="inference")
    serving = Serving(
        shelf=shelf, cache=cache, telemetry=telemetry, clock=clock, threads=threads, max_requests=settings.max_requests
    )
    gateway = f"{socket.gethostname()}-{uuid4().hex[:8]}"
    follower = ReleaseFollower(
        bus,
        shelf=shelf,
        serving=serving,
        clock=clock,
        gateway=gateway,
        admission=Admission(bus, store, keys, clock=clock),
    )
    follower.register()
    app = daemon_app(
        bus, telemetry, at_start=[lambda: follower.begin(store)], background=[follower.run], resources=[cache]
    )
    add_routes(app, serving, OperatorSettings())
    return app
