"""The two symmetric patch embeddings: image patches and click-map patches become tokens and add up.

Explained in notebooks/02_symmetric_patch_embedding.ipynb; section 3.1 of the paper. Because both
embeddings give one token per patch at the same place, clicks enter an unchanged, pretrained plain
ViT by a simple sum.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.layers import PatchEmbed
from torch import Tensor, nn

from .learning import LearningConv2d


class SymmetricEmbedding(nn.Module):
    """Image tokens plus click tokens.

    Args:
        patch_size: side of a patch in pixels.
        width: channels C of a token.
        zero_clicks: start the click embedding at zero, so that a pretrained backbone first sees
            exactly the tokens it knows.
    """

    def __init__(self, patch_size: int, width: int, zero_clicks: bool = False) -> None:
        super().__init__()
        self.image = PatchEmbed(None, patch_size, 3, width, strict_img_size=False)
        self.clicks = PatchEmbed(None, patch_size, 3, width, strict_img_size=False)
        for part in (self.image, self.clicks):  # as a linear layer, the MAE way
            part.proj.__class__ = LearningConv2d
            nn.init.xavier_uniform_(part.proj.weight.view(width, -1))
            nn.init.zeros_(part.proj.bias)
        if zero_clicks:
            nn.init.zeros_(self.clicks.proj.weight)

    def forward(self, image: Tensor, clicks: Tensor) -> Tensor:
        """Embed both and add.

        Args:
            image: (B, 3, H, W) normalized image, H and W multiples of the patch size.
            clicks: (B, 3, H, W) click map.

        Returns:
            (B, N, C) tokens in raster order, N = (H/p)(W/p).
        """
        return self.image(image) + self.clicks(clicks)


class PointTokens(NamedTuple):
    """Clicks as tokens.

    Attributes:
        tokens: (B, M, C).
        used: (B, M) bool, False for padding, which nothing may attend to.
    """

    tokens: Tensor
    used: Tensor


class PointEmbedding(nn.Module):
    """Clicks as tokens of their own, one each, as in SAM (an ablation; notebook 14).

    A token is the click's place, as sines and cosines of random frequencies, plus a vector learned
    for its sign (Kirillov et al., 2023, section A; Tancik et al., 2020).

    Args:
        width: channels C of a token, even.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, width // 2))
        self.signs = nn.Parameter(torch.zeros(2, width))  # negative, positive
        nn.init.normal_(self.signs, std=0.02)

    def forward(self, points: Tensor, labels: Tensor, size: tuple[int, int]) -> PointTokens:
        """Embed clicks.

        Args:
            points: (B, N, 2) float xy in pixels of the image.
            labels: (B, N) int, 1 positive, 0 negative, -1 padding.
            size: (H, W) of the image.
        """
        sides = torch.tensor([size[1], size[0]], device=points.device)
        places = 2 * (points.float() + 0.5) / sides - 1
        angles = 2 * torch.pi * places.to(self.signs.dtype) @ self.frequencies
        tokens = torch.cat([angles.sin(), angles.cos()], -1) + self.signs[labels.clamp(min=0)]
        return PointTokens(tokens, labels >= 0)


def normalize(image: Tensor) -> Tensor:
    """Subtract ImageNet's mean and divide by its deviation.

    Args:
        image: (B, 3, H, W) float in [0, 1].

    Returns:
        (B, 3, H, W), same type.
    """
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=image.dtype, device=image.device)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=image.dtype, device=image.device)
    return (image - mean[:, None, None]) / std[:, None, None]
