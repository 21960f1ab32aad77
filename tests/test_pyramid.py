"""The simple feature pyramid and the designs it is compared with."""

from __future__ import annotations

import pytest
import torch

from simpleclick_lite.pyramid import DESIGNS, Pyramid, branch

OUTS = (4, 6, 8, 10)


@pytest.mark.parametrize("grid", [(14, 14), (8, 5), (2, 2), (3, 2)])
@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_gives_four_maps_of_its_strides(design, grid):
    pyramid = Pyramid(16, OUTS, design, depth=8)
    stages = {k: torch.randn(2, 16, *grid) for k in range(8)}
    maps = pyramid(stages)
    factors = [1, 1, 1, 1] if design == "single_scale" else [4, 2, 1, 0.5]
    for out, channels, factor in zip(maps, OUTS, factors, strict=True):
        assert out.shape == (2, channels, int(grid[0] * factor), int(grid[1] * factor))


@pytest.mark.parametrize(
    "design, sources",
    [
        ("simple", [7, 7, 7, 7]),
        ("single_scale", [7, 7, 7, 7]),
        ("parallel", [1, 3, 5, 7]),
        ("partial", [7, 7, 3, 3]),
    ],
)
def test_designs_read_the_stages_they_say(design, sources):
    pyramid = Pyramid(16, OUTS, design, depth=8)
    assert pyramid.sources == sources
    assert pyramid.multi_stage == (len(set(sources)) > 1)
    stages = {k: torch.randn(1, 16, 4, 4) for k in range(8)}
    before = pyramid(stages)
    for stage in range(8):
        changed = stages | {stage: torch.randn(1, 16, 4, 4)}
        for source, a, b in zip(sources, before, pyramid(changed), strict=True):
            assert torch.equal(a, b) == (source != stage)


def test_short_backbones_have_stages_too():
    for depth in (1, 2, 3):
        for design in DESIGNS:
            sources = Pyramid(8, OUTS, design, depth=depth).sources
            assert all(0 <= s < depth for s in sources)


def test_norms_see_all_channels_and_pixels_at_once():
    norm = Pyramid(16, OUTS).branches[2][1]
    assert isinstance(norm, torch.nn.GroupNorm) and norm.num_groups == 1


def test_unknown_designs_and_factors_are_refused():
    with pytest.raises(ValueError, match="not one of simple"):
        Pyramid(16, OUTS, "round")
    with pytest.raises(ValueError, match="not 1/4"):
        branch(3, 16, 4)
