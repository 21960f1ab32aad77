"""What test_training_faults.py kills: a writer of checkpoints and a training run.

    python tests/training_kills.py OUT

One process imports everything once and then forks, so that a kill costs milliseconds and not the
import of PyTorch. It must be a process of its own: PyTorch's threads do not survive a fork, so
nothing here computes before the last fork.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from simpleclick_lite.training import preset, train
from simpleclick_lite.training_state import list_checkpoints, load_checkpoint, save_checkpoint

KILLS = 50


def fork(work) -> int:
    """Run `work` in a child of its own; returns its process number."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def write_forever(folder: Path, first: int) -> None:
    """Checkpoints whose content says which step they are of."""
    step = first
    while True:
        state = {"step": step, "a": torch.full((300, 300), float(step)), "b": torch.tensor(step)}
        save_checkpoint(folder, step, state, keep=2)
        step += 1


def killed_writers(folder: Path) -> list[int]:
    """Kill a writer at random moments; after each, the last checkpoint must be whole."""
    chosen = random.Random(0)
    save_checkpoint(folder, 0, {"step": 0, "a": torch.zeros(300, 300), "b": torch.tensor(0)})
    steps = [0]
    for _ in range(KILLS):
        child = fork(lambda: write_forever(folder, steps[-1] + 1))
        time.sleep(chosen.uniform(0.0, 0.06))
        kill(child)
        state = load_checkpoint(folder)
        assert state is not None
        assert int(state["b"]) == state["step"] and (state["a"] == state["step"]).all()
        assert state["step"] >= steps[-1]
        steps.append(state["step"])
    return steps


SMALL = {
    "model": "micro",
    "image_size": 48,
    "batch_size": 4,
    "steps": 20,
    "warmup": 2,
    "threads": 1,
    "log_every": 3,
    "device": "cpu",
    "validation_objects": 0,
}


def killed_training(out: Path, carry: bool) -> None:
    """20 steps straight, and 8 or more steps, kill -9, resume to 20."""
    straight, broken = out / f"straight{carry:d}", out / f"broken{carry:d}"
    config = preset("scratch", **SMALL, carry=carry)

    def run(folder: Path, **values) -> None:
        train(preset("scratch", **SMALL, carry=carry, out=str(folder), **values), progress=False)

    os.waitpid(fork(lambda: run(straight)), 0)
    child = fork(lambda: run(broken, checkpoint_every=8))
    while not list_checkpoints(broken):
        time.sleep(0.005)
    kill(child)
    assert load_checkpoint(broken)["step"] < config.steps
    assert not (broken / "model.safetensors").exists()
    os.waitpid(fork(lambda: run(broken, checkpoint_every=8, resume=True)), 0)


def main() -> None:
    out = Path(sys.argv[1])
    steps = killed_writers(out / "writer")
    print("last steps after each kill:", steps)
    for carry in (False, True):
        killed_training(out, carry)


if __name__ == "__main__":
    main()
