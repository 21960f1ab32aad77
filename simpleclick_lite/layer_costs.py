"""What each part of the network costs of a click, in operations and in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from .counting import meta_model
from .model import SimpleClick
from .predictor import Predictor

IMAGE = "image patches"  # not computed again while the crop stays
PARTS = {  # part -> the modules it is made of, by their names in the network
    IMAGE: ("embedding.image",),
    "click patches": ("embedding.clicks",),
    "norms": ("norm1", "norm2"),
    "attention": ("attn",),
    "MLPs": ("mlp",),
    "pyramid": ("pyramid",),
    "head": ("head",),
}


def clock(threads: int) -> Callable[[], float]:
    """Seconds of the processor where one thread computes, else of the clock on the wall."""
    return time.process_time if threads == 1 else time.perf_counter


def _part(name: str) -> str | None:
    """The part that a module belongs to as a whole."""
    short = name.split(".", 3)[-1] if name.startswith("backbone.blocks.") else name
    return next((part for part, names in PARTS.items() if short in names), None)


def count_parts(model: SimpleClick) -> dict[str, float]:
    """Floating-point operations of each of `PARTS` in one forward pass of one image."""
    from torch.utils.flop_counter import FlopCounterMode

    counted = meta_model(model.config)
    for block in counted.backbone.blocks:
        block.attn.fused_attn = False  # plain products, which every version can count
    image = torch.empty(1, 3, *[model.config.image_size] * 2, device="meta")
    counter = FlopCounterMode(display=False)
    counted.forward = counted.segment  # so that the counter sees the whole network called
    with torch.no_grad(), counter:
        counted(image, image)
    counts = dict.fromkeys(PARTS, 0.0)
    for name, found in counter.get_flop_counts().items():
        part = _part(name.partition(".")[2])
        if part:
            counts[part] += sum(found.values())
    counts["whole click"] = float(counter.get_total_flops())
    return counts


def lost_time(
    predictor: Predictor,
    points: Sequence[tuple[float, float]],
    labels: Sequence[int],
    threads: int,
    peak: float,
) -> dict[str, Any]:
    """Share of the peak, of the whole click and of each part; the most time lost comes first.

    Args:
        predictor: has its image; mirror averaging is on.
        points, labels: clicks, answered one after the other.
        threads: of PyTorch.
        peak: the machine's, in GFLOP/s.

    Returns:
        `gflop_per_click`, `share_of_peak`, and `layers`: a dictionary for each part.
    """
    now, clicks = clock(threads), len(points)
    model = predictor.model
    spent, calls = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0)
    started: list[float] = []

    def begin(module: nn.Module, args: tuple) -> None:
        started.append(now())

    def end(part: str, module: nn.Module, args: tuple, output: Any) -> None:
        spent[part] += now() - started.pop()
        calls[part] += 1

    begin.keeps_nothing = True  # the layers run as fast as unwatched
    hooks = []
    for name, module in model.named_modules():
        part = _part(name)
        if part:
            hooks.append(module.register_forward_pre_hook(begin))
            after = partial(end, part)
            after.keeps_nothing = True
            hooks.append(module.register_forward_hook(after))
    predictor.reset()
    start = now()
    for k in range(1, clicks + 1):
        predictor.predict(points[:k], labels[:k])
    total = now() - start
    for hook in hooks:
        hook.remove()
    once = count_parts(model)
    flops = {part: 2.0 * clicks * once[part] for part in PARTS}  # 2: there is the mirror image
    flops[IMAGE] = 2.0 * calls[IMAGE] * once[IMAGE]
    whole = 2.0 * clicks * (once["whole click"] - once[IMAGE]) + flops[IMAGE]
    spent["the rest"] = total - sum(spent.values())
    # a layer may be a little faster than the product that told the peak: nothing is lost there
    lost = {part: max(spent[part] - flops.get(part, 0.0) / peak / 1e9, 0.0) for part in spent}
    all_lost = sum(lost.values()) or 1.0
    layers = [
        {
            "part": part,
            "share_of_time": round(spent[part] / total, 3),
            "share_of_peak": round(flops.get(part, 0.0) / max(spent[part], 1e-9) / peak / 1e9, 3),
            "share_of_loss": round(lost[part] / all_lost, 3),
        }
        for part in sorted(lost, key=lost.__getitem__, reverse=True)
    ]
    return {
        "gflop_per_click": round(whole / clicks / 1e9, 2),
        "share_of_peak": round(whole / total / peak / 1e9, 3),
        "layers": layers,
    }
