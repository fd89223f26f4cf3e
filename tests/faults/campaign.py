"""The big run: `python -m tests.faults.campaign --kills 50`. Every daemon, at every kind of moment, under load; then the count.

Exit code 0: each daemon killed so often, nothing lost, doubled or dead-lettered, every takeover within its limit.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import httpx

from contracts.topics import ALL_DAEMONS
from shared.embedded.layout import layout_of
from tests.embedded.live import eventually
from tests.faults.census import Census, held_claims, take
from tests.faults.feed import DOMAIN, Feed, Questions
from tests.faults.harness import Faults, Kill
from tests.faults.moments import MOMENTS, Moment

TAKEOVER_WITHIN_S = 15.0
CYCLE_S = 60.0
SHORTEST_CYCLE_S = 31.0
"""A daemon that ran for so long is started again at once; below it the supervisor's pauses double."""
MAX_UNDER_WAY = 2
REST_WITHIN_S = 240.0
QUIET_S = 6.0
"""So long must nothing happen for a mesh to be at rest, and its last words to be read."""

log = logging.getLogger("campaign")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each daemon")
    parser.add_argument("--minutes", type=float, default=60.0, help="give up after so long")
    parser.add_argument(
        "--kafka", default=None, help="bootstrap servers of an Apache Kafka; its topics are deleted first"
    )
    parser.add_argument("--elasticsearch", default=None, help="URL of an Elasticsearch for telemetry")
    parser.add_argument("--daemons", default=",".join(ALL_DAEMONS))
    parser.add_argument("--state-dir", type=Path, default=None)
    parser.add_argument("--report", type=Path, default=None, help="where the table goes as JSON")
    arguments = parser.parse_args()
    logging.getLogger("campaign").addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)
    folder = arguments.state_dir or Path(tempfile.mkdtemp(prefix="faults-"))
    faults = Faults(layout_of(folder / "mesh"), settings=engines(arguments.kafka, arguments.elasticsearch))
    try:
        ready_s = faults.up()
        log.info("ready after %.1f s in %s", ready_s, folder)
        census, questions, feed = run(faults, arguments.daemons.split(","), arguments.kills, arguments.minutes * 60)
    finally:
        faults.down()
    report = summary(faults.kills, census, questions, feed)
    if missing := short_of(faults.kills, arguments.daemons.split(","), arguments.kills):
        log.error("killed less often than asked, since the time was over: %s", ", ".join(missing))
        report["good"] = False
    print(table(report), flush=True)  # noqa: T201
    if arguments.report:
        arguments.report.write_text(json.dumps(report, indent=2, ensure_ascii=False))
    return 0 if report["good"] else 1


def engines(kafka: str | None, elasticsearch: str | None) -> dict[str, str]:
    """Return the settings of a mesh on somebody else's engines."""
    return {
        **({"PLUMBLINE_ENGINES__KAFKA": kafka, "PLUMBLINE_ENGINES__FRESH_TOPICS": "true"} if kafka else {}),
        **({"PLUMBLINE_ENGINES__ELASTICSEARCH": elasticsearch} if elasticsearch else {}),
    }


def run(faults: Faults, daemons: list[str], kills: int, within_s: float) -> tuple[Census, Questions, Feed]:
    """Kill until each daemon was killed often enough; let the mesh come to rest; count."""
    feed, questions = Feed(faults.live), Questions(faults.live)
    # Each begins elsewhere in its table: all of them idle at once would be one moment, not eight.
    moments = {daemon: islice(cycle(MOMENTS[daemon]), turn, None) for turn, daemon in enumerate(daemons)}
    deadline = time.monotonic() + within_s
    with faults.live.tail().reading() as tail, faults.watching(), questions:
        feed.post()
        feed.post()
        eventually(lambda: faults.release().serving_digest, within_s=120)
        while (wanted := short_of(faults.kills, daemons, kills)) and time.monotonic() < deadline:
            one_cycle(faults, feed, {daemon: moments[daemon] for daemon in wanted})
            done = {daemon: sum(kill.daemon == daemon for kill in faults.kills) for daemon in daemons}
            log.info("%s kills: %s", sum(done.values()), done)
        come_to_rest(faults, feed)
        questions.stop()
        time.sleep(QUIET_S)
        census = take(faults.store, tail.messages, feed.acknowledged, DOMAIN)
    return census, questions, feed


def short_of(kills: list[Kill], daemons: list[str], wanted: int) -> list[str]:
    return [daemon for daemon in daemons if sum(kill.daemon == daemon for kill in kills) < wanted]


def one_cycle(faults: Faults, feed: Feed, moments: dict[str, Iterator[Moment]]) -> None:
    """Let data through the mesh, and end each daemon once on its way; one that was not met waits for another cycle."""
    started_at = time.monotonic()
    for daemon, choices in moments.items():
        faults.arm(daemon, next(choices))
    feed.post()
    feed.submit()
    feed.post()
    while faults.busy and time.monotonic() - started_at < CYCLE_S:
        time.sleep(0.1)
    if missed := faults.disarm():
        log.info("not met: %s", {daemon: moment.point for daemon, moment in missed.items()})
    while faults.num_under_way() > MAX_UNDER_WAY or time.monotonic() - started_at < SHORTEST_CYCLE_S:
        time.sleep(0.1)


def come_to_rest(faults: Faults, feed: Feed) -> None:
    """Ask for a version of what still waits, and wait until everything that was taken is judged and decided."""
    eventually(lambda: not faults.busy, within_s=60)
    store = faults.store
    eventually(lambda: all(store.read_ref(f"cleaned/{DOMAIN}/{one}") for one in feed.acknowledged), within_s=60)
    asked = {"domain": DOMAIN, "reason": "operator", "batch_ids": [str(one) for one in feed.acknowledged]}
    response = httpx.post(
        faults.live.url("monitor", "/v1/training-requests"), json=asked, trust_env=False,
        headers={"authorization": f"Bearer {faults.layout.token.read_text().strip()}"},
    )  # fmt: skip
    assert response.status_code in {202, 409}, response.text
    quiet_since, seen = time.monotonic(), faults.release().revision
    deadline = time.monotonic() + REST_WITHIN_S
    while time.monotonic() - quiet_since < QUIET_S:
        # One that was killed behind its last word has said all, but is not back yet.
        held = held_claims(store)
        assert time.monotonic() < deadline, f"{faults.num_under_way()} under way, {held} held, {faults.release()}"
        release = faults.release()
        if faults.num_under_way() or held or release.rollout or release.queued or release.revision != seen:
            quiet_since, seen = time.monotonic(), release.revision
        time.sleep(0.2)


def summary(kills: list[Kill], census: Census, questions: Questions, feed: Feed) -> dict[str, object]:
    by_place: dict[tuple[str, str], list[Kill]] = defaultdict(list)
    for kill in kills:
        by_place[kill.daemon, kill.moment.kind.value].append(kill)
    rows = [{"daemon": daemon, "moment": kind, **times(by_place[daemon, kind])} for daemon, kind in sorted(by_place)]
    longest = max((kill.ready_after_s or 0 for kill in kills), default=0)
    return {
        "rows": rows, "kills": len(kills), "by_daemon": {name: times([kill for kill in kills if kill.daemon == name])
                                                        for name in ALL_DAEMONS},
        "points": sorted({f"{kill.daemon}: {kill.moment.point}" for kill in kills}),
        "longest_takeover_s": round(longest, 2), "lost": census.lost, "doubled": census.doubled, "counts": census.counts,
        "uploads_tried_again": feed.num_retries, "questions": questions.num_sent, "answers": questions.num_answered,
        "unanswered": questions.num_unanswered, "refused": questions.num_refused,
        "longest_gap_s": round(questions.longest_gap_s, 1),
        "good": not (census.lost or census.doubled or census.counts["dead letters"]) and longest <= TAKEOVER_WITHIN_S,
    }  # fmt: skip


def times(kills: list[Kill]) -> dict[str, object]:
    seconds = [kill.ready_after_s for kill in kills if kill.ready_after_s is not None]
    return {
        "kills": len(kills),
        "median_s": round(statistics.median(seconds), 1) if seconds else None,
        "max_s": round(max(seconds), 1) if seconds else None,
    }


def table(report: dict[str, object]) -> str:
    lines = ["| daemon | moment | kills | ready again, median s | max s |", "| --- | --- | --- | --- | --- |"]
    rows = report["rows"]
    assert isinstance(rows, list)
    lines += [
        "| " + " | ".join(str(value if value is not None else "-") for value in row.values()) + " |" for row in rows
    ]
    rest = {name: value for name, value in report.items() if name not in {"rows", "points", "by_daemon"}}
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in rest.items())])


if __name__ == "__main__":
    sys.exit(main())
