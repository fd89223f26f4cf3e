"""Runs are claimed by one living process at a time, finished once, and taken over from a dead one."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shared.artifacts import ArtifactStore
from shared.clock import FakeClock
from shared.errors import RunClaimed
from shared.runs import CLAIM_EXPIRES_S, Claim, Runs, is_alive, own_claim

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


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{tmp_path}/artifacts")


async def claim_and_let_go(store: ArtifactStore, cause: UUID) -> None:
    async with runs(store).claimed(cause):
        assert list(store.ref_names("runs")) == [f"runs/trainer/{cause}/claim"]


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
    assert list(store.ref_names("runs")) == []
    async with runs(store).claimed(cause):
        assert list(store.ref_names("runs")) == [f"runs/trainer/{cause}/claim"]


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
    assert list(store.ref_names("runs")) == []


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

    assert list(store.ref_names("runs")) == []


def test_a_claim_of_another_host_lives_as_long_as_it_is_renewed() -> None:
    claim = Claim(host="elsewhere", pid=1, process_created_s=0, renewed_at=NOW)

    assert is_alive(claim, now=NOW + timedelta(seconds=CLAIM_EXPIRES_S - 1))
    assert not is_alive(claim, now=NOW + timedelta(seconds=CLAIM_EXPIRES_S))


def test_a_pid_that_was_given_to_another_process_is_not_the_claimant() -> None:
    mine = own_claim(NOW)

    assert is_alive(mine, now=NOW + timedelta(days=1))
    assert not is_alive(mine.model_copy(update={"process_created_s": mine.process_created_s - 60}), now=NOW)


async def test_a_restarted_container_with_the_same_pid_takes_its_own_run_over(store: ArtifactStore) -> None:
    cause = UUID(int=7)
    former = own_claim(NOW).model_copy(update={"process_created_s": 1.0})
    store.write_ref(f"runs/trainer/{cause}/claim", former.model_dump_json().encode())

    async with runs(store).claimed(cause):
        written = store.read_ref(f"runs/trainer/{cause}/claim")
        assert written is not None
        assert Claim.model_validate_json(written) == own_claim(NOW)
