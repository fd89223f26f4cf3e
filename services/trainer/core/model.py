"""The model that a run begins with."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from services.trainer.core.recipe import Recipe
from shared.lm.gpt import GPT
from shared.lm.transfer import Initialisation, Matrix, TransferPlan, transferred


def fresh_model(recipe: Recipe, *, vocab_size: int, num_labels: int) -> GPT:
    """Return new weights; the same recipe gives the same ones."""
    torch.manual_seed(recipe.seed)
    return GPT(recipe.model(vocab_size), num_labels)


def with_labels(parent: GPT, *, num_labels: int, seed: int) -> GPT:
    """Return the parent's weights with a label head of `num_labels` rows: its own first, fresh ones behind.

    Args:
        parent: Not changed.
        num_labels: At least the parent's.
        seed: Of the fresh rows.
    """
    torch.manual_seed(seed)
    model = GPT(parent.config, num_labels)
    model.model.load_state_dict(parent.model.state_dict())
    known = parent.label_head.num_labels
    with torch.no_grad():
        model.label_head.weight[:known] = parent.label_head.weight
        model.label_head.bias[:known] = parent.label_head.bias
    return model


def with_vocabulary(
    parent: GPT, plan: TransferPlan, how: Initialisation, *, space: Mapping[str, Matrix] | None = None
) -> GPT:
    """Return the parent's weights for another tokenizer; only the embedding, which is the output layer too, has other rows.

    Args:
        parent: Not changed.
        plan: From the parent's tokenizer to the run's.
        how: What rows of new tokens begin with.
        space: Vectors of tokens by their strings, for `focus` and `scaled-focus`.
    """
    rows = transferred(parent.model.embed_tokens.weight.detach().numpy(), plan, how=how, space=space)
    with torch.random.fork_rng(devices=[]):
        model = GPT(replace(parent.config, vocab_size=len(rows)), parent.label_head.num_labels)
    weights = {**parent.state_dict(), "model.embed_tokens.weight": torch.from_numpy(rows)}
    model.load_state_dict(weights)
    return model
