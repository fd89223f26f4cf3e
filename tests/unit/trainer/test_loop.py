import io
import math
import random
from itertools import islice

import pytest
import torch

from services.trainer.core.batches import Cursor, batches_from, collate
from services.trainer.core.examples import NO_LABEL, Example, TrainingSet
from services.trainer.core.loop import Learner, batch_losses, train
from services.trainer.core.model import fresh_model, with_labels
from services.trainer.core.recipe import Recipe
from services.trainer.core.schedule import learning_rate

VOCAB = 40
TINY = Recipe(
    n_layer=1, n_head=2, n_kv_head=1, d_model=16, d_ff=24, block_size=32, tokens_per_batch=128, learning_rate=2e-2
)


def two_classes(count=120):
    """Documents whose label is told by which half of the vocabulary they use."""
    rng = random.Random(0)
    labels = [index % 2 for index in range(count)]
    halves = ((3, VOCAB // 2), (VOCAB // 2, VOCAB))
    return [
        Example(ids=[1, *(rng.randrange(*halves[label]) for _ in range(rng.randrange(3, 20))), 2], label=label)
        for label in labels
    ]


SET = TrainingSet(new=two_classes(), replay=[], labels=("a", "b"))


def learner(recipe=TINY, budget=4_000):
    model = fresh_model(recipe, vocab_size=VOCAB, num_labels=2)
    return Learner(model, recipe, peak_rate=recipe.learning_rate, token_budget=budget)


def stream(cursor, examples=SET):
    return batches_from(examples, cursor, seed=1, tokens_per_batch=128, num_replay=0, pad_id=0)


def run(learner, num_steps=None):
    steps = train(learner, stream(learner.cursor), batches_per_step=2)
    return list(islice(steps, num_steps))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_learns_and_ends_when_its_budget_is_used(precision):
    trained = learner(TINY.model_copy(update={"precision": precision}))
    counters = run(trained)
    assert counters[-2].num_tokens < 4_000 <= counters[-1].num_tokens
    assert counters[-1].losses.lm < counters[0].losses.lm
    batch = collate(SET.new, pad_id=0)
    with torch.no_grad():
        logits = trained.model.label_logits(trained.model.model(batch.ids_BT), batch.mask_BT)
    assert (logits.argmax(dim=1) == batch.labels_B).float().mean() > 0.9


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resuming_from_a_checkpoint_is_exact_to_the_bit(precision):
    recipe = TINY.model_copy(update={"precision": precision})
    whole, half = learner(recipe), learner(recipe)
    run(whole)
    run(half, num_steps=7)
    file = io.BytesIO()
    torch.save(half.state(), file)
    file.seek(0)
    resumed = learner(recipe)
    resumed.restore(torch.load(file, weights_only=True))
    run(resumed)
    assert resumed.counters == whole.counters
    assert resumed.cursor == whole.cursor
    weights = resumed.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in whole.model.state_dict().items())


def test_a_step_that_is_not_finite_is_skipped_and_counted():
    poisoned = learner(TINY.model_copy(update={"precision": "fp32"}))
    before = {name: weight.clone() for name, weight in poisoned.model.state_dict().items()}
    batches = list(islice(stream(Cursor()), 1))
    with torch.no_grad():
        poisoned.model.label_head.bias[0] = math.inf
    poisoned.step(batches)
    assert (poisoned.counters.step, poisoned.counters.num_skipped, poisoned.counters.losses) == (1, 1, None)
    after = poisoned.model.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items() if name != "label_head.bias")
    with torch.no_grad():
        poisoned.model.label_head.bias.zero_()
    poisoned.step(batches)
    assert (poisoned.counters.step, poisoned.counters.num_skipped) == (2, 1)
    assert math.isfinite(poisoned.counters.losses.joint)


def test_documents_without_a_label_teach_the_language_model_only():
    model = fresh_model(TINY, vocab_size=VOCAB, num_labels=2)
    unlabelled = [Example(ids=example.ids, label=NO_LABEL) for example in SET.new]
    lm, label = batch_losses(model, collate(unlabelled, pad_id=0))
    assert label == 0
    assert lm > 0
    mixed = [*SET.new[:5], *unlabelled[5:10]]
    _, some = batch_losses(model, collate(mixed, pad_id=0))
    _, alone = batch_losses(model, collate(SET.new[:5], pad_id=0))
    assert torch.allclose(some, alone, atol=1e-5)


def test_a_model_without_labels_trains():
    unlabelled = TrainingSet([Example(ids=example.ids, label=NO_LABEL) for example in SET.new], [], ())
    model = fresh_model(TINY, vocab_size=VOCAB, num_labels=0)
    trained = Learner(model, TINY, peak_rate=1e-2, token_budget=1_000)
    last = list(train(trained, stream(Cursor(), unlabelled), batches_per_step=1))[-1]
    assert last.num_skipped == 0
    assert last.losses.label == 0


def test_known_labels_keep_their_rows_when_new_ones_come():
    parent = fresh_model(TINY, vocab_size=VOCAB, num_labels=2)
    child = with_labels(parent, num_labels=3, seed=1)
    assert torch.equal(child.label_head.weight[:2], parent.label_head.weight)
    assert child.label_head.weight.shape == (3, 16)
    assert all(torch.equal(a, b) for a, b in zip(parent.model.parameters(), child.model.parameters(), strict=True))


def test_the_rate_rises_and_falls():
    def rate(progress):
        return learning_rate(progress, peak=1.0, warmup_share=0.1, final_share=0.2)

    assert rate(0.05) == pytest.approx(0.5)
    assert rate(0.1) == pytest.approx(1.0)
    assert rate(0.55) == pytest.approx(0.6)
    assert rate(1.0) == pytest.approx(0.2)
    assert learning_rate(0.0, peak=1.0, warmup_share=0.0, final_share=0.0) == 1.0


def test_the_budget_of_a_continued_run_follows_its_new_documents_within_bounds():
    recipe = Recipe(
        first_tokens=900, tokens_per_new_document=10, min_continued_tokens=50, max_continued_tokens=500, max_passes=3
    )

    def budget(count: int, *, num_tokens: int = 10_000, continues: bool = True) -> int:
        return recipe.token_budget(num_new_documents=count, num_tokens=num_tokens, continues=continues)

    assert budget(1, continues=False) == 900
    assert [budget(count) for count in (0, 20, 10_000)] == [50, 200, 500]


def test_no_budget_passes_over_the_text_more_often_than_it_may():
    recipe = Recipe(first_tokens=900, min_continued_tokens=50, max_passes=3)
    for continues in (False, True):
        assert recipe.token_budget(num_new_documents=1, num_tokens=7, continues=continues) == 21
