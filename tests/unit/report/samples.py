"""Events of a small story: a first release, a second one through a canary, a third one that is slow and taken back."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from contracts.api import EventRecord
from contracts.corpus import BatchCleaned, BatchReceived, CorpusVersioned
from contracts.envelope import Event
from contracts.evaluation import ModelEvaluated, Score
from contracts.monitoring import AlertChanged, AlertState, LatencyHistogram, TrafficObserved
from contracts.release import Candidate, Cause, Phase, ReleaseChanged, ReleaseState, Rollout, Route
from contracts.tokenizers import ComparedTokenizer, TermLeftOut, TokenizerParts, TokenizerReport
from contracts.topics import EVENT_TOPICS
from contracts.training import ModelTrained, TokenizerReady, TrainingProgressed

START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
FIRST, SECOND, THIRD = "a" * 64, "b" * 64, "c" * 64
TOPIC_OF = {topic.event: topic.name for topic in EVENT_TOPICS}
REASON = "<b>太慢</b> 70.6% of 17 answers"


class Teller:
    """Makes events one after the other."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.revision = 0

    def say(self, kind: type[Any], at_s: float, **fields: Any) -> Any:
        event_id = fields.pop("event_id", uuid5(UUID(int=0), str(len(self.events))))
        event = kind(
            event_id=event_id, causation_id=None, occurred_at=START + timedelta(seconds=at_s), domain="law", **fields
        )
        self.events.append(event)
        return event

    def made(self, number: int, digest: str, at_s: float, *, ancestors: tuple[str, ...], serving: str | None) -> None:
        """Tell how a bundle was made: a hundred seconds from its batches to its judgement."""
        batch_id, run_id, corpus = UUID(int=number), UUID(int=1000 + number), f"{number}" * 64
        self.say(
            BatchReceived,
            at_s,
            batch_id=batch_id,
            raw_digest="e" * 64,
            num_documents=100 * number,
            num_bytes=1,
            source="http",
        )
        self.say(
            BatchCleaned, at_s + 1, batch_id=batch_id, shard_digest="e" * 64, num_documents=100 * number, num_new_documents=90,
            num_duplicate_documents=7, num_rejected_documents=3, num_pending_documents=90, min_new_documents=1,
        )  # fmt: skip
        self.say(
            CorpusVersioned, at_s + 10, corpus_digest=corpus, parent_corpus_digest=None, number=number, num_documents=90 * number,
            num_new_documents=90, batch_ids=(batch_id,), training_request_id=None,
        )  # fmt: skip
        self.say(
            TokenizerReady, at_s + 20, event_id=run_id, corpus_digest=corpus, tokenizer_digest="f" * 64, vocab_size=6000,
            reused=number > 1, coverage=0.999, tokens_per_char=0.5,
        )  # fmt: skip
        for step in range(1, 4):
            self.say(
                TrainingProgressed, at_s + 20 + step, run_id=run_id, step=step, num_tokens=1000 * step, token_budget=3000,
                loss=9.0 - step, tokens_per_s=1000.0, eta_s=1.0,
            )  # fmt: skip
        self.say(
            ModelTrained, at_s + 50, run_id=run_id, bundle_digest=digest, corpus_digest=corpus, tokenizer_digest="f" * 64,
            ancestors=ancestors, num_tokens=3000, loss=6.0, duration_s=30.0,
        )  # fmt: skip
        scores = (Score(slice="all", n=400, accuracy=0.5, macro_f1=0.4, majority_share=0.3),)
        self.say(
            ModelEvaluated, at_s + 60, run_id=run_id, bundle_digest=digest, corpus_digest=corpus, ancestors=ancestors,
            passed=True, reasons=("fine",), floor_accuracy=0.35, scores=scores, serving_digest=serving,
            serving_scores=scores if serving else (),
        )  # fmt: skip

    def released(
        self,
        at_s: float,
        digest: str,
        phase: Phase,
        weights: dict[str, int],
        *,
        serving: str,
        cause: Cause = Cause.HEALTHY,
    ) -> None:
        """Tell how the release changed."""
        self.revision += 1
        candidate = Candidate(bundle_digest=digest, ancestors=(), evaluation_id=UUID(int=1), traceparent=None)
        rollout = Rollout(
            candidate=candidate, phase=phase, phase_since=START, baseline_digest=None, cause=cause, reason="x"
        )
        routes = tuple(Route(bundle_digest=name, weight_percent=percent) for name, percent in weights.items())
        state = ReleaseState(revision=self.revision, serving_digest=serving, routes=routes, rollout=rollout)
        self.say(ReleaseChanged, at_s, cause=cause, reason="because", bundle_digest=digest, phase=phase, state=state)

    def answered(self, at_s: float, digest: str, *, answers: int, slow: int = 0) -> None:
        """Tell of a second's answers: fast ones within 50 ms, slow ones within 1 s."""
        self.say(
            TrafficObserved, at_s + 1, second=START + timedelta(seconds=at_s), bundle_digest=digest, num_answers=answers,
            num_errors=0, num_slow=slow, num_cache_hits=1, latency_limit_ms=300.0,
            latency=LatencyHistogram(bounds_ms=(50.0, 300.0, 1000.0), counts=(answers - slow, 0, slow, 0)),
        )  # fmt: skip

    def alarmed(self, at_s: float, digest: str, state: AlertState) -> None:
        """Tell of an alert."""
        self.say(
            AlertChanged, at_s, rule="answer-latency", signal="latency", bundle_digest=digest, state=state, value=0.7, limit=0.05,
            reason=REASON, since=START,
        )  # fmt: skip


def story_events() -> list[Event]:
    """Return the events by time."""
    teller = Teller()
    teller.made(1, FIRST, 0, ancestors=(), serving=None)
    teller.released(70, FIRST, Phase.WINDOW, {FIRST: 100}, serving=FIRST)
    teller.made(2, SECOND, 100, ancestors=(FIRST,), serving=FIRST)
    teller.alarmed(165, SECOND, AlertState.RESOLVED)
    teller.released(170, SECOND, Phase.CANARY, {FIRST: 90, SECOND: 10}, serving=FIRST)
    for second in range(171, 181):
        teller.answered(second, FIRST, answers=9)
        teller.answered(second, SECOND, answers=1)
    teller.released(185, SECOND, Phase.WINDOW, {SECOND: 100}, serving=SECOND)
    teller.released(190, SECOND, Phase.STABLE, {SECOND: 100}, serving=SECOND)
    teller.made(3, THIRD, 200, ancestors=(SECOND,), serving=SECOND)
    teller.released(270, THIRD, Phase.CANARY, {SECOND: 90, THIRD: 10}, serving=SECOND)
    for second in range(271, 281):
        teller.answered(second, SECOND, answers=9)
        teller.answered(second, THIRD, answers=2, slow=2)
    teller.alarmed(281, THIRD, AlertState.FIRING)
    teller.released(282, THIRD, Phase.ROLLING_BACK, {SECOND: 100}, serving=SECOND, cause=Cause.LATENCY)
    teller.released(284, THIRD, Phase.ROLLED_BACK, {SECOND: 100}, serving=SECOND, cause=Cause.ELAPSED)
    teller.answered(283, THIRD, answers=1)  # told of within the lag
    teller.answered(400, SECOND, answers=9)
    teller.alarmed(290, THIRD, AlertState.NO_DATA)
    return sorted(teller.events, key=lambda event: event.occurred_at)


def record(event: Event) -> EventRecord:
    """Return what the monitor keeps of an event."""
    return EventRecord(
        topic=TOPIC_OF[type(event)], event_id=event.event_id, causation_id=None, occurred_at=event.occurred_at, domain="law",
        trace_id=None, event=event.model_dump(mode="json"),
    )  # fmt: skip


TOKENIZER_REPORT = TokenizerReport(
    domain="law", corpus_digest="c" * 64, tokenizer_digest="7" * 64, decision="extended",
    reason="extended: 12 new terms, 3 of them users', save 4.10 % of the tokens",
    parts=TokenizerParts(vocab_size=20_480, core_size=8_000, num_terms=2_021, num_terms_left_out=17), is_held_out=True,
    num_texts=3_839, num_chars=460_999, num_tokens=206_149, coverage=0.99936, tokens_per_char=0.4472, word_coverage=0.9457,
    core_term_coverage=0.961, num_terms=2_030, terms_whole=0.9956, num_accepted_terms=2_038, accepted_terms_whole=0.9917,
    terms_unbroken=0.9995, num_term_occurrences=51_222,
    crossing=0.0153, spanning=0.11, num_byte_tokens=882, num_unknown=0, round_trip=1.0,
    num_tokens_by_chars={1: 70_000, 2: 90_000, 3: 20_000, 12: 40}, num_entries={"accepted": 2_021, "filtered": 15_247},
    compared=(ComparedTokenizer(name="cl100k", num_tokens=533_000, tokens_per_char=1.1575, ratio=0.386),),
    not_compared=("o200k", "DeepSeek V4"),
    terms_left_out=(TermLeftOut(term="不动产登记", reason="it cuts 登记簿 at 3 of 3 places"),),
)  # fmt: skip
