"""Events in; the state machine decides."""

from contracts.evaluation import ModelEvaluated
from contracts.monitoring import AlertChanged, TrafficObserved
from contracts.release import BundleLoaded, ReleaseRequested
from contracts.topics import ALERT_CHANGED, BUNDLE_LOADED, MODEL_EVALUATED, RELEASE_REQUESTED, TRAFFIC_OBSERVED
from services.release_manager.core.effects import Evaluated
from services.release_manager.run import Releases
from shared.bundle_signing import Admission
from shared.bus import Bus
from shared.telemetry import current_traceparent


def register(bus: Bus, *, releases: Releases, admission: Admission) -> None:
    """Subscribe the release-manager to its topics."""

    async def on_model_evaluated(event: ModelEvaluated) -> None:
        if event.passed:
            await admission.admit(event, event.bundle_digest)
        if await releases.observe(event.domain, Evaluated(event=event, traceparent=current_traceparent())):
            await releases.mark_decided(event)

    async def on_observed(event: TrafficObserved | AlertChanged | BundleLoaded | ReleaseRequested) -> None:
        await releases.observe(event.domain, event)

    bus.consume(
        {
            MODEL_EVALUATED: on_model_evaluated,
            TRAFFIC_OBSERVED: on_observed,
            ALERT_CHANGED: on_observed,
            BUNDLE_LOADED: on_observed,
            RELEASE_REQUESTED: on_observed,
        }
    )
