"""The same layers where a CPU learns in mixed precision.

The gradients of two things are slow on a CPU in bfloat16 (benchmarks/learning_cost.py):

- Fused attention over few tokens, as in windows. It gets float32, and what goes in and comes out
  stays bfloat16; that keeps more for the backward pass.
- Convolutions whose windows do not overlap: patch embeddings, upsampling by two. They are one
  matrix product over all windows; so is a 1x1 convolution, which alone gains nothing.

Numbers differ by rounding only. Everywhere else the layers run as PyTorch and timm wrote them;
inference.py has the same for when nobody asks for a gradient.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers import Attention
from torch import Tensor, nn

from .as_written import touched, wanted

MOST_TOKENS = 512  # for which float32 is quicker; with 784 bfloat16 is, with 400 it is not


def learns(x: Tensor) -> bool:
    """Whether layers on `x` may differ: on a CPU, in bfloat16 by autocast, gradients recorded."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and x.device.type == "cpu"
        and x.dtype != torch.float64  # autocast leaves it alone
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and not wanted()
    )


class LearningAttention(Attention):
    """timm's attention; the float32 path is for `plain_attention` alone."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, **more: Any) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C).

        Args:
            x: the tokens.
            attn_mask: broadcast to (B, heads, N, N); bool, True where a token may look, or float,
                added to the products.
            more: further arguments of timm's layer.
        """
        few = x.shape[1] <= MOST_TOKENS
        if any(more.values()) or not (few and learns(x) and plain_attention(self)):
            return super().forward(x, attn_mask=attn_mask, **more)
        b, n, _ = x.shape
        heads = self.qkv(x).float().view(b, n, 3, self.num_heads, self.head_dim)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (B, heads, N, d) each
        if attn_mask is not None and attn_mask.is_floating_point():
            attn_mask = attn_mask.float()
        with torch.autocast("cpu", enabled=False):
            y = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
        return self.proj(y.transpose(1, 2).reshape(b, n, self.num_heads * self.head_dim))


def plain_attention(layer: Attention) -> bool:
    """Whether an attention has no norms, gates or dropout, uses the fused kernel, unwatched."""
    names = ("q_norm", "k_norm", "norm", "gate", "attn_drop", "proj_drop")
    parts = [part for name in names if (part := getattr(layer, name, None)) is not None]
    return layer.fused_attn and all(_does_nothing(part) and not touched(part) for part in parts)


def _does_nothing(part: nn.Module) -> bool:
    return type(part) is nn.Identity or (type(part) is nn.Dropout and part.p == 0)


class LearningConv2d(nn.Conv2d):
    """A convolution; where its windows touch without overlapping, one product as one learns."""

    def forward(self, x: Tensor) -> Tensor:
        """A map (B, C, h, w) to a map (B, C', h', w')."""
        return windows_product(self, x) if learns(x) and disjoint(self) else super().forward(x)


def disjoint(layer: nn.Module) -> bool:
    """Whether a layer is a plain convolution, or its transpose, whose windows do not overlap."""
    return (
        type(layer) in (nn.Conv2d, nn.ConvTranspose2d, LearningConv2d)  # not somebody's subclass
        and layer.kernel_size == layer.stride
        and layer.padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and not (isinstance(layer, nn.ConvTranspose2d) and layer.output_padding != (0, 0))
    )


def windows_product(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """What a layer of disjoint windows gives, as a product over all windows.

    Args:
        layer: for which `disjoint` holds.
        x: (B, C, h, w).

    Returns:
        (B, C', h', w'), its channels last in memory.
    """
    rows, columns = layer.kernel_size
    x = x.permute(0, 2, 3, 1)  # (B, h, w, C)
    if isinstance(layer, nn.ConvTranspose2d):
        weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (rows * columns * C', C)
        bias = None if layer.bias is None else layer.bias.repeat(rows * columns)
        y = F.linear(x, weight, bias).unflatten(3, (rows, columns, -1))
        return y.transpose(2, 3).flatten(1, 2).flatten(2, 3).permute(0, 3, 1, 2)
    if (rows, columns) != (1, 1):
        h, w = x.shape[1] // rows, x.shape[2] // columns  # as a convolution: a rest is left out
        x = x[:, : h * rows, : w * columns].unflatten(1, (h, rows)).unflatten(3, (w, columns))
        x = x.permute(0, 1, 3, 5, 2, 4).flatten(3)  # (B, h, w, C * rows * columns)
    return F.linear(x, layer.weight.flatten(1), layer.bias).permute(0, 3, 1, 2)
