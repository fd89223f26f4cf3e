import torch

from shared.lm.adamw import AdamW


def weights():
    torch.manual_seed(3)
    return [torch.nn.Parameter(torch.randn(5, 4)), torch.nn.Parameter(torch.randn(4))]


def test_steps_equal_those_of_torch():
    own, other = weights(), weights()
    optimizer = AdamW(own[:1], own[1:], betas=(0.9, 0.95), decay=0.1)
    groups = [{"params": other[:1], "weight_decay": 0.1}, {"params": other[1:], "weight_decay": 0.0}]
    oracle = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    for step in range(20):
        rate = 0.1 / (step + 1)
        for one, two in zip(own, other, strict=True):
            one.grad = torch.randn_like(one)
            two.grad = one.grad.clone()
        optimizer.step(rate)
        for group in oracle.param_groups:
            group["lr"] = rate
        oracle.step()
        assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(own, other, strict=True))


def test_a_weight_without_gradient_stays():
    own = weights()
    before = [weight.clone() for weight in own]
    own[0].grad = torch.ones_like(own[0])
    AdamW(own[:1], own[1:], betas=(0.9, 0.95), decay=0.1).step(0.1)
    assert not torch.equal(own[0], before[0])
    assert torch.equal(own[1], before[1])
