"""The layers that learn in bfloat16 on a CPU give what PyTorch's and timm's do, up to rounding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers import Attention
from torch import Tensor, nn
from torch.nn.modules.module import register_module_full_backward_hook

from simpleclick_lite import build_model
from simpleclick_lite.as_written import as_written
from simpleclick_lite.backbone import PlainViT
from simpleclick_lite.inference import FrugalBranch, linear
from simpleclick_lite.learning import (
    MOST_TOKENS,
    LearningAttention,
    LearningConv2d,
    disjoint,
    learns,
    plain_attention,
    windows_product,
)
from simpleclick_lite.model import PRESETS, SimpleClick


def attention(seed: int = 0) -> tuple[LearningAttention, Tensor]:
    torch.manual_seed(seed)
    layer = Attention(32, num_heads=4, qkv_bias=True)
    layer.__class__ = LearningAttention
    return layer, torch.randn(3, 20, 32)


def run(layer: nn.Module, x: Tensor, **more: Tensor | None) -> list[Tensor]:
    """The result, the gradient of the input and those of the weights."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x, **more)
    y.float().square().sum().backward()
    return [v.detach().float().clone() for v in (y, x.grad, *(p.grad for p in layer.parameters()))]


def nearly(ours: list[Tensor], theirs: list[Tensor], true: list[Tensor]) -> None:
    """No further from float32 than what was replaced."""
    for a, b, c in zip(ours, theirs, true, strict=True):
        assert (a - c).abs().max() < 0.03 * c.abs().max()
        assert (a - c).norm() < 1.2 * (b - c).norm()


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_as_near_to_float32_as_what_it_replaces(masked):
    layer, x = attention()
    mask = None
    if masked:
        mask = torch.ones(3, 1, 1, 20, dtype=torch.bool)
        mask[1, ..., 15:] = False
    true = run(layer, x, attn_mask=mask)
    with torch.autocast("cpu", torch.bfloat16):
        ours = run(layer, x, attn_mask=mask)
        layer.__class__ = Attention
        theirs = run(layer, x, attn_mask=mask)
    nearly(ours, theirs, true)


def test_fused_attention_gets_float32_only_where_that_is_quicker(monkeypatch):
    seen = []
    fused = F.scaled_dot_product_attention

    def watch(query: Tensor, *arguments: Tensor, **more: object) -> Tensor:
        seen.append((query.dtype, torch.is_autocast_enabled("cpu")))
        return fused(query, *arguments, **more)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watch)
    layer, x = attention()
    layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        with torch.no_grad():
            layer(x)
        layer(torch.zeros(1, MOST_TOKENS + 1, 32))
    wide = (torch.bfloat16, True)
    assert seen == [(torch.float32, False), (torch.float32, False), wide, wide]


def test_plain_products_are_still_there_for_counting(monkeypatch):
    layer, x = attention()
    with torch.autocast("cpu", torch.bfloat16):
        fused = layer(x).float()
        monkeypatch.setattr(F, "scaled_dot_product_attention", None)
        layer.fused_attn = False  # what counting.py and layer_costs.py do
        assert torch.allclose(layer(x).float(), fused, atol=0.02)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 8, 4, stride=4),
        nn.Conv2d(6, 5, (2, 3), stride=(2, 3), bias=False),
        nn.Conv2d(6, 5, 1),
        nn.ConvTranspose2d(6, 5, 2, stride=2),
        nn.ConvTranspose2d(6, 5, (2, 3), stride=(2, 3), bias=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(12, 24), (13, 26)])
def test_a_convolution_of_disjoint_windows_is_a_product(layer, size):
    torch.manual_seed(0)
    x = torch.randn(2, layer.in_channels, *size)
    assert disjoint(layer)
    expected = run(layer, x)
    x.requires_grad_()
    layer.zero_grad()
    y = windows_product(layer, x)
    y.square().sum().backward()
    found = [y, x.grad, *(p.grad for p in layer.parameters())]
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 2, stride=2, padding=1),
        nn.Conv2d(4, 4, 2, stride=2, groups=2),
        nn.Conv2d(4, 4, 2, stride=2, dilation=2),
        nn.ConvTranspose2d(4, 4, 3, stride=2),
        nn.ConvTranspose2d(4, 4, 2, stride=2, output_padding=1),
        type("Somebodys", (nn.Conv2d,), {})(4, 4, 1),
        nn.GELU(),
    ],
    ids=str,
)
def test_other_layers_are_no_products(layer):
    assert not disjoint(layer)


@pytest.mark.parametrize("clicks", ["dense", "sparse"])
def test_a_network_learns_the_same_up_to_rounding(clicks, monkeypatch):
    torch.manual_seed(0)
    model = SimpleClick(replace(PRESETS["micro"], image_size=64, clicks=clicks)).train()
    model.head.dropout = nn.Identity()
    image = torch.rand(2, 3, 64, 80)
    points, labels = torch.tensor([[[20.0, 30.0]], [[5.0, 50.0]]]), torch.tensor([[1], [1]])

    def gradient() -> Tensor:
        model.zero_grad()
        logits = model(image, points, labels)
        (logits.float() - 1).square().mean().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    products, seen = [], []
    fused = F.scaled_dot_product_attention

    def watch(query: Tensor, *arguments: Tensor, **more: object) -> Tensor:
        seen.append(query.dtype)
        return fused(query, *arguments, **more)

    def count(layer: nn.Module, x: Tensor) -> Tensor:
        products.append(layer)
        return windows_product(layer, x)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watch)
    for module in ("learning", "inference"):
        monkeypatch.setattr(f"simpleclick_lite.{module}.windows_product", count)
    true = gradient()
    assert not products
    seen.clear()
    with torch.autocast("cpu", torch.bfloat16):
        ours = gradient()
        assert set(seen) == {torch.float32} and len(seen) == len(model.backbone.blocks)
        kinds = [type(layer) for layer in products]
        assert kinds.count(LearningConv2d) == 2  # the embeddings
        assert nn.ConvTranspose2d in kinds and nn.Conv2d in kinds
        seen.clear()
        products.clear()
        with as_written():
            theirs = gradient()
        assert set(seen) == {torch.bfloat16} and not products
    for found in (ours, theirs):
        assert torch.cosine_similarity(found, true, dim=0) > 0.99


def test_heads_convolutions_are_products_too(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "simpleclick_lite.inference.linear", lambda *a: calls.append(a[3]) or linear(*a)
    )
    head = build_model("micro", 64).head.train()
    maps = [torch.randn(1, layer.in_channels, 4, 4) for layer in head.project]
    with torch.autocast("cpu", torch.bfloat16):
        head(maps)
    assert calls == ["relu", "none"] * 4


@pytest.mark.parametrize("shape", [(0, 20, 32), (3, 0, 32)])
def test_no_tokens_give_none(shape):
    layer, _ = attention()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.zeros(shape)).shape == shape


def test_masks_may_be_numbers():
    layer, x = attention()
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 10:] = -torch.inf
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x, attn_mask=mask.bfloat16(), is_causal=False)
        assert torch.equal(found, layer(x, attn_mask=mask == 0, is_causal=False))
        causal = layer(x, is_causal=True)
        layer.__class__ = Attention
        assert torch.equal(causal, layer(x, is_causal=True))


@pytest.mark.parametrize("more", [{"qk_norm": True}, {"attn_drop": 0.5}, {"proj_drop": 0.5}])
def test_attention_with_more_in_it_is_timms(more):
    torch.manual_seed(0)
    layer = Attention(32, 4, **more, norm_layer=nn.LayerNorm)
    assert not plain_attention(layer)


def test_parts_of_attention_may_be_replaced_and_watched():
    layer = Attention(32, 4)
    assert plain_attention(layer)
    layer.proj_drop = nn.Identity()
    assert plain_attention(layer)
    layer.q_norm.register_forward_hook(lambda *_: None)
    assert not plain_attention(layer)
    layer.q_norm = nn.Identity()
    layer.attn_drop = nn.AlphaDropout(0.0)
    assert not plain_attention(layer)


def test_layers_are_as_written_elsewhere(monkeypatch):
    x = torch.zeros(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert learns(x) and not learns(x.double())
        with torch.no_grad():
            assert not learns(x)
        with as_written():
            assert not learns(x)
        with monkeypatch.context() as patch:
            patch.setattr(torch.compiler, "is_compiling", lambda: True)
            assert not learns(x)
    with torch.autocast("cpu", torch.float16):
        assert not learns(x)
    assert not learns(x)


def test_somebody_who_waits_for_gradients_gets_them():
    branch = FrugalBranch(nn.ConvTranspose2d(4, 4, 2, stride=2), nn.GELU())
    seen = []
    branch[0].register_full_backward_hook(lambda *_: seen.append(1))
    with torch.autocast("cpu", torch.bfloat16):
        branch(torch.randn(1, 4, 3, 3, requires_grad=True)).float().sum().backward()
    assert seen
    branch = FrugalBranch(nn.ConvTranspose2d(4, 4, 2, stride=2), nn.GELU())
    seen.clear()
    hook = register_module_full_backward_hook(lambda module, *_: seen.append(type(module)))
    try:
        with torch.autocast("cpu", torch.bfloat16):
            branch(torch.randn(1, 4, 3, 3, requires_grad=True)).float().sum().backward()
    finally:
        hook.remove()
    assert nn.ConvTranspose2d in seen


def test_a_layer_that_somebody_watches_is_called():
    branch = FrugalBranch(nn.ConvTranspose2d(4, 4, 2, stride=2), nn.GELU())
    seen = []
    branch[0].register_forward_hook(lambda *_: seen.append(1))
    with torch.autocast("cpu", torch.bfloat16):
        branch(torch.randn(1, 4, 3, 3))
    assert seen


def test_every_block_has_it_and_weights_keep_their_names():
    vit = PlainViT(32, 16, 32, 2, 4)
    assert {type(block.attn) for block in vit.blocks} == {LearningAttention}
    assert "blocks.0.attn.qkv.weight" in vit.state_dict()
    assert isinstance(build_model("micro", 64).embedding.image.proj, LearningConv2d)
