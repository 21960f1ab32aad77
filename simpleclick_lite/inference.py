"""The same layers with less memory traffic, for when nobody asks for a gradient.

On a CPU large products run near the processor's peak; what is lost is lost around them. A new array
of 13 MB costs about a millisecond before anything is written to it (the system hands out its pages
one by one and fills them with zeros), four times as much as adding to one that exists. So results
are overwritten where nothing else reads them. A token map seen as (B, C, h, w) has its channels
last in memory; kept so, a 1x1 convolution is one matrix product and upsampling reads whole vectors.

oneDNN's products are faster than those that PyTorch takes for float32 (by 10 to 15% here), add the
bias without copying it first and apply the activation while the result is in the cache.

Numbers differ by rounding only. With mixed precision, tracing, on another device than a CPU or with
gradients (but see learning.py) every layer here runs as it is written.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers import Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .as_written import untouched, wanted
from .learning import LearningAttention, disjoint, learns, windows_product

LAST = torch.channels_last
# oneDNN's product with bias and activation, which torch.compile calls as well; where PyTorch was
# built without it, F.linear does the same work
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def frugal(x: Tensor) -> bool:
    """Whether layers on `x` may overwrite their results: on a CPU, and nothing else looks on."""
    return (
        x.device.type == "cpu"
        and not wanted()
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()  # exporting is compiling, too
        and not torch.jit.is_tracing()
        and torch._C._functorch.maybe_current_level() is None  # torch.func's transformations
        and torch.autograd.forward_ad._current_level < 0
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    """A linear layer and what follows it, by oneDNN where layers are frugal.

    Args:
        x: (..., C).
        weight: (C', C).
        bias: (C',) or None.
        activation: none, relu, or gelu (the exact one).

    Returns:
        (..., C').
    """
    if _ONEDNN and x.dtype == weight.dtype == torch.float32 and frugal(x):
        weight = weight.contiguous()  # a slice of a matrix takes oneDNN a hundred times as long
        return _ONEDNN(x, weight, bias, activation, [], "none" if activation == "gelu" else "")
    x = F.linear(x, weight, bias)
    if activation == "none":
        return x
    if frugal(x):
        return F.relu_(x) if activation == "relu" else torch.ops.aten.gelu_(x)
    return F.relu(x) if activation == "relu" else F.gelu(x)


class FrugalLinear(nn.Linear):
    """A linear layer by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to (B, N, C')."""
        return linear(x, self.weight, self.bias)


class FrugalMlp(Mlp):
    """timm's MLP without norm, its activation GELU."""

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C)."""
        first = self.fc1  # in its place may be something else, such as a low-rank adapter
        plain = type(first) is FrugalLinear and untouched(first) and untouched(self.act)
        if self.training or not frugal(x) or not plain:
            return super().forward(x)
        return self.fc2(linear(x, self.fc1.weight, self.fc1.bias, "gelu"))


class FrugalBlock(Block):
    """timm's transformer block, without layer scale, its activation GELU.

    Args:
        arguments, more: as timm's block.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, mlp_layer=FrugalMlp, **more)
        self.attn.__class__ = LearningAttention
        # the layers that timm made, with another forward
        for layer in (self.attn.qkv, self.attn.proj, self.mlp.fc1, self.mlp.fc2):
            layer.__class__ = FrugalLinear

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, **more: Any) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C); `x` is not changed."""
        if self.training or not frugal(x):
            return super().forward(x, attn_mask=attn_mask, **more)
        y = _added(self.attn, self.attn(self.norm1(x), attn_mask=attn_mask, **more), x)
        return _added(self.mlp, self.mlp(self.norm2(y)), y)


def _added(module: nn.Module, result: Tensor, x: Tensor) -> Tensor:
    """`x` added to what the module gave."""
    return result.add_(x) if untouched(module) else result + x


class FrugalBranch(nn.Sequential):
    """A branch of the pyramid: convolutions of which no two windows overlap, norms and GELUs."""

    def forward(self, x: Tensor) -> Tensor:
        """A map (B, C, h, w), which is not changed, to a map (B, C', h', w')."""
        if learns(x) and untouched(self):
            for layer in self:
                x = windows_product(layer, x) if disjoint(layer) else layer(x)
            return x
        if not frugal(x) or not untouched(self):
            return super().forward(x)
        given = x
        for layer in self:
            if type(layer) is nn.ConvTranspose2d:
                weight = layer.weight.to(memory_format=LAST)
                x = F.conv_transpose2d(x, weight, layer.bias, layer.stride)
            elif type(layer) is nn.Conv2d and layer.kernel_size == (1, 1):
                x = pointwise(x, layer.weight, layer.bias)
            elif type(layer) is nn.Conv2d:
                x = F.conv2d(x, layer.weight.to(memory_format=LAST), layer.bias, layer.stride)
            elif type(layer) is nn.GELU and x is not given:
                x = torch.ops.aten.gelu_(x)
            elif type(layer) is nn.GroupNorm and x is not given:
                x = _normalized(layer, x)
            else:
                x = layer(x)
        return x


def _normalized(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """A norm over all channels and pixels of a sample, (B, C, h, w), overwriting `x`."""
    if x.dtype != torch.float32 or not x.is_contiguous(memory_format=LAST) or norm.num_groups > 1:
        return norm(x)
    for sample in x.permute(0, 2, 3, 1):  # (h, w, C), one piece of memory
        flat = sample.view(-1)
        flat.sub_(flat.mean())
        scale = norm.weight * torch.rsqrt(torch.dot(flat, flat) / flat.numel() + norm.eps)
        torch.addcmul(norm.bias, sample, scale, out=sample)
    return x


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    """A 1x1 convolution and what follows it, where it pays as one product over all pixels.

    Args:
        x: (B, C, h, w).
        weight: (C', C, 1, 1).
        bias: (C',) or None.
        activation: none or relu.

    Returns:
        (B, C', h, w).
    """
    if not frugal(x) and not learns(x):
        x = F.conv2d(x, weight, bias)
        return F.relu_(x) if activation == "relu" else x
    return linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias, activation).permute(0, 3, 1, 2)
