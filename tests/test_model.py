"""SimpleClick as a whole: shapes, input errors, ablations, training steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from simpleclick_lite.errors import InputError
from simpleclick_lite.loss import normalized_focal_loss
from simpleclick_lite.model import (
    PRESETS,
    ModelConfig,
    SimpleClick,
    build_model,
    config_from_dict,
)
from simpleclick_lite.pyramid import DESIGNS

TINY = ModelConfig(
    image_size=64,
    width=16,
    depth=4,
    heads=2,
    pyramid_channels=(4, 6, 8, 10),
    head_channels=8,
    dropout=0.0,
)


def _tiny(**change) -> SimpleClick:
    torch.manual_seed(0)
    return SimpleClick(replace(TINY, **change)).eval()


def _click(batch=1, x=9.0, y=7.0):
    return torch.tensor([[[x, y]]]).expand(batch, -1, -1), torch.ones(batch, 1, dtype=torch.long)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (16, 16), (33, 64), (64, 17), (100, 130)])
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_have_the_images_size_whatever_it_is(size, batch):
    model = _tiny()
    with torch.no_grad():
        logits = model(torch.rand(batch, 3, *size), *_click(batch))
    assert logits.shape == (batch, 1, *size)
    assert logits.isfinite().all() and logits.dtype == torch.float32


@pytest.mark.parametrize("patch", [8, 14, 16])
@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_runs_at_every_patch_size(patch, design):
    model = _tiny(patch_size=patch, image_size=4 * patch, pyramid=design)
    with torch.no_grad():
        assert model(torch.rand(1, 3, 60, 75), *_click()).shape == (1, 1, 60, 75)


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_learns_in_a_few_steps(design, frozen):
    model = _tiny(pyramid=design).freeze_backbone(frozen).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    target = torch.zeros(2, 1, 64, 64)
    target[:, :, 10:40, 15:50] = 1
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(6):
        loss = normalized_focal_loss(model(image, *_click(2, 30, 25)), target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for name, value in model.state_dict().items():
        still = name.startswith(("backbone.", "embedding.image."))
        assert torch.equal(value, before[name]) == (frozen and still), name


def test_freezing_stops_the_backbone_and_can_be_undone():
    model = _tiny().freeze_backbone()
    trained = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {"embedding", "pyramid", "head"}
    assert not any(p.requires_grad for p in model.embedding.image.parameters())
    assert all(p.requires_grad for p in model.embedding.clicks.parameters())
    model.freeze_backbone(False)
    assert all(p.requires_grad for p in model.parameters())


def test_every_parameter_takes_part():
    model = _tiny()
    model(torch.rand(1, 3, 64, 64), *_click()).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_no_previous_mask_is_a_mask_of_zeros():
    model, image = _tiny(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        zeros = model(image, *_click(), torch.zeros(1, 1, 64, 64))
        assert torch.equal(model(image, *_click()), zeros)
        assert not torch.equal(model(image, *_click(), torch.ones(1, 1, 64, 64)), zeros)


def test_without_previous_mask_the_network_never_sees_it():
    model, image = _tiny(previous_mask=False), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(
            model(image, *_click()), model(image, *_click(), torch.ones(1, 1, 64, 64))
        )


def test_a_batch_gives_what_its_samples_give_alone():
    model = _tiny()
    image = torch.rand(3, 3, 64, 64)
    points, labels = torch.rand(3, 4, 2) * 64, torch.tensor([[1, 0, -1, -1], [1] * 4, [-1] * 4])
    with torch.no_grad():
        together = model(image, points, labels)
        for b in range(3):
            alone = model(image[b : b + 1], points[b : b + 1], labels[b : b + 1])
            torch.testing.assert_close(together[b : b + 1], alone, atol=1e-5, rtol=1e-5)
        short = model(image[:1], points[:1, :2], labels[:1, :2])  # padding left out
    torch.testing.assert_close(together[:1], short, atol=1e-5, rtol=1e-5)


def test_non_contiguous_images_are_welcome():
    model = _tiny()
    image = torch.rand(1, 64, 96, 3).permute(0, 3, 1, 2)
    with torch.no_grad():
        a, b = model(image, *_click()), model(image.contiguous(), *_click())
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_no_foreign_precision_reaches_the_weights(dtype):
    model = _tiny()
    seen = set()
    for part in (model.embedding, model.backbone, model.pyramid, model.head):
        part.register_forward_pre_hook(
            lambda module, args: seen.update(x.dtype for x in args if isinstance(x, torch.Tensor))
        )
    points, labels = _click()
    with torch.no_grad():
        image, mask = torch.rand(1, 3, 64, 64).to(dtype), torch.rand(1, 1, 64, 64).to(dtype)
        logits = model(image, points.double(), labels, mask)
    assert logits.dtype == torch.float32 and seen == {torch.float32}


def test_a_network_of_bfloat16_takes_float32_images():
    with torch.no_grad():
        logits = _tiny().bfloat16()(torch.rand(1, 3, 64, 64), *_click())
    assert logits.dtype == torch.bfloat16 and logits.isfinite().all()


@pytest.mark.parametrize(
    "image, points, labels, mask, says",
    [
        (torch.rand(3, 64, 64), *_click(), None, "image must have shape"),
        (torch.rand(1, 4, 64, 64), *_click(), None, "image must have shape"),
        (torch.rand(1, 3, 0, 64), *_click(), None, "at least one pixel"),
        (torch.ones(1, 3, 64, 64, dtype=torch.uint8), *_click(), None, "divide by 255"),
        (torch.rand(2, 3, 64, 64), *_click(), None, "points must have shape"),
        (torch.rand(1, 3, 64, 64), torch.rand(1, 2), torch.ones(1, 1), None, "points must have"),
        (torch.rand(1, 3, 64, 64), torch.rand(1, 2, 3), torch.ones(1, 2), None, "points must have"),
        (torch.rand(1, 3, 64, 64), torch.rand(1, 2, 2), torch.ones(1, 3), None, "labels must have"),
        (torch.rand(1, 3, 64, 64), *_click(), torch.rand(1, 64, 64), "previous_mask must have"),
        (torch.rand(1, 3, 64, 64), *_click(), torch.rand(1, 1, 32, 64), "previous_mask must have"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(image, points, labels, mask, says):
    with pytest.raises(ValueError, match=says):
        _tiny()(image, points, labels, mask)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_published_shapes(name):
    with torch.device("meta"):
        model = build_model(name)
    assert model.config.image_size == 448
    assert len(model.backbone.blocks) == model.config.depth


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("giant",), "model 'giant' is not one of micro"),
        (("micro", 450), "image_size 450 is not a multiple"),
        (("micro", 0), "image_size must be a whole number"),
        (("micro", 448, "round"), "pyramid 'round' is not one of simple"),
        (("huge", 448 + 16), "not a multiple of the patch size, 14"),
    ],
)
def test_wrong_names_and_sizes_are_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        build_model(*arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 15},
        {"width": 16.0},
        {"heads": 0},
        {"depth": -1},
        {"depth": True},
        {"dropout": 1.0},
        {"dropout": "none"},
        {"disk_radius": -1},
        {"disk_radius": float("nan")},
        {"pyramid_channels": (1, 2, 3)},
        {"pyramid_channels": 4},
        {"pyramid_channels": (1, 2, 3, 0)},
    ],
)
def test_a_configuration_that_is_no_network_is_refused(change):
    with pytest.raises(InputError):
        SimpleClick(replace(TINY, **change))


def test_configurations_survive_json():
    data = {"width": 64, "heads": 2, "pyramid_channels": [1, 2, 3, 4]}
    assert config_from_dict(data) == ModelConfig(width=64, heads=2, pyramid_channels=(1, 2, 3, 4))
    with pytest.raises(InputError, match="this version"):
        config_from_dict({"color": 3})
