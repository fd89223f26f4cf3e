"""What the gateway serves: it follows the release state, and answers."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import uuid4

from opentelemetry.trace import Span, SpanKind, StatusCode
from pydantic import ValidationError

from contracts.api import (
    ClassifyAnswer,
    ClassifyRequest,
    CompleteRequest,
    Fault,
    FaultRequest,
    ServedDomain,
)
from contracts.envelope import Digest, Domain
from contracts.release import ReleaseState, Route
from contracts.telemetry import ANSWER_CACHE_HITS, ANSWER_LATENCY, ANSWER_REFUSED, RELEASE_WEIGHT
from services.inference_gateway.adapters import AnswerCache, BundleShelf
from services.inference_gateway.core.caching import cache_key
from services.inference_gateway.core.faults import armed, delay_s, with_first_answer
from services.inference_gateway.core.routing import pick_bundle, servable_routes
from shared.clock import Clock
from shared.errors import RequestRefused
from shared.serving import BundleSession, Piece
from shared.telemetry import Telemetry, context_of, links_to

Task = Literal["classify", "complete"]
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Assigned:
    """One request and the bundle that answers it, from its first to its last token."""

    answer_id: str
    domain: Domain
    task: Task
    digest: Digest
    session: BundleSession
    span: Span
    started_s: float


class _Watch:
    """Stops once: at the first token of a stream, else at the end."""

    def __init__(self, started_s: float) -> None:
        self._started_s = started_s
        self.elapsed_ms = 0.0

    def stop(self) -> None:
        """Note the time, unless it is noted."""
        self.elapsed_ms = self.elapsed_ms or (time.perf_counter() - self._started_s) * 1000


class Serving:
    """The domains that are served, their routes, and the faults that are armed."""

    def __init__(
        self, *, shelf: BundleShelf, cache: AnswerCache, telemetry: Telemetry, clock: Clock, threads: ThreadPoolExecutor,
        max_requests: int,
    ) -> None:  # fmt: skip
        self._shelf = shelf
        self._cache = cache
        self._telemetry = telemetry
        self._clock = clock
        self._threads = threads
        self._max_requests = max_requests
        self._num_requests = 0
        self._states: dict[Domain, ReleaseState] = {}
        self._routes: dict[Domain, tuple[Route, ...]] = {}
        self._release_traces: dict[Digest, str | None] = {}
        self.faults: dict[Digest, Fault] = {}
        self.is_starting = True

    # ---- release state

    def follow(self, domain: Domain, state: ReleaseState) -> None:
        """Route as the state says, as far as its bundles are loaded; an older state than the present one changes nothing."""
        if state.revision < self._states.get(domain, ReleaseState()).revision:
            return
        self._states[domain] = state
        rollouts = [*state.finished, *([state.rollout] if state.rollout else [])]
        self._release_traces |= {rollout.candidate.bundle_digest: rollout.candidate.traceparent for rollout in rollouts}
        routes = servable_routes(state.routes, self._shelf.loaded, present=self._routes.get(domain, ()))
        if routes != self._routes.get(domain, ()):
            log.info(
                "routes changed", extra={"domain": domain, "revision": state.revision, "routes": _readable(routes)}
            )
        self._routes[domain] = routes
        self._record_weights(domain, routes, state)

    def wanted_digests(self) -> set[Digest]:
        """Return the bundles that any domain wants loaded, routed ones at present included."""
        warm = {digest for state in self._states.values() for digest in state.warm_digests}
        routed = {route.bundle_digest for state in self._states.values() for route in state.routes}
        present = {route.bundle_digest for routes in self._routes.values() for route in routes}
        return warm | routed | present

    def served(self) -> tuple[ServedDomain, ...]:
        """Return what each domain is served with."""
        return tuple(self._served_domain(domain, state) for domain, state in sorted(self._states.items()))

    def arm(self, request: FaultRequest) -> Fault:
        """Make a bundle's answers slow, as a drill."""
        self.faults = armed(self.faults, request, now=self._clock.now())
        log.warning("fault armed", extra=request.model_dump())
        return self.faults[request.bundle_digest]

    def disarm(self, digest: Digest) -> bool:
        """Take a fault back; False: there was none."""
        log.warning("fault disarmed", extra={"bundle_digest": digest})
        return self.faults.pop(digest, None) is not None

    # ---- answers

    async def classify(self, request: ClassifyRequest, *, traceparent: str | None) -> ClassifyAnswer:
        """Answer with the label of the highest score.

        Raises:
            RequestRefused: Nothing is released, or too many requests wait.
        """
        with self._assigned(request.domain, "classify", request.user, traceparent) as assigned:
            if not assigned.session.labels:
                raise RequestRefused(
                    409, "no-labels", "This model does not classify",
                    f"the bundle {assigned.digest} was trained on documents without labels",
                    next_step="submit documents with a `label`, or use /v1/complete",
                )  # fmt: skip
            key = cache_key(assigned.digest, "classify", request.text)
            if answer := _cached(await self._cache.get(key)):
                self._count_cache_hit(assigned)
                return answer.model_copy(update={"answer_id": assigned.answer_id, "cached": True})
            with self._measured(assigned):
                await self._suffer_fault(assigned.digest)
                prediction = (await self._in_thread(assigned.session.classify, [request.text]))[0]
            answer = ClassifyAnswer(
                answer_id=assigned.answer_id,
                label=prediction.label,
                score=prediction.score,
                scores=prediction.scores,
                bundle_digest=assigned.digest,
                cached=False,
                truncated=prediction.truncated,
            )
            await self._cache.put(key, answer.model_dump_json().encode())
            return answer

    @contextmanager
    def completing(self, request: CompleteRequest, *, traceparent: str | None) -> Iterator[Assigned]:
        """Assign a completion to a bundle, which makes all of it, also when routes change meanwhile."""
        with self._assigned(request.domain, "complete", request.user, traceparent) as assigned:
            yield assigned

    async def complete(self, request: CompleteRequest, assigned: Assigned) -> AsyncIterator[Piece]:
        """Yield the pieces of a completion; the time to the first one is what counts as latency."""
        pieces = assigned.session.generate(
            request.prompt,
            max_new_tokens=request.max_new_tokens,
            temperature=request.temperature,
            seed=request.seed,
        )
        with self._measured(assigned) as watch:
            await self._suffer_fault(assigned.digest)
            piece = await self._in_thread(next, pieces, None)
            watch.stop()
            while piece is not None:
                yield piece
                piece = await self._in_thread(next, pieces, None)

    # ---- inside

    @contextmanager
    def _assigned(self, domain: Domain, task: Task, user: str | None, traceparent: str | None) -> Iterator[Assigned]:
        started_s = time.perf_counter()
        answer_id = uuid4().hex
        digest = self._route(domain, user or answer_id)
        span = self._telemetry.tracer.start_span(
            f"answer {task}",
            context=context_of(traceparent),
            kind=SpanKind.SERVER,
            links=links_to([self._release_traces.get(digest)]),
            attributes={
                "plumbline.answer.id": answer_id,
                "plumbline.answer.task": task,
                "plumbline.domain": domain,
                "plumbline.bundle.digest": digest,
            },
        )
        # Not made current: a stream's generator moves between tasks, and a context cannot follow it there.
        with _ended(span), self._admitted(domain, digest):
            yield Assigned(
                answer_id=answer_id, domain=domain, task=task, digest=digest, session=self._shelf.session(digest),
                span=span, started_s=started_s,
            )  # fmt: skip

    def _route(self, domain: Domain, user: str) -> Digest:
        digest = pick_bundle(self._routes.get(domain, ()), user)
        if digest is None and self.is_starting:
            raise RequestRefused(
                503, "starting", "The gateway is starting", "released bundles are being loaded",
                next_step="try again in a second",
            )  # fmt: skip
        if digest is None:
            raise RequestRefused(
                503, "nothing-to-serve", "No model is released yet", f"the domain {domain} has no released bundle",
                next_step="submit documents with `plumb ingest FILE`, then watch `plumb status --watch`",
            )  # fmt: skip
        return digest

    @contextmanager
    def _admitted(self, domain: Domain, digest: Digest) -> Iterator[None]:
        """Count a request as under way, from its first to its last token; refuse it where too many are."""
        if self._num_requests >= self._max_requests:
            self._telemetry.add(ANSWER_REFUSED, 1, {"plumbline.domain": domain, "plumbline.bundle.digest": digest})
            raise RequestRefused(
                429, "too-many-requests", "Too many requests", f"{self._num_requests} requests are under way already",
                next_step="try again in a second",
            )  # fmt: skip
        self._num_requests += 1
        try:
            yield
        finally:
            self._num_requests -= 1

    @contextmanager
    def _measured(self, assigned: Assigned) -> Iterator[_Watch]:
        """Record the answer's latency, and how it ended; a stream that breaks off after its first token is an error too."""
        outcome, watch = "error", _Watch(assigned.started_s)
        try:
            yield watch
            outcome = "ok"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        finally:
            watch.stop()
            assigned.span.set_attribute("plumbline.answer.outcome", outcome)
            self._telemetry.record(
                ANSWER_LATENCY,
                watch.elapsed_ms,
                {
                    "plumbline.domain": assigned.domain,
                    "plumbline.bundle.digest": assigned.digest,
                    "plumbline.answer.task": assigned.task,
                    "plumbline.answer.outcome": outcome,
                },
            )

    async def _suffer_fault(self, digest: Digest) -> None:
        now = self._clock.now()
        if seconds := delay_s(self.faults, digest, now=now):
            self.faults = dict(with_first_answer(self.faults, digest, now=now))
            await asyncio.sleep(seconds)

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:  # noqa: ANN401 (handed on)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _count_cache_hit(self, assigned: Assigned) -> None:
        assigned.span.set_attribute("plumbline.answer.cached", value=True)
        self._telemetry.add(
            ANSWER_CACHE_HITS, 1, {"plumbline.domain": assigned.domain, "plumbline.bundle.digest": assigned.digest}
        )

    def _record_weights(self, domain: Domain, routes: tuple[Route, ...], state: ReleaseState) -> None:
        weights = dict.fromkeys(state.warm_digests, 0) | {route.bundle_digest: route.weight_percent for route in routes}
        for digest, weight in weights.items():
            self._telemetry.record(
                RELEASE_WEIGHT, weight, {"plumbline.domain": domain, "plumbline.bundle.digest": digest}
            )

    def _served_domain(self, domain: Domain, state: ReleaseState) -> ServedDomain:
        routes = self._routes.get(domain, ())
        loaded = tuple(sorted(self._shelf.loaded))
        labels = self._shelf.session(routes[0].bundle_digest).labels if routes else ()
        return ServedDomain(domain=domain, routes=routes, loaded=loaded, revision=state.revision, labels=tuple(labels))


@contextmanager
def _ended(span: Span) -> Iterator[Span]:
    """End a span with the block, and note the error that left it."""
    try:
        yield span
    except Exception as error:
        span.record_exception(error)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


def _readable(routes: tuple[Route, ...]) -> dict[str, int]:
    return {route.bundle_digest[:12]: route.weight_percent for route in routes}


def _cached(found: bytes | None) -> ClassifyAnswer | None:
    """Return a kept answer. One that does not fit, such as another version's, is a miss, and what is answered takes its place."""
    try:
        return ClassifyAnswer.model_validate_json(found) if found else None
    except ValidationError as error:
        log.warning("a cached answer does not fit, it is made anew", extra={"reason": str(error)})
        return None
