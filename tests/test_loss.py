"""Normalized focal loss."""

from __future__ import annotations

import pytest
import torch

from simpleclick_lite.loss import normalized_focal_loss


def _case(seed=0, batch=3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, 1, 12, 10, generator=generator) * 3
    target = torch.randint(-1, 2, (batch, 1, 12, 10), generator=generator)
    return logits, target


def by_hand(logits, target, alpha=0.5, gamma=2.0):
    """The definition, one sample and one pixel at a time."""
    out = []
    for sample, truth in zip(logits.flatten(1).double(), target.flatten(1), strict=True):
        pairs = [(v.sigmoid(), t) for v, t in zip(sample, truth, strict=True) if t != -1]
        pt = [p if t == 1 else 1 - p for p, t in pairs]
        weights = [(1 - p) ** gamma for p in pt]
        scale = len(pt) / sum(weights)
        shares = [alpha if t == 1 else 1 - alpha for _, t in pairs]
        terms = [-a * w * scale * p.log() for a, w, p in zip(shares, weights, pt, strict=True)]
        out.append(sum(terms) / len(terms))
    return torch.stack(out).float()


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("alpha, gamma", [(0.5, 2.0), (0.25, 1.0), (0.7, 0.0)])
def test_the_loss_equals_its_definition(alpha, gamma, stable):
    logits, target = _case()
    ours = normalized_focal_loss(logits, target, alpha, gamma, stable=stable)
    torch.testing.assert_close(ours, by_hand(logits, target, alpha, gamma), atol=1e-5, rtol=1e-4)


def test_ignored_pixels_count_for_nothing():
    logits, target = _case()
    other = torch.where(target == -1, torch.full_like(logits, 50.0), logits)
    a, b = (x.clone().requires_grad_() for x in (logits, other))
    first, second = (normalized_focal_loss(x, target) for x in (a, b))
    assert torch.equal(first, second)
    first.sum().backward()
    second.sum().backward()
    assert (a.grad[target == -1] == 0).all() and (b.grad[target == -1] == 0).all()


@pytest.mark.parametrize("stable", [False, True])
def test_a_sample_of_ignored_pixels_costs_nothing(stable):
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    target = torch.full((2, 1, 4, 4), -1)
    target[1] = 1
    loss = normalized_focal_loss(logits, target, stable=stable)
    assert loss[0] == 0 and loss[1] > 0
    loss.sum().backward()
    assert logits.grad.isfinite().all() and (logits.grad[0] == 0).all()


@pytest.mark.parametrize("stable", [False, True])
def test_extreme_logits_give_finite_numbers(stable):
    logits = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4]).view(1, 1, 1, 5).requires_grad_()
    loss = normalized_focal_loss(
        logits, torch.tensor([1, 0, 1, 0, 1]).view(1, 1, 1, 5), stable=stable
    )
    loss.sum().backward()
    assert loss.isfinite().all() and logits.grad.isfinite().all()


def test_the_stable_form_keeps_its_gradient_where_the_sigmoid_saturates():
    target = torch.ones(1, 1, 2, 2)
    gradients = []
    for stable in (False, True):
        logits = torch.full((1, 1, 2, 2), -40.0, requires_grad=True)
        normalized_focal_loss(logits, target, stable=stable).sum().backward()
        gradients.append(logits.grad.abs().max().item())
    assert gradients[0] < 1e-5 and gradients[1] > 0.1


def test_both_forms_agree_on_ordinary_logits():
    logits, target = _case(1)
    a, b = (normalized_focal_loss(logits, target, stable=s) for s in (False, True))
    torch.testing.assert_close(a, b, atol=6e-6, rtol=1e-5)


def test_the_normalizer_keeps_the_loss_alive():
    """Ten times surer everywhere: the plain focal loss would almost vanish."""
    target = torch.ones(1, 1, 8, 8)
    weak = normalized_focal_loss(torch.full((1, 1, 8, 8), 1.0), target)
    strong = normalized_focal_loss(torch.full((1, 1, 8, 8), 3.0), target)
    assert strong / weak > 0.1


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float32])
def test_targets_of_every_type_are_the_same(dtype):
    logits, target = _case()
    target = target.clamp(min=0)
    assert torch.equal(
        normalized_focal_loss(logits, target.to(dtype)), normalized_focal_loss(logits, target)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_give_a_float32_loss(dtype):
    logits, target = _case()
    half = logits.to(dtype).requires_grad_()
    loss = normalized_focal_loss(half, target)
    loss.sum().backward()
    assert loss.dtype == torch.float32 and loss.isfinite().all()
    assert half.grad.dtype == dtype and half.grad.isfinite().all()
    torch.testing.assert_close(loss, normalized_focal_loss(logits, target), atol=0.05, rtol=0.05)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        normalized_focal_loss(torch.rand(2, 1, 4, 4), torch.ones(2, 4, 4))


def test_the_loss_never_waits_for_the_device():
    """On the meta device any look at a value fails."""
    logits = torch.empty(2, 1, 8, 8, device="meta", requires_grad=True)
    target = torch.empty(2, 1, 8, 8, device="meta", dtype=torch.int8)
    for stable in (False, True):
        normalized_focal_loss(logits, target, stable=stable).mean().backward()
