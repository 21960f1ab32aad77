"""A hierarchical network to compare xtiny with: EfficientNet-Lite0 with a feature pyramid.

    python benchmarks/hierarchical.py --root DATASETS --out RUN [--steps 500]
    python benchmarks/weights_experiments.py GROUP "NAME=RUN"

Before plain backbones, interactive segmentation used networks that shrink the image step by step.
This one starts from ImageNet weights (extra `teacher`). As in SimpleClick the click map has a stem
of its own, which is added to the image's, and the all-MLP head reads four scales; a feature pyramid
(Lin et al., 2017) in place of the simple one hands what the coarse maps know to the fine ones.
Trained with the settings of stage 3 of the shipped weights: same samples, clicks, loss and rate.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from simpleclick_lite.distillation import load_teacher
from simpleclick_lite.model import ImageState, SimpleClick
from simpleclick_lite.model_config import PRESETS, ModelConfig
from simpleclick_lite.training import Trainer, preset

CHANNELS = {2: 24, 4: 40, 10: 112, 15: 320}  # last block of a stride -> channels of its map
WIDTH = 128  # channels of the pyramid


class Trunk(nn.Module):
    """EfficientNet-Lite0 after its stem; its normalization keeps the statistics of ImageNet."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.blocks, self.norm = net._blocks, net._bn0
        self.swish = net._swish
        self.checkpointing = False  # asked for by the training loop
        # its type is that of all inputs, as the positions' of a ViT are
        self.pos_embed = nn.Parameter(torch.zeros(1), requires_grad=False)

    def train(self, mode: bool = True) -> Trunk:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """The stem's (B, 32, H/2, W/2) -> maps at 1/4, 1/8, 1/16 and 1/32."""
        found = []
        x = self.swish(self.norm(x))
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in CHANNELS:
                found.append(x)
        return found


class FeaturePyramid(nn.Module):
    """Coarse maps are added to finer ones, each then smoothed."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1) for c in CHANNELS.values())
        self.smooth = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in CHANNELS)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Four maps, finest first -> four of the same sizes, (B, WIDTH, H_i, W_i)."""
        maps = [layer(x) for layer, x in zip(self.lateral, maps, strict=True)]
        for i in (2, 1, 0):
            maps[i] = maps[i] + F.interpolate(maps[i + 1], size=maps[i].shape[-2:])
        return [layer(x) for layer, x in zip(self.smooth, maps, strict=True)]


class Hierarchical(SimpleClick):
    """SimpleClick's inputs, outputs and head around a convolutional network.

    Args:
        config: image_size, head_channels, disk_radius, dropout and previous_mask are used.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        net = load_teacher().requires_grad_(True)
        self.embedding = nn.ModuleDict(
            {"image": net._conv_stem, "clicks": nn.Conv2d(3, 32, 3, 2, padding=1)}
        )
        self.backbone = Trunk(net)
        self.pyramid = FeaturePyramid()

    def encode_image(self, image: Tensor) -> ImageState:
        """The image in the range that the convolutional network was trained with."""
        size = (image.shape[-2], image.shape[-1])
        image = self._pad(image.to(self.backbone.pos_embed.dtype))
        grid = (image.shape[-2] // 16, image.shape[-1] // 16)
        return ImageState((image * 255 - 127) / 128, grid, size)

    def _decode(self, state: ImageState, clicks: Tensor, points: None = None) -> Tensor:
        stem = self.embedding["image"](state.tokens) + self.embedding["clicks"](self._pad(clicks))
        logits = self.head(self.pyramid(self.backbone(stem)))
        size = state.tokens.shape[-2:]
        logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
        return logits[..., : state.size[0], : state.size[1]]


def main() -> None:
    """Train; the run's own validation is the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    config = preset(
        "shipped_3",
        weights=None,
        distill=0.0,
        root=str(args.root),
        out=args.out,
        threads=1,
        resume=True,
        checkpoint_every=100,
        validate_every=args.steps,
    )
    shape = ModelConfig(
        **{**vars(PRESETS["micro"]), "image_size": 128, "pyramid_channels": (WIDTH,) * 4}
        | {"head_channels": PRESETS["xtiny"].head_channels}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = Hierarchical(shape)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters")
    trainer = Trainer(config, model=model)
    trainer.steps = args.steps  # of the whole schedule, as the quarters in the model card
    trainer.run()


if __name__ == "__main__":
    main()
