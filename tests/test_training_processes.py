"""Two processes train as one does: DDP and FSDP through accelerate launch, on CPUs with gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from simpleclick_lite.distributed import sharding_plan
from simpleclick_lite.model import build_model

SCRIPT = Path(__file__).parent / "training_processes.py"
LAUNCH = [
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    *("--main_process_port", "0"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> tuple[dict, dict]:
    """What one process and what two processes found."""
    out = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    runs = [
        subprocess.Popen(
            [sys.executable, *before, str(SCRIPT), str(out)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for before in ([], LAUNCH)
    ]
    for run in runs:
        output, _ = run.communicate(timeout=600)
        assert run.returncode == 0, output[-3000:]
    return torch.load(out / "1.pt"), torch.load(out / "2.pt")


def _relative(ours: dict, theirs: dict) -> float:
    """The largest relative difference of any tensor's gradient."""
    assert ours.keys() == theirs.keys() and ours
    return max(
        float((ours[k] - theirs[k]).norm() / theirs[k].norm().clamp(min=1e-12)) for k in theirs
    )


@pytest.mark.parametrize("rounds", ["fresh", "carried"])
def test_two_processes_have_the_gradients_of_one(results, rounds):
    one, two = results
    assert _relative(two[rounds], one[rounds]) < 1e-5


def test_accumulated_parts_have_the_gradients_of_the_whole_batch(results):
    one, two = results
    assert _relative(one["parts"], one["fresh"]) < 1e-5
    assert _relative(two["parts"], one["fresh"]) < 1e-5


def test_a_recipe_of_stages_runs_in_two_processes_though_the_precision_changes(results):
    one, two = results
    ours, theirs = (torch.cat([v.flatten() for v in run["stages"].values()]) for run in (two, one))
    # Adam's first steps have the size of the rate wherever a gradient is near zero
    assert (ours - theirs).norm() < 0.01 * theirs.norm()


def test_the_evaluation_split_over_two_processes_gives_the_same_table(results):
    one, two = results
    assert max(one["validation"]["synthetic"]) > 0.1
    assert two["validation"]["synthetic"] == pytest.approx(one["validation"]["synthetic"], abs=1e-3)


def test_sharded_training_gives_the_weights_of_one_process(results):
    one, two = results
    for kind in ("weights", "sharded_weights"):
        for name, value in one["weights"].items():
            torch.testing.assert_close(two[kind][name], value, atol=1e-4, rtol=1e-3)


def test_the_sharding_plan_covers_blocks_branches_and_head():
    model = build_model("micro", 64)
    plan = sharding_plan(model)
    assert len(plan) == 8 + 4 + 1
    inside = {p for part in plan for p in part.parameters()}
    left = {name for name, p in model.named_parameters() if p not in inside}
    assert {name.split(".")[0] for name in left} == {"embedding", "backbone"}
    assert sum(p.numel() for p in inside) > 0.7 * sum(p.numel() for p in model.parameters())
