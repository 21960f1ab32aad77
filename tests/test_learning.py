"""The layers that learn in bfloat16 on a CPU give what PyTorch's and timm's do, up to rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers import Attention
from torch import Tensor, nn

from simpleclick_lite import build_model
from simpleclick_lite.backbone import PlainViT
from simpleclick_lite.inference import FrugalBranch
from simpleclick_lite.learning import LearningAttention, LearningConv2d, disjoint, windows_product


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


def test_fused_attention_gets_float32_only_where_gradients_are_wanted(monkeypatch):
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
    assert seen == [(torch.float32, False), (torch.float32, False), (torch.bfloat16, True)]


def test_plain_products_are_still_there_for_counting():
    layer, x = attention()
    layer.fused_attn = False  # what counting.py and layer_costs.py do
    with torch.autocast("cpu", torch.bfloat16):
        plain = layer(x)
        layer.fused_attn = True
        assert torch.allclose(plain.float(), layer(x).float(), atol=0.02)


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
        type("Somebodys", (nn.Conv2d,), {})(4, 4, 1),
        nn.GELU(),
    ],
    ids=str,
)
def test_other_layers_are_called(layer):
    assert not disjoint(layer)


def test_a_network_learns_the_same_up_to_rounding(monkeypatch):
    torch.manual_seed(0)
    model = build_model("micro", 64).train()
    model.head.dropout = nn.Identity()
    image = torch.rand(2, 3, 64, 64)
    points, labels = torch.tensor([[[20.0, 30.0]], [[5.0, 50.0]]]), torch.tensor([[1], [1]])

    def step() -> list[Tensor]:
        model.zero_grad()
        logits = model(image, points, labels)
        logits.float().square().mean().backward()
        return [logits.detach().float(), *(p.grad.float().clone() for p in model.parameters())]

    true = step()
    with torch.autocast("cpu", torch.bfloat16):
        ours = step()
        for module in ("learning", "inference", "head"):
            monkeypatch.setattr(f"simpleclick_lite.{module}.learns", lambda x: False)
        theirs = step()
    assert any(not torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    far = [
        sum(float((a - c).norm() / c.norm().clamp(min=1e-9)) for a, c in zip(v, true, strict=True))
        for v in (ours, theirs)
    ]
    assert far[0] < 1.1 * far[1]
    assert (ours[0] - true[0]).abs().max() < 0.02 * true[0].abs().max()


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
