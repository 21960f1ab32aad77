"""The same network run plainly: what every speed in benchmarks/ is compared with.

The published order of work: attention as two products with a softmax between, every click drawn as
a distance over the whole image, the head projecting after it upsampled, a pass of its own for the
mirrored image, the crop resized at every click. Same weights, same answers up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .as_written import as_written
from .clicks import DISK_RADIUS
from .embedding import normalize
from .model import SimpleClick
from .prediction import View
from .predictor import Predictor


def whole_image_disks(
    points: Tensor, labels: Tensor, size: tuple[int, int], radius: float = DISK_RADIUS
) -> Tensor:
    """Disks the slow way: the distance of every pixel to every click. As `clicks.draw_disks`.

    Args:
        points: (B, N, 2) float xy in pixels of the map.
        labels: (B, N) int, 1 positive, 0 negative, -1 padding.
        size: (H, W) of the map.
        radius: disk radius in pixels.

    Returns:
        (B, 2, H, W) float32 of zeros and ones.
    """
    y = torch.arange(size[0], device=points.device, dtype=torch.float32)[:, None]
    x = torch.arange(size[1], device=points.device, dtype=torch.float32)
    dy2 = (y - points[..., 1, None, None]).float() ** 2
    distance = (x - points[..., 0, None, None]).float() ** 2 + dy2
    maps = []
    for sign in (1, 0):
        off = torch.where(labels == sign, 0.0, 1e6)[..., None, None]
        maps.append((distance + off).amin(1) <= radius**2)
    return torch.stack(maps, 1).float()


class PlainNetwork(nn.Module):
    """A copy of a network that runs in the published order; call it as the network itself.

    Args:
        model: not changed; its clicks must enter before the backbone.
    """

    def __init__(self, model: SimpleClick) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.config = model.config
        for block in self.model.backbone.blocks:
            block.attn.fused_attn = False

    def forward(
        self, image: Tensor, points: Tensor, labels: Tensor, previous_mask: Tensor
    ) -> Tensor:
        """Arguments and result as `SimpleClick.forward`; sides are multiples of the patch size."""
        size = (image.shape[-2], image.shape[-1])
        disks = whole_image_disks(points, labels, size, self.config.disk_radius)
        with as_written():
            stages = self.model.features(normalize(image), torch.cat([previous_mask, disks], 1))
            logits = self.model.head.forward_plain(self.model.pyramid(stages))
            return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)


class PlainPredictor(Predictor):
    """A Predictor around a PlainNetwork: two passes for the mirror average, no crop kept."""

    @torch.no_grad()
    def _run(self, views: Sequence[View]) -> tuple[Tensor, list[bool]]:
        (view,) = views
        view.crops.forget()
        image, points, previous = view.image, view.points, view.previous
        logits = self.model(image, points, view.labels, previous)
        if self.flip:
            mirrored = points.clone()
            mirrored[..., 0] = image.shape[-1] - 1 - mirrored[..., 0]
            other = self.model(image.flip(-1), mirrored, view.labels, previous.flip(-1))
            logits = 0.5 * (logits + other.flip(-1))
        return torch.sigmoid(logits), [False]
