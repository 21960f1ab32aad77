"""Weights in and out: our own folders, the official checkpoints, MAE encoders.

Used in notebooks 03 and 08. A file is only ever read as tensors and plain values
(`torch.load(weights_only=True)`, safetensors): nothing in it is executed.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
from dataclasses import replace
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from .errors import InputError
from .files import atomic_path, write_json
from .model import FORMAT, PRESETS, SimpleClick, config_from_dict, config_to_dict
from .official import STAND_INS, empty_model, read_official, save_official

__all__ = ["SHIPPED", "TIMM_MAE", "load_model", "resize_positions", "save_model", "save_official"]

SHIPPED = Path(__file__).parent / "weights"
TIMM_MAE = {
    "vit_base_patch16_224.mae": "base",
    "vit_large_patch16_224.mae": "large",
    "vit_huge_patch14_224.mae": "huge",
}


def load_model(path: str | Path | None = None, image_size: int | None = None) -> SimpleClick:
    """Load a model in evaluation mode, on the CPU.

    Args:
        path: None or "shipped" for the shipped weights; a folder with config.json and
            model.safetensors; an official SimpleClick .pth; an MAE encoder's .pth (a dictionary
            with 'model') or the name of one of timm's MAE encoders, which give the backbone while
            the rest is fresh.
        image_size: positions are resampled to this input size in pixels; None keeps the file's
            own (448 for MAE).

    Raises:
        InputError: a missing, truncated or foreign file; the sentence says what it looks like.
    """
    if image_size is not None and (type(image_size) is not int or image_size < 1):
        raise InputError(f"image_size must be a whole number of pixels, not {image_size!r}")
    if path is None or str(path) == "shipped":  # the word that settings and commands use
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
        # not save_file: it makes the file anew, readable by its owner alone
        temporary.write_bytes(safetensors.torch.save(state, metadata={"format": "pt"}))
    write_json(folder / "config.json", {"format": FORMAT, "config": config_to_dict(model.config)})


def resize_positions(model: SimpleClick, image_size: int) -> SimpleClick:
    """A model with the same weights whose positions are stored for another input size."""
    resized = SimpleClick(replace(model.config, image_size=image_size))
    state = model.state_dict()
    grid = (resized.backbone.grid, resized.backbone.grid)
    state["backbone.pos_embed"] = model.backbone.positions(grid).detach()
    resized.load_state_dict(state)
    resized.backbone_only = model.backbone_only
    return resized.train(model.training)


def move_clicks(model: SimpleClick, seed: int = 0, **changes: int | str) -> SimpleClick:
    """A model with the same weights whose clicks enter in another way.

    It must be trained: blocks that saw the clicks see the image alone now, or the other way round.

    Args:
        model: where the weights come from.
        seed: of the weights that are new, those of sparse clicks.
        changes: fusion_block, image_branches, clicks, as in ModelConfig.

    Raises:
        InputError: values that make no network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        moved = SimpleClick(replace(model.config, **changes))
    ours, state = moved.state_dict(), model.state_dict()
    moved.load_state_dict({name: state.get(name, value) for name, value in ours.items()})
    return moved.train(model.training)


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
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise InputError(f"{config_path} is not the configuration of a saved model") from error
    if version > FORMAT:
        raise InputError(
            f"{config_path} has format {version}, this version reads up to {FORMAT}; "
            "install a newer simpleclick-lite"
        )
    model = empty_model(config_from_dict(config))
    try:
        state = safetensors.torch.load_file(weights_path)
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{weights_path} is truncated or broken: {error}") from error
    _fill(model, state, weights_path)
    return model


def _from_file(path: Path, image_size: int | None) -> SimpleClick:
    if path.suffix == ".safetensors":
        raise InputError(f"{path} holds weights alone; give the folder that also has config.json")
    try:
        with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
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
        config, state = read_official(data, path)
        model = empty_model(config)
        _fill(model, state, path)
        return model
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


def _from_timm(name: str, image_size: int) -> SimpleClick:
    import timm

    try:
        vit = timm.create_model(name, pretrained=True)
    except Exception as error:  # no internet shows as many types
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"timm could not fetch {name} ({reason}); it needs internet") from error
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
    model.backbone_only = True
    warnings.warn(
        f"{source} gives image embedding, positions and blocks; click embedding, pyramid and head "
        "are fresh and must be trained",
        stacklevel=3,
    )
    return model


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
