"""Nothing is lost: kill -9, a full disk, NaN, Ctrl-C, too little memory, broken checkpoints."""

from __future__ import annotations

import builtins
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from simpleclick_lite import training_state
from simpleclick_lite.errors import InputError
from simpleclick_lite.training import Trainer, preset, train
from simpleclick_lite.training_guard import StopRequest, memory_advice, memory_sentence
from simpleclick_lite.training_state import (
    RunFolder,
    list_checkpoints,
    load_checkpoint,
    read_metrics,
    save_checkpoint,
)

SCRIPT = Path(__file__).parent / "training_kills.py"
SMALL = {
    "model": "micro",
    "image_size": 32,
    "batch_size": 2,
    "steps": 4,
    "warmup": 0,
    "log_every": 1,
    "device": "cpu",
    "validation_objects": 0,
}


def _config(out: Path, **values):
    return preset("scratch", **{**SMALL, "out": str(out), **values})


# ---------------------------------------------------------------- kill -9


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """The folder that tests/training_kills.py leaves."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    out = tmp_path_factory.mktemp("kills")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_fifty_kills_of_a_writer_leave_a_whole_checkpoint_each_time(killed):
    # the script itself checks after each kill; here, that writing went on in between
    assert load_checkpoint(killed / "writer")["step"] > 5
    assert len(list_checkpoints(killed / "writer")) <= 3


@pytest.mark.parametrize("carry", [0, 1], ids=["fresh", "carried"])
def test_a_killed_run_ends_with_the_same_weights_to_the_last_bit(killed, carry):
    straight, broken = (
        (killed / f"{name}{carry}" / "model.safetensors").read_bytes()
        for name in ("straight", "broken")
    )
    assert straight == broken
    steps = [line["step"] for line in read_metrics(killed / f"broken{carry}")]
    assert steps == sorted(set(steps)) and steps[-1] == 20


# ---------------------------------------------------------------- the disk


class _FullDisk:
    """A file that holds so many bytes and then reports that the disk is full."""

    def __init__(self, file, room: int):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def _fill_disk(monkeypatch, room: int) -> None:
    def opened(path, mode="r", **options):
        file = builtins.open(path, mode, **options)  # noqa: SIM115, the caller closes it
        return _FullDisk(file, room) if mode == "wb" else file

    monkeypatch.setattr(training_state, "open", opened, raising=False)


@pytest.mark.parametrize("room", [0, 100, 5000, 200_000])
def test_a_full_disk_is_said_and_the_last_good_checkpoint_stays(tmp_path, monkeypatch, room):
    save_checkpoint(tmp_path, 1, {"step": 1})
    _fill_disk(monkeypatch, room)
    with pytest.raises(InputError, match="disk is full"):
        save_checkpoint(tmp_path, 2, {"step": 2, "a": torch.zeros(300, 300)}, keep=1)
    assert load_checkpoint(tmp_path)["step"] == 1
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step_00000001.pt"]


def test_a_run_goes_on_over_a_full_disk_and_fails_only_at_its_end(tmp_path, monkeypatch):
    _fill_disk(monkeypatch, 1000)
    with (
        pytest.warns(UserWarning, match="checkpoint of step 2 was not written"),
        pytest.raises(InputError, match="disk is full"),
    ):
        train(_config(tmp_path, checkpoint_every=2), progress=False)
    assert read_metrics(tmp_path)[-1]["step"] == 4


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(InputError, match="choose a folder that can be written"):
        train(_config(tmp_path / "file" / "run"), progress=False)


def test_a_broken_last_checkpoint_falls_back_to_the_one_before(tmp_path):
    save_checkpoint(tmp_path, 1, {"step": 1})
    save_checkpoint(tmp_path, 2, {"step": 2})
    whole = training_state.checkpoint_path(tmp_path, 2).read_bytes()
    training_state.checkpoint_path(tmp_path, 2).write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match="trying the one before"):
        assert load_checkpoint(tmp_path)["step"] == 1
    training_state.checkpoint_path(tmp_path, 1).write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(InputError, match="no checkpoint in"):
        load_checkpoint(tmp_path)


# ---------------------------------------------------------------- the loss


def test_a_loss_that_is_no_number_stops_the_run_and_saves_the_batch(tmp_path):
    trainer = Trainer(_config(tmp_path, checkpoint_every=1), progress=False)
    step = trainer.step

    def poisoned(number):
        if number == 2:
            trainer.model.head.classify.bias.data.fill_(float("nan"))
        return step(number)

    trainer.step = poisoned
    with pytest.raises(FloatingPointError, match="nan at step 3"):
        trainer.run()
    batch = torch.load(tmp_path / "bad_batch_step_3.pt", weights_only=True)
    assert batch["image"].shape == (2, 3, 32, 32) and len(batch["index"]) == 2
    state = load_checkpoint(tmp_path)
    assert state["step"] == 2
    assert all(torch.isfinite(v).all() for v in state["model"].values())


# ---------------------------------------------------------------- Ctrl-C


def test_ctrl_c_finishes_the_step_saves_and_can_be_resumed(tmp_path):
    train(_config(tmp_path / "straight"), progress=False)
    trainer = Trainer(_config(tmp_path / "stopped"), progress=False)
    step = trainer.step

    def interrupted(number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(number)

    trainer.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert load_checkpoint(tmp_path / "stopped")["step"] == 2
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    train(_config(tmp_path / "stopped", resume=True), progress=False)
    a, b = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("straight", "stopped"))
    assert a == b


def test_a_second_ctrl_c_interrupts_at_once_and_handlers_are_restored():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest(1, torch.device("cpu")) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.agreed(True)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_of_a_cluster_ends_with_its_own_exit_code():
    with StopRequest(1, torch.device("cpu")) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.agreed(True)
        with pytest.raises(SystemExit) as ended:
            stop.leave()
    assert ended.value.code == 143


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_which_settings_to_lower(tmp_path, error):
    config = _config(tmp_path)
    with pytest.raises(InputError) as caught, memory_advice(config):
        raise error
    text = str(caught.value)
    for setting in ("accumulate", "checkpointing", "precision bf16", "batch_size", "image_size"):
        assert setting in text
    assert "\n" not in text
    assert "checkpointing" not in memory_sentence(_config(tmp_path, checkpointing=True))


def test_other_errors_are_left_alone(tmp_path):
    with pytest.raises(RuntimeError, match="shapes"), memory_advice(_config(tmp_path)):
        raise RuntimeError("shapes do not fit")


# ---------------------------------------------------------------- starting and resuming


def test_a_second_run_does_not_write_over_the_first(tmp_path):
    save_checkpoint(tmp_path, 5, {"step": 5})
    with pytest.raises(InputError, match=r"resume \(--resume\) or choose another out"):
        RunFolder(tmp_path).begin({"resume": False}, 0)
    assert load_checkpoint(tmp_path)["step"] == 5


def test_what_a_killed_run_left_half_written_is_cleared_away(tmp_path):
    save_checkpoint(tmp_path, 5, {"step": 5})
    left = tmp_path / "checkpoints" / ".step_00000006-abc.pt"
    left.write_bytes(b"half")
    RunFolder(tmp_path).begin({"resume": True}, 5)
    assert not left.exists()


def test_metrics_that_will_come_again_are_dropped_when_a_run_goes_on(tmp_path):
    lines = [json.dumps({"step": s, "loss": 0.1}) for s in (2, 4, 6)] + ['{"step": 8, "lo']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    RunFolder(tmp_path).begin({"resume": True}, 4)
    assert [line["step"] for line in read_metrics(tmp_path)] == [2, 4]


def test_resume_without_a_checkpoint_starts_and_says_so(tmp_path):
    with pytest.warns(UserWarning, match="holds no checkpoint; starting anew"):
        result = train(_config(tmp_path, steps=1, resume=True), progress=False)
    assert result.steps == 1


def test_resuming_another_network_is_refused(tmp_path):
    train(_config(tmp_path, steps=1), progress=False)
    with pytest.raises(InputError, match="of another network"):
        train(_config(tmp_path, steps=2, resume=True, pyramid="single_scale"), progress=False)
