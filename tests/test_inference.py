"""The layers with less memory traffic: the same numbers, and the caller's arrays as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from simpleclick_lite.as_written import as_written
from simpleclick_lite.errors import InputError
from simpleclick_lite.head import MLPHead
from simpleclick_lite.inference import frugal, linear
from simpleclick_lite.model import PRESETS, ModelConfig, SimpleClick
from simpleclick_lite.pyramid import branch
from simpleclick_lite.reference import PlainNetwork

TINY = ModelConfig(
    image_size=64,
    width=16,
    depth=4,
    heads=2,
    pyramid_channels=(4, 6, 8, 10),
    head_channels=8,
)


def _model(**change) -> SimpleClick:
    torch.manual_seed(0)
    model = SimpleClick(replace(TINY, **change)).eval()
    torch.nn.init.normal_(model.head.classify.weight, std=3)
    return model


def _inputs(batch=2, height=64, width=64):
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(batch, 3, 2, generator=generator) * height
    labels = torch.tensor([[1, 0, -1]]).repeat(batch, 1)
    image = torch.rand(batch, 3, height, width, generator=generator)
    return image, points, labels, torch.rand(batch, 1, height, width, generator=generator)


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (240, 64), (70, 50), (48, 48)])
@pytest.mark.parametrize("pyramid", ["simple", "single_scale", "parallel", "partial"])
@torch.no_grad()
def test_the_exact_network_gives_the_written_networks_answer(pyramid, size):
    model, inputs = _model(pyramid=pyramid), _inputs(2, *size)
    with as_written():
        expected = model(*inputs)
    assert expected.std() > 0.1
    torch.testing.assert_close(model(*inputs), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_xtiny_at_448_equals_the_plain_reference():
    torch.manual_seed(0)
    model = SimpleClick(PRESETS["xtiny"]).eval()
    torch.nn.init.normal_(model.head.classify.weight, std=0.3)
    inputs = _inputs(1, 448, 448)
    expected = PlainNetwork(model)(*inputs)
    assert expected.std() > 0.1
    assert (model(*inputs) - expected).abs().max() < 1e-4


@torch.no_grad()
def test_a_cached_image_is_not_overwritten():
    model = _model(fusion_block=2, image_branches=2)
    image, *clicks = _inputs()
    state = model.encode_image(image)
    first = model.decode(state, *clicks)
    assert torch.equal(model.decode(state, *clicks), first)
    with as_written():
        torch.testing.assert_close(first, model(image, *clicks), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_stages_are_those_of_the_written_network():
    model, tokens = _model(), torch.randn(2, 196, 16)
    stages, expected = [], []
    before = tokens.clone()
    model.backbone(tokens, (14, 14), stages)
    with as_written():
        model.backbone(tokens, (14, 14), expected)
    assert torch.equal(tokens, before)
    for a, b in zip(stages, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1, 2])
@torch.no_grad()
def test_a_branch_leaves_its_input_alone(factor):
    torch.manual_seed(0)
    layers = branch(factor, 16, 8)
    for norm in layers:
        if isinstance(norm, torch.nn.GroupNorm):  # fresh norms would hide a forgotten weight
            norm.weight.data.uniform_(0.5, 2)
            norm.bias.data.normal_()
    for x in (torch.randn(2, 6, 10, 16).permute(0, 3, 1, 2) + 3, torch.randn(2, 16, 6, 10)):
        before = x.clone()
        found = layers(x)
        assert torch.equal(x, before)
        with as_written():
            torch.testing.assert_close(found, layers(x), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_bands_of_any_height_make_the_same_head(monkeypatch):
    torch.manual_seed(0)
    head = MLPHead((4, 6, 8, 10), 12).eval()
    sizes = [(24, 16), (12, 8), (6, 4), (3, 2)]
    maps = [torch.randn(2, c, *s) for c, s in zip((4, 6, 8, 10), sizes, strict=True)]
    before = [x.clone() for x in maps]
    for rows in (1, 2, 5, 7, 24, 100):
        monkeypatch.setattr("simpleclick_lite.head.BAND", rows * 16 * 12)
        torch.testing.assert_close(head(maps), head.forward_plain(maps), atol=1e-5, rtol=1e-5)
    assert all(map(torch.equal, maps, before))


@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
@pytest.mark.parametrize("bias", [True, False])
def test_onednns_linear_layer_equals_pytorchs(activation, bias, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(2, 7, 24, generator=generator)
    weight = torch.randn(10, 96, generator=generator).chunk(4, 1)[2]  # no piece of memory
    offset = torch.randn(10, generator=generator) if bias else None
    expected = linear(x, weight, offset, activation)  # with gradients: as PyTorch does it
    y = torch.nn.functional.linear(x, weight, offset)
    wanted = {"none": y, "relu": y.relu(), "gelu": y * (1 + (y / 2**0.5).erf()) / 2}[activation]
    torch.testing.assert_close(expected, wanted)
    before = x.clone()
    with torch.no_grad():
        torch.testing.assert_close(
            linear(x, weight, offset, activation), expected, atol=1e-5, rtol=1e-5
        )
        monkeypatch.setattr("simpleclick_lite.inference._ONEDNN", None)
        torch.testing.assert_close(linear(x, weight, offset, activation), expected)
        doubled = linear(
            x.double(), weight.double(), None if offset is None else offset.double(), activation
        )
        torch.testing.assert_close(doubled.float(), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(x, before)


def test_layers_stay_as_written_where_something_else_looks_on():
    x = torch.zeros(1)
    assert not frugal(x)  # gradients
    with torch.no_grad():
        assert frugal(x) and not frugal(x.to("meta"))
        with as_written():
            assert not frugal(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert not frugal(x)
        assert not torch.jit.trace(lambda x: x + int(frugal(x)), x, check_trace=False)(x).any()
    with torch.inference_mode():
        assert frugal(x)


def test_a_block_in_training_drops_and_differentiates():
    model = _model().train()
    x = torch.randn(1, 4, 16, requires_grad=True)
    model.backbone.blocks[0](x).sum().backward()
    assert x.grad.abs().sum() > 0


@torch.no_grad()
def test_hooks_see_every_layer():
    model, inputs = _model(), _inputs()
    kept: dict[str, torch.Tensor] = {}
    watched = (model.backbone, model.pyramid, model.head)
    for name, module in [pair for part in watched for pair in part.named_modules()]:
        if not isinstance(module, torch.nn.Identity):
            module.register_forward_hook(lambda m, a, y, name=name: kept.__setitem__(name, y))
    model(*inputs)
    seen = {k: y.clone() if torch.is_tensor(y) else [z.clone() for z in y] for k, y in kept.items()}
    names = {*kept}
    with as_written():
        model(*inputs)
    assert names == {*kept}
    assert {"blocks.0.mlp.fc1", "project.2", "fuse", "classify"} <= names
    for name, expected in kept.items():
        torch.testing.assert_close(seen[name], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_a_hook_kept_is_not_overwritten_afterwards():
    model, kept = _model(), []
    model.backbone.blocks[0].attn.register_forward_hook(lambda m, a, y: kept.append((y, y.clone())))
    model(*_inputs())
    assert kept and all(torch.equal(y, copy) for y, copy in kept)


class Adapted(torch.nn.Module):
    """Shows the weights of the layer inside, as adapters of low rank do."""

    def __init__(self, inside):
        super().__init__()
        self.inside, self.weight, self.bias = inside, inside.weight, inside.bias
        self.more = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.inside(x) + self.more


@pytest.mark.parametrize(
    "place", ["backbone.blocks.1.mlp.fc1", "head.project.1", "head.fuse", "head.classify"]
)
def test_a_layer_put_in_anothers_place_is_called_and_learns(place):
    model, inputs = _model(), _inputs()
    before = model(*inputs).detach()
    owner, _, name = place.rpartition(".")
    adapted = Adapted(model.get_submodule(place))
    setattr(model.get_submodule(owner), name, adapted)
    with as_written(), torch.no_grad():
        expected = model(*inputs)
    assert not torch.allclose(before, expected, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(model(*inputs), expected, atol=1e-4, rtol=1e-4)
    model(*inputs).sum().backward()
    assert adapted.more.grad.abs() > 0


def test_cached_branches_refuse_an_adapter_where_slices_are_read():
    model = _model(fusion_block=1, image_branches=2)
    model.head.fuse = Adapted(model.head.fuse)
    with pytest.raises(InputError, match="set image_branches to 0"):
        model(*_inputs())


@torch.no_grad()
def test_a_hook_on_all_modules_keeps_what_it_saw():
    model, inputs, kept = _model(), _inputs(), []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda m, a, y: kept.append((y, y.clone())) if torch.is_tensor(y) else None
    )
    try:
        model(*inputs)
    finally:
        hook.remove()
    assert len(kept) > 30 and all(torch.equal(y, copy) for y, copy in kept)


@torch.no_grad()
def test_an_empty_batch_has_an_empty_answer():
    assert _model()(*_inputs(0)).shape == (0, 1, 64, 64)


@torch.no_grad()
def test_a_network_can_be_mapped_over_a_batch():
    model, (image, points, labels, previous) = _model(), _inputs()
    one = lambda image, previous: model(image[None], points[:1], labels[:1], previous[None])[0]  # noqa: E731
    mapped = torch.func.vmap(one)(image, previous)
    expected = model(image, points[:1].expand(2, -1, -1), labels, previous)
    torch.testing.assert_close(mapped, expected, atol=1e-4, rtol=1e-4)
