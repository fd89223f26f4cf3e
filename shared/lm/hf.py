"""A model as a folder in the Hugging Face layout, its classification head beside it.

`config.json` and `model.safetensors` are a complete `LlamaForCausalLM`; `heads.safetensors` holds the rows of the label head
and `labels.json` their names, in order.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from shared.lm.config import ModelConfig, from_hf, to_hf
from shared.lm.gpt import GPT
from shared.lm.text import SpecialIds

CONFIG, WEIGHTS, HEADS, LABELS = "config.json", "model.safetensors", "heads.safetensors", "labels.json"
TRUNK_PREFIX, HEAD_PREFIX = "model.", "label_head."
FORMAT = {"format": "pt"}
"""What `transformers` asks of a safetensors file's metadata."""


def save_model(folder: Path, model: GPT, labels: tuple[str, ...], special: SpecialIds) -> None:
    """Write the model into `folder`, in fp32; equal weights give equal bytes.

    Args:
        folder: Made if absent.
        model: Its label head has a row for each label.
        labels: Names of the classes, in the order of the rows.
        special: Ids that `config.json` names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: weight.detach().float().contiguous() for name, weight in model.state_dict().items()}
    save_file(_with_prefix(state, TRUNK_PREFIX), folder / WEIGHTS, metadata=FORMAT)
    save_file(_with_prefix(state, HEAD_PREFIX), folder / HEADS, metadata=FORMAT)
    write_json(folder / CONFIG, to_hf(model.config, special))
    write_json(folder / LABELS, list(labels))


def load_model(folder: Path) -> tuple[GPT, tuple[str, ...]]:
    """Return the model and its labels.

    Raises:
        FileNotFoundError: A file of the four is absent.
        RuntimeError: Names or shapes of the weights do not fit the configuration.
    """
    config, labels = read_config(folder), read_labels(folder)
    with torch.random.fork_rng(devices=[]):
        model = GPT(config, len(labels))
    model.load_state_dict({**load_file(folder / WEIGHTS), **load_file(folder / HEADS)})
    return model, labels


def read_config(folder: Path) -> ModelConfig:
    """Return the sizes of the model in `folder`."""
    return from_hf(json.loads((folder / CONFIG).read_text()))


def read_labels(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes, in the order of the head's rows."""
    return tuple(json.loads((folder / LABELS).read_text()))


def write_json(path: Path, value: object) -> None:
    """Write readable JSON; equal values give equal bytes."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def _with_prefix(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in state.items() if name.startswith(prefix)}
