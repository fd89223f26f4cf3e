"""One line for people about each lifecycle event."""

from contracts.corpus import BatchCleaned, BatchReceived, CorpusVersioned
from contracts.envelope import Event
from contracts.evaluation import ModelEvaluated, Score
from contracts.monitoring import AlertChanged
from contracts.release import BundleLoaded, ReleaseChanged, ReleaseRequested, ReleaseState
from contracts.training import ModelTrained, TokenizerReady, TrainingProgressed, TrainingRequested

SHORT_DIGITS = 12


def summary(event: Event) -> str:
    """Return one line about an event; its class's name where nothing better is known."""
    match event:
        case BatchReceived() | BatchCleaned() | CorpusVersioned():
            return _of_data(event)
        case TrainingRequested() | TokenizerReady() | TrainingProgressed() | ModelTrained():
            return _of_training(event)
        case ModelEvaluated():
            return _of_evaluation(event)
        case ReleaseRequested() | ReleaseChanged() | BundleLoaded():
            return _of_release(event)
        case AlertChanged():
            return f"{event.rule} is {event.state} for {short(event.bundle_digest)}: {event.reason}"
        case _:
            return type(event).__name__


def short(digest: str) -> str:
    """Return enough of a digest for people to tell it by."""
    return digest[:SHORT_DIGITS]


def _of_data(event: BatchReceived | BatchCleaned | CorpusVersioned) -> str:
    match event:
        case BatchReceived():
            return f"batch of {event.num_documents:,} documents, {event.num_bytes:,} bytes, over {event.source}"
        case BatchCleaned():
            return (
                f"{event.num_new_documents:,} of {event.num_documents:,} documents new, "
                f"{event.num_duplicate_documents:,} known, {event.num_rejected_documents:,} rejected"
            )
        case _:
            return (
                f"version {event.number}: {event.num_documents:,} documents, {event.num_new_documents:,} of them new, "
                f"from {len(event.batch_ids):,} batches"
            )


def _of_training(event: TrainingRequested | TokenizerReady | TrainingProgressed | ModelTrained) -> str:
    match event:
        case TrainingRequested():
            return f"requested by {event.reason}, waits for {len(event.batch_ids):,} batches"
        case TokenizerReady():
            how = "serving one covers" if event.reused else "new one covers"
            return f"{event.vocab_size:,} tokens; the {how} {event.coverage:.2%} of the new text"
        case TrainingProgressed():
            share = event.num_tokens / event.token_budget if event.token_budget else 0.0
            return (
                f"step {event.step:,}, {share:.0%} of {event.token_budget:,} tokens, "
                f"loss {event.loss:.3f}, {event.eta_s:.0f} s left"
            )
        case _:
            how = "continued" if event.ancestors else "from scratch"
            return (
                f"{short(event.bundle_digest)} trained {how}: {event.num_tokens:,} tokens in {event.duration_s:.0f} s, "
                f"loss {event.loss:.3f}"
            )


def _of_evaluation(event: ModelEvaluated) -> str:
    verdict = "passed" if event.passed else "refused"
    overall: Score | None = next((score for score in event.scores if score.slice == "all"), None)
    if overall is None:
        return f"{short(event.bundle_digest)} {verdict}"
    return (
        f"{short(event.bundle_digest)} {verdict}: accuracy {overall.accuracy:.3f} (floor {event.floor_accuracy:.3f}), "
        f"macro-F1 {overall.macro_f1:.3f}, n={overall.n:,}"
    )


def _of_release(event: ReleaseRequested | ReleaseChanged | BundleLoaded) -> str:
    match event:
        case ReleaseRequested():
            return f"{event.action} requested ({event.cause}): {event.reason}"
        case ReleaseChanged():
            return f"{_routes(event.state)}; {event.phase or 'no rollout'}, {event.cause}: {event.reason}"
        case _:
            outcome = f"loaded in {event.duration_s:.1f} s" if event.loaded else f"not loaded: {event.error}"
            return f"{short(event.bundle_digest)} {outcome} by {event.gateway}"


def _routes(state: ReleaseState) -> str:
    routed = [f"{short(route.bundle_digest)} {route.weight_percent} %" for route in state.routes]
    return " + ".join(routed) or "nothing is routed"
