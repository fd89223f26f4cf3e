"""A small campaign for every run of the tests: each daemon is killed once on the way of one version; then the count.

The big one, with its table, is `python -m tests.faults.campaign --kills 50`.
"""

from collections.abc import Iterator

import pytest

from shared.embedded.layout import layout_of
from tests.embedded.live import eventually
from tests.faults.campaign import come_to_rest
from tests.faults.census import take
from tests.faults.feed import DOMAIN, Feed, Questions
from tests.faults.harness import Faults
from tests.faults.moments import CHILD_STARTED, Kind, Moment

pytestmark = [pytest.mark.embedded, pytest.mark.xdist_group("faults"), pytest.mark.timeout(500)]

TAKEOVER_WITHIN_S = 15.0
ALL_WITHIN_S = 240.0
"""A machine that also runs other tests takes minutes for the way that all eight are killed on."""
ONE_PASS = {
    "ingest": Moment(Kind.PUBLISHING, "publish-after:batch-received-v1"),
    "cleaner": Moment(Kind.PUBLISHING, "publish-before:corpus-versioned-v1"),
    "tokenizer-builder": Moment(Kind.HANDLING, "ref-before:run-result"),
    "trainer": Moment(Kind.HANDLING, CHILD_STARTED, delays_s=(1.0,)),
    "evaluator": Moment(Kind.PUBLISHING, "publish-after:model-evaluated-v1"),
    "release-manager": Moment(Kind.FLIP, "publish-before:release-changed-v1", nths=(2,)),
    "inference-gateway": Moment(Kind.FLIP, "load-after:bundle"),
    "monitor": Moment(Kind.PUBLISHING, "commit-before"),
}


@pytest.fixture
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """A mesh that is not up yet; nothing is left of it."""
    faults = Faults(layout_of(tmp_path_factory.mktemp("faults") / "mesh"))
    yield faults
    faults.down()


def test_nothing_is_lost_and_nothing_doubled_when_each_daemon_is_killed(faults: Faults) -> None:
    faults.up()
    feed = Feed(faults.live)
    with faults.live.tail().reading() as tail, faults.watching(), Questions(faults.live) as questions:
        feed.post()
        eventually(lambda: faults.release().serving_digest)
        for daemon, moment in ONE_PASS.items():
            faults.arm(daemon, moment)
        feed.post()
        feed.submit()
        eventually(lambda: not faults.busy, within_s=ALL_WITHIN_S)
        come_to_rest(faults, feed)
        census = take(faults.store, tail.messages, feed.acknowledged, DOMAIN)

    assert sorted(kill.daemon for kill in faults.kills) == sorted(ONE_PASS)
    assert (census.lost, census.doubled) == ([], [])
    assert census.counts["batches acknowledged"] == 3
    assert census.counts["corpus versions"] == census.counts["model-evaluated-v1"] >= 2
    assert census.counts["dead letters"] == 0
    assert max(kill.ready_after_s or 0 for kill in faults.kills) <= TAKEOVER_WITHIN_S
    assert questions.num_answered
    assert 0 < census.counts["answers counted"] <= questions.num_sent
