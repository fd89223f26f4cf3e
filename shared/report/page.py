"""The report as one HTML file: nothing is loaded from anywhere."""

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from contracts.envelope import Digest
from shared.report import plots
from shared.report.figures import bin_s_for, binned, wilson
from shared.report.story import BundleStory, Story, named
from shared.report.templates import template_of

TEMPLATE = "report.html.j2"
NUM_BATCHES_SHOWN = 6
NARROW = "\N{NARROW NO-BREAK SPACE}"
CLOCK = "%H:%M:%S"
DAY_AND_CLOCK = "%m-%d %H:%M:%S"


def page(story: Story, *, title: str, written_at: datetime, notes: Sequence[str] = ()) -> str:
    """Return the HTML.

    Args:
        story: What is told.
        title: Its heading.
        written_at: Now.
        notes: Lines under the heading, e.g. what a demo proved.
    """
    names = named(story)
    colors = plots.colors_of([*(bundle.digest for bundle in story.bundles), *names])
    bin_s = bin_s_for((story.ended_at - story.began_at).total_seconds())
    clock = CLOCK if story.began_at.date() == story.ended_at.date() else DAY_AND_CLOCK
    return template_of(TEMPLATE, clock=lambda moment: moment.strftime(clock), span=_span).render(
        story=story,
        title=title,
        notes=notes,
        written_at=written_at,
        colors=colors,
        rows=[row for bundle in story.bundles for row in _score_rows(bundle)],
        num_batches_shown=NUM_BATCHES_SHOWN,
        facts=_facts(story),
        # The drawings are made here, of numbers and of digests only.
        plots={name: Markup(svg) for name, svg in _plots(story, colors, names, bin_s=bin_s).items()},  # noqa: S704
        bin_s=bin_s,
    )


def _plots(story: Story, colors: dict[Digest, int], names: dict[Digest, str], *, bin_s: int) -> dict[str, str]:
    return {
        "weights": plots.weights_plot(story, colors, names),
        "traffic": plots.traffic_plot(story, binned(story.traffic, bin_s=bin_s), colors, names, bin_s=bin_s),
        "scores": plots.scores_plot(story.bundles, colors, names),
        "training": plots.training_plot(story.bundles, colors, names),
    }


def _facts(story: Story) -> list[tuple[str, str]]:
    answers = sum(second.num_answers + second.num_cache_hits for second in story.traffic)
    documents = sum(batch.received.num_documents for bundle in story.bundles for batch in bundle.batches)
    return [
        ("lasted", _span((story.ended_at - story.began_at).total_seconds())),
        ("documents", f"{documents:,}"),
        ("bundles", f"{len(story.bundles)}"),
        ("answers", f"{answers:,}"),
        ("failed answers", f"{sum(second.num_errors for second in story.traffic):,}"),
        ("alerts", f"{len(story.alerts)}"),
    ]


def _score_rows(bundle: BundleStory) -> list[dict[str, object]]:
    judged = bundle.evaluated
    if judged is None:
        return []
    before = {score.slice: score for score in judged.serving_scores}
    return [
        {
            "digest": bundle.digest,
            "score": score,
            "interval": wilson(score.accuracy, score.n),
            "before": before.get(score.slice),
            "floor": judged.floor_accuracy if score.slice == "all" else None,
        }
        for score in judged.scores
        if score.n
    ]


def _span(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 (two minutes)
        return f"{seconds:.1f}{NARROW}s"
    return f"{seconds / 60:.1f}{NARROW}min" if seconds < 7200 else f"{seconds / 3600:.1f}{NARROW}h"  # noqa: PLR2004 (two hours)
