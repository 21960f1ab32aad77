"""The official checkpoints: `{'state_dict', 'config'}` with the published code's names.

Used in notebook 08. The published files hold one pickled object, the loss of their head; two
stand-ins take its place, so that PyTorch's own weights-only reader can read the rest.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import InputError
from .files import atomic_path
from .model import ModelConfig, SimpleClick

# our parameter names <- the official file's
_OFFICIAL = (
    ("embedding.image.", "backbone.patch_embed."),
    ("embedding.clicks.", "patch_embed_coords."),
    ("pyramid.branches.0.", "neck.down_4."),
    ("pyramid.branches.1.", "neck.down_8."),
    ("pyramid.branches.2.", "neck.down_16."),
    ("pyramid.branches.3.", "neck.down_32."),
    *((f"head.project.{i}.", f"head.convs.{i}.conv.") for i in range(4)),
    ("head.fuse.", "head.fusion_conv.conv."),
    ("head.classify.", "head.conv_seg."),
    ("backbone.", "backbone."),
)
# weights in official files that the published forward pass never uses
_NEVER_RUN = re.compile(
    r"backbone\.(cls_token|fc_norm\.|norm\.|head\.)|head\.up_conv[12]\.|neck\.\w+\.num_batches"
)


def official_name(name: str) -> str:
    """The official file's name of one of our parameters."""
    for ours, theirs in _OFFICIAL:
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    raise KeyError(name)


class _Placeholder:
    """Stands in for the loss object inside official files; it holds nothing that we use."""

    def __setstate__(self, state: Any) -> None:
        """Throw the pickled state away."""


def _placeholder_function(*_: Any) -> None:
    """Stands in for the loss function that official files name; never called."""


LOSS_MODULE = "isegm.model.modeling.transformer_helper.cross_entropy_loss"
STAND_INS = [
    (_Placeholder, f"{LOSS_MODULE}.CrossEntropyLoss"),
    (_placeholder_function, f"{LOSS_MODULE}.cross_entropy"),
]


def read_official(data: dict, path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The configuration and our names for the weights of an official file.

    Args:
        data: the file's dictionary.
        path: for messages.

    Raises:
        InputError: a network other than SimpleClick's, or one with parts missing or added.
    """
    try:
        params = {k: v["value"] for k, v in data["config"]["params"].items()}
        kind = str(data["config"]["class"])
        backbone, neck, head = (params[f"{k}_params"] for k in ("backbone", "neck", "head"))
        if not kind.endswith("PlainVitModel"):
            raise InputError(
                f"{path} holds a {kind.rsplit('.', 1)[-1]}, not SimpleClick's plain ViT"
            )
        if head.get("upsample", "x1") != "x1":
            raise InputError(f"{path} upsamples its head {head['upsample']}; only x1 is supported")
        if not (params["use_disks"] and params["with_prev_mask"]):
            raise InputError(f"{path} draws clicks without disks or without the previous mask")
        config = ModelConfig(
            image_size=backbone["img_size"][0],
            patch_size=backbone["patch_size"][0],
            width=backbone["embed_dim"],
            depth=backbone["depth"],
            heads=backbone["num_heads"],
            pyramid_channels=tuple(neck["out_dims"]),
            head_channels=head["channels"],
            disk_radius=params["norm_radius"],
            dropout=head["dropout_ratio"],
        )
        theirs = data["state_dict"]
        state, used = {}, set()
        for name in empty_model(config).state_dict():
            key = official_name(name)
            state[name] = theirs[key]
            used.add(key)
        # slot 0 of the positions is the class token's
        state["backbone.pos_embed"] = state["backbone.pos_embed"][:, 1:]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{path} is not a complete SimpleClick checkpoint: {error}") from error
    unknown = [k for k in theirs if k not in used and not _NEVER_RUN.match(k)]
    if unknown:
        raise InputError(f"{path} has weights no plain SimpleClick has, such as {unknown[0]}")
    return config, state


def save_official(model: SimpleClick, path: str | Path, classes: int = 1000) -> None:
    """Write a file in the official layout: state_dict and config, plain values and tensors only.

    The parts that never run (class token, classifier, two up-convolutions) are filled with zeros.
    The official file also holds a pickled loss object at config/params/head_params/value/
    loss_decode, which is left out here: a user of the published code adds
    `head_params["loss_decode"] = CrossEntropyLoss()` after reading the configuration.

    Args:
        model: a SimpleClick with the simple pyramid.
        path: usually ends in .pth.
        classes: size of the unused classifier.

    Raises:
        InputError: an ablated network, which the published code does not have, or a folder that
            cannot be written.
    """
    config = model.config
    if not config.previous_mask:
        raise InputError("the published code always shows the network its previous mask")
    if config.fusion_block or config.clicks != "dense":
        raise InputError("in the published code clicks enter before the first block, as disks")
    if config.pyramid != "simple":
        raise InputError(f"the published code has no {config.pyramid!r} pyramid; only 'simple'")
    state = {official_name(k): v.detach().cpu().clone() for k, v in model.state_dict().items()}
    width, channels = config.width, config.head_channels
    positions = state["backbone.pos_embed"]
    state["backbone.pos_embed"] = torch.cat([torch.zeros(1, 1, width), positions], dim=1)
    shapes = {
        "backbone.cls_token": (1, 1, width),
        "backbone.fc_norm.weight": (width,),
        "backbone.fc_norm.bias": (width,),
        "backbone.head.weight": (classes, width),
        "backbone.head.bias": (classes,),
    }
    for name, (ins, outs) in {
        "up_conv1": (channels, channels // 2),
        "up_conv2": (channels // 2, channels // 4),
    }.items():
        for index, shape in enumerate([(ins, outs, 2, 2), (outs,), (outs, outs, 1, 1), (outs,)]):
            shapes[f"head.{name}.{index}.weight"] = shape
            shapes[f"head.{name}.{index}.bias"] = (outs,)
    state |= {k: torch.zeros(shape) for k, shape in shapes.items()}
    size, patch = config.image_size, config.patch_size
    values = {
        "use_disks": True,
        "norm_radius": config.disk_radius,
        "with_prev_mask": True,
        "backbone_params": {
            "img_size": (size, size),
            "patch_size": (patch, patch),
            "in_chans": 3,
            "embed_dim": width,
            "depth": config.depth,
            "num_heads": config.heads,
            "mlp_ratio": 4,
            "qkv_bias": True,
            "num_classes": classes,
        },
        "neck_params": {"in_dim": width, "out_dims": list(config.pyramid_channels)},
        "head_params": {
            "in_channels": list(config.pyramid_channels),
            "in_index": [0, 1, 2, 3],
            "dropout_ratio": config.dropout,
            "num_classes": 1,
            "align_corners": False,
            "upsample": "x1",
            "channels": channels,
        },
        "random_split": False,
    }
    params = {k: {"type": "builtin", "value": v, "specified": True} for k, v in values.items()}
    kind = "isegm.model.is_plainvit_model.PlainVitModel"
    with atomic_path(path) as temporary:
        torch.save({"state_dict": state, "config": {"class": kind, "params": params}}, temporary)


def empty_model(config: ModelConfig) -> SimpleClick:
    """A network of shapes without values: no time or memory goes into random weights."""
    with torch.device("meta"):
        return SimpleClick(config)
