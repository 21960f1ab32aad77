"""Recipes of several training runs, each of which starts from the weights of the one before.

Small inputs first: a sample at 112 pixels costs a sixteenth of one at 448, and most of what there
is to learn can be learnt from it. `training_presets.STAGES` names the runs of each recipe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from .checkpoint import load_model, save_model
from .data.mixture import parse_mixture
from .distillation import load_teacher
from .errors import InputError
from .training import TrainResult, train
from .training_config import NOT_LEARNED, TrainConfig, check_config
from .training_setup import make_samples
from .training_state import list_checkpoints


def train_stages(stages: Sequence[TrainConfig], out: str | Path) -> TrainResult:
    """Train one stage after the other.

    Stage k lies in `out`/NAME, NAME being its preset; the last stage's weights are saved in `out`,
    too. With `resume` finished stages are passed over, and the interrupted one goes on; of a
    finished one it is said which settings would be others now.

    Args:
        stages: their settings; `out`, and `weights` of all but the first, are set here.
        out: folder of the whole recipe.

    Returns:
        what the last stage gave, `folder` being `out`.

    Raises:
        InputError: as `train`; at once for what a later stage could not do hours from now.
    """
    out = Path(out)
    _check([config for config in stages if not _done(config, out)])
    before, result = None, None
    for number, config in enumerate(stages, start=1):
        folder = out / config.preset
        if _done(config, out) and number < len(stages):
            other = _other_settings(config, folder)
            how = f" with {', '.join(other)}" if other else ""
            print(f"stage {number} of {len(stages)}, {config.preset}: done before{how}")
        else:
            print(f"stage {number} of {len(stages)}, {config.preset}")
            resume = config.resume and bool(list_checkpoints(folder))
            weights = before or config.weights
            config = replace(config, out=str(folder), weights=weights, resume=resume)
            result = train(config)
        before = str(folder)
    if int(os.environ.get("RANK", "0")) == 0:  # of several processes the first
        save_model(load_model(before), out)
    return replace(result, folder=out)


def _check(stages: Sequence[TrainConfig]) -> None:
    """Settings, data and teacher of the stages that are still to be trained.

    Raises:
        InputError: the first thing that is wrong.
    """
    for config in stages:
        check_config(config)
    if stages:
        make_samples(stages[0])
    if any(config.distill for config in stages):
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError(
                "a stage of this recipe learns from a teacher (distill), which works in one "
                "process only; set distill to 0, or start without accelerate launch"
            )
        load_teacher()


def _other_settings(config: TrainConfig, folder: Path) -> list[str]:
    """What a finished stage was trained with that it would not be trained with now.

    Args:
        config: its settings now.
        folder: of the finished run.

    Returns:
        "NAME OLD (now NEW)" for every setting that changes what is learned, but for the weights it
        began with and the folders of its data.
    """
    path = folder / "training.json"
    if not path.exists():  # somebody else's weights, put there by hand
        return []
    try:
        before = asdict(TrainConfig()) | json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        return [f"settings that {path} does not tell"]
    then, now = (json.loads(json.dumps(v)) for v in (before, asdict(config)))  # tuples as lists
    for values in (then, now):  # the same folders may be written in several ways
        values["data"] = _mixture(values["data"])
    free = {*NOT_LEARNED, "weights"}
    return [
        f"{name} {then[name]} (now {now[name]})"
        for name in now
        if name not in free and then[name] != now[name]
    ]


def _mixture(text: str) -> str:
    """Names and weights of a mixture of data sets, in the order of the names."""
    try:
        return ", ".join(sorted(f"{s.name}:{s.weight:g}" for s in parse_mixture(text)))
    except InputError:  # of another version, whose data sets had other names
        return text


def _done(config: TrainConfig, out: Path) -> bool:
    """Whether a stage has ended and the recipe is resumed."""
    return config.resume and (out / config.preset / "model.safetensors").exists()
