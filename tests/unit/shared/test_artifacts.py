"""Artifacts are what their digest says and appear whole; refs are replaced in one step."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.artifacts import ABSENT, ArtifactStore, file_digest
from shared.errors import ArtifactCorrupt, ArtifactMissing, RefConflict, StorageFull, StorageUnavailable
from shared.files import make_folders, write_atomically

SLOW_WRITER = """
import sys
from pathlib import Path
from shared.files import make_folders, replacing
path = Path(sys.argv[1]) / sys.argv[2]
make_folders(path.parent)
with replacing(path) as file:
    file.write(b"x" * 1_000_000)
    file.flush()
    print("half", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    return f"file://{folder}" if request.param == "file" else str(request.getfixturevalue("s3_url"))


@pytest.fixture
def store(url: str) -> ArtifactStore:
    """A store of each kind."""
    return ArtifactStore(url)


@pytest.fixture
def folder_store(folder: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{folder}")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@given(data=st.binary(max_size=2_000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_an_artifact_is_named_by_its_bytes(folder_store: ArtifactStore, data: bytes) -> None:
    digest = folder_store.put_bytes(data)

    assert digest == hashlib.sha256(data).hexdigest()
    assert folder_store.read_bytes(digest) == data
    assert folder_store.put_bytes(data) == digest


def test_the_same_bytes_are_stored_once_whichever_way_they_came(
    folder_store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a" * 3_000_000)

    assert folder_store.put_file(source) == folder_store.put_bytes(source.read_bytes()) == file_digest(source)
    assert len(files(folder)) == 1


def test_an_artifact_is_fetched_whole(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"b" * 3_000_000)
    target = tmp_path / "deep" / "target"

    store.fetch(digest, target)

    assert file_digest(target) == digest
    assert list(target.parent.iterdir()) == [target]


def test_what_is_missing_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    digest = "0" * 64
    assert not store.exists(digest)
    with pytest.raises(ArtifactMissing, match=digest):
        store.read_bytes(digest)
    with pytest.raises(ArtifactMissing, match=digest):
        store.fetch(digest, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_damaged_bytes_are_never_handed_out(folder_store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    digest = folder_store.put_bytes(b"right")
    (path,) = files(folder)
    path.write_bytes(b"wrong")

    with pytest.raises(ArtifactCorrupt, match=digest):
        folder_store.read_bytes(digest)
    with pytest.raises(ArtifactCorrupt, match=digest):
        folder_store.fetch(digest, tmp_path / "target")
    assert list(tmp_path.glob("*target*")) == []


@pytest.mark.parametrize("kind", ["artifact", "ref"])
def test_a_writer_killed_in_the_middle_leaves_nothing_to_be_seen(
    folder_store: ArtifactStore, folder: Path, kind: str
) -> None:
    data = b"x" * 2_000_000
    name = hashlib.sha256(data).hexdigest() if kind == "artifact" else "state/law"
    path = f"sha256/{name[:2]}/{name}" if kind == "artifact" else f"refs/{name}"
    argv = [sys.executable, "-c", SLOW_WRITER, str(folder), path]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
        assert writer.wait(10) == -signal.SIGKILL

    assert len(files(folder)) == 1, "the half that was written lies there under another name"
    assert list(folder_store.ref_names("state")) == []
    if kind == "artifact":
        assert not folder_store.exists(name)
        assert folder_store.put_bytes(data) == name
        assert folder_store.read_bytes(name) == data
    else:
        assert folder_store.read_ref(name) is None
        folder_store.write_ref(name, b"whole")
        assert folder_store.read_ref(name) == b"whole"


def test_what_killed_writers_left_is_removed_once_it_is_old(folder_store: ArtifactStore, folder: Path) -> None:
    digest = folder_store.put_bytes(b"whole")
    shard = folder / "sha256" / digest[:2]
    old, fresh = (shard / f".{digest}.{name}" for name in ("old", "fresh"))
    for draft in (old, fresh):
        draft.write_bytes(b"half")
    yesterday = time.time() - 90_000
    for path in (old, shard / digest):
        os.utime(path, (yesterday, yesterday))
    assert folder_store.remove_drafts() == 1
    assert (old.exists(), fresh.exists(), folder_store.read_bytes(digest)) == (False, True, b"whole")


def test_an_error_while_writing_leaves_nothing(folder_store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        folder_store.put_file(tmp_path)
    assert files(folder) == []


def test_refs_are_written_read_listed_and_removed(store: ArtifactStore) -> None:
    assert store.read_ref("releases/law") is None
    store.write_ref("releases/law", b"1")
    store.write_ref("releases/law", b"2")
    store.write_ref("releases/medicine", b"3")
    store.write_ref("other/law", b"4")

    assert store.read_ref("releases/law") == b"2"
    assert list(store.ref_names("releases")) == ["releases/law", "releases/medicine"]
    assert list(store.ref_names("nothing")) == []
    store.delete_ref("releases/law")
    store.delete_ref("releases/law")
    assert store.read_ref("releases/law") is None


def test_readers_of_a_ref_never_see_a_mix(store: ArtifactStore) -> None:
    values = [bytes([number]) * 200_000 for number in range(4)]
    store.write_ref("state", values[0])
    ended = threading.Event()
    seen: list[bytes | None] = []

    def read() -> None:
        while not ended.is_set():
            seen.append(store.read_ref("state"))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(30):
        store.write_ref("state", values[number % 4])
    ended.set()
    for reader in readers:
        reader.join()

    assert seen
    assert set(seen) <= set(values)


# ---- compare and set


def test_a_ref_is_replaced_only_by_who_knows_it(store: ArtifactStore) -> None:
    assert store.read_ref_version("state/law") is None
    first = store.write_ref("state/law", b"1", expected=ABSENT)
    assert store.read_ref_version("state/law") == (b"1", first)
    with pytest.raises(RefConflict, match="state/law"):
        store.write_ref("state/law", b"x", expected=ABSENT)
    second = store.write_ref("state/law", b"2", expected=first)
    with pytest.raises(RefConflict, match="another writer"):
        store.write_ref("state/law", b"x", expected=first)
    assert store.read_ref_version("state/law") == (b"2", second)
    assert store.write_ref("state/law", b"3") != second
    store.delete_ref("state/law")
    with pytest.raises(RefConflict):
        store.write_ref("state/law", b"x", expected=second)
    assert store.read_ref("state/law") is None


COUNTER = """
import sys
from shared.artifacts import ABSENT, ArtifactStore
from shared.errors import RefConflict
store = ArtifactStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
left = int(sys.argv[2])
while left:
    found = store.read_ref_version("counter")
    number, version = (int(found[0]), found[1]) if found else (0, ABSENT)
    try:
        store.write_ref("counter", str(number + 1).encode(), expected=version)
        left -= 1
    except RefConflict:
        pass
"""


def test_processes_that_count_by_compare_and_set_lose_no_count(store: ArtifactStore, url: str) -> None:
    num_processes, num_counts = 3, 5
    argv = [sys.executable, "-c", COUNTER, url, str(num_counts)]
    counters = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(num_processes)]
    for counter in counters:
        with counter.stdout as said:  # type: ignore[union-attr]
            assert said.readline() == b"ready\n"
    for counter in counters:
        counter.stdin.close()  # type: ignore[union-attr]
    assert [counter.wait(60) for counter in counters] == [0] * num_processes
    assert store.read_ref("counter") == str(num_processes * num_counts).encode()


def test_only_known_kinds_of_stores_are_opened() -> None:
    with pytest.raises(ValueError, match="expected file:///path or s3://bucket/prefix"):
        ArtifactStore("memory://bucket")


# ---- the folder


def test_a_stopped_writer_holds_others_up_for_a_while_only(
    folder_store: ArtifactStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.blobs.LOCK_TIMEOUT_S", 0.2)
    folder_store.write_ref("state", b"1")
    (lock,) = (folder / "locks").iterdir()
    with FileLock(lock), pytest.raises(StorageUnavailable, match="another process has held its lock"):
        folder_store.write_ref("state", b"2")
    folder_store.write_ref("state", b"2")
    assert folder_store.read_ref("state") == b"2"


def test_what_the_disk_refuses_is_a_named_error(
    folder_store: ArtifactStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.parent.mkdir(exist_ok=True)
    folder.write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageUnavailable, match="cannot write"):
        folder_store.put_bytes(b"data")
    folder.unlink()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(StorageFull, match="the storage is full") as caught:
            folder_store.put_bytes(b"data")
    assert caught.value.next_step
    assert files(folder) == []
    assert folder_store.read_bytes(folder_store.put_bytes(b"data")) == b"data"


def test_a_replaced_file_keeps_its_permissions_and_is_flushed_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o600)
    flushed: list[str] = []
    fsync = os.fsync

    def recorded(file: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        fsync(file)

    monkeypatch.setattr("os.fsync", recorded)
    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [Path(name).parent for name in flushed[:1]] == [tmp_path]
    assert flushed[1:] == [str(tmp_path)]
    assert list(tmp_path.iterdir()) == [path]


def test_new_folders_are_flushed_into_those_above_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr("shared.files.flush_folder", flushed.append)
    make_folders(tmp_path / "a" / "b")
    make_folders(tmp_path / "a" / "b")
    assert flushed == [tmp_path, tmp_path / "a"]
