"""The order of documents: pinned by a seed, grouped by length, and resumable from a cursor.

Statute articles are 20 to 400 tokens long. Batches of random ones would be more padding than text, so a shuffled pool is sorted
by length, cut into batches of about equal size, and the batches are shuffled again.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from services.trainer.core.examples import Example, TrainingSet
from shared.errors import RunFailed

POOL_DOCUMENTS = 1_024
"""Large enough for batches of one length, small enough that an epoch's order stays random."""


@dataclass(frozen=True)
class Cursor:
    """The next batch to be trained on."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Batch:
    """Documents padded on the right to the longest; shapes as in `shared.lm.gpt`."""

    ids_BT: Tensor
    mask_BT: Tensor
    labels_B: Tensor

    @property
    def num_tokens(self) -> int:
        """Real tokens, padding excluded."""
        return int(self.mask_BT.sum())


def batches_from(
    examples: TrainingSet, cursor: Cursor, *, seed: int, tokens_per_batch: int, num_replay: int, pad_id: int
) -> Iterator[tuple[Batch, Cursor]]:
    """Yield batches for ever, each with the cursor behind it; the same cursor gives the same batches.

    Args:
        examples: An epoch is all new documents and `num_replay` others, drawn anew for each epoch.
        cursor: Where to begin.
        seed: Of the order.
        tokens_per_batch: Padded tokens of a batch, at most, unless a single document is longer.
        num_replay: Old documents of an epoch.
        pad_id: Id at padded positions; nothing is learnt there.

    Raises:
        RunFailed: There are no new documents, and none of the others is to be shown.
    """
    epoch, first = cursor.epoch, cursor.batch
    while True:
        chosen = epoch_examples(examples, num_replay=num_replay, seed=seed, epoch=epoch)
        lengths = [len(example.ids) for example in chosen]
        plan = plan_epoch(lengths, tokens_per_batch, pinned(f"order:{seed}:{epoch}"))
        if not plan:
            raise RunFailed(
                f"an epoch holds no document: none is new, and {num_replay} of {len(examples.replay)} others are replayed",
                next_step="submit documents, or set PLUMBLINE_RECIPE__MIN_REPLAY_DOCUMENTS above 0",
            )
        for index in range(first, len(plan)):
            yield collate([chosen[row] for row in plan[index]], pad_id), Cursor(epoch, index + 1)
        epoch, first = epoch + 1, 0


def epoch_examples(examples: TrainingSet, *, num_replay: int, seed: int, epoch: int) -> list[Example]:
    """Return the documents of one epoch, not yet in order."""
    rng = pinned(f"replay:{seed}:{epoch}")
    return examples.new + rng.sample(examples.replay, min(num_replay, len(examples.replay)))


def pinned(seed: str) -> random.Random:
    """Return a generator that gives the same numbers in every process (a text seed is hashed with SHA-512)."""
    return random.Random(seed)  # noqa: S311 - an order, not a secret


def plan_epoch(lengths: Sequence[int], tokens_per_batch: int, rng: random.Random) -> list[list[int]]:
    """Return the indexes of each batch of an epoch; every index occurs once.

    Args:
        lengths: Tokens of each document.
        tokens_per_batch: Largest product of documents and longest document, if there is more than one.
        rng: Makes the order.
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)
    plan: list[list[int]] = []
    for start in range(0, len(order), POOL_DOCUMENTS):
        pool = sorted(order[start : start + POOL_DOCUMENTS], key=lengths.__getitem__)
        batches = _cut(pool, lengths, tokens_per_batch)
        rng.shuffle(batches)
        plan += batches
    return plan


def _cut(ascending: list[int], lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    for index in ascending:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[index] > tokens_per_batch:
            batches.append([])
        batches[-1].append(index)
    return batches


def collate(examples: Sequence[Example], pad_id: int) -> Batch:
    """Return the examples as one padded batch."""
    longest = max(len(example.ids) for example in examples)
    ids_BT = torch.tensor([example.ids + [pad_id] * (longest - len(example.ids)) for example in examples])
    lengths_B = torch.tensor([len(example.ids) for example in examples])
    mask_BT = torch.arange(longest)[None, :] < lengths_B[:, None]
    return Batch(ids_BT, mask_BT, torch.tensor([example.label for example in examples]))
