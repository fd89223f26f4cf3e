"""Artifacts are what their digest says and appear whole; refs are replaced in one step."""

import hashlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.artifacts import ArtifactStore, file_digest
from shared.errors import ArtifactCorrupt, ArtifactMissing

SLOW_WRITER = """
import sys
from shared.artifacts import ArtifactStore, _AtomicFile
store = ArtifactStore(sys.argv[1])
path = store._artifact_path(sys.argv[2]) if sys.argv[3] == "artifact" else store._ref_path(sys.argv[2])
with _AtomicFile(store._fs, path) as file:
    file.write(b"x" * 1_000_000)
    file.flush()
    print("half", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def store(folder: Path) -> ArtifactStore:
    return ArtifactStore(f"file://{folder}")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@given(st.binary(max_size=2_000))
def test_an_artifact_is_named_by_its_bytes(data: bytes) -> None:
    store = ArtifactStore("memory://named")
    digest = store.put_bytes(data)

    assert digest == hashlib.sha256(data).hexdigest()
    assert store.read_bytes(digest) == data
    assert store.put_bytes(data) == digest


def test_the_same_bytes_are_stored_once_whichever_way_they_came(
    store: ArtifactStore, folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a" * 3_000_000)

    assert store.put_file(source) == store.put_bytes(source.read_bytes()) == file_digest(source)
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


def test_damaged_bytes_are_never_handed_out(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    digest = store.put_bytes(b"right")
    (path,) = files(folder)
    path.write_bytes(b"wrong")

    with pytest.raises(ArtifactCorrupt, match=digest):
        store.read_bytes(digest)
    with pytest.raises(ArtifactCorrupt, match=digest):
        store.fetch(digest, tmp_path / "target")
    assert list(tmp_path.glob("*target*")) == []


@pytest.mark.parametrize("kind", ["artifact", "ref"])
def test_a_writer_killed_in_the_middle_leaves_nothing_to_be_seen(store: ArtifactStore, folder: Path, kind: str) -> None:
    data = b"x" * 2_000_000
    name = hashlib.sha256(data).hexdigest() if kind == "artifact" else "state/law"
    argv = [sys.executable, "-c", SLOW_WRITER, f"file://{folder}", name, kind]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
        assert writer.wait(10) == -signal.SIGKILL

    assert len(files(folder)) == 1, "the half that was written lies there under another name"
    assert list(store.ref_names("state")) == []
    if kind == "artifact":
        assert not store.exists(name)
        assert store.put_bytes(data) == name
        assert store.read_bytes(name) == data
    else:
        assert store.read_ref(name) is None
        store.write_ref(name, b"whole")
        assert store.read_ref(name) == b"whole"


def test_an_error_while_writing_leaves_nothing(store: ArtifactStore, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        store.put_file(tmp_path)
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
    for number in range(60):
        store.write_ref("state", values[number % 4])
    ended.set()
    for reader in readers:
        reader.join()

    assert seen
    assert set(seen) <= set(values)


def test_an_object_store_gets_its_objects_when_they_are_complete() -> None:
    store = ArtifactStore("memory://bucket/prefix")
    digest = store.put_bytes(b"object")
    store.write_ref("a/b", b"ref")

    assert store.read_bytes(digest) == b"object"
    assert list(store.ref_names("a")) == ["a/b"]
    assert fsspec.filesystem("memory").exists(f"/bucket/prefix/sha256/{digest[:2]}/{digest}")
