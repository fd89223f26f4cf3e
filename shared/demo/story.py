"""The story in acts. Each act does what a user would, waits for the events that follow, and notes the proof."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from uuid import UUID

from httpx_sse import aconnect_sse

from contracts.api import CompleteDone, CompleteRequest, FaultRequest, TrainNowRequest, Why
from contracts.corpus import BatchCleaned, BatchReceived, CorpusVersioned, Document
from contracts.envelope import Digest
from contracts.evaluation import ModelEvaluated
from contracts.monitoring import AlertChanged, AlertState
from contracts.release import Phase, ReleaseChanged
from contracts.training import ModelTrained, TokenizerReady
from shared.cli.client import check
from shared.cli.why import tree_of
from shared.corpus import is_held_out
from shared.demo.report import BundleSummary, Canary, Drill
from shared.demo.settings import DRILL_AFTER_S, DRILL_DELAY_MS
from shared.demo.stage import Stage
from shared.demo.tail import Seen
from shared.errors import MeshError
from shared.summary import short

BATCH_TIMEOUT_S = 120.0
TRAINING_TIMEOUT_S = 600.0
"""Of a tokenizer, a training or a judgement on a machine that is busy with other things: it takes a tenth where it is not."""
ROLLOUT_TIMEOUT_S = 180.0
NUM_QUESTIONS = 4
COMPLETION_TEMPERATURE = 0.8
"""Without some chance, a small model repeats itself."""
POLL_S = 0.1
TRAFFIC_SHOWN_EVERY_S = 5


async def first_release(stage: Stage) -> BundleSummary:
    """Articles of versions before 2025 become the first model, which is released to everybody after its gate."""
    began, start = monotonic(), len(stage.tail.seen)
    receipts = await stage.upload(stage.statutes.first)
    wanted = {receipt.batch_id for receipt in receipts}
    cleaned = [await _cleaned(stage, batch_id) for batch_id in wanted]
    stage.step(f"{len(stage.statutes.first):,} articles uploaded and cleaned", cleaned, began=began)
    evaluated, summary = await _trained_and_judged(stage, start)
    began = monotonic()
    released = await _released(stage, evaluated.bundle_digest, Phase.WINDOW)
    stage.step("released to 100 %, since nothing was serving", [released], began=began)
    return summary


async def ask(stage: Stage) -> str:
    """Ask the gateway; return the last answer's id."""
    began = monotonic()
    answer_ids = []
    for number, document in enumerate(_questions(stage.statutes.first)):
        answer = await stage.classify(document.text, user=f"reader-{number}")
        stage.screen.answer(document, answer)
        answer_ids.append(answer.answer_id)
    stage.screen.say("  [dim]a completion, streamed; a model of a minute's training babbles:[/]")
    done = await _complete(stage, "为了保护公民的合法权益，")
    stage.screen.say(f"  [dim]bundle {short(done.bundle_digest)}, {done.num_tokens} tokens[/]")
    stage.step("the gateway answers", [], began=began, answer_ids=[*answer_ids, done.answer_id])
    return answer_ids[-1]


async def amendments(stage: Stage) -> tuple[ModelEvaluated, BundleSummary]:
    """Later versions arrive as data events, and the next model is trained on from the serving one."""
    began, start = monotonic(), len(stage.tail.seen)
    submitted = await stage.produce(stage.statutes.later)
    cleaned = await _cleaned_of(stage, {event.event_id for event in submitted})
    known = sum(seen.event.num_verbatim_documents for seen in cleaned if isinstance(seen.event, BatchCleaned))
    name = f"{len(stage.statutes.later):,} later articles produced to Kafka; {known} were known word for word"
    stage.step(name, cleaned, began=began)
    return await _trained_and_judged(stage, start)


async def promotion(stage: Stage, candidate: Digest) -> Canary:
    """The candidate goes through a canary under load to everybody."""
    began = monotonic()
    canary = await _released(stage, candidate, Phase.CANARY)
    promoting = await _released(stage, candidate, Phase.PROMOTING)
    window = await _released(stage, candidate, Phase.WINDOW)
    stage.step("canary at 10 % under load, then 100 %", [canary, promoting, window], began=began)
    return canary_of(stage, candidate)


async def drill(stage: Stage) -> tuple[BundleSummary, Canary, Drill]:
    """One more model from the tenth that was held back; its answers are made slow; the mesh takes it back by itself."""
    began, start = monotonic(), len(stage.tail.seen)
    submitted = await stage.produce(stage.statutes.held_back)
    cleaned = await _cleaned_of(stage, {event.event_id for event in submitted})
    batch_ids = tuple(seen.event.batch_id for seen in cleaned if isinstance(seen.event, BatchCleaned))
    await stage.train_now(TrainNowRequest(domain=stage.domain, batch_ids=batch_ids, reason="drill"))
    stage.step("the tenth held back is submitted, and a training asked for", cleaned, began=began)
    evaluated, summary = await _trained_and_judged(stage, start)
    candidate = evaluated.bundle_digest
    stage.screen.say("  waits until the window of the last release closes")
    canary = await _released(stage, candidate, Phase.CANARY)
    await asyncio.sleep(DRILL_AFTER_S)
    began = monotonic()
    fault = await stage.arm(FaultRequest(bundle_digest=candidate, delay_ms=DRILL_DELAY_MS))
    stage.screen.say(f"  [red]fault armed[/]: answers of {short(candidate)} take {fault.delay_ms} ms longer")
    alert = await stage.tail.wait_for(
        AlertChanged,
        lambda event: event.bundle_digest == candidate and event.state is AlertState.FIRING,
        within_s=ROLLOUT_TIMEOUT_S, start=start,
    )  # fmt: skip
    decided = await _released(stage, candidate, Phase.ROLLING_BACK)
    back = await _released(stage, candidate, Phase.ROLLED_BACK)
    times = await _drill_times(stage, candidate, alert, decided)
    stage.step("the bad release is taken back", [canary, alert, decided, back], began=began)
    return summary, canary_of(stage, candidate), times


async def why(stage: Stage, answer_id: str) -> None:
    """Walk from an answer back to its data."""
    began = monotonic()
    walk = await _why_when_stored(stage, answer_id)
    stage.screen.say("")
    stage.screen.console.print(tree_of(walk, num_batches=3))
    batches = [seen for step in walk.steps if step.kind == "batch" for seen in stage.tail.named(step.event_id)]
    stage.step("from an answer back to its batches", batches, began=began, answer_ids=[answer_id])


@asynccontextmanager
async def under_load(stage: Stage) -> AsyncIterator[None]:
    """Keep users asking while the block lasts."""
    tasks = [asyncio.create_task(stage.load.run()), asyncio.create_task(_show_traffic(stage))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _show_traffic(stage: Stage) -> None:
    while True:
        await asyncio.sleep(TRAFFIC_SHOWN_EVERY_S)
        stage.screen.traffic(stage.load.recent(TRAFFIC_SHOWN_EVERY_S), num_seconds=TRAFFIC_SHOWN_EVERY_S)


def num_known_later(stage: Stage) -> int:
    """Return how many of the documents that were produced to Kafka were recognised as known word for word."""
    batches = {event.batch_id for event in stage.tail.all_of(BatchReceived) if event.source == "kafka"}
    cleaned = stage.tail.all_of(BatchCleaned)
    return sum(event.num_verbatim_documents for event in cleaned if event.batch_id in batches)


def canary_of(stage: Stage, candidate: Digest) -> Canary:
    """Return what the release events say of a candidate's canary.

    Raises:
        MeshError: It had none.
    """
    changed = [
        event for event in stage.tail.all_of(ReleaseChanged)
        if event.bundle_digest == candidate and event.phase is not Phase.QUEUED
    ]  # fmt: skip
    percents = [(event, _percent(event, candidate)) for event in changed]
    began = next((event for event, percent in percents if 0 < percent < 100), None)  # noqa: PLR2004 (percent)
    if began is None or began.state.rollout is None or began.state.rollout.baseline_digest is None:
        msg = f"{short(candidate)} had no canary"
        raise MeshError(msg)
    after = [(event, percent) for event, percent in percents if event.state.revision >= began.state.revision]
    ended = next(event for event, percent in after if percent in {0, 100})
    distinct = [percent for index, (_, percent) in enumerate(after) if not index or percent != after[index - 1][1]]
    return Canary(
        candidate=candidate,
        baseline=began.state.rollout.baseline_digest,
        released_percent=tuple(distinct),
        began_at=began.occurred_at,
        ended_at=ended.occurred_at,
    )


async def _trained_and_judged(stage: Stage, start: int) -> tuple[ModelEvaluated, BundleSummary]:
    began = monotonic()
    tail = stage.tail
    version = await tail.wait_for(CorpusVersioned, within_s=BATCH_TIMEOUT_S, start=start)
    tokenizer = await tail.wait_for(TokenizerReady, within_s=TRAINING_TIMEOUT_S, start=start)
    trained = await tail.wait_for(ModelTrained, within_s=TRAINING_TIMEOUT_S, start=start)
    judged = await tail.wait_for(ModelEvaluated, within_s=TRAINING_TIMEOUT_S, start=start)
    model, judgement = trained.event, judged.event
    if not isinstance(model, ModelTrained) or not isinstance(judgement, ModelEvaluated):
        raise TypeError
    stage.screen.scores(judgement)
    if not judgement.passed:
        raise MeshError("the bundle did not pass its gates: " + "; ".join(judgement.reasons))
    stage.step("corpus version, tokenizer, training, judgement", [version, tokenizer, trained, judged], began=began)
    summary = BundleSummary(
        bundle_digest=model.bundle_digest,
        ancestors=model.ancestors,
        corpus_digest=model.corpus_digest,
        tokenizer_digest=model.tokenizer_digest,
        num_tokens=model.num_tokens,
        training_s=model.duration_s,
        scores=judgement.scores,
        floor_accuracy=judgement.floor_accuracy,
    )
    return judgement, summary


async def _cleaned(stage: Stage, batch_id: UUID) -> Seen:
    return await stage.tail.wait_for(BatchCleaned, lambda event: event.batch_id == batch_id, within_s=BATCH_TIMEOUT_S)


async def _cleaned_of(stage: Stage, causes: set[UUID]) -> list[Seen]:
    """Return the `batch-cleaned` events that follow from `documents-submitted` events."""
    found = []
    for cause in causes:
        received = await _received(stage, cause)
        found.append(await _cleaned(stage, received.batch_id))
    return found


async def _received(stage: Stage, cause: UUID) -> BatchReceived:
    def follows(event: BatchReceived) -> bool:
        return event.causation_id == cause

    seen = await stage.tail.wait_for(BatchReceived, follows, within_s=BATCH_TIMEOUT_S)
    if not isinstance(seen.event, BatchReceived):
        raise TypeError
    return seen.event


async def _released(stage: Stage, digest: Digest, phase: Phase) -> Seen:
    return await stage.tail.wait_for(
        ReleaseChanged,
        lambda event: event.bundle_digest == digest and event.phase is phase,
        within_s=ROLLOUT_TIMEOUT_S,
    )


async def _drill_times(stage: Stage, candidate: Digest, alert: Seen, decided: Seen) -> Drill:
    first = (await stage.fault(candidate)).first_answer_at
    if first is None or not isinstance(alert.event, AlertChanged) or not isinstance(decided.event, ReleaseChanged):
        msg = "the alert fired although no answer was slowed"
        raise MeshError(msg)
    gone = await stage.watch.without(candidate, after=first, within_s=ROLLOUT_TIMEOUT_S)
    answer = await stage.classify(stage.statutes.held_back[0].text, user="after-the-drill")
    return Drill(
        first_slow_answer_at=first,
        alert_s=_seconds(first, alert.event.occurred_at),
        decided_s=_seconds(first, decided.event.occurred_at),
        nothing_routed_s=_seconds(first, gone),
        alert_reason=alert.event.reason,
        cause=decided.event.cause,
        answered_by_after=answer.bundle_digest,
    )


async def _complete(stage: Stage, prompt: str) -> CompleteDone:
    request = CompleteRequest(
        prompt=prompt, max_new_tokens=32, temperature=COMPLETION_TEMPERATURE, domain=stage.domain, user="reader-0"
    )
    url = f"{stage.mesh.url('inference-gateway')}/v1/complete"
    text, done = prompt, None
    async with aconnect_sse(stage.http, "POST", url, json=request.model_dump()) as source:
        check(source.response)
        async for event in source.aiter_sse():
            if event.event == "done":
                done = CompleteDone.model_validate_json(event.data)
            text += event.data if event.event == "token" else ""
    if done is None:
        msg = "the completion broke off"
        raise MeshError(msg)
    stage.screen.console.print(f"  {text}", markup=False, highlight=False)
    return done


async def _why_when_stored(stage: Stage, answer_id: str) -> Why:
    """Telemetry takes a second to its store."""
    async with asyncio.timeout(BATCH_TIMEOUT_S):
        while True:
            try:
                return await stage.why(answer_id)
            except MeshError:
                await asyncio.sleep(POLL_S * 5)


def _questions(documents: Sequence[Document]) -> list[Document]:
    held_out = [document for document in documents if is_held_out(document.split_group)]
    step = len(held_out) // NUM_QUESTIONS
    return [held_out[index * step + step // 2] for index in range(NUM_QUESTIONS)]


def _percent(event: ReleaseChanged, digest: Digest) -> int:
    return next((route.weight_percent for route in event.state.routes if route.bundle_digest == digest), 0)


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
