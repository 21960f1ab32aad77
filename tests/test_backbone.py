"""The plain ViT: windows, global blocks, positions."""

from __future__ import annotations

import pytest
import torch
from timm.layers import resample_abs_pos_embed

from simpleclick_lite.backbone import (
    PlainViT,
    from_windows,
    global_block_every,
    to_windows,
    window_sizes,
)


@pytest.mark.parametrize(
    "depth, every", [(8, 2), (12, 6), (24, 6), (32, 8), (16, 4), (4, 1), (3, 1), (1, 1)]
)
def test_global_blocks_come_at_the_published_places(depth, every):
    assert global_block_every(depth) == every


@pytest.mark.parametrize(
    "grid, patch, sizes",
    [
        (28, 16, [14, 14]),
        (42, 16, [14, 14, 14]),
        (20, 16, [20]),
        (14, 16, [14]),
        (5, 16, [5]),
        (1, 16, [1]),
        (32, 14, [16, 16]),
        (29, 16, [15, 14]),
        (31, 16, [16, 15]),
        (35, 16, [18, 17]),
        (44, 16, [15, 15, 14]),
    ],
)
def test_windows_have_the_published_sizes_or_differ_by_one(grid, patch, sizes):
    assert window_sizes(grid, patch) == sizes
    assert sum(sizes) == grid


@pytest.mark.parametrize("grid, window", [((4, 6), (2, 3)), ((28, 42), (14, 14)), ((5, 5), (5, 5))])
def test_windows_can_be_put_together_again(grid, window):
    x = torch.arange(2 * grid[0] * grid[1] * 3.0).view(2, *grid, 3)
    parts = to_windows(x, window)
    assert parts.shape == (x.numel() // (window[0] * window[1] * 3), window[0] * window[1], 3)
    assert torch.equal(parts[0].view(*window, 3), x[0, : window[0], : window[1]])
    assert torch.equal(from_windows(parts, window, grid), x)


def _vit(depth=8, image_size=448, heads=2) -> PlainViT:
    torch.manual_seed(0)
    vit = PlainViT(image_size, 16, 8, depth, heads).eval()
    torch.nn.init.normal_(vit.pos_embed)
    return vit


def _reference(vit: PlainViT, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Window by window, block by block, without any sharing."""
    x = tokens + vit.positions(grid)
    heights, widths = window_sizes(grid[0], 16), window_sizes(grid[1], 16)
    for k, block in enumerate(vit.blocks):
        if (k + 1) % vit.global_every == 0:
            x = block(x)
            continue
        board = x.view(len(x), *grid, -1)
        out = torch.empty_like(board)
        top = 0
        for height in heights:
            left = 0
            for width in widths:
                part = board[:, top : top + height, left : left + width]
                answer = block(part.reshape(len(x), height * width, -1))
                out[:, top : top + height, left : left + width] = answer.view(part.shape)
                left += width
            top += height
        x = out.view(x.shape)
    return x


@pytest.mark.parametrize(
    "grid", [(28, 28), (29, 29), (31, 28), (35, 33), (14, 14), (13, 30), (1, 1)]
)
def test_shared_windows_equal_windows_one_by_one(grid):
    vit = _vit()
    tokens = torch.randn(2, grid[0] * grid[1], 8)
    stages: list[torch.Tensor] = []
    with torch.no_grad():
        ours = vit(tokens, grid)
        torch.testing.assert_close(ours, _reference(vit, tokens, grid), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(vit(tokens, grid, stages), ours, atol=1e-6, rtol=1e-6)
    assert len(stages) == 8
    torch.testing.assert_close(stages[-1], vit(tokens, grid, []), atol=1e-5, rtol=1e-5)


def test_blocks_can_be_run_in_parts():
    vit, grid = _vit(), (29, 28)
    x = torch.randn(1, 29 * 28, 8)
    with torch.no_grad():
        whole = vit.run_blocks(x, grid, 0, 8)
        halves = vit.run_blocks(vit.run_blocks(x, grid, 0, 3), grid, 3, 8)
    torch.testing.assert_close(whole, halves, atol=1e-6, rtol=1e-6)


def test_a_window_block_does_not_look_beyond_its_window():
    vit = _vit()
    x = torch.randn(1, 28 * 28, 8)
    other = x.clone()
    other.view(1, 28, 28, 8)[:, 20, 20] += 1  # in the last window
    with torch.no_grad():
        a, b = (vit.run_blocks(v, (28, 28), 0, 1).view(28, 28, 8) for v in (x, other))
        c, d = (vit.run_blocks(v, (28, 28), 0, 2).view(28, 28, 8) for v in (x, other))
    assert torch.equal(a[:14], b[:14]) and not torch.equal(a[14:, 14:], b[14:, 14:])
    assert not torch.equal(c[:14, :14], d[:14, :14])


def test_positions_are_resampled_bicubically():
    vit = _vit(image_size=224)
    assert vit.positions((14, 14)) is vit.pos_embed
    theirs = resample_abs_pos_embed(
        vit.pos_embed, [20, 28], [14, 14], num_prefix_tokens=0, antialias=False
    )
    assert torch.equal(vit.positions((20, 28)), theirs)


def test_recomputing_blocks_gives_the_same_gradients():
    vit = _vit(depth=8).train()
    tokens = torch.randn(1, 29 * 28, 8)
    gradients = []
    for recompute in (False, True):
        vit.checkpointing = recompute
        vit.zero_grad()
        vit(tokens, (29, 28)).square().sum().backward()
        gradients.append([p.grad.clone() for p in vit.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_no_norm_and_no_class_token_are_left():
    names = {name.split(".")[0] for name, _ in _vit().named_parameters()}
    assert names == {"pos_embed", "blocks"}


def test_positions_between_patches_are_mixed():
    vit = _vit(image_size=224)
    torch.nn.init.normal_(vit.pos_embed)
    grid, patch = (6, 14), 16
    column, row = 3, 2
    center = torch.tensor([[[(column + 0.5) * patch - 0.5, (row + 0.5) * patch - 0.5]]])
    known = vit.positions(grid).unflatten(1, grid)[0]
    with torch.no_grad():
        at = vit.positions_at(center.double(), grid)
        between = vit.positions_at(center + torch.tensor([patch / 2, 0]), grid)
        outside = vit.positions_at(torch.tensor([[[-9.0, -9.0]]]), grid)
    torch.testing.assert_close(at[0, 0], known[row, column])
    middle = (known[row, column] + known[row, column + 1]) / 2
    torch.testing.assert_close(between[0, 0], middle)
    torch.testing.assert_close(outside[0, 0], known[0, 0])
