"""How large and how costly: parameters and operations, by the paper's conventions and in truth.

Used in notebooks 05 and 08. The published numbers come about in their own ways (docs/differences.md
lists them); these functions give the published numbers to the digit and the true ones beside them.
Networks are built on PyTorch's `meta` device, which knows shapes but holds no values, so counting
the largest takes a second and no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .model import PRESETS, ModelConfig, SimpleClick

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
MEBI = 2**20  # the paper's table of parts counts in "millions" of 1,048,576


@dataclass(frozen=True)
class Parameters:
    """How many parameters a network has.

    Attributes:
        parts: image embedding, click embedding, positions, blocks, pyramid, head; all of them run.
        paper: the paper's convention: weights of convolutions, linear layers and layer norms,
            without positions and group norms.
        never_run: weights the published files hold and never use: class token and its position,
            a norm, a classifier, two up-convolutions of the head.
        table_vit, table_neck, table_head: the paper's table of parts, in units of 2^20: the
            published files' backbone (with classifier, without click embedding), neck and head.
    """

    parts: dict[str, int]
    paper: int
    never_run: int
    table_vit: float
    table_neck: float
    table_head: float

    @property
    def used(self) -> int:
        """All parameters of our network; each of them runs."""
        return sum(self.parts.values())

    @property
    def published_file(self) -> int:
        """All parameters of the published file of this shape."""
        return self.used + self.never_run


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of one forward pass of one image.

    Attributes:
        paper: the paper's convention, which leaves attention products out and counts transposed
            convolutions four times: 2 (conv + 4 transposed + linear) + 8 layer-norm outputs.
        published: what the published order of operations costs, attention included, two per
            multiply-and-add; counted by PyTorch's FlopCounterMode.
        ours: the same for this package, whose head projects before it upsamples.
        attention: the part of `ours` that is attention products.
    """

    paper: int
    published: int
    ours: int
    attention: int


def meta_model(config: ModelConfig | str) -> SimpleClick:
    """A network of shapes without values, for counting.

    Args:
        config: a configuration or a preset's name.
    """
    config = PRESETS[config] if isinstance(config, str) else config
    with torch.device("meta"):
        return SimpleClick(config).eval()


def count_parameters(config: ModelConfig | str, classes: int = 1000) -> Parameters:
    """Count a network's parameters.

    Args:
        config: a configuration or a preset's name.
        classes: size of the published files' unused classifier.
    """
    model = meta_model(config)
    parts = {
        "image_embedding": _size(model.embedding.image),
        "click_embedding": _size(model.embedding.clicks),
        "positions": model.backbone.pos_embed.numel(),
        "blocks": _size(model.backbone.blocks),
        "pyramid": _size(model.pyramid),
        "head": _size(model.head),
    }
    counted = (*CONVOLUTIONS, nn.Linear, nn.LayerNorm)
    width, channels = model.config.width, model.config.head_channels
    half, quarter = channels // 2, channels // 4
    backbone_idle = 2 * width + 2 * width + (width + 1) * classes  # tokens, norm, classifier
    head_idle = sum(
        (4 * ins * outs + outs) + 2 * outs + (outs * outs + outs) + 2 * outs
        for ins, outs in ((channels, half), (half, quarter))
    )
    vit = parts["image_embedding"] + parts["positions"] + parts["blocks"] + backbone_idle
    return Parameters(
        parts=parts,
        paper=sum(_size(m) for m in model.modules() if isinstance(m, counted)),
        never_run=backbone_idle + head_idle,
        table_vit=vit / MEBI,
        table_neck=parts["pyramid"] / MEBI,
        table_head=(parts["head"] + head_idle) / MEBI,
    )


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def count_operations(config: ModelConfig | str, image_size: int | None = None) -> Operations:
    """Count the operations of one forward pass at batch 1.

    Args:
        config: a configuration or a preset's name.
        image_size: side of the input in pixels; None is the configuration's own.
    """
    config = PRESETS[config] if isinstance(config, str) else config
    config = replace(config, image_size=image_size or config.image_size)
    model = meta_model(config)
    for block in model.backbone.blocks:
        block.attn.fused_attn = False  # plain matrix products, which every version can count
    maps: list[torch.Tensor] = []
    model.pyramid.register_forward_hook(lambda module, args, output: maps.extend(output))
    image = torch.empty(1, 3, config.image_size, config.image_size, device="meta")
    paper = _PaperCounter(model)
    # the published order; by then the hook above has seen all maps
    model.head.forward = lambda _, fused=None: model.head.forward_plain(maps)
    with torch.no_grad():
        published, attention = _flops(model.segment, image, image)
        paper.remove()
        plain_head, _ = _flops(model.head.forward_plain, maps)
        del model.head.forward
        our_head, _ = _flops(model.head, maps)
    ours = published - plain_head + our_head
    return Operations(paper=paper.total, published=published, ours=ours, attention=attention)


def _flops(function: Callable, *args: Any) -> tuple[int, int]:
    """All operations of a call, and those of attention products, by PyTorch's counter."""
    counter = FlopCounterMode(display=False)
    with counter:
        function(*args)
    counts = counter.get_flop_counts().get("Global", {})
    products = sum(n for op, n in counts.items() if "bmm" in str(op))
    return counter.get_total_flops(), products


class _PaperCounter:
    """Adds up `total` by the paper's convention while a network runs."""

    def __init__(self, model: nn.Module) -> None:
        kinds = (*CONVOLUTIONS, nn.Linear, nn.LayerNorm)
        self.total = 0
        self.hooks = [
            m.register_forward_hook(self._count) for m in model.modules() if isinstance(m, kinds)
        ]

    def _count(self, module: nn.Module, args: tuple, output: torch.Tensor) -> None:
        if isinstance(module, nn.LayerNorm):
            self.total += 8 * output.numel()
        elif isinstance(module, nn.Linear):
            self.total += 2 * output.numel() * module.in_features
        elif isinstance(module, nn.Conv2d):
            taps = module.kernel_size[0] * module.kernel_size[1]
            self.total += 2 * output.numel() * module.in_channels * taps
        else:  # transposed, kernel 2, stride 2: one product per output, counted four times
            self.total += 2 * 4 * output.numel() * module.in_channels

    def remove(self) -> None:
        """Stop counting."""
        for hook in self.hooks:
            hook.remove()
