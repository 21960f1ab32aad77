"""The simple feature pyramid, and the three designs the paper compares it with.

Explained in notebooks/04_simple_feature_pyramid.ipynb; section 3.2 and the ablation table of the
paper. A segmentation head wants maps at several scales, a plain ViT has one. The simple pyramid
makes four from the last map alone: two transposed convolutions up, one up, a 1x1 convolution,
one strided convolution down.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .inference import FrugalBranch

DESIGNS = ("simple", "single_scale", "parallel", "partial")
IMAGE = -1  # a branch's source: the map of the image alone, just before clicks enter


def _norm(channels: int) -> nn.GroupNorm:
    """Layer norm over all channels and pixels of a sample: a GroupNorm of one group."""
    return nn.GroupNorm(1, channels)


def _project(inner: int, out: int) -> list[nn.Module]:
    """1x1 convolution to the output width, norm and GELU: the end of every branch."""
    return [nn.Conv2d(inner, out, 1), _norm(out), nn.GELU()]


def branch(stride_factor: float, width: int, out: int) -> FrugalBranch:
    """One branch of the pyramid.

    Args:
        stride_factor: stride of the output over stride of the input: 1/4, 1/2, 1 or 2.
        width: channels C of the tokens.
        out: channels of the output map.

    Raises:
        ValueError: another factor.
    """
    if stride_factor == 0.25:
        inner = max(2 * out, width // 2)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(width, inner, 2, stride=2),
            _norm(inner),
            nn.GELU(),
            nn.ConvTranspose2d(inner, inner // 2, 2, stride=2),
            _norm(inner // 2),
        ]
        return FrugalBranch(*layers, *_project(inner // 2, out))
    if stride_factor == 0.5:
        inner = max(out, width // 2)
        up = nn.ConvTranspose2d(width, inner, 2, stride=2)
        return FrugalBranch(up, _norm(inner), *_project(inner, out))
    if stride_factor == 1:
        return FrugalBranch(*_project(width, out))
    if stride_factor == 2:
        inner = max(out, 2 * width)
        down = nn.Conv2d(width, inner, 2, stride=2)
        return FrugalBranch(down, _norm(inner), *_project(inner, out))
    raise ValueError(f"stride factor {stride_factor} is not 1/4, 1/2, 1 or 2")


class Pyramid(nn.Module):
    """Four maps from one or several maps of the backbone.

    Args:
        width: channels C of the backbone.
        outs: channels of the four maps, finest first.
        design: 'simple': strides p/4, p/2, p, 2p, all from the last map (the paper's choice);
            'single_scale': four maps of stride p from the last map, so that the multi-scale
            property is taken away and all else stays; 'parallel': the simple strides, each branch
            fed by another quarter of the backbone; 'partial': the two fine branches from the last
            map, the two coarse ones from the middle of the backbone. The paper does not define
            'partial'; docs/differences.md names the other readings.
        depth: blocks of the backbone (which stages to read).
        image_branches: so many branches, finest first, read the map `IMAGE` instead, so that no
            click changes them (notebook 14).

    Raises:
        ValueError: an unknown design.
    """

    def __init__(
        self,
        width: int,
        outs: Sequence[int],
        design: str = "simple",
        depth: int = 12,
        image_branches: int = 0,
    ) -> None:
        super().__init__()
        if design not in DESIGNS:
            raise ValueError(f"pyramid {design!r} is not one of {', '.join(DESIGNS)}")
        self.design = design
        factors = [1, 1, 1, 1] if design == "single_scale" else [0.25, 0.5, 1, 2]
        self.branches = nn.ModuleList(
            branch(factor, width, out) for factor, out in zip(factors, outs, strict=True)
        )
        last = depth - 1
        quarters = [max((k * depth) // 4 - 1, 0) for k in (1, 2, 3)] + [last]
        self.sources: list[int] = {
            "parallel": quarters,
            "partial": [last, last, quarters[1], quarters[1]],
        }.get(design, [last] * 4)
        self.sources[:image_branches] = [IMAGE] * image_branches
        self.multi_stage = any(source not in (last, IMAGE) for source in self.sources)

    def forward(
        self, stages: dict[int, Tensor], start: int = 0, stop: int | None = None
    ) -> list[Tensor]:
        """Make the four maps, or some of them.

        Args:
            stages: block index -> (B, C, h, w) map after that block; holds what is read.
            start, stop: only the branches start … stop-1.

        Returns:
            four maps, finest first: (B, outs[i], H_i, W_i) at strides p/4, p/2, p, 2p.
        """
        runs = list(zip(self.branches, self.sources, strict=True))[start:stop]
        return [run(stages[source]) for run, source in runs]
