"""The toy laboratory: data of the promised form, repeatable weights, training that learns."""

import json

import pytest
import torch

from simpleclick_lite.errors import InputError
from simpleclick_lite.files import write_json
from simpleclick_lite.measured import FOLDER, measured
from simpleclick_lite.toy import ToyData, toy_data, toy_model, toy_scores, toy_train


def test_toy_data_is_small_pictures_with_one_object_each():
    data = toy_data(6)
    assert data.images.shape == (6, 3, 64, 64)
    assert data.masks.shape == (6, 1, 64, 64)
    assert data.masks.dtype == torch.int8
    assert data.images.min() >= 0 and data.images.max() <= 1
    shares = data.masks.float().mean((1, 2, 3))
    assert ((shares > 0.03) & (shares < 0.6)).all()


def test_training_and_validation_pictures_differ():
    assert not torch.equal(toy_data(2).images, toy_data(2, split="val").images)


def test_the_weights_depend_on_the_seed_alone():
    state = torch.random.get_rng_state()
    first, second, other = toy_model(3), toy_model(3), toy_model(4)
    assert torch.equal(state, torch.random.get_rng_state())
    name = "embedding.image.proj.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_a_frozen_part_stays_as_it_was():
    model = toy_model().freeze_backbone()
    before = model.embedding.image.proj.weight.clone()
    toy_train(model, toy_data(6), steps=2, batch_size=2)
    assert torch.equal(model.embedding.image.proj.weight, before)


@pytest.mark.parametrize("steps", [1, 10])
def test_few_steps_are_steps_too(steps):
    assert len(toy_train(toy_model(), toy_data(2), steps=steps, batch_size=1)) == steps


def test_one_picture_is_learned_by_heart():
    data = toy_data(6)
    one = ToyData(data.images[:1], data.masks[:1])
    model = toy_model(width=32, depth=2)
    losses = toy_train(model, one, steps=80, batch_size=2, rounds=0)
    assert losses[-1] < losses[0]
    # trained with one click on the picture and on its mirror image
    assert toy_scores(model, one, clicks=1)[0] > 0.7


def test_a_measured_result_comes_back_and_an_unknown_one_names_the_others(tmp_path):
    write_json(tmp_path / "speed.json", {"seeds": [0]})
    assert measured("speed", tmp_path) == {"seeds": [0]}
    with pytest.raises(InputError, match="there are speed"):
        measured("color", tmp_path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_committed_result_says_how_it_was_made(path):
    result = measured(path.stem)
    if "results" not in result:  # several measurements in one file, each with its own words
        parts = [part for part in result.values() if isinstance(part, dict)]
        for part in parts:
            assert "python benchmarks/" in json.dumps([part, result.get("command")])
        assert parts and "CPU" in json.dumps(result)
        return
    assert {"command", "data", "seeds", "machine", "results"} <= set(result)
    assert result["command"].startswith(("python benchmarks/", "simpleclick-lite "))
    assert result["results"]
