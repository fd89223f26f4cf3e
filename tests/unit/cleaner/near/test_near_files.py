import json
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from services.cleaner.core.near.columns import FAMILY_BAND
from services.cleaner.core.near.index import NearIndex
from services.cleaner.near_files import MANIFEST, NearFiles, NearIndexUnreadable
from tests.unit.cleaner.near.made import articles, filled, mistyped, named


def family_of_copies(num_texts):
    """Articles and near-copies, more of one article than a bucket takes."""
    rng = random.Random(8)
    base = list(articles()[:num_texts])
    return list(dict.fromkeys([*base, *(mistyped(base[70], rng, 0.02) for _ in range(150))]))


def equal(left, right):
    for name in ("packed", "guards", "ranks", "families"):
        assert np.array_equal(getattr(left.columns, name), getattr(right.columns, name))
    for name in ("number", "other", "similarity", "same_guard"):
        assert np.array_equal(getattr(left.edges, name), getattr(right.edges, name))
    assert left.crowded == right.crowded
    assert left.bands == right.bands
    for one, other in zip(left.segments, right.segments, strict=True):
        assert (one.first, one.end) == (other.first, other.end)
        assert all(np.array_equal(one.entries[band], other.entries[band]) for band in left.bands)
    return True


def test_an_empty_folder_holds_nothing(tmp_path):
    assert NearFiles(tmp_path / "near").load() is None


def test_an_index_comes_back_and_goes_on(tmp_path):
    texts = family_of_copies(300)
    folder = tmp_path / "cleaner" / "near"
    families = np.full(len(texts), 1 << 40, dtype=np.uint64)
    files, index = NearFiles(folder), NearIndex()
    for end in range(50, len(texts), 50):
        filled(texts[:end], [end - len(index) or 1], index=index, families=families)
        files.save(index.state())
    again = NearFiles(folder)
    state = again.load()
    assert equal(state, index.state())
    assert any(state.crowded.values())
    resumed = NearIndex(state)
    filled(texts, [50], index=resumed, families=families)
    again.save(resumed.state())
    whole = filled(texts, [1000], families=families)
    assert named(NearIndex(NearFiles(folder).load()).edges(), texts) == named(whole.edges(), texts)


def test_an_owner_of_some_bands_keeps_them(tmp_path):
    texts = articles()[:80]
    index = filled(texts, [40], index=NearIndex(bands=(3, FAMILY_BAND)))
    NearFiles(tmp_path).save(index.state())
    assert equal(NearFiles(tmp_path).load(), index.state())


def test_an_empty_index_comes_back(tmp_path):
    NearFiles(tmp_path).save(NearIndex().state())
    assert len(NearIndex(NearFiles(tmp_path).load())) == 0


def test_a_folder_holds_few_files_and_a_snapshot_writes_what_is_new(tmp_path):
    files, index = NearFiles(tmp_path), NearIndex()
    texts = articles()[:600]
    for end in range(10, 600, 10):
        filled(texts[:end], [10], index=index)
        before = {path.name for path in tmp_path.iterdir()}
        files.save(index.state())
        assert len(list(tmp_path.iterdir())) <= 25
    assert len(before & {path.name for path in tmp_path.iterdir()}) > 3
    stays = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.bin")}
    files.save(index.state())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.bin")} == stays


def test_forgotten_documents_are_gone_after_a_snapshot(tmp_path):
    texts = family_of_copies(200)
    files, index = NearFiles(tmp_path), filled(texts, [60])
    files.save(index.state())
    index.truncate(230)
    filled([*texts[:230], *articles()[1000:1100]], [50], index=index)
    files.save(index.state())
    assert equal(NearFiles(tmp_path).load(), index.state())


def test_of_two_that_save_in_turn_the_longer_one_stays_and_either_can_be_read(tmp_path):
    """A domain that moved to another cleaner and back: each thinks that the folder is as it left it."""
    texts = articles()[:200]
    ours, theirs = NearFiles(tmp_path), NearFiles(tmp_path)
    index = filled(texts[:60], [60])
    ours.save(index.state())
    other = NearIndex(theirs.load())
    filled(texts[:150], [90], index=other)
    theirs.save(other.state())
    ours.save(index.state())
    assert equal(NearFiles(tmp_path).load(), other.state()), "ours holds less, and is not written"
    filled(texts, [140], index=index)
    ours.save(index.state())
    assert equal(NearFiles(tmp_path).load(), index.state())
    theirs.save(other.state())
    assert equal(NearFiles(tmp_path).load(), index.state())


def test_what_cannot_be_read_is_replaced_by_the_next_snapshot(tmp_path):
    index = filled(articles()[:50], [50])
    NearFiles(tmp_path).save(index.state())
    (path,) = tmp_path.glob("columns-*.bin")
    path.write_bytes(b"damaged")
    files = NearFiles(tmp_path)
    with pytest.raises(NearIndexUnreadable):
        files.load()
    files.save(index.state())
    assert equal(NearFiles(tmp_path).load(), index.state())


def test_damage_is_found(tmp_path):
    NearFiles(tmp_path).save(filled(articles()[:50], [50]).state())
    (path,) = tmp_path.glob("columns-*.bin")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(NearIndexUnreadable, match="is damaged"):
        NearFiles(tmp_path).load()
    path.unlink()
    with pytest.raises(NearIndexUnreadable):
        NearFiles(tmp_path).load()


def test_another_format_is_refused(tmp_path):
    NearFiles(tmp_path).save(NearIndex().state())
    path = tmp_path / MANIFEST
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "format": [1, 99, 1]}))
    with pytest.raises(NearIndexUnreadable, match="99"):
        NearFiles(tmp_path).load()
    path.write_text("{")
    with pytest.raises(NearIndexUnreadable):
        NearFiles(tmp_path).load()


def test_a_kill_at_any_moment_leaves_a_whole_state(tmp_path):
    rng = random.Random(5)
    lengths = []
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.unit.cleaner.near.saving_child", str(tmp_path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            for _ in range(rng.randrange(1, 12)):
                assert child.stdout.readline() == b"saved\n"
            deadline = time.monotonic() + rng.random() * 0.02
            while time.monotonic() < deadline:
                pass
            child.kill()
        state = NearFiles(tmp_path).load()
        assert state is not None
        texts = [articles()[number] for number in range(len(state.columns))]
        fresh = filled(texts, [60])
        assert np.array_equal(state.columns.packed, fresh.state().columns.packed)
        assert named(NearIndex(state).edges(), texts) == named(fresh.edges(), texts)
        lengths.append(len(texts))
    assert lengths == sorted(lengths)
