"""Recipes of several training runs, each of which starts from the weights of the one before.

Small inputs first: a sample at 112 pixels costs a sixteenth of one at 448, and most of what there
is to learn can be learnt from it. `training_presets.STAGES` names the runs of each recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .checkpoint import load_model, save_model
from .distillation import load_teacher
from .training import TrainResult, train
from .training_config import TrainConfig


def train_stages(stages: Sequence[TrainConfig], out: str | Path) -> TrainResult:
    """Train one stage after the other.

    Stage k lies in `out`/NAME, NAME being its preset; the last stage's weights are saved in `out`,
    too. With `resume` finished stages are passed over and the interrupted one goes on.

    Args:
        stages: their settings; `out`, and `weights` of all but the first, are set here.
        out: folder of the whole recipe.

    Returns:
        what the last stage gave, `folder` being `out`.

    Raises:
        InputError: as `train`; at once if a later stage lacks its teacher.
    """
    out = Path(out)
    if any(config.distill and not _done(config, out) for config in stages):
        load_teacher()  # it may be needed hours later
    before, result = None, None
    for number, config in enumerate(stages, start=1):
        folder = out / config.preset
        if _done(config, out) and number < len(stages):
            print(f"stage {number} of {len(stages)}, {config.preset}: done before")
        else:
            print(f"stage {number} of {len(stages)}, {config.preset}")
            config = replace(config, out=str(folder), weights=before or config.weights)
            result = train(config)
        before = str(folder)
    save_model(load_model(before), out)
    return replace(result, folder=out)


def _done(config: TrainConfig, out: Path) -> bool:
    """Whether a stage has ended and the recipe is resumed."""
    return config.resume and (out / config.preset / "model.safetensors").exists()
