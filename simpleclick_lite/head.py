"""The all-MLP head: bring four maps to one width and one size, concatenate, decide per pixel.

Explained in notebooks/05_mlp_head.ipynb; section 3.2 of the paper (after SegFormer's head). All
convolutions are 1x1, that is, small multilayer perceptrons shared by all pixels; the backbone has
already looked around.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .as_written import touched
from .errors import InputError
from .inference import LAST, frugal, pointwise
from .learning import learns

BAND = 2**18  # numbers in a band of rows, 1 MB: what a core's own cache holds


class MLPHead(nn.Module):
    """Four pyramid maps to one map of logits at the finest map's size.

    Args:
        ins: channels of the four maps, finest first.
        channels: common width.
        dropout: probability of dropping a whole channel in training.
    """

    def __init__(self, ins: Sequence[int], channels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in ins)
        self.fuse = nn.Conv2d(channels * len(ins), channels, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, 1, 1)
        for layer in (*self.project, self.fuse):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def forward(self, maps: Sequence[Tensor], fused: Tensor | None = None) -> Tensor:
        """Fuse the pyramid and decide.

        Args:
            maps: four maps (B, ins[i], H_i, W_i), finest first.
            fused: what `fuse_maps` made of the first of them; then `maps` are the others.

        Returns:
            (B, 1, H_0, W_0) logits.

        Raises:
            InputError: as `fuse_maps`.
        """
        finest = maps[0] if fused is None else fused
        if fused is None and not _plain(self.fuse):
            return self.forward_plain(maps)
        whole = all(finest.shape[2] % x.shape[2] == 0 for x in maps)
        quick = whole and finest.numel() and frugal(finest) and not self.training
        if quick and _plain(self.fuse) and _plain(self.classify):
            return self._in_bands(maps, fused)
        return self.classify(self.dropout(F.relu_(self.fuse_maps(maps, fused))))

    def _in_bands(self, maps: Sequence[Tensor], fused: Tensor | None) -> Tensor:
        """`forward` a band of rows after the other, so that no map of full size is ever made.

        Upsampling along a line comes first, on the few lines there are; along a column it is a
        product with a small matrix, which adds to the sum at once.
        """
        slices = self.fuse.weight.chunk(len(self.project), dim=1)
        start = 0 if fused is None else len(slices) - len(maps)
        batch, _, height, width = (maps[0] if fused is None else fused).shape
        rows = max(BAND // (width * self.fuse.out_channels), 1)
        coarse = []
        for index, x in enumerate(maps, start):
            if index:
                part = self._part(index, x, slices[index])
                wide = F.interpolate(part, size=(part.shape[2], width), mode="bilinear")
                lines = wide.permute(0, 2, 3, 1).reshape(batch, part.shape[2], -1)
                coarse.append((lines, _mixing(part.shape[2], height, x)))
        logits = lines.new_empty(batch, 1, height, width)
        for sample in range(batch):
            one = slice(sample, sample + 1)
            for top in range(0, height, rows):
                band = slice(top, min(top + rows, height))
                if fused is None:
                    total = self._part(0, maps[0][one, :, band], slices[0], self.fuse.bias)
                else:
                    total = fused[one, :, band].clone(memory_format=LAST)
                flat = total.permute(0, 2, 3, 1).view(total.shape[2], -1)
                for lines, mixing in coarse:
                    factor = height // len(mixing[0])
                    near = slice(max(band.start // factor - 1, 0), -(-band.stop // factor) + 1)
                    flat.addmm_(mixing[band, near], lines[sample, near])
                logits[one, :, band] = self.classify(F.relu_(total))
        return logits

    def _part(self, index: int, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """A map's share of the fused sum, before it is upsampled."""
        project = self.project[index]
        if (frugal(x) or learns(x)) and _plain(project):
            return pointwise(pointwise(x, project.weight, project.bias, "relu"), weight, bias)
        return pointwise(F.relu(project(x)), weight, bias)

    def fuse_maps(self, maps: Sequence[Tensor], fused: Tensor | None = None) -> Tensor:
        """Project maps, fuse them, and add them up at the finest map's size.

        The fusing 1x1 convolution is linear, so each map goes through its slice of it before being
        upsampled: the same sum, on far fewer pixels.

        Args:
            maps: the first maps, finest first, (B, ins[i], H_i, W_i); with `fused` the last ones.
            fused: the sum so far.

        Returns:
            (B, channels, H_0, W_0).

        Raises:
            InputError: the fusing layer was replaced by something else (an adapter, say).
        """
        if not isinstance(self.fuse, nn.Conv2d):
            raise InputError(
                "head.fuse is used in slices where branches of the pyramid are cached, so it must "
                "be a Conv2d; put adapters around other layers, or set image_branches to 0"
            )
        slices = self.fuse.weight.chunk(len(self.project), dim=1)
        start = 0 if fused is None else len(slices) - len(maps)
        for index, x in enumerate(maps, start):
            if fused is None:
                fused = self._part(index, x, slices[index], self.fuse.bias)
                continue
            part, size = self._part(index, x, slices[index]), fused.shape[-2:]
            if part.shape[-2:] != size:
                part = F.interpolate(part, size=size, mode="bilinear", align_corners=False)
            fused = part.add_(fused)  # `part` is new here, `fused` may be the caller's
        return fused

    def forward_plain(self, maps: Sequence[Tensor]) -> Tensor:
        """The same in the textbook order: project, upsample, concatenate, fuse, classify.

        Args:
            maps: four maps (B, ins[i], H_i, W_i), finest first.

        Returns:
            (B, 1, H_0, W_0) logits, equal to `forward` up to rounding.
        """
        size = maps[0].shape[-2:]
        parts = [
            F.interpolate(F.relu(project(x)), size=size, mode="bilinear", align_corners=False)
            for x, project in zip(maps, self.project, strict=True)
        ]
        return self.classify(self.dropout(F.relu(self.fuse(torch.cat(parts, dim=1)))))


def _plain(layer: nn.Module) -> bool:
    """Whether a layer may be read instead of called: a convolution that nobody wraps or watches.

    Hooks on all modules (counters of operations have them) do not change what is computed.
    """
    watched = not torch.compiler.is_compiling() and touched(layer)
    return type(layer) is nn.Conv2d and not watched


def _mixing(lines: int, height: int, like: Tensor) -> Tensor:
    """Bilinear upsampling of one column of pixels as a matrix (height, lines)."""
    unit = torch.eye(lines, dtype=like.dtype, device=like.device)
    size = (height, lines)
    return F.interpolate(unit[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
