import random
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.core.batches import Cursor, batches_from, collate, epoch_examples, plan_epoch
from services.trainer.core.examples import Example, TrainingSet
from shared.errors import RunFailed

LENGTHS = st.lists(st.integers(2, 128), min_size=1, max_size=300)


@given(LENGTHS, st.integers(16, 512), st.integers())
def test_an_epoch_shows_each_document_once_within_the_token_budget(lengths, tokens_per_batch, seed):
    plan = plan_epoch(lengths, tokens_per_batch, random.Random(seed))
    assert sorted(index for batch in plan for index in batch) == list(range(len(lengths)))
    for batch in plan:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= tokens_per_batch


def test_batches_of_clause_lengths_are_hardly_padded():
    rng = random.Random(0)
    lengths = [min(128, max(8, int(rng.lognormvariate(4, 0.7)))) for _ in range(5_000)]
    plan = plan_epoch(lengths, 1_024, rng)
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in plan)
    assert sum(lengths) / padded > 0.95


def examples(num_new=40, num_replay=60):
    rng = random.Random(1)

    def some(count):
        return [Example(ids=[1, *(rng.randrange(3, 50) for _ in range(rng.randrange(1, 20))), 2], label=0)] * count

    return TrainingSet(new=some(num_new), replay=some(num_replay), labels=("a",))


def stream(cursor, num_replay=20):
    return batches_from(examples(), cursor, seed=3, tokens_per_batch=128, num_replay=num_replay, pad_id=0)


def test_a_cursor_resumes_the_same_batches_also_across_epochs():
    whole = list(islice(stream(Cursor()), 60))
    assert whole[-1][1].epoch >= 2
    for taken in (1, 17, 41):
        resumed = list(islice(stream(whole[taken - 1][1]), 60 - taken))
        for (expected, behind), (found, found_behind) in zip(whole[taken:], resumed, strict=True):
            assert behind == found_behind
            assert torch.equal(expected.ids_BT, found.ids_BT)


def test_replay_is_drawn_anew_for_each_epoch_and_new_documents_come_every_time():
    new, replay = ([Example(ids=[1, index], label=0) for index in range(*bounds)] for bounds in ((0, 5), (10, 200)))
    chosen = [
        epoch_examples(TrainingSet(new, replay, ("a",)), num_replay=20, seed=1, epoch=epoch) for epoch in range(2)
    ]
    assert all(epoch[:5] == new and len(epoch) == 25 for epoch in chosen)
    assert chosen[0][5:] != chosen[1][5:]


def test_collating_pads_on_the_right():
    batch = collate([Example(ids=[1, 5, 2], label=0), Example(ids=[1, 2], label=-100)], pad_id=0)
    assert batch.ids_BT.tolist() == [[1, 5, 2], [1, 2, 0]]
    assert batch.mask_BT.tolist() == [[True, True, True], [True, True, False]]
    assert batch.labels_B.tolist() == [0, -100]
    assert batch.num_tokens == 5


@pytest.mark.parametrize(("num_new", "num_replay"), [(0, 0), (0, 60)])
def test_an_epoch_without_documents_is_refused_instead_of_awaited(num_new, num_replay):
    empty = batches_from(examples(num_new, num_replay), Cursor(), seed=3, tokens_per_batch=128, num_replay=0, pad_id=0)
    with pytest.raises(RunFailed, match="an epoch holds no document"):
        next(empty)
