"""Files that are whole or absent, and training checkpoints among them."""

import io
from pathlib import Path
from typing import Any

import torch

from shared.files import write_atomically


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path`.

    Args:
        path: The file; the one before stays until the new one is complete.
        state: Tensors, numbers, strings, lists and dicts of them.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the state of the last complete checkpoint, or None where none was written."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
