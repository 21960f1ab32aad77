"""What a run keeps on disk: checkpoints that are complete or absent, metrics, pictures."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .data.sampling import Batch
from .errors import InputError
from .files import atomic_path, write_json, write_png

CHECKPOINTS = "checkpoints"


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps lies."""
    return folder / CHECKPOINTS / f"step_{step:08d}.pt"


class _Recording:
    """A file that remembers why writing failed: `torch.save` reports it as an error of its own."""

    def __init__(self, file: Any):
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


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
        recording = _Recording(file)
        try:
            torch.save(state, recording)
        except RuntimeError as error:
            raise (recording.error or error) from error
        file.flush()
        os.fsync(file.fileno())
    for old in list_checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted((folder / CHECKPOINTS).glob("step_*.pt"))


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; None if there is none.

    Raises:
        InputError: there are some, and not one can be read.
    """
    found = list_checkpoints(folder)
    for path in reversed(found):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
            warnings.warn(f"{path} cannot be read ({error}); trying the one before", stacklevel=2)
    if found:
        raise InputError(f"cannot resume: no checkpoint in {folder / CHECKPOINTS} can be read")
    return None


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """All complete lines of a metrics.jsonl; an unfinished last line is left out."""
    path = Path(path)
    path = path / "metrics.jsonl" if path.is_dir() else path
    lines = []
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


@contextlib.contextmanager
def _unless_full(what: str) -> Iterator[None]:
    """A full disk becomes a warning: a run of days should not end for a line of a log."""
    try:
        yield
    except InputError as error:
        warnings.warn(f"{what} was not written: {error}", stacklevel=3)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        warnings.warn(f"{what} was not written: the disk is full", stacklevel=3)


@dataclass(frozen=True)
class TrainResult:
    """What a finished run gives back."""

    folder: Path  # holds config.json and model.safetensors
    steps: int  # finished optimizer steps
    samples_per_second: float  # over this call
    validation: dict[str, list[float]]  # data set -> mIoU after 1, 2, … clicks


class RunFolder:
    """The folder of a run.

    metrics.jsonl has one JSON object per line and can be read at any moment; TensorBoard gets the
    same numbers where it is installed.

    Args:
        path: made when the run begins.
        keep: checkpoints that stay.
        write: False in all processes but the first.
    """

    def __init__(self, path: Path, keep: int = 2, write: bool = True):
        self.path, self.keep, self.write = path, keep, write
        self.board: Any = None

    def begin(self, settings: dict[str, Any], step: int) -> None:
        """Make the folder, save the settings, and drop metrics that will come again.

        Args:
            settings: saved as training.json.
            step: finished steps; above 0 when a run goes on.

        Raises:
            InputError: the folder cannot be written, or holds another run's checkpoints.
        """
        if not self.write:
            return
        if step == 0 and list_checkpoints(self.path) and not settings.get("resume"):
            raise InputError(
                f"{self.path} holds the checkpoints of an earlier run; "
                "go on with resume (--resume) or choose another out (--out)"
            )
        write_json(self.path / "training.json", settings)
        for left in (self.path / CHECKPOINTS).glob(".step_*"):
            left.unlink(missing_ok=True)  # of a run that was killed while it wrote
        log = self.path / "metrics.jsonl"
        kept = [line for line in read_metrics(log) if line["step"] <= step] if step else []
        with atomic_path(log) as temporary:
            temporary.write_text("".join(json.dumps(v) + "\n" for v in kept), encoding="utf-8")
        with contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(self.path / "tensorboard"), purge_step=step or None)

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Append one line; nested values are put in TensorBoard one by one."""
        if not self.write:
            return
        with _unless_full("a line of metrics.jsonl"):
            with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
            if self.board is not None:
                for name, value in _flat(values):
                    self.board.add_scalar(name, value, step)

    def picture(self, step: int, image: np.ndarray) -> None:
        """Save a (H, W, 3) uint8 picture of validation objects."""
        with _unless_full("a picture"):
            write_png(self.path / "pictures" / f"step_{step:08d}.png", image)

    def checkpoint(self, step: int, state: dict[str, Any], must: bool) -> None:
        """Write a checkpoint; with `must` a full disk is an InputError, else a warning."""
        if not self.write:
            return
        with contextlib.nullcontext() if must else _unless_full(f"the checkpoint of step {step}"):
            save_checkpoint(self.path, step, state, self.keep)

    def last_checkpoint(self) -> dict[str, Any] | None:
        """The newest checkpoint that can be read; None if there is none."""
        return load_checkpoint(self.path)

    def save_batch(self, step: int, batch: Batch) -> Path:
        """Keep a batch that broke the run, as plain tensors for `torch.load`."""
        path = self.path / f"bad_batch_step_{step + 1}.pt"
        state = {k: v.cpu() if isinstance(v, Tensor) else v for k, v in vars(batch).items()}
        with atomic_path(path) as temporary:
            torch.save(state, temporary)
        return path

    def close(self) -> None:
        """Finish what is still being written."""
        if self.board is not None:
            self.board.close()


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}/")
        elif isinstance(value, list):
            yield from ((f"{prefix}{name}/{k}", v) for k, v in enumerate(value, 1))
        else:
            yield prefix + name, value
