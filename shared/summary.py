"""Events in one line each, for people: the status, the demo and reports say them alike."""

from functools import singledispatch

from contracts.corpus import (
    BatchCleaned,
    BatchPrepared,
    BatchReceived,
    CorpusAmended,
    CorpusVersioned,
    DocumentsSubmitted,
)
from contracts.envelope import Event
from contracts.evaluation import ModelEvaluated
from contracts.monitoring import AlertChanged
from contracts.release import BundleLoaded, BundleRejected, ReleaseChanged, ReleaseRequested
from contracts.training import ModelTrained, TokenizerReady, TrainingProgressed, TrainingRequested

SHORT = 8
"""Digits shown of an id."""
SHORT_DIGEST = 12
"""Digits shown of a digest."""


@singledispatch
def summary(event: Event) -> str:
    """Return one line that says what an event says."""
    return f"domain {event.domain}"


@summary.register
def _(event: DocumentsSubmitted) -> str:
    return f"{len(event.documents)} documents"


@summary.register
def _(event: BatchReceived) -> str:
    return f"{event.num_documents:,} documents, {event.num_bytes / 1e6:.1f} MB, by {event.source}"


@summary.register
def _(event: BatchPrepared) -> str:
    num_rejected = sum(event.rejected.values())
    return f"{event.num_documents:,} documents went through the steps, {num_rejected:,} rejected"


@summary.register
def _(event: BatchCleaned) -> str:
    masked = f"; {sum(event.masked.values()):,} personal data masked" if event.masked else ""
    why = f" ({', '.join(f'{count:,} {reason}' for reason, count in event.rejected.items())})" if event.rejected else ""
    near = f"{event.num_near_duplicate_documents:,} nearly, " if event.num_near_duplicate_documents else ""
    return (
        f"{event.num_new_documents:,} new, {event.num_verbatim_documents:,} known word for word, {near}"
        f"{event.num_rejected_documents:,} rejected{why}{masked}"
    )


@summary.register
def _(event: CorpusAmended) -> str:
    what = {
        "restore": "documents were restored",
        "quarantine": "batches were left out",
        "put-back": "a batch was put back",
        "said-again": "as it was left",
    }[event.order]
    differs = (
        "the next version differs from the latest" if event.is_changed else "nothing that the latest version lacks"
    )
    return f"{what}: {differs}, {event.num_pending_documents:,} documents wait"


@summary.register
def _(event: TrainingRequested) -> str:
    return f"{event.reason}, waits for {len(event.batch_ids)} batches"


@summary.register
def _(event: CorpusVersioned) -> str:
    return f"version {event.number}: {event.num_documents:,} documents, {event.num_new_documents:,} of them new"


@summary.register
def _(event: TokenizerReady) -> str:
    origin = "the serving one still covers the text" if event.reused else "a new one"
    if event.decision == "extended":
        origin = f"the serving one and {event.num_new_tokens:,} new tokens"
    fit = f"coverage {event.coverage:.4f}, {event.tokens_per_char:.2f} tokens a character"
    return f"{event.vocab_size:,} tokens, {fit}; {origin}"


@summary.register
def _(event: TrainingProgressed) -> str:
    share = event.num_tokens / event.token_budget
    return f"{share:.0%} of {event.token_budget:,} tokens, loss {event.loss:.3f}, {event.eta_s:.0f} s left"


@summary.register
def _(event: ModelTrained) -> str:
    origin = f"continues {short(event.ancestors[0])}" if event.ancestors else "from scratch"
    return f"bundle {short(event.bundle_digest)}, {event.num_tokens:,} tokens in {event.duration_s:.0f} s, {origin}"


@summary.register
def _(event: ModelEvaluated) -> str:
    verdict = f"bundle {short(event.bundle_digest)} {'passed' if event.passed else 'FAILED'} its gates"
    # The evaluator marks the sentence of every gate that was not passed.
    failed = (
        "".join(f"; {reason}" for reason in event.reasons if reason.startswith("FAILED")) if not event.passed else ""
    )
    overall = next((score for score in event.scores if score.slice == "all"), None)
    if overall is None:
        return verdict + failed
    figures = f"accuracy {overall.accuracy:.3f} (floor {event.floor_accuracy:.3f}), macro-F1 {overall.macro_f1:.3f}"
    return f"{verdict}: {figures}, n={overall.n:,}{failed}"


@summary.register
def _(event: ReleaseRequested) -> str:
    return f"{event.action} by {event.cause}: {event.reason}"


@summary.register
def _(event: BundleLoaded) -> str:
    outcome = f"in {event.duration_s:.1f} s" if event.loaded else f"NOT: {event.error}"
    return f"bundle {short(event.bundle_digest)} loaded {outcome}"


@summary.register
def _(event: BundleRejected) -> str:
    return f"bundle {short(event.bundle_digest)} refused by {event.stage}: {event.reason}"


@summary.register
def _(event: ReleaseChanged) -> str:
    routed = " + ".join(f"{short(route.bundle_digest)} {route.weight_percent} %" for route in event.state.routes)
    subject = f"{short(event.bundle_digest or '')} {event.phase or ''}".strip()
    return f"{subject}, routed {routed or 'nothing'}; {event.cause}: {event.reason}"


@summary.register
def _(event: AlertChanged) -> str:
    return f"{event.rule} {event.state} for {short(event.bundle_digest)}: {event.reason}"


def short(digest: str) -> str:
    """Return the digits of a digest that are shown."""
    return digest[:SHORT_DIGEST]
