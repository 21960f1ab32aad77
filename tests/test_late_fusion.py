"""Clicks that enter late: the split pass, what is cached, clicks as tokens, saved models."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from simpleclick_lite.checkpoint import load_model, move_clicks, save_model, save_official
from simpleclick_lite.clicks import click_map
from simpleclick_lite.embedding import PointEmbedding, normalize
from simpleclick_lite.errors import InputError
from simpleclick_lite.kept_crops import KEPT_CROPS
from simpleclick_lite.model import ModelConfig, SimpleClick
from simpleclick_lite.model_config import CLICK_KINDS, LATER_FIELDS, config_to_dict
from simpleclick_lite.predictor import Predictor, predict_together
from simpleclick_lite.pyramid import DESIGNS
from simpleclick_lite.training import make_model
from simpleclick_lite.training_presets import preset

TINY = ModelConfig(
    image_size=64,
    width=16,
    depth=4,
    heads=2,
    pyramid_channels=(4, 6, 8, 10),
    head_channels=8,
    dropout=0.0,
)


def _tiny(seed: int = 0, **change) -> SimpleClick:
    torch.manual_seed(seed)
    return SimpleClick(replace(TINY, **change)).eval()


def _inputs(batch: int = 2, size: tuple[int, int] = (64, 64)):
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(batch, 3, *size, generator=generator)
    points = torch.rand(batch, 3, 2, generator=generator) * min(size)
    labels = torch.tensor([[1, 0, -1], [1, 1, 0]])[:batch]
    return image, points, labels, torch.rand(batch, 1, *size, generator=generator)


@pytest.mark.parametrize("design", DESIGNS)
def test_without_early_blocks_it_is_simpleclick_bit_for_bit(design):
    model = _tiny(pyramid=design)
    image, points, labels, previous = _inputs()
    with torch.no_grad():
        # the network as notebooks 02 to 05 build it, part after part
        tokens = model.embedding(normalize(image), click_map(points, labels, previous))
        stages: list[torch.Tensor] = []
        model.backbone(tokens, (4, 4), stages)
        maps = {i: x.transpose(1, 2).unflatten(2, (4, 4)) for i, x in enumerate(stages)}
        wanted = model.head(model.pyramid(maps))
        wanted = torch.nn.functional.interpolate(
            wanted, size=(64, 64), mode="bilinear", align_corners=True
        )
        assert torch.equal(model(image, points, labels, previous), wanted)


@pytest.mark.parametrize("size", [(64, 64), (50, 70), (500, 300)], ids=str)
@pytest.mark.parametrize(
    "blocks, branches, clicks",
    [
        *((0, 0, kind) for kind in CLICK_KINDS),
        *((1, 0, kind) for kind in CLICK_KINDS),
        *((3, 3, kind) for kind in CLICK_KINDS),
        (4, 1, "dense"),
    ],
)
def test_one_image_state_serves_every_click(blocks, branches, clicks, size):
    model = _tiny(fusion_block=blocks, image_branches=branches, clicks=clicks)
    image, points, labels, previous = _inputs(size=size)
    with torch.no_grad():
        state = model.encode_image(image)
        for k in (1, 2, 3):
            whole = model(image, points[:, :k], labels[:, :k], previous)
            assert torch.equal(model.decode(state, points[:, :k], labels[:, :k], previous), whole)
            assert whole.shape == (2, 1, *size)
        assert not torch.equal(model.decode(state, points, labels), whole)  # previous mask
        assert not torch.equal(model.decode(state, points, 1 - labels.abs(), previous), whole)


def test_each_design_reads_the_same_maps_wherever_clicks_enter():
    """Where the clicks say nothing, moving them changes nothing."""
    for design in DESIGNS:
        early = _tiny(pyramid=design)
        with torch.no_grad():
            early.embedding.clicks.proj.weight.zero_()
        image, points, labels, previous = _inputs()
        for blocks in range(1, 5):
            late = move_clicks(early, fusion_block=blocks)
            with torch.no_grad():
                torch.testing.assert_close(
                    late(image, points, labels, previous), early(image, points, labels, previous)
                )


def test_blocks_before_the_clicks_run_once_and_those_after_for_every_click():
    model = _tiny(fusion_block=3, image_branches=2)
    runs = dict.fromkeys(["first", "last", "finest", "coarsest"], 0)
    parts = (*model.backbone.blocks[:1], model.backbone.blocks[3])
    for name, part in zip(
        runs, (*parts, model.pyramid.branches[0], model.pyramid.branches[3]), strict=True
    ):
        part.register_forward_hook(lambda *_, n=name: runs.__setitem__(n, runs[n] + 1))
    image, points, labels, _ = _inputs()
    with torch.no_grad():
        state = model.encode_image(image)
        for _ in range(3):
            model.decode(state, points, labels)
    assert runs == {"first": 1, "last": 3, "finest": 1, "coarsest": 3}


@pytest.mark.parametrize(
    "change",
    [
        {"fusion_block": 2},
        {"fusion_block": 4},
        {"fusion_block": 3, "image_branches": 2},
        {"clicks": "sparse"},
        {"clicks": "sparse", "fusion_block": 3, "image_branches": 2},
    ],
    ids=str,
)
def test_every_weight_learns(change):
    model = _tiny(**change).train()
    model(*_inputs()).square().sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


@pytest.mark.parametrize("size", [(64, 64), (464, 480)], ids=["one window", "uneven windows"])
def test_padding_is_no_click_and_the_order_of_tokens_does_not_matter(size):
    model = _tiny(clicks="sparse", fusion_block=1)
    image, points, labels, previous = _inputs(1, size)
    labels = torch.tensor([[1, 0, -1]])
    with torch.no_grad():
        wanted = model(image, points, labels, previous)
        short = model(image, points[:, :2], labels[:, :2], previous)
        torch.testing.assert_close(short, wanted, atol=1e-5, rtol=1e-4)
        turned = model(image, points.flip(1), labels.flip(1), previous)
        torch.testing.assert_close(turned, wanted, atol=1e-5, rtol=1e-4)
        moved = model(image, points + torch.tensor([30.0, 0]), labels, previous)
    assert not torch.allclose(moved, wanted, atol=1e-5)


def test_point_tokens_tell_places_and_signs_apart():
    embed = PointEmbedding(32)
    points = torch.tensor([[[5.0, 9], [5, 9], [9, 5]]])
    tokens, used = embed(points, torch.tensor([[1, 0, -1]]), (64, 64))
    assert tokens.shape == (1, 3, 32) and used.tolist() == [[True, True, False]]
    assert not torch.allclose(tokens[0, 0], tokens[0, 1])
    # the whole image is the unit: the same share of another size is the same place
    again, _ = embed(2 * points + 0.5, torch.tensor([[1, 0, -1]]), (128, 128))
    torch.testing.assert_close(again, tokens, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"fusion_block": 5}, "fusion_block must be a whole number from 0 to 4"),
        ({"fusion_block": -1}, "fusion_block must be"),
        ({"fusion_block": 1.0}, "fusion_block must be"),
        ({"image_branches": 2}, "image_branches needs a fusion_block"),
        ({"fusion_block": 2, "image_branches": 4}, "image_branches must be"),
        ({"fusion_block": 2, "image_branches": 1, "pyramid": "parallel"}, "the simple pyramid"),
        ({"clicks": "round"}, "clicks 'round' is not one of dense, sparse"),
        ({"clicks": "sparse", "fusion_block": 4}, "need a block to enter"),
        ({"clicks": "sparse", "width": 3, "heads": 1}, "even width"),
    ],
)
def test_networks_that_cannot_be_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        SimpleClick(replace(TINY, **change))


@pytest.mark.parametrize(
    "change",
    [{"fusion_block": 3, "image_branches": 1}, {"clicks": "sparse", "fusion_block": 1}, {}],
    ids=str,
)
def test_a_saved_model_comes_back(change, tmp_path):
    model = _tiny(**change)
    save_model(model, tmp_path / "ours")
    model.save_pretrained(tmp_path / "hub")
    stored = json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))["config"]
    # older versions know only what they had, and read whatever they can run
    assert set(stored) & set(LATER_FIELDS) == set(change)
    for again in (
        load_model(tmp_path / "ours"),
        load_model(tmp_path / "hub"),
        SimpleClick.from_pretrained(tmp_path / "hub"),
    ):
        assert again.config == model.config
        with torch.no_grad():
            assert torch.equal(again(*_inputs()), model(*_inputs()))


def test_configurations_from_before_still_load(tmp_path):
    save_model(_tiny(), tmp_path)
    path = tmp_path / "config.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    assert "fusion_block" not in data["config"]
    assert load_model(tmp_path).config == TINY
    assert set(config_to_dict(TINY)).isdisjoint(LATER_FIELDS)


def test_the_official_layout_has_no_late_clicks(tmp_path):
    for change in ({"fusion_block": 1}, {"clicks": "sparse"}):
        with pytest.raises(InputError, match="clicks enter before the first block"):
            save_official(_tiny(**change), tmp_path / "x.pth")


def test_clicks_can_be_moved_in_trained_weights():
    model = _tiny()
    late = move_clicks(model, fusion_block=3, image_branches=2)
    assert late.config == replace(TINY, fusion_block=3, image_branches=2)
    for name, weight in model.state_dict().items():
        assert torch.equal(late.state_dict()[name], weight)
    sparse = [move_clicks(model, seed, clicks="sparse").points.signs for seed in (0, 0, 1)]
    assert torch.equal(sparse[0], sparse[1]) and not torch.equal(sparse[0], sparse[2])
    back = move_clicks(late, fusion_block=0, image_branches=0)
    with torch.no_grad():
        assert torch.equal(back(*_inputs()), model(*_inputs()))


def test_training_starts_with_late_clicks_from_nothing_and_from_weights(tmp_path):
    fresh = make_model(preset("quick", fusion_block=6, image_branches=1))
    assert (fresh.config.fusion_block, fresh.config.image_branches) == (6, 1)
    save_model(_tiny(fusion_block=2), tmp_path)
    given = str(tmp_path)
    assert make_model(preset("quick", weights=given)).config.fusion_block == 2  # as they are
    moved = make_model(preset("quick", weights=given, fusion_block=3, clicks="sparse"))
    assert (moved.config.fusion_block, moved.config.clicks) == (3, "sparse")
    assert make_model(preset("quick", weights=given, fusion_block=0)).config.fusion_block == 0


def _photo(height: int = 300, width: int = 400) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("flip", [False, True])
def test_the_predictor_answers_the_same_and_encodes_a_crop_once(flip):
    model = _tiny(fusion_block=3, image_branches=2)
    encoded = []
    original = model.encode_image

    def count(image):
        encoded.append(len(image))
        return original(image)

    model.encode_image = count
    predictor = Predictor(model, "cpu", flip=flip, crop=False)
    predictor.set_image(_photo())
    clicks = [(30, 40), (200, 100), (350, 250)]
    cached = []
    for k in (1, 2, 3):
        answer = predictor.predict(clicks[:k])
        cached.append(answer.cached)
        # the same with nothing kept
        shown = (answer.net_image, answer.net_points, answer.net_labels, answer.net_previous_mask)
        alone = model(*shown)
        if flip:
            mirrored = answer.net_points.clone()
            mirrored[..., 0] = answer.net_image.shape[-1] - 1 - mirrored[..., 0]
            other = model(shown[0].flip(-1), mirrored, shown[2], shown[3].flip(-1))
            alone = 0.5 * (alone + other.flip(-1))
        wanted = torch.nn.functional.interpolate(
            torch.sigmoid(alone), (300, 400), mode="bilinear", align_corners=True
        )
        np.testing.assert_allclose(answer.probability, wanted[0, 0].detach().numpy(), atol=1e-6)
    assert cached == [False, True, True]
    # three more of the comparison above, six with the mirror images
    assert encoded.count(2) == (1 if flip else 0) and len(encoded) == (1 + 6 if flip else 1 + 3)
    predictor.reset()  # the next object in the same image
    assert predictor.predict([(60, 60)]).cached
    predictor.set_image(_photo()[:, ::-1])
    assert not predictor.predict([(60, 60)]).cached


def test_a_new_crop_is_encoded_anew_and_old_ones_are_forgotten_in_the_end():
    predictor = Predictor(_tiny(fusion_block=2), "cpu", crop_size=32)
    predictor.set_image(_photo(600, 800))
    mask = np.zeros((600, 800), bool)
    for corner in range(0, 30 * (KEPT_CROPS + 3), 30):
        mask[:] = False
        mask[corner : corner + 30, corner : corner + 30] = True
        predictor.reset()
        predictor.predict([(corner, corner)], [1], mask)
    assert len(predictor._crops._states) == KEPT_CROPS
    predictor.flip = False  # another batch: nothing that is kept fits
    predictor.reset()
    assert not predictor.predict([(corner, corner)], [1], mask).cached


def test_simpleclick_keeps_the_patch_embedding_of_a_crop_and_nothing_else():
    model = _tiny()
    predictor = Predictor(model, "cpu", crop=False)
    predictor.set_image(_photo())
    seen = []
    model.embedding.image.register_forward_hook(lambda *args: seen.append(args))
    answers = [predictor.predict([(9, 9), (300, 90)][:k]) for k in (1, 2)]
    assert not any(answer.cached for answer in answers)
    assert len(seen) == 1
    (kept,) = predictor._crops._states.values()
    assert not kept.maps and kept.fused is None
    predictor._crops.forget()
    again = predictor.continue_from(answers[0].state, answers[1].state.clicks)
    assert len(seen) == 2
    assert np.array_equal(again.probability, answers[1].probability)


def _assign(model):
    for _ in range(2):  # the second pair of tensors may lie where the first did
        state = {name: -weight for name, weight in model.state_dict().items()}
        model.load_state_dict(state, assign=True)


def _hook(model):
    model.embedding.image.register_forward_hook(lambda m, a, y: -y)


CHANGES = {
    "in place": lambda model: model.embedding.image.proj.weight.detach().mul_(-1),
    "past the counter": lambda model: model.embedding.image.proj.weight.data.mul_(-1),
    "other data": lambda model: setattr(
        model.embedding.image.proj.weight, "data", -model.embedding.image.proj.weight.data
    ),
    "loaded": lambda model: model.load_state_dict(
        {name: -weight for name, weight in model.state_dict().items()}
    ),
    "assigned": _assign,
    "a hook": _hook,
    "float64": lambda model: model.double(),
}


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("change", list(CHANGES))
def test_another_network_makes_what_is_kept_worthless(k, change):
    model = _tiny(fusion_block=k)
    predictor = Predictor(model, "cpu", crop=False)
    predictor.set_image(_photo())
    before = predictor.predict([(9, 9)])
    with torch.no_grad():
        CHANGES[change](model)
    found = predictor.predict([(9, 9)])
    assert not found.cached
    fresh = Predictor(model, "cpu", crop=False)
    fresh.set_image(_photo())
    assert np.array_equal(found.probability, fresh.predict([(9, 9)]).probability)
    changed = not np.array_equal(found.probability, before.probability)
    assert changed or change in ("assigned", "float64")


def test_another_network_in_its_place_is_asked():
    first, second = _tiny(fusion_block=3), _tiny(1, fusion_block=3)
    predictor = Predictor(first, "cpu", crop=False)
    predictor.set_image(_photo())
    predictor.predict([(9, 9)])
    predictor.model = second
    found = predictor.predict([(9, 9)])
    fresh = Predictor(second, "cpu", crop=False)
    fresh.set_image(_photo())
    assert not found.cached
    assert np.array_equal(found.probability, fresh.predict([(9, 9)]).probability)


@pytest.mark.parametrize("k", [0, 3])
def test_what_is_computed_for_an_image_that_was_left_is_not_the_next_ones(k):
    model = _tiny(fusion_block=k)
    predictor = Predictor(model, "cpu", crop=False)
    predictor.set_image(_photo())
    other = _photo()[::-1].copy()
    original, late = model.encode_image, []

    def slow(image):  # the next image comes while this one is encoded
        if not late:
            late.append(image)
            predictor.set_image(other)
        return original(image)

    model.encode_image = slow
    predictor.predict([(9, 9)])
    predictor.set_image(other)
    fresh = Predictor(model, "cpu", crop=False)
    fresh.set_image(other)
    assert np.array_equal(
        predictor.predict([(9, 9)]).probability, fresh.predict([(9, 9)]).probability
    )


@pytest.mark.parametrize("k", [0, 3])
def test_a_networks_view_may_be_changed_without_harm(k):
    predictor = Predictor(_tiny(fusion_block=k), "cpu", crop=False)
    predictor.set_image(_photo())
    first = predictor.predict([(9, 9)])
    first.net_image.zero_()
    predictor.flip = False
    again = predictor.predict([(9, 9)])
    assert again.net_image.std() > 0
    predictor.flip = True
    assert np.array_equal(predictor.predict([(9, 9)]).probability, first.probability)


class _Seven(SimpleClick):
    """Answers 7 everywhere."""

    def forward(self, *args):
        return torch.full_like(super().forward(*args), 7)


@pytest.mark.parametrize("k", [0, 2])
def test_what_is_wrapped_around_a_network_is_called(k):
    model = _tiny(fusion_block=k)
    watched, patched, compiled = _tiny(fusion_block=k), _tiny(fusion_block=k), _tiny(fusion_block=k)
    calls = []
    watched.register_forward_hook(lambda m, a, y: calls.append("hook"))
    forward = patched.forward
    patched.forward = lambda *a: (calls.append("patch"), forward(*a))[1]
    compiled.compile(backend=lambda graph, inputs: (calls.append("compile"), graph.forward)[1])
    wrapped = torch.compile(
        _tiny(fusion_block=k),
        backend=lambda graph, inputs: (calls.append("wrap"), graph.forward)[1],
    )
    found = {}
    for name, network in {
        "model": model,
        "hook": watched,
        "patch": patched,
        "compile": compiled,
        "wrap": wrapped,
        "seven": _Seven(model.config),
    }.items():
        predictor = Predictor(network, "cpu", crop=False)
        predictor.set_image(_photo())
        found[name] = predictor.predict([(9, 9)]).probability
        if name != "seven":
            np.testing.assert_allclose(found[name], found["model"], atol=1e-4)
    assert {"hook", "patch", "compile", "wrap"} == {*calls}
    np.testing.assert_allclose(found["seven"], 1 / (1 + np.exp(-7)), atol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_objects_in_one_batch_use_what_is_kept(flip):
    model = _tiny(fusion_block=3, image_branches=2)
    photos = [_photo(), _photo()[:, ::-1].copy(), _photo()[::-1].copy()]
    clicks = [[(30, 40), (200, 100)], [(60, 60), (9, 9)], [(100, 100), (300, 250)]]
    together = [Predictor(model, "cpu", flip=flip, crop=False)]
    together += [together[0].fork() for _ in photos[1:]]
    for predictor, photo in zip(together, photos, strict=True):
        predictor.set_image(photo)
    for count, cached in ((1, False), (2, True)):
        asked = [(p, c[:count], [1] * count) for p, c in zip(together, clicks, strict=True)]
        answers = predict_together(asked)
        assert [answer.cached for answer in answers] == [cached] * 3
    for answer, photo, places in zip(answers, photos, clicks, strict=True):
        alone = Predictor(model, "cpu", flip=flip, crop=False)
        alone.set_image(photo)
        alone.predict(places[:1])
        np.testing.assert_allclose(answer.probability, alone.predict(places).probability, atol=1e-5)
    assert predict_together([]) == []
