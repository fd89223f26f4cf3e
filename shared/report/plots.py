"""Plots of releases: who answered, how fast, how well, and how training went."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter
from matplotlib.ticker import MaxNLocator, PercentFormatter

from contracts.envelope import Digest
from contracts.evaluation import Score
from shared.report.drawing import BAD, INK, MUTED, SERIES, figure_of, legend_of, svg_of
from shared.report.figures import BIN_S, TrafficBin, wilson
from shared.report.story import BundleStory, Story

DAY_S = 86_400
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, DAY_S)
MAX_TICKS = 7
SLICES = {"all": "all documents", "old": "old documents", "new": "new documents"}


def colors_of(digests: Sequence[Digest]) -> dict[Digest, int]:
    """Return the number of each bundle's colour, in the order of their appearance."""
    return {digest: number % len(SERIES) for number, digest in enumerate(dict.fromkeys(digests))}


def weights_plot(story: Story, colors: dict[Digest, int], names: dict[Digest, str]) -> str:
    """Return who got which share of the traffic, and when alerts fired; empty without a share."""
    if not any(weights.percent for weights in story.weights):
        return ""
    with figure_of(height_in=2.7) as (figure, (axes,)):
        moments = [weights.at for weights in story.weights] + [story.ended_at]
        digests = list(dict.fromkeys(digest for weights in story.weights for digest in weights.percent))
        shares = [[weights.percent.get(digest, 0) for weights in story.weights] for digest in digests]
        axes.stackplot(
            _steps(moments), [_doubled(share) for share in shares], colors=[_color(colors, digest) for digest in digests],
            labels=[names[digest] for digest in digests], alpha=0.85, linewidth=0,
        )  # fmt: skip
        axes.set_ylim(0, 100)
        axes.yaxis.set_major_formatter(PercentFormatter())
        _mark_alerts(axes, story)
        _over_time(axes, max(story.began_at, moments[0] - (moments[-1] - moments[0]) * 0.05), story.ended_at)
        legend_of(axes)
        return svg_of(figure)


def traffic_plot(
    story: Story,
    bins: dict[Digest, list[TrafficBin]],
    colors: dict[Digest, int],
    names: dict[Digest, str],
    *,
    bin_s: int = BIN_S,
) -> str:
    """Return answers a second and the 95th percentile of their latency, by bundle; empty without traffic."""
    if not bins:
        return ""
    with figure_of(height_in=4.2, rows=2) as (figure, (rate, latency)):
        for digest, points in sorted(bins.items(), key=lambda item: colors.get(item[0], len(SERIES))):
            at = _with_gaps(points, bin_s)
            style = {
                "color": _color(colors, digest),
                "label": names.get(digest, digest[:12]),
                "marker": "o",
                "markersize": 2.5,
            }
            rate.plot(
                [moment for moment, _ in at], [point.answers_per_s if point else None for _, point in at], **style
            )
            latency.plot([moment for moment, _ in at], [point.p95_ms if point else None for _, point in at], **style)
        limit_ms = story.traffic[-1].latency_limit_ms
        latency.axhline(limit_ms, color=BAD, linewidth=1, linestyle="--", label=f"limit {limit_ms:.0f} ms")
        rate.set_title("answers a second")
        latency.set_title("95th percentile of the latency, ms")
        rate.set_ylim(bottom=0)
        latency.set_ylim(bottom=0)
        first = min(point.at for points in bins.values() for point in points)
        last = max(point.at for points in bins.values() for point in points)
        for axes in (rate, latency):
            _mark_alerts(axes, story)
            _over_time(axes, first, last + timedelta(seconds=bin_s))
        legend_of(latency)
        return svg_of(figure)


def scores_plot(bundles: Sequence[BundleStory], colors: dict[Digest, int], names: dict[Digest, str]) -> str:
    """Return the accuracy on each slice of the held-out documents with its interval; empty where nothing was judged."""
    rows = [(bundle, score) for bundle in bundles if bundle.evaluated for score in _told(bundle.evaluated.scores)]
    if not rows:
        return ""
    with figure_of(height_in=0.9 + 0.34 * len(rows)) as (figure, (axes,)):
        for place, (bundle, score) in enumerate(reversed(rows)):
            interval, color = wilson(score.accuracy, score.n), _color(colors, bundle.digest)
            axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=2.5, solid_capstyle="butt")
            axes.plot([interval.share], [place], "o", color=color, markersize=7)
            axes.plot([score.majority_share], [place], "|", color=MUTED, markersize=13, markeredgewidth=2)
        labels = [f"{names[bundle.digest]}  {SLICES[score.slice]}, n={score.n:,}" for bundle, score in reversed(rows)]
        axes.set_yticks(range(len(rows)), labels)
        axes.tick_params(axis="y", colors=INK, length=0)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.grid(visible=False, axis="y")
        return svg_of(figure)


def training_plot(bundles: Sequence[BundleStory], colors: dict[Digest, int], names: dict[Digest, str]) -> str:
    """Return the loss of each training over the tokens that it has seen; empty where none was reported."""
    told = [bundle for bundle in bundles if len(bundle.progress) > 1]
    if not told:
        return ""
    with figure_of(height_in=2.5) as (figure, (axes,)):
        for bundle in told:
            points = sorted(bundle.progress, key=lambda point: point.num_tokens)
            axes.plot(
                [point.num_tokens / 1000 for point in points], [point.loss for point in points],
                color=_color(colors, bundle.digest), label=names[bundle.digest],
            )  # fmt: skip
        axes.set_xlabel("thousand tokens")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend_of(axes)
        return svg_of(figure)


def _told(scores: Sequence[Score]) -> list[Score]:
    """Return the scores that say something of their own: where all documents are new, one slice is the other."""
    seen: list[Score] = []
    for score in scores:
        if score.n and not any((score.n, score.accuracy) == (known.n, known.accuracy) for known in seen):
            seen.append(score)
    return seen


def _color(colors: dict[Digest, int], digest: Digest) -> str:
    return SERIES[colors.get(digest, len(SERIES) - 1)]


def _mark_alerts(axes: Axes, story: Story) -> None:
    for number, alert in enumerate(story.alerts):
        axes.axvspan(
            alert.fired_at, alert.until or story.ended_at, color=BAD, alpha=0.14, linewidth=0,
            label=None if number else "alert",
        )  # fmt: skip
        axes.axvline(alert.fired_at, color=BAD, linewidth=1.2)


def tick_step_s(lasted_s: float) -> int:
    """Return the seconds between two marks of a time axis: at most seven of them, at round times."""
    fitting = (step_s for step_s in TICK_STEPS_S if lasted_s / step_s <= MAX_TICKS)
    return next(fitting, math.ceil(lasted_s / MAX_TICKS / DAY_S) * DAY_S)


def _over_time(axes: Axes, began_at: datetime, ended_at: datetime) -> None:
    lasted = ended_at - began_at
    clock = "%H:%M:%S" if lasted < timedelta(minutes=20) else "%H:%M" if lasted < timedelta(days=1) else "%b %d %H:%M"
    step_s = tick_step_s(lasted.total_seconds())
    first_s = math.ceil(began_at.timestamp() / step_s) * step_s
    marks = range(first_s, math.floor(ended_at.timestamp()) + 1, step_s)
    axes.set_xticks([datetime.fromtimestamp(mark, UTC) for mark in marks])
    axes.xaxis.set_major_formatter(DateFormatter(clock, tz=began_at.tzinfo))
    axes.set_xlim(began_at, max(ended_at, began_at + timedelta(seconds=1)))


def _steps(moments: Sequence[datetime]) -> list[datetime]:
    """Return the corners of steps: each value holds from its moment to the next one."""
    return [corner for index in range(len(moments) - 1) for corner in (moments[index], moments[index + 1])]


def _doubled(values: Sequence[int]) -> list[int]:
    return [value for value in values for _ in range(2)]


def _with_gaps(points: Sequence[TrafficBin], bin_s: int) -> list[tuple[datetime, TrafficBin | None]]:
    """Return the points with a hole where bins are missing: a line across it would invent answers."""
    found: list[tuple[datetime, TrafficBin | None]] = []
    for point in points:
        if found and point.at - found[-1][0] > timedelta(seconds=2 * bin_s):
            found.append((found[-1][0] + timedelta(seconds=bin_s), None))
        found.append((point.at, point))
    return found
