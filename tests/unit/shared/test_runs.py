"""Runs are claimed by one living process at a time, finished once, and taken over from a dead one."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.artifacts import ABSENT, ArtifactStore, Expected, Version
from shared.clock import FakeClock, SystemClock
from shared.errors import RunClaimed
from shared.runs import CLAIM_EXPIRES_S, CLAIM_FORSAKEN_S, CLAIM_WATCHED_S, Claim, Runs, is_alive, own_claim

NOW = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
CLAIMANT = """
import asyncio, sys
from uuid import UUID
from shared.artifacts import ArtifactStore
from shared.clock import SystemClock
from shared.runs import Runs

async def main():
    async with Runs(ArtifactStore(sys.argv[1]), "trainer", clock=SystemClock()).claimed(UUID(sys.argv[2])):
        print("claimed", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
RACER = """
import asyncio, os, sys
from datetime import UTC, datetime
from uuid import UUID
from contracts.envelope import Event
from shared.artifacts import ArtifactStore
from shared.clock import SystemClock
from shared.errors import RunClaimed
from shared.runs import Runs

class Outcome(Event):
    worker: int

async def work_on(runs, cause):
    async def work():
        print("worked", cause, os.getpid(), flush=True)
        await asyncio.sleep(0.01)
        now = datetime.now(UTC)
        return Outcome(event_id=cause, causation_id=None, occurred_at=now, domain="law", worker=os.getpid())
    while True:
        try:
            return await runs.once(cause, Outcome, work)
        except RunClaimed:
            await asyncio.sleep(0.001)

async def main():
    runs = Runs(ArtifactStore(sys.argv[1]), "trainer", clock=SystemClock())
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for cause in map(UUID, sys.argv[2:]):
        print("result", cause, (await work_on(runs, cause)).worker, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}/artifacts")


def claim_of(store: ArtifactStore, cause: UUID) -> Claim:
    data = store.read_ref(f"runs/trainer/{cause}/claim")
    assert data
    return Claim.model_validate_json(data)


async def claim_and_let_go(store: ArtifactStore, cause: UUID) -> None:
    async with runs(store).claimed(cause):
        assert claim_of(store, cause) == own_claim(NOW)
    assert claim_of(store, cause).released


def runs(store: ArtifactStore) -> Runs:
    return Runs(store, "trainer", clock=FakeClock(NOW))


async def test_a_run_has_no_result_until_it_is_finished(store: ArtifactStore) -> None:
    cause = uuid4()
    assert runs(store).result(cause) is None
    runs(store).finish(cause, b"done")
    assert runs(store).result(cause) == b"done"
    assert runs(store).result(uuid4()) is None


async def test_a_redelivery_while_the_run_works_is_told_to_come_back(store: ArtifactStore) -> None:
    cause = uuid4()
    mine = runs(store)
    async with mine.claimed(cause):
        with pytest.raises(RunClaimed, match="this process"):
            await mine.claimed(cause).__aenter__()
        async with mine.claimed(uuid4()):
            pass
    async with mine.claimed(cause):
        pass


async def test_a_failed_run_gives_its_claim_back(store: ArtifactStore) -> None:
    cause = uuid4()
    with pytest.raises(ZeroDivisionError):
        async with runs(store).claimed(cause):
            raise ZeroDivisionError
    assert claim_of(store, cause).released
    await claim_and_let_go(store, cause)


def test_a_living_process_keeps_its_claim_and_a_killed_one_loses_it(store: ArtifactStore, tmp_path: Path) -> None:
    cause = uuid4()
    argv = [sys.executable, "-c", CLAIMANT, f"file://{tmp_path}/artifacts", str(cause)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as claimant:
        assert claimant.stdout
        assert claimant.stdout.readline() == b"claimed\n"
        with pytest.raises(RunClaimed, match=f"process {claimant.pid} on {socket.gethostname()}"):
            asyncio.run(claim_and_let_go(store, cause))

        claimant.send_signal(signal.SIGKILL)
        # Not waited for: nobody may have collected the dead process yet, and it must not count as alive.
        os.waitid(os.P_PID, claimant.pid, os.WEXITED | os.WNOWAIT)
        asyncio.run(claim_and_let_go(store, cause))


async def test_a_cancelled_run_gives_its_claim_back(store: ArtifactStore) -> None:
    cause = uuid4()
    inside = asyncio.Event()

    async def work() -> None:
        async with runs(store).claimed(cause):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert claim_of(store, cause).released


ELSEWHERE = Claim(host="elsewhere", boot="b", pid=1, process_started_s=0, renewed_at=NOW)


@pytest.mark.parametrize(
    ("age_s", "unrenewed_s", "alive"),
    [
        (CLAIM_EXPIRES_S - 1, CLAIM_WATCHED_S, True),
        (CLAIM_EXPIRES_S, CLAIM_WATCHED_S - 0.1, True),
        (CLAIM_EXPIRES_S, CLAIM_WATCHED_S, False),
        (-3600, CLAIM_FORSAKEN_S - 0.1, True),
        (-3600, CLAIM_FORSAKEN_S, False),
    ],
)
def test_a_claim_of_another_host_lives_as_long_as_it_is_renewed(
    age_s: float, unrenewed_s: float, *, alive: bool
) -> None:
    assert is_alive(ELSEWHERE, now=NOW + timedelta(seconds=age_s), unrenewed_s=unrenewed_s) == alive


@given(st.floats(-1e7, 1e7), st.floats(0, 1e4))
def test_no_jump_of_a_clock_kills_a_renewed_claim_or_keeps_a_dead_one(jump_s: float, unrenewed_s: float) -> None:
    alive = is_alive(ELSEWHERE, now=NOW + timedelta(seconds=jump_s), unrenewed_s=unrenewed_s)
    assert alive or unrenewed_s >= CLAIM_WATCHED_S
    assert not alive or unrenewed_s < CLAIM_FORSAKEN_S


def test_a_pid_that_was_given_to_another_process_is_not_the_claimant() -> None:
    mine = own_claim(NOW)
    later = NOW + timedelta(days=1)

    assert is_alive(mine, now=later, unrenewed_s=1e6)
    other = mine.model_copy(update={"process_started_s": mine.process_started_s - 60})
    assert not is_alive(other, now=NOW, unrenewed_s=0)
    # The same pid at the same second of another boot says nothing; time will tell.
    assert is_alive(mine.model_copy(update={"boot": "before"}), now=NOW, unrenewed_s=0)
    assert not is_alive(mine.model_copy(update={"boot": "before"}), now=later, unrenewed_s=CLAIM_WATCHED_S)


def test_a_claimant_is_told_by_what_a_jump_of_the_clock_does_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = own_claim(NOW)
    booted_s = psutil.boot_time()
    for module in (psutil, psutil._pslinux):
        monkeypatch.setattr(module, "boot_time", lambda: booted_s + 7200)
    assert psutil.Process().create_time() > booted_s + 7200
    assert is_alive(mine, now=NOW, unrenewed_s=0)


async def test_a_restarted_container_with_the_same_pid_takes_its_own_run_over(store: ArtifactStore) -> None:
    cause = UUID(int=7)
    former = own_claim(NOW).model_copy(update={"process_started_s": -1.0})
    store.write_ref(f"runs/trainer/{cause}/claim", former.model_dump_json().encode())
    await claim_and_let_go(store, cause)


# ---- two at the same instant


def test_of_many_processes_at_the_same_instant_one_has_the_run_and_one_result_stands(tmp_path: Path) -> None:
    """Each round, six processes claim the same run as fast as they can, again and again until it is finished.

    The first run was left by a host that died; all six hold it for dead at about the same instant.
    """
    url, num_members, causes = f"file://{tmp_path}/artifacts", 6, [str(uuid4()) for _ in range(8)]
    ArtifactStore(url).write_ref(f"runs/trainer/{causes[0]}/claim", ELSEWHERE.model_dump_json().encode())
    argv = [sys.executable, "-c", RACER, url, *causes]
    members = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(num_members)]
    for member in members:
        assert member.stdout
        assert member.stdout.readline() == b"ready\n"
    for member in members:
        assert member.stdin
        member.stdin.close()
    said = []
    for member in members:
        assert member.stdout
        with member.stdout as lines:
            said += [line.split() for line in lines.read().decode().splitlines()]
        assert member.wait(60) == 0
    for cause in causes:
        worked = [pid for verb, found, pid in said if (verb, found) == ("worked", cause)]
        results = {pid for verb, found, pid in said if (verb, found) == ("result", cause)}
        assert len(worked) == 1
        assert results == set(worked)
        assert sum((verb, found) == ("result", cause) for verb, found, _ in said) == num_members


async def test_who_was_held_for_dead_stops_and_leaves_the_claim_alone(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept for so long that another host took its run over: it must not go on, and must not give the run back."""
    monkeypatch.setattr("shared.runs.RENEW_INTERVAL_S", 0.01)
    cause = uuid4()
    taken = ELSEWHERE.model_dump_json().encode()

    async def work() -> None:
        async with runs(store).claimed(cause):
            store.write_ref(f"runs/trainer/{cause}/claim", taken)
            await asyncio.Event().wait()

    with pytest.raises(RunClaimed, match="held this one for dead"):
        await work()
    assert store.read_ref(f"runs/trainer/{cause}/claim") == taken
    task = asyncio.current_task()
    assert task
    assert not task.cancelling()


async def test_the_first_result_stands(store: ArtifactStore) -> None:
    cause = uuid4()
    assert runs(store).finish(cause, b"first") == b"first"
    assert runs(store).finish(cause, b"second") == b"first"


@pytest.mark.parametrize("is_written", [False, True], ids=["before it is written", "after it was written"])
async def test_a_claim_is_given_back_while_it_is_being_renewed(tmp_path: Path, monkeypatch, is_written):
    monkeypatch.setattr("shared.runs.RENEW_INTERVAL_S", 0.01)
    is_renewing, may_go_on = threading.Event(), threading.Event()

    class Slow(ArtifactStore):
        def write_ref(self, name: str, data: bytes, *, expected: Version | Expected = Expected.ANYTHING) -> Version:
            is_renewal = expected is not ABSENT and not Claim.model_validate_json(data).released
            if is_renewal and not is_written:
                is_renewing.set()
                assert may_go_on.wait(10)
            version = super().write_ref(name, data, expected=expected)
            if is_renewal and is_written:
                is_renewing.set()
                assert may_go_on.wait(10)
            return version

    store, cause = Slow((tmp_path / "artifacts").as_uri()), uuid4()
    async with Runs(store, "trainer", clock=SystemClock()).claimed(cause):
        assert await asyncio.to_thread(is_renewing.wait, 10)
        asyncio.get_running_loop().call_later(0.2, may_go_on.set)
    await asyncio.sleep(0.2)
    assert claim_of(store, cause).released
