"""The all-MLP head."""

from __future__ import annotations

import pytest
import torch

from simpleclick_lite.head import MLPHead


def _maps(sizes, batch=2):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, c, *size, generator=generator)
        for c, size in zip((4, 6, 8, 10), sizes, strict=True)
    ]


SIZES = [
    [(16, 16), (8, 8), (4, 4), (2, 2)],
    [(20, 12), (10, 6), (5, 3), (2, 1)],  # the coarsest map lost its odd row and column
    [(7, 7)] * 4,
    [(4, 4), (2, 2), (1, 1), (1, 1)],
]


@pytest.mark.parametrize("sizes", SIZES)
def test_fusing_before_upsampling_equals_the_textbook_order(sizes):
    torch.manual_seed(0)
    head = MLPHead((4, 6, 8, 10), 12).eval()
    maps = _maps(sizes)
    with torch.no_grad():
        fast, plain = head(maps), head.forward_plain(maps)
    assert fast.shape == (2, 1, *sizes[0])
    torch.testing.assert_close(fast, plain, atol=1e-6, rtol=1e-5)


def test_gradients_of_both_orders_agree():
    torch.manual_seed(0)
    head = MLPHead((4, 6, 8, 10), 12, dropout=0)
    found = []
    for run in (head.forward, head.forward_plain):
        head.zero_grad()
        run(_maps(SIZES[0])).square().sum().backward()
        found.append([p.grad.clone() for p in head.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_dropout_works_in_training_only():
    torch.manual_seed(0)
    head, maps = MLPHead((4, 6, 8, 10), 12, dropout=0.5), _maps(SIZES[0])
    assert not torch.equal(head(maps), head(maps))
    head.eval()
    assert torch.equal(head(maps), head(maps))


def test_fresh_logits_are_near_zero():
    head = MLPHead((4, 6, 8, 10), 64).eval()
    assert head(_maps(SIZES[0])).abs().max() < 1
