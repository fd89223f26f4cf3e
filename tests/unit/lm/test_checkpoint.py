import pytest
import torch

from shared.files import write_atomically
from shared.lm.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path):
    state = {"step": 3, "loss": 0.1 + 0.2, "weights": {"w": torch.randn(4, 4)}, "rng": torch.get_rng_state()}
    save_checkpoint(tmp_path / "c.pt", state)
    loaded = load_checkpoint(tmp_path / "c.pt")
    assert (loaded["step"], loaded["loss"]) == (3, 0.1 + 0.2)
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])
    assert torch.equal(loaded["rng"], state["rng"])


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "c.pt") is None


def test_a_write_that_dies_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"step": 1})

    def dies(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("shared.files.os.fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path) == {"step": 1}


def test_a_leftover_of_a_killed_write_is_ignored_and_replaced(tmp_path):
    (tmp_path / ".result.json.partial").write_bytes(b"{half")
    write_atomically(tmp_path / "result.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
