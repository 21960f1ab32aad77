"""The loop: recipes as data, what a run writes, click rounds, validation."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.data.mixture import parse_mixture
from simpleclick_lite.data.sampling import TrainingSamples, collate
from simpleclick_lite.errors import InputError
from simpleclick_lite.files import write_png
from simpleclick_lite.training import Trainer, make_model, make_samples, train
from simpleclick_lite.training_batches import KeyedDropout, Share, load_batches, to_device
from simpleclick_lite.training_config import TrainConfig, check_config
from simpleclick_lite.training_presets import PRESETS, changes, preset
from simpleclick_lite.training_rounds import CarriedRounds, FreshRounds, click_rounds
from simpleclick_lite.training_state import read_metrics
from simpleclick_lite.training_validation import describe

CPU = torch.device("cpu")
SMALL = {
    "model": "micro",
    "image_size": 48,
    "batch_size": 4,
    "steps": 4,
    "warmup": 0,
    "log_every": 2,
    "device": "cpu",
    "validation_objects": 0,
}


def _config(out=".", **values) -> TrainConfig:
    return preset("scratch", **{**SMALL, "out": str(out), **values})


# ---------------------------------------------------------------- recipes


def test_published_recipes_have_the_settings_of_the_fixture(golden):
    published = json.loads((golden / "augment.json").read_text(encoding="utf-8"))
    seen = 0
    for key, theirs in published["configurations"].items():
        _, size, source, *rest = key.split("_")
        if rest != ["itermask"]:
            continue
        name = f"{source}_{size.removesuffix('448')}"
        ours, train_settings = PRESETS[name], theirs["train"]
        seen += 1
        assert ours.image_size == theirs["crop_size"][0], key
        assert ours.lr == theirs["optimizer_params"]["lr"], key
        assert ours.epochs == theirs["epochs"], key
        assert list(ours.milestones) == theirs["lr_scheduler"]["milestones"], key
        assert ours.rounds == theirs["max_num_next_clicks"], key
        assert ours.max_start_clicks == theirs["points_sampler"]["args"][0], key
        assert ours.start_gamma == theirs["points_sampler"]["prob_gamma"], key
        assert ours.merge == theirs["points_sampler"]["merge_objects_prob"], key
        assert ours.min_area == train_settings["min_object_area"], key
        assert ours.min_area_side == ours.image_size, key
        assert ours.background == train_settings["keep_background_prob"], key
        assert ours.epoch_length == train_settings.get("epoch_len", 0), key
        assert ours.stuff == train_settings.get("stuff_prob", 0.0), key
        assert (ours.optimizer, ours.schedule, ours.weight_decay) == ("adam", "multistep", 0.0)
        with torch.device("meta"):
            model = make_model(replace(ours, weights=None))
        assert list(model.config.pyramid_channels) == theirs["neck"]["out_dims"], key
        assert model.config.width == theirs["backbone"]["embed_dim"], key
        assert model.config.image_size == theirs["backbone"]["img_size"][0], key
    assert seen == 12


def test_total_batches_are_those_of_the_paper():
    sizes = {name: PRESETS[f"sbd_{name}"].batch_size for name in ("base", "large", "huge")}
    assert sizes == {"base": 140, "large": 72, "huge": 32}


def test_every_recipe_is_valid_and_knows_its_name():
    for name, config in PRESETS.items():
        check_config(config)
        assert config.preset == name and changes(config) == "unchanged"


def test_changes_are_told():
    assert changes(preset("quick", steps=7, seed=3)) == "changed: steps 7, seed 3"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schedule": "linear"}, "schedule 'linear' is not one of"),
        ({"image_size": 0}, "image_size must be at least 1"),
        ({"merge": 1.5}, "merge must lie between 0 and 1"),
        ({"steps": -1}, "steps must not be negative"),
        ({"steps": 0, "epochs": 0}, "give steps or epochs"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": float("nan")}, "lr must be a finite number"),
        ({"beta2": 1.0}, "beta2 must lie in"),
        ({"weight_decay": -0.1}, "weight_decay must not be negative"),
        ({"model": "giant"}, "model 'giant' is not one of"),
        ({"data": "nowhere"}, "no data set 'nowhere'"),
        ({"batch_size": 3, "accumulate": 2}, "not a multiple"),
        ({"fsdp": True}, "several processes"),
        ({"weights": "/no/such/folder"}, "do not exist"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_sentence(tmp_path, values, words):
    with pytest.raises(InputError, match=words) as caught:
        train(_config(tmp_path, **values), progress=False)
    assert "\n" not in str(caught.value)


def test_unknown_recipes_and_settings_are_refused():
    with pytest.raises(InputError, match="no preset 'slow'"):
        preset("slow")
    with pytest.raises(InputError, match="no setting 'learning_rate'"):
        preset("quick", learning_rate=1)


def test_every_setting_is_explained():
    import inspect

    source = inspect.getsource(TrainConfig)
    for field in fields(TrainConfig):
        line = next(x for x in source.splitlines() if x.startswith(f"    {field.name}: "))
        assert "  # " in line, field.name


# ---------------------------------------------------------------- a run


def test_a_run_leaves_weights_settings_metrics_checkpoint_and_pictures(tmp_path):
    config = _config(
        tmp_path, validation_objects=3, validation_clicks=2, validate_every=2, picture_every=4
    )
    result = train(config, progress=False)
    assert result.steps == 4 and result.samples_per_second > 0
    assert len(result.validation["synthetic"]) == 2
    model = load_model(tmp_path)
    assert model.config.image_size == 48
    settings = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert TrainConfig(**{**settings, "milestones": (), "pyramid_channels": ()}) == config
    lines = read_metrics(tmp_path)
    assert [x["step"] for x in lines if "loss" in x] == [2, 4]
    assert [x["step"] for x in lines if "validation" in x] == [2, 4]
    assert {"loss", "iou", "lr", "samples_per_second", "seconds"} <= set(lines[0])
    picture = cv2.imread(str(tmp_path / "pictures" / "step_00000004.png"))
    assert picture.shape[1] == 2 * 4 * 160 and picture.std() > 10
    pytest.importorskip("tensorboard")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def _circles(folder, count: int = 6) -> None:
    """Photographs of a bright circle on dark noise, with masks."""
    rng = np.random.default_rng(0)
    for i in range(count):
        mask = np.zeros((80, 100), np.uint8)
        cv2.circle(mask, (int(rng.integers(30, 70)), int(rng.integers(30, 50))), 25, 255, -1)
        image = rng.integers(0, 100, (80, 100, 3), dtype=np.uint8) + mask[..., None] // 2
        write_png(folder / "images" / f"{i}.png", image)
        write_png(folder / "masks" / f"{i}.png", mask)


def test_training_learns(tmp_path):
    _circles(tmp_path / "data")
    config = _config(
        tmp_path / "run",
        data=f"folder={tmp_path / 'data'}",
        steps=40,
        batch_size=8,
        lr=3e-3,
        log_every=10,
    )
    train(config, progress=False)
    ious = [line["iou"] for line in read_metrics(tmp_path / "run")]
    assert ious[-1] > max(0.7, ious[0])


def test_the_result_is_the_averaged_weights(tmp_path):
    trainer = Trainer(_config(tmp_path, ema=0.5), progress=False)
    trainer.run()
    saved, now = load_model(tmp_path).state_dict(), trainer.model.state_dict()
    assert all(torch.equal(saved[k], trainer.average.values[k]) for k in saved)
    assert not torch.equal(saved["head.fuse.weight"], now["head.fuse.weight"])


def test_the_result_mixes_in_the_weights_of_the_start_also_after_a_stop(tmp_path):
    config = _config(tmp_path / "plain", steps=4, checkpoint_every=2, lr=1e-2, keep=5)
    train(config, progress=False)
    start, plain = make_model(config).state_dict(), load_model(tmp_path / "plain").state_dict()
    mixed = replace(config, start_share=0.25, out=str(tmp_path / "mixed"))
    train(mixed, progress=False)
    result = load_model(tmp_path / "mixed").state_dict()
    assert any(not torch.equal(start[name], plain[name]) for name in start)
    for name, value in result.items():
        torch.testing.assert_close(value, 0.25 * start[name] + 0.75 * plain[name])
    for path in (tmp_path / "mixed" / "checkpoints").iterdir():
        if "4" in path.name:
            path.unlink()  # as if it had been stopped after two steps
    train(replace(mixed, resume=True), progress=False)
    for name, value in load_model(tmp_path / "mixed").state_dict().items():
        torch.testing.assert_close(value, result[name])


def test_the_seed_fixes_everything(tmp_path):
    runs = [("a", 0), ("b", 0), ("c", 1)]
    for name, seed in runs:
        torch.rand(int(name == "b"))  # the global state must not matter
        train(_config(tmp_path / name, seed=seed, steps=2), progress=False)
    a, b, c = ((tmp_path / n / "model.safetensors").read_bytes() for n, _ in runs)
    assert a == b and a != c


def test_parts_of_a_batch_give_the_same_step(tmp_path):
    for name, parts in (("whole", 1), ("parts", 2)):
        train(_config(tmp_path / name, steps=2, accumulate=parts), progress=False)
    whole, parts = (load_model(tmp_path / n).state_dict() for n in ("whole", "parts"))
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=2e-4, rtol=1e-3)


def test_epochs_and_milestones_become_steps(tmp_path):
    config = preset(
        "sbd_xtiny",
        **{**SMALL, "steps": 0, "data": "synthetic", "cache_scale": 1.0, "workers": 0},
        epochs=10,
        epoch_length=40,
        milestones=(5, 9),
        out=str(tmp_path),
    )
    trainer = Trainer(config, progress=False)
    assert trainer.steps == 100
    assert [round(trainer.factor(s), 6) for s in (49, 50, 89, 90)] == [1, 0.1, 0.1, 0.01]


def test_a_frozen_backbone_does_not_move(tmp_path):
    config = _config(tmp_path, freeze_backbone=True, steps=2, ema=0.0, model_size=48)
    before = make_model(config).state_dict()
    train(config, progress=False)
    after = load_model(tmp_path).state_dict()
    assert torch.equal(
        before["backbone.blocks.0.mlp.fc1.weight"], after["backbone.blocks.0.mlp.fc1.weight"]
    )
    assert not torch.equal(before["head.fuse.weight"], after["head.fuse.weight"])
    assert not torch.equal(
        before["embedding.clicks.proj.weight"], after["embedding.clicks.proj.weight"]
    )


@pytest.mark.parametrize("values", [{"precision": "bf16"}, {"checkpointing": True}])
def test_options_of_the_machine_run(tmp_path, values):
    result = train(_config(tmp_path, steps=2, **values), progress=False)
    assert all(torch.isfinite(v).all() for v in load_model(result.folder).state_dict().values())


def test_own_images_in_a_folder_can_be_trained_on(tmp_path):
    _circles(tmp_path / "data", 3)
    config = preset(
        "folder",
        **{**SMALL, "steps": 2, "batch_size": 2},
        root=str(tmp_path / "data"),
        out=str(tmp_path / "run"),
    )
    train(config, progress=False)
    assert load_model(tmp_path / "run").config == load_model().config


# ---------------------------------------------------------------- batches and click rounds


@pytest.fixture(scope="module")
def samples() -> TrainingSamples:
    return make_samples(_config())


def _rounds(kind, samples, **values):
    rounds = kind(samples, _config(**values), CPU, Share())
    rounds.begin(0, 12)
    return rounds


def test_a_step_uses_the_next_samples_whatever_the_number_of_processes(samples):
    config = _config(batch_size=8, accumulate=2)
    shares = [FreshRounds(samples, config, CPU, Share(rank, 2)) for rank in range(2)]
    wanted = [shares[r].wanted(3, part) for part in range(2) for r in range(2)]
    assert sum(wanted, []) == list(range(24, 32))


def test_loader_processes_make_the_same_batches(samples):
    plan = [[0, 1], [2, 3], [4, 5]]
    here, there = (list(load_batches(samples, plan, workers)) for workers in (0, 1))
    for a, b in zip(here, there, strict=True):
        assert a.index == b.index
        assert torch.equal(a.image, b.image) and torch.equal(a.points, b.points)


def test_a_round_adds_a_click_on_what_is_wrong_and_shows_the_last_answer(samples):
    batch = to_device(collate([samples[i] for i in range(4)]), CPU)

    def nothing(image, points, labels, previous):
        return torch.full_like(image[:, :1], -10.0)

    class Network(torch.nn.Module):
        def forward(self, *inputs):
            return nothing(*inputs)

    clicked = click_rounds(Network(), batch, 2, _config())
    count = batch.labels.shape[1]
    assert clicked.points.shape[1] == count + 2
    assert (clicked.previous < 0.01).all()
    for b in range(4):
        if (batch.target[b] == 1).any():
            assert (clicked.labels[b, count:] == 1).all()
            for x, y in clicked.points[b, count:].long().tolist():
                assert batch.target[b, 0, y, x] == 1


def test_clicks_of_a_sample_do_not_depend_on_its_batch(samples):
    model = make_model(_config()).eval()
    whole = to_device(collate([samples[i] for i in range(4)]), CPU)
    part = to_device(collate([samples[i] for i in (2, 3)]), CPU)
    a, b = (click_rounds(model, batch, 2, _config()) for batch in (whole, part))
    assert torch.equal(a.points[2:, -2:], b.points[:, -2:])


def test_carried_samples_stay_for_rounds_plus_one_steps_and_take_turns(samples):
    rounds = _rounds(CarriedRounds, samples, batch_size=8, rounds=3)
    seen: dict[int, list[int]] = {}
    for step in range(12):
        batch = rounds.next(step, 0)
        for index in batch.index:
            seen.setdefault(index, []).append(step)
        ages = [rounds.life(step, slot)[1] for slot in range(8)]
        if step >= 3:
            assert sorted(ages) == [0, 0, 1, 1, 2, 2, 3, 3]
        rounds.after(step, 0, torch.zeros_like(batch.image[:, :1]))
    whole = [steps for steps in seen.values() if min(steps) >= 4 and max(steps) < 11]
    assert whole and all(len(steps) == 4 for steps in whole)


def test_a_carried_sample_gets_one_click_per_step_and_its_own_answer(samples):
    rounds = _rounds(CarriedRounds, samples, batch_size=4, rounds=3)
    batch = rounds.next(0, 0)
    before = (batch.labels >= 0).sum(1).tolist()
    wrong = torch.where(batch.target == 1, -5.0, 5.0)
    indices = list(batch.index)
    rounds.after(0, 0, wrong)
    batch = rounds.next(1, 0)
    for b in range(4):
        if batch.index[b] == indices[b]:  # it was not its last step
            assert int((batch.labels[b] >= 0).sum()) == before[b] + 1
            assert torch.equal(batch.previous[b], torch.sigmoid(wrong[b]))
        else:
            assert not batch.previous[b].any()


def test_dropout_is_keyed_by_sample_and_step():
    dropout = KeyedDropout(torch.nn.Dropout2d(0.5), 64).train()
    x = torch.ones(3, 64, 2, 2)
    dropout.draw([5, 6, 7], 0, 0, CPU)
    first = dropout(x)
    dropout.draw([7, 5], 0, 0, CPU)
    again = dropout(x[:2])
    assert torch.equal(first[2], again[0]) and torch.equal(first[0], again[1])
    dropout.draw([5, 6, 7], 1, 0, CPU)
    assert not torch.equal(dropout(x), first)
    assert set(first.unique().tolist()) == {0.0, 2.0}
    assert abs(float(first.mean()) - 1) < 0.2
    assert torch.equal(dropout.eval()(x), x)


def test_an_unknown_set_in_a_mixture_is_named():
    with pytest.raises(InputError, match="cocco"):
        parse_mixture("synthetic,cocco=/data")


def test_validation_is_described_in_one_line():
    assert describe({"photos": [0.1, 0.2, 0.3, 0.4, 0.5]}) == (
        "photos mIoU@1 0.100 mIoU@3 0.300 mIoU@5 0.500"
    )


def test_curves_of_several_runs_are_drawn_by_one_function(tmp_path):
    from simpleclick_lite import plots

    train(_config(tmp_path, validation_objects=2, validation_clicks=2, validate_every=2), False)
    metrics = read_metrics(tmp_path)
    _, axes = plots.training_curves({"a": metrics, "b": metrics})
    assert [len(ax.lines) for ax in axes] == [2, 2, 2]
    assert list(axes[0].lines[0].get_xdata()) == [2, 4] == list(axes[2].lines[0].get_xdata())
    plots.plt.close("all")
