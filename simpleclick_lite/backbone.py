"""The plain ViT: one resolution from first to last, window attention with a few global blocks.

Explained in notebooks/03_plain_vit.ipynb; section 3.2 of the paper. Attention compares all tokens
with all tokens, which grows with the square of their number. Above 224 pixels most blocks therefore
attend inside windows that never shift; every few blocks one attends globally and lets the windows
talk.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers import resample_abs_pos_embed, trunc_normal_
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .embedding import PointTokens
from .inference import FrugalBlock

WINDOW_PIXELS = 224  # a window covers about as much as MAE's pretraining images


def global_block_every(depth: int) -> int:
    """Every how many blocks one attends globally: 6 for depth 12 (ViT-B), else a quarter of depth.

    That is the published schedule. At least 1 (then every block is global).
    """
    return 6 if depth == 12 else max(depth // 4, 1)


def window_sizes(grid: int, patch_size: int) -> list[int]:
    """Sizes of the windows along one axis of `grid` tokens.

    As published, the number of windows is grid // (224 // patch). Where that does not divide the
    grid the published code stops with an error; here the windows then differ by one token, the
    larger ones first. A grid under 224 pixels is one window.

    Returns:
        list of window sizes in tokens that sum to `grid`.
    """
    count = max(grid // (WINDOW_PIXELS // patch_size), 1)
    size, larger = divmod(grid, count)
    return [size + 1] * larger + [size] * (count - larger)


def _bands(sizes: list[int]) -> list[tuple[int, int, int]]:
    """Group equal neighboring windows: (start, stop, window size), one or two bands."""
    bands: list[tuple[int, int, int]] = []
    start = 0
    for size in sizes:
        if bands and bands[-1][2] == size:
            bands[-1] = (bands[-1][0], start + size, size)
        else:
            bands.append((start, start + size, size))
        start += size
    return bands


def to_windows(x: Tensor, window: tuple[int, int]) -> Tensor:
    """Cut a token map into windows.

    Args:
        x: (B, h, w, C) tokens on their grid; h, w multiples of the window.
        window: (rows, columns) of a window in tokens.

    Returns:
        (B * number of windows, rows * columns, C).
    """
    b, h, w, c = x.shape
    rows, columns = window
    x = x.view(b, h // rows, rows, w // columns, columns, c).transpose(2, 3)
    return x.reshape(-1, rows * columns, c)


def from_windows(x: Tensor, window: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Undo `to_windows`.

    Args:
        x: (B * number of windows, rows * columns, C).
        window: (rows, columns) of a window.
        grid: (h, w) of the token map.

    Returns:
        (B, h, w, C).
    """
    h, w = grid
    rows, columns = window
    x = x.view(-1, h // rows, w // columns, rows, columns, x.shape[-1]).transpose(2, 3)
    return x.reshape(-1, h, w, x.shape[-1])


class PlainViT(nn.Module):
    """Transformer blocks at one resolution, without class token and without a last norm.

    Args:
        image_size: side of the square image that the positions are stored for.
        patch_size: pixels per token side.
        width: channels C.
        depth: number of blocks.
        heads: attention heads.
    """

    def __init__(
        self, image_size: int, patch_size: int, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.grid = image_size // patch_size
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid**2, width))
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.ModuleList(
            FrugalBlock(width, heads, mlp_ratio=4, qkv_bias=True, norm_layer=norm)
            for _ in range(depth)
        )
        self.global_every = global_block_every(depth)
        self.checkpointing = False  # recompute blocks in backward: less memory, a third more time
        trunc_normal_(self.pos_embed, std=0.02)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings for another grid, (1, h * w, C), resampled bicubically."""
        if grid == (self.grid, self.grid):
            return self.pos_embed
        return resample_abs_pos_embed(
            self.pos_embed,
            new_size=list(grid),
            old_size=[self.grid, self.grid],
            num_prefix_tokens=0,
            interpolation="bicubic",
            antialias=False,
        )

    def positions_at(self, points: Tensor, grid: tuple[int, int]) -> Tensor:
        """Position embeddings between those of the patches, bilinear.

        Args:
            points: (B, N, 2) xy in pixels of the image.
            grid: (h, w) of its patches.

        Returns:
            (B, N, C).
        """
        h, w = grid
        known = self.positions(grid).transpose(1, 2).unflatten(2, grid)  # (1, C, h, w)
        sides = torch.tensor([w, h], device=points.device) * self.patch_size
        places = (2 * (points + 0.5) / sides - 1).to(known.dtype)[:, :, None]
        found = F.grid_sample(
            known.expand(len(points), -1, -1, -1),
            places,
            padding_mode="border",
            align_corners=False,
        )
        return found[..., 0].transpose(1, 2)

    def is_global(self, index: int) -> bool:
        """Whether block `index` (from 0) attends globally."""
        return (index + 1) % self.global_every == 0

    def forward(
        self,
        tokens: Tensor,
        grid: tuple[int, int],
        stages: list[Tensor] | None = None,
        start: int = 0,
        points: PointTokens | None = None,
    ) -> Tensor:
        """Add positions and run all blocks.

        Args:
            tokens: (B, N, C) in raster order.
            grid: (h, w) with h * w = N.
            stages: a list that receives the (B, N, C) output of every block, for the ablated
                designs and for looking inside.
            start: go on at this block; above 0 the tokens carry positions already.
            points: clicks that take part as tokens of their own and are dropped at the end.

        Returns:
            (B, N, C).
        """
        x = tokens if start else tokens + self.positions(grid)
        if points is not None:
            return self._run_with_points(x, grid, start, stages, points)
        return self.run_blocks(x, grid, start, len(self.blocks), stages)

    def run_blocks(
        self,
        x: Tensor,
        grid: tuple[int, int],
        start: int,
        stop: int,
        stages: list[Tensor] | None = None,
    ) -> Tensor:
        """Run blocks start … stop-1 on tokens (B, N, C) that already carry positions."""
        rows = _bands(window_sizes(grid[0], self.patch_size))
        columns = _bands(window_sizes(grid[1], self.patch_size))
        one_window = len(rows) == len(columns) == 1 and (rows[0][2], columns[0][2]) == grid
        index = start
        while index < stop:
            last = index
            if one_window or self.is_global(index):
                x = self._run(index, x)
                if stages is not None:
                    stages.append(x)
            else:
                # all window blocks up to the next global one share a single rearrangement
                while last + 1 < stop and not self.is_global(last + 1):
                    last += 1
                x = self._run_windowed(index, last + 1, x, grid, rows, columns, stages)
            index = last + 1
        return x

    def _run(self, index: int, x: Tensor, mask: Tensor | None = None) -> Tensor:
        block = self.blocks[index]
        more = {} if mask is None else {"attn_mask": mask}
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(block, x, use_reentrant=False, **more)
        return block(x, **more)

    def _run_with_points(
        self,
        x: Tensor,
        grid: tuple[int, int],
        start: int,
        stages: list[Tensor] | None,
        points: PointTokens,
    ) -> Tensor:
        """All blocks from `start` on patches (B, N, C) and, beside them, clicks.

        A window block shows every window a copy of the clicks; the copies are averaged afterwards.
        """
        rows = _bands(window_sizes(grid[0], self.patch_size))
        columns = _bands(window_sizes(grid[1], self.patch_size))
        whole = [(0, grid[0], grid[0])], [(0, grid[1], grid[1])]
        clicks = points.tokens
        for index in range(start, len(self.blocks)):
            bands = whole if self.is_global(index) else (rows, columns)
            strips, copies = [], []
            for top, bottom, height in bands[0]:
                line = []
                for left, right, width in bands[1]:
                    region = x.unflatten(1, grid)[:, top:bottom, left:right]
                    part = to_windows(region, (height, width))
                    count = len(part) // len(x)  # windows of one sample
                    seen = torch.cat([part, clicks.repeat_interleave(count, 0)], 1)
                    used = F.pad(points.used, (part.shape[1], 0), value=True)
                    mask = used.repeat_interleave(count, 0)[:, None, None, :]
                    seen = self._run(index, seen, mask)
                    part, copy = seen.split([part.shape[1], clicks.shape[1]], 1)
                    line.append(from_windows(part, (height, width), region.shape[1:3]))
                    copies.append(copy.unflatten(0, (len(x), count)))
                strips.append(_join(line, 2))
            x, clicks = _join(strips, 1).flatten(1, 2), _join(copies, 1).mean(1)
            if stages is not None:
                stages.append(x)
        return x

    def _run_windowed(
        self,
        start: int,
        stop: int,
        x: Tensor,
        grid: tuple[int, int],
        rows: list[tuple[int, int, int]],
        columns: list[tuple[int, int, int]],
        stages: list[Tensor] | None,
    ) -> Tensor:
        """Run consecutive window blocks; each region of equal windows is one batch."""
        b, n, c = x.shape
        x = x.view(b, *grid, c)
        outputs: list[list[list[Tensor]]] = [[] for _ in range(start, stop)]
        for top, bottom, height in rows:
            line: list[list[Tensor]] = [[] for _ in range(start, stop)]
            for left, right, width in columns:
                window, region = (height, width), (bottom - top, right - left)
                part = to_windows(x[:, top:bottom, left:right], window)
                for k in range(start, stop):
                    part = self._run(k, part)
                    if stages is not None or k == stop - 1:
                        line[k - start].append(from_windows(part, window, region))
            for k in range(stop - start):
                outputs[k].append(line[k])
        joined = []
        for k in range(start, stop):
            lines = outputs[k - start]
            if not lines[0]:
                continue
            strips = [_join(line, 2) for line in lines]
            joined.append(_join(strips, 1).reshape(b, n, c))
        if stages is not None:
            stages.extend(joined)
        return joined[-1]


def _join(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
