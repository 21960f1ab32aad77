"""Weights in and out: our own folders, the official checkpoints, MAE encoders.

Used in notebooks 03 and 08. A file is only ever read as tensors and plain values
(`torch.load(weights_only=True)`, safetensors): nothing in it is executed.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from .errors import InputError
from .files import atomic_path, write_json
from .model import FORMAT, PRESETS, ModelConfig, SimpleClick, config_from_dict

SHIPPED = Path(__file__).parent / "weights"
TIMM_MAE = {
    "vit_base_patch16_224.mae": "base",
    "vit_large_patch16_224.mae": "large",
    "vit_huge_patch14_224.mae": "huge",
}

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


def load_model(path: str | Path | None = None, image_size: int | None = None) -> SimpleClick:
    """Load a model in evaluation mode, on the CPU.

    Args:
        path: None for the shipped weights; a folder with config.json and model.safetensors; an
            official SimpleClick .pth; an MAE encoder's .pth (a dictionary with 'model') or the
            name of one of timm's MAE encoders, which give the backbone while the rest is fresh.
        image_size: positions are resampled to this input size in pixels; None keeps the file's
            own (448 for MAE).

    Raises:
        InputError: a missing, truncated or foreign file; the sentence says what it looks like.
    """
    if path is None:
        path = SHIPPED
        if not (path / "model.safetensors").exists():
            raise InputError("this installation holds no shipped weights; give load_model a path")
    elif str(path) in TIMM_MAE:
        return _from_timm(str(path), image_size or 448)
    path = Path(path)
    if not path.exists():
        raise InputError(f"weights {path} do not exist; give a folder or a .pth file that does")
    model = _from_folder(path) if path.is_dir() else _from_file(path, image_size)
    if image_size and image_size != model.config.image_size:
        model = resize_positions(model, image_size)
    return model.eval()


def save_model(model: SimpleClick, folder: str | Path) -> None:
    """Write config.json and model.safetensors, each complete or not at all.

    Args:
        model: the network; weights are stored as float32.
        folder: made if missing; older weights in it are replaced.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    folder = Path(folder)
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        safetensors.torch.save_file(state, temporary, metadata={"format": "pt"})
    write_json(folder / "config.json", {"format": FORMAT, "config": asdict(model.config)})


def resize_positions(model: SimpleClick, image_size: int) -> SimpleClick:
    """A model with the same weights whose positions are stored for another input size."""
    resized = SimpleClick(replace(model.config, image_size=image_size))
    state = model.state_dict()
    grid = (resized.backbone.grid, resized.backbone.grid)
    state["backbone.pos_embed"] = model.backbone.positions(grid).detach()
    resized.load_state_dict(state)
    return resized.train(model.training)


def _from_folder(folder: Path) -> SimpleClick:
    config_path, weights_path = folder / "config.json", folder / "model.safetensors"
    for file in (config_path, weights_path):
        if not file.exists():
            raise InputError(f"folder {folder} holds no {file.name}; it is not a saved model")
    try:
        data = json.loads(config_path.read_text(encoding="utf-8"))
        version = int(data.get("format", 0))
        # save_pretrained of the hub mixin writes the configuration without our frame around it
        config = dict(data["config"]) if "width" not in data else data
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{config_path} is not the configuration of a saved model") from error
    if version > FORMAT:
        raise InputError(
            f"{config_path} has format {version}, this version reads up to {FORMAT}; "
            "install a newer simpleclick-lite"
        )
    model = _empty(config_from_dict(config))
    try:
        state = safetensors.torch.load_file(weights_path)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{weights_path} is truncated or broken: {error}") from error
    _fill(model, state, weights_path)
    return model


class _Placeholder:
    """Stands in for the loss object inside official files; it holds nothing that we use."""

    def __setstate__(self, state: Any) -> None:
        """Throw the pickled state away."""


def _placeholder_function(*_: Any) -> None:
    """Stands in for the loss function that official files name; never called."""


_LOSS_MODULE = "isegm.model.modeling.transformer_helper.cross_entropy_loss"
_SAFE = [
    (_Placeholder, f"{_LOSS_MODULE}.CrossEntropyLoss"),
    (_placeholder_function, f"{_LOSS_MODULE}.cross_entropy"),
]


def _from_file(path: Path, image_size: int | None) -> SimpleClick:
    if path.suffix == ".safetensors":
        raise InputError(f"{path} holds weights alone; give the folder that also has config.json")
    try:
        with torch.serialization.safe_globals(_SAFE), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            what = f"names the code {found[1]}; only tensors and plain values are read"
        else:
            what = f"is not a file of weights ({_looks_like(path)})"
        raise InputError(f"{path} {what}") from error
    except Exception as error:  # torch reports broken files by many types
        raise InputError(
            f"{path} is truncated or not a PyTorch file ({_looks_like(path)})"
        ) from error
    if not isinstance(data, dict):
        raise InputError(f"{path} holds a {type(data).__name__}, not a dictionary of weights")
    if "state_dict" in data and "config" in data:
        return _from_official(data, path)
    if isinstance(data.get("model"), dict) and "patch_embed.proj.weight" in data["model"]:
        return _from_mae(data["model"], str(path), image_size or 448)
    keys = ", ".join(sorted(map(str, data))[:4])
    raise InputError(
        f"{path} is neither an official SimpleClick file (state_dict, config) nor an MAE encoder "
        f"(model); it holds {keys or 'nothing'} …"
    )


def _looks_like(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        return "it is empty"
    for magic, name in (
        (b"PK", "a zip file that breaks off"),
        (b"\x89PNG", "it looks like a PNG image"),
        (b"\xff\xd8", "it looks like a JPEG image"),
        (b"<", "it looks like a web page, perhaps of a failed download"),
        (b"{", "it looks like JSON"),
        (b"\x80", "it looks like a pickle"),
    ):
        if start.startswith(magic):
            return name
    return f"it starts with {start!r}"


def _from_official(data: dict, path: Path) -> SimpleClick:
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
        model = _empty(config)
        state, used = {}, set()
        for name in model.state_dict():
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
    _fill(model, state, path)
    return model


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


def _from_timm(name: str, image_size: int) -> SimpleClick:
    import timm

    try:
        vit = timm.create_model(name, pretrained=True)
    except Exception as error:  # no internet shows as many types
        raise InputError(f"timm could not fetch {name} ({error}); it needs internet") from error
    return _from_mae(vit.state_dict(), name, image_size)


def _from_mae(theirs: dict[str, Tensor], source: str, image_size: int) -> SimpleClick:
    """The preset whose shape fits an MAE encoder, with that encoder inside."""
    width = theirs["patch_embed.proj.weight"].shape[0]
    patch = theirs["patch_embed.proj.weight"].shape[-1]
    depth = 1 + max(
        (int(m[1]) for m in (re.match(r"blocks\.(\d+)\.", k) for k in theirs) if m), default=-1
    )
    fits = [
        c for c in PRESETS.values() if (c.width, c.patch_size, c.depth) == (width, patch, depth)
    ]
    if not fits:
        raise InputError(
            f"{source} is an encoder of width {width}, depth {depth}, patch {patch}, "
            f"which fits none of {', '.join(PRESETS)}"
        )
    model = SimpleClick(replace(fits[0], image_size=image_size))
    state = model.state_dict()
    try:
        for name in state:
            if name.startswith("backbone.blocks."):
                state[name] = theirs[name.removeprefix("backbone.")]
        for part in ("weight", "bias"):
            state[f"embedding.image.proj.{part}"] = theirs[f"patch_embed.proj.{part}"]
        grid = model.backbone.grid
        state["backbone.pos_embed"] = resample_abs_pos_embed(
            theirs["pos_embed"], [grid, grid], num_prefix_tokens=1, antialias=False
        )[:, 1:]
    except KeyError as error:
        raise InputError(f"{source} lacks {error}; it is not a complete MAE encoder") from error
    _fill(model, state, source)
    warnings.warn(
        f"{source} gives image embedding, positions and blocks; click embedding, pyramid and head "
        "are fresh and must be trained",
        stacklevel=3,
    )
    return model


def _empty(config: ModelConfig) -> SimpleClick:
    """A network without values for `_fill`: no time or memory goes into random weights."""
    with torch.device("meta"):
        return SimpleClick(config)


def _fill(model: SimpleClick, state: dict[str, Tensor], source: str | Path) -> None:
    """Load a state, or say which weight does not fit."""
    ours = model.state_dict()
    for name in sorted(ours.keys() | state.keys()):
        if name not in state:
            raise InputError(f"{source} lacks the weight {name}; it is of another model")
        if name not in ours:
            raise InputError(f"{source} has a weight {name} that this model does not have")
        if not isinstance(state[name], Tensor) or not state[name].is_floating_point():
            raise InputError(f"{source}: {name} holds no weights")
        if ours[name].shape != state[name].shape:
            raise InputError(
                f"{source}: {name} has shape {tuple(state[name].shape)}, "
                f"this model needs {tuple(ours[name].shape)}"
            )
    model.load_state_dict({k: v.float().contiguous() for k, v in state.items()}, assign=True)
