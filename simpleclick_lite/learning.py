"""The same layers where a CPU learns in mixed precision.

The gradients of two things are slow on a CPU in bfloat16 (benchmarks/learning_cost.py):

- Fused attention. Windows of 196 tokens take two and a half times as long as in float32; so it
  gets float32, and what goes in and comes out stays bfloat16.
- Convolutions whose windows do not overlap: patch embeddings, upsampling by two, 1x1. They are one
  matrix product over all windows, and written so they take a fraction of the time.

Numbers differ by rounding only. Everywhere else the layers run as PyTorch and timm wrote them;
inference.py has the same for when nobody asks for a gradient.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers import Attention
from torch import Tensor, nn


def learns(x: Tensor) -> bool:
    """Whether gradients are wanted, on a CPU, in bfloat16 by autocast, and nothing is compiled."""
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


class LearningAttention(Attention):
    """timm's attention without norms of queries and keys and without dropout."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, **more: Any) -> Tensor:
        """Tokens (B, N, C) to tokens (B, N, C).

        Args:
            x: the tokens.
            attn_mask: broadcast to (B, heads, N, N); True where a token may look.
            more: further arguments of timm's layer.
        """
        if more or not (self.fused_attn and learns(x)):
            return super().forward(x, attn_mask=attn_mask, **more)
        b, n, _ = x.shape
        heads = self.qkv(x).float().view(b, n, 3, self.num_heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (B, heads, N, d) each
        with torch.autocast("cpu", enabled=False):
            y = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
        return self.proj(y.transpose(1, 2).reshape(b, n, -1))


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
