"""What a run keeps on disk: checkpoints that are complete or absent, metrics, the final weights."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from .errors import InputError
from .files import atomic_path

CHECKPOINTS = "checkpoints"


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps lies."""
    return folder / CHECKPOINTS / f"step_{step:08d}.pt"


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int = 2) -> Path:
    """Write a checkpoint atomically, then remove the oldest ones.

    It is complete under its name or not there at all: it is written under another name in the same
    folder, flushed to the disk and renamed. Older ones are removed only after that.

    Args:
        folder: of the run.
        step: finished steps.
        state: tensors and plain values.
        keep: checkpoints that stay.

    Raises:
        InputError: the folder cannot be written, or the disk is full; older checkpoints stay.
    """
    path = checkpoint_path(folder, step)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted((folder / CHECKPOINTS).glob("step_*.pt"))


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """The newest checkpoint that can be read.

    Raises:
        InputError: the run has none.
    """
    found = list_checkpoints(folder)
    for path in reversed(found):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError):
            continue
    what = "none that can be read" if found else "none"
    raise InputError(
        f"cannot resume: {folder / CHECKPOINTS} should hold a checkpoint and holds {what}"
    )


class MetricsLog:
    """metrics.jsonl: one JSON object per line, appended; readable at any moment.

    Args:
        path: the file.
        step: when a run goes on, lines after this step are dropped (they will come again).
    """

    def __init__(self, path: Path, step: int = 0):
        self.path = path
        kept = [line for line in read_metrics(path) if line["step"] <= step] if step else []
        with atomic_path(path) as temporary:
            temporary.write_text("".join(json.dumps(v) + "\n" for v in kept), encoding="utf-8")

    def write(self, **values: Any) -> None:
        """Append one line."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """All complete lines of a metrics.jsonl; an unfinished last line is left out."""
    lines = []
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines
