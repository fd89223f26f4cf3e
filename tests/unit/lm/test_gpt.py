"""The model against an independent oracle: `transformers`."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from transformers import LlamaForCausalLM

from shared.lm.config import ModelConfig, from_hf, to_hf
from shared.lm.gpt import GPT, num_parameters
from shared.lm.hf import load_model, save_model
from shared.lm.loss import linear_cross_entropy
from shared.lm.text import SpecialIds

SPECIAL = SpecialIds(pad=0, bos=1, eos=2)
GROUPED = ModelConfig(vocab_size=97, n_layer=2, n_head=4, n_kv_head=2, d_model=32, d_ff=48, block_size=24)
UNGROUPED = ModelConfig(
    vocab_size=61, n_layer=3, n_head=2, n_kv_head=2, d_model=16, d_ff=40, block_size=16, rope_theta=500.0
)


def random_model(config, num_labels=3):
    torch.manual_seed(5)
    model = GPT(config, num_labels)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, mean=0.1, std=0.3)
    return model


@pytest.mark.parametrize("config", [GROUPED, UNGROUPED])
def test_logits_equal_those_of_transformers_on_the_same_files(tmp_path, config):
    model = random_model(config)
    save_model(tmp_path, model, ("a", "b", "c"), SPECIAL)
    oracle = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    ids = torch.randint(0, config.vocab_size, (4, config.block_size))
    with torch.no_grad():
        expected, found = oracle(ids).logits, model(ids)
    assert expected.std() > 0.3
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_saved_model_loads_with_its_labels_and_equal_weights(tmp_path):
    model = random_model(GROUPED)
    save_model(tmp_path, model, ("民法商法", "b", "c"), SPECIAL)
    loaded, labels = load_model(tmp_path)
    assert labels == ("民法商法", "b", "c")
    assert loaded.config == GROUPED
    assert all(torch.equal(weight, loaded.state_dict()[name]) for name, weight in model.state_dict().items())


def test_loading_leaves_the_global_generator_alone(tmp_path):
    save_model(tmp_path, random_model(GROUPED), ("a", "b", "c"), SPECIAL)
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "change", [{"model_type": "gpt2"}, {"tie_word_embeddings": False}, {"attention_bias": True}, {"mlp_bias": True}]
)
def test_a_configuration_of_another_architecture_is_refused(change):
    with pytest.raises(ValueError, match="not a Llama"):
        from_hf({**to_hf(GROUPED, SPECIAL), **change})


def test_padding_changes_neither_head_at_real_positions():
    model = random_model(GROUPED)
    ids, length = torch.randint(0, 97, (1, 9)), 9
    padded = F.pad(ids, (0, 6), value=SPECIAL.pad)
    mask = torch.arange(15)[None] < length
    with torch.no_grad():
        alone, beside = model.model(ids), model.model(padded)
        assert torch.allclose(alone, beside[:, :length], atol=1e-5)
        labels = model.label_logits(alone, torch.ones(1, 9, dtype=torch.bool))
        assert torch.allclose(labels, model.label_logits(beside, mask), atol=1e-5)


def test_a_tied_embedding_is_counted_once():
    block = 2 * 32 + 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48
    assert num_parameters(GPT(GROUPED, 3)) == 97 * 32 + 2 * block + 32 + 3 * 32 + 3


def test_chunked_cross_entropy_equals_torch_in_value_and_gradient():
    torch.manual_seed(0)
    hidden = torch.randn(700, 16, requires_grad=True)
    weight = torch.randn(50, 16, requires_grad=True)
    targets = torch.randint(0, 50, (700,))
    found = linear_cross_entropy(hidden, weight, targets)
    expected = F.cross_entropy(hidden @ weight.T, targets)
    found_grads = torch.autograd.grad(3.0 * found, (hidden, weight))
    expected_grads = torch.autograd.grad(3.0 * expected, (hidden, weight))
    assert torch.allclose(found, expected, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found_grads, expected_grads, strict=True))
