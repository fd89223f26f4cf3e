"""What is particular to a bucket: parts, uploads that are cut off, requests that are counted, refusals with their next step."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.artifacts import ABSENT, ArtifactStore, file_digest
from shared.errors import ArtifactCorrupt, ArtifactMissing, RefConflict, StorageUnavailable
from tests.embedded.live import eventually
from tests.s3.running import BUCKET, S3Server, running_s3

PUTTER = """
import sys
from pathlib import Path
from shared.artifacts import ArtifactStore
ArtifactStore(sys.argv[1]).put_file(Path(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bucket.PART_BYTES", 5 << 20)  # the least that S3 takes


@pytest.fixture
def store(s3_url: str) -> ArtifactStore:
    return ArtifactStore(s3_url)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(os.urandom(11 << 20))
    return path


def test_a_big_artifact_goes_and_comes_in_parts(
    store: ArtifactStore, s3_server: S3Server, big: Path, tmp_path: Path
) -> None:
    digest = store.put_file(big)
    assert len(s3_server.requests(r"^PUT .*partNumber=\d+")) == 3
    store.fetch(digest, tmp_path / "back")
    assert file_digest(tmp_path / "back") == digest
    s3_server.forget_requests()
    assert store.put_bytes(big.read_bytes()) == digest
    assert len(s3_server.requests()) == 1, "what is there is not sent again"


def test_an_upload_that_is_cut_off_is_never_seen(
    store: ArtifactStore, s3_url: str, s3_server: S3Server, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(40 << 20))  # a child process sends parts of 16 MiB
    digest = file_digest(big)
    with s3_server.refusing("partNumber=2"):
        argv = [sys.executable, "-c", PUTTER, s3_url, str(big)]
        with subprocess.Popen(argv) as putter:
            eventually(lambda: s3_server.requests("partNumber=2"))
            putter.send_signal(signal.SIGKILL)
            assert putter.wait(10) == -signal.SIGKILL
    assert not store.exists(digest)
    with pytest.raises(ArtifactMissing):
        store.read_bytes(digest)
    assert store.put_file(big) == digest
    assert store.exists(digest)


def test_an_upload_that_the_server_refuses_is_given_up_whole(
    store: ArtifactStore, s3_server: S3Server, big: Path
) -> None:
    with s3_server.refusing("partNumber=2"), pytest.raises(StorageUnavailable, match="SlowDown"):
        store.put_file(big)
    assert s3_server.requests(r"^DELETE .*uploadId"), "its parts are thrown away"
    assert not store.exists(file_digest(big))


def test_damaged_objects_are_never_handed_out(
    store: ArtifactStore, s3_url: str, s3_server: S3Server, tmp_path: Path
) -> None:
    digest = store.put_bytes(b"right")
    s3_server.put_raw(f"{s3_url.partition(BUCKET)[2].strip('/')}/sha256/{digest[:2]}/{digest}", b"wrong")
    with pytest.raises(ArtifactCorrupt, match=digest):
        store.read_bytes(digest)
    with pytest.raises(ArtifactCorrupt, match=digest):
        store.fetch(digest, tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_a_listing_lists(store: ArtifactStore, s3_server: S3Server, tmp_path: Path) -> None:
    digest = store.put_bytes(b"data")
    store.exists("0" * 64)
    store.read_bytes(digest)
    store.fetch(digest, tmp_path / "target")
    store.read_ref("a/absent")
    version = store.write_ref("a/b", b"1", expected=ABSENT)
    with pytest.raises(RefConflict):
        store.write_ref("a/b", b"1 again", expected=ABSENT)
    store.write_ref("a/b", b"2", expected=version)
    store.delete_ref("a/b")
    assert s3_server.requests("list-type") == []
    assert len(s3_server.requests()) <= 14
    assert list(store.ref_names("a")) == []
    assert len(s3_server.requests("list-type")) == 1


def test_more_refs_than_a_page_are_all_listed(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        store.write_ref(f"many/{number}", b"")
    fs = store._blobs._fs  # type: ignore[attr-defined]
    call = fs.call_s3
    monkeypatch.setattr(fs, "call_s3", lambda method, **given: call(method, MaxKeys=2, **given))
    assert list(store.ref_names("many")) == [f"many/{number}" for number in range(5)]


def test_an_answer_that_was_lost_is_told_from_a_race_that_was(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client sends a PUT again when its answer does not come, and then finds what it wrote itself."""
    fs = store._blobs._fs  # type: ignore[attr-defined]
    call = fs.call_s3

    def again(method: str, **given: object) -> object:
        if method == "put_object":
            call(method, **given)
        return call(method, **given)

    with monkeypatch.context() as patched:
        patched.setattr(fs, "call_s3", again)
        version = store.write_ref("a", b"1", expected=ABSENT)
        version = store.write_ref("a", b"2", expected=version)
    assert store.read_ref_version("a") == (b"2", version)
    with pytest.raises(RefConflict):
        store.write_ref("a", b"2", expected=ABSENT)


# ---- refusals


@pytest.fixture
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("shared.bucket.CONNECT_TIMEOUT_S", 1.0)
    return


def test_a_bucket_that_is_not_there_is_named(s3_url: str) -> None:
    store = ArtifactStore("s3://no-such-bucket/prefix")
    for refused in (lambda: store.read_ref("a"), lambda: store.put_bytes(b"data")):
        with pytest.raises(StorageUnavailable, match="NoSuchBucket") as caught:
            refused()
        assert "make the bucket no-such-bucket" in str(caught.value.next_step)


def test_a_key_that_may_not_is_told_what_it_must_be_able_to(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_S3_ACCESS_KEY_ID", "stranger")
    store = ArtifactStore(s3_url)
    for refused in (lambda: store.exists("0" * 64), lambda: store.read_ref("a"), lambda: store.put_bytes(b"data")):
        with pytest.raises(StorageUnavailable) as caught:
            refused()
        assert "PLUMBLINE_S3_SECRET_ACCESS_KEY" in str(caught.value.next_step)


@pytest.mark.usefixtures("_short_patience")
def test_a_server_that_is_away_is_awaited_and_the_same_store_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_s3(tmp_path) as server:
        port = server.port
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store = ArtifactStore(f"s3://{BUCKET}/p")
        store.write_ref("a", b"1")
    for refused in (lambda: store.read_ref("a"), lambda: store.put_bytes(b"data"), lambda: store.write_ref("a", b"2")):
        with pytest.raises(StorageUnavailable) as caught:
            refused()
        assert "goes on by itself" in str(caught.value.next_step)
    with running_s3(tmp_path, port=port):
        assert store.read_bytes(store.put_bytes(b"data")) == b"data"


def test_a_secret_is_never_shown(s3_url: str) -> None:
    store = ArtifactStore(s3_url)
    assert "not-much-of-a-secret" not in repr(vars(store)) + repr(vars(store._blobs))
