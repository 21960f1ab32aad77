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
        """
        return self.classify(self.dropout(F.relu(self.fuse_maps(maps, fused))))

    def fuse_maps(self, maps: Sequence[Tensor], fused: Tensor | None = None) -> Tensor:
        """Project maps, fuse them, and add them up at the finest map's size.

        The fusing 1x1 convolution is linear, so each map goes through its slice of it before being
        upsampled: the same sum, on far fewer pixels.

        Args:
            maps: the first maps, finest first, (B, ins[i], H_i, W_i); with `fused` the last ones.
            fused: the sum so far.

        Returns:
            (B, channels, H_0, W_0).
        """
        slices = self.fuse.weight.chunk(len(self.project), dim=1)
        start = 0 if fused is None else len(slices) - len(maps)
        for index, x in enumerate(maps, start):
            part = F.relu(self.project[index](x))
            if fused is None:
                fused = F.conv2d(part, slices[index], self.fuse.bias)
                continue
            part, size = F.conv2d(part, slices[index]), fused.shape[-2:]
            if part.shape[-2:] != size:
                part = F.interpolate(part, size=size, mode="bilinear", align_corners=False)
            fused = fused + part
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
