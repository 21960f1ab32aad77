"""A masked autoencoder: pretrain the plain ViT by letting it guess hidden patches.

Explained in notebooks/03_plain_vit.ipynb (He et al., 2022); section 3.1 of the paper, whose
backbones start from MAE. Three quarters of the patches are thrown away, the backbone sees only the
rest, and a small decoder, which is thrown away afterwards, paints the missing ones. No labels are
needed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from tqdm import tqdm

from .backbone import PlainViT
from .embedding import normalize
from .files import atomic_path
from .optim import one_cycle


def patchify(image: Tensor, patch_size: int) -> Tensor:
    """Cut images into flat patches, in the order of the tokens.

    Args:
        image: (B, 3, H, W).
        patch_size: p, divides H and W.

    Returns:
        (B, N, p * p * 3), each row a patch in the order row, column, channel.
    """
    b, c, height, width = image.shape
    p = patch_size
    x = image.view(b, c, height // p, p, width // p, p)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)


def unpatchify(patches: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """Undo `patchify`.

    Args:
        patches: (B, N, p * p * 3).
        patch_size: p.
        grid: (h, w) with h * w = N.

    Returns:
        (B, 3, h * p, w * p).
    """
    p, (h, w) = patch_size, grid
    x = patches.view(len(patches), h, w, p, p, -1)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), -1, h * p, w * p)


def whiten(patches: Tensor) -> Tensor:
    """Every patch (…, p * p * 3) with its own mean taken off and divided by its own deviation."""
    mean = patches.mean(-1, keepdim=True)
    return (patches - mean) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()


def random_keep(batch: int, count: int, ratio: float, generator: torch.Generator) -> Tensor:
    """Which tokens stay visible.

    Args:
        batch: B.
        count: N tokens.
        ratio: share of tokens to hide; MAE hides 0.75.
        generator: source of randomness.

    Returns:
        (B, K) int64, K = N - round(ratio * N) different token numbers in each row.
    """
    visible = count - round(ratio * count)
    return torch.rand(batch, count, generator=generator).argsort(1)[:, :visible]


class MaskedAutoencoder(nn.Module):
    """Patch embedding and backbone as they are, and a throw-away decoder.

    Args:
        image_embedding: image (B, 3, H, W) -> tokens (B, N, C); `SymmetricEmbedding.image`.
        backbone: trained in place; all its blocks attend globally here.
        width: channels of the decoder.
        depth: blocks of the decoder.
        heads: attention heads of the decoder.
    """

    def __init__(
        self,
        image_embedding: nn.Module,
        backbone: PlainViT,
        width: int = 64,
        depth: int = 1,
        heads: int = 2,
    ) -> None:
        super().__init__()
        self.image_embedding = image_embedding
        self.backbone = backbone
        channels = backbone.pos_embed.shape[-1]
        self.to_decoder = nn.Linear(channels, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, backbone.grid**2, width) * 0.02)
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.encoder_norm = norm(channels)
        self.decoder = nn.Sequential(
            *(Block(width, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth)),
            norm(width),
            nn.Linear(width, backbone.patch_size**2 * 3),
        )

    def forward(self, image: Tensor, keep: Tensor) -> Tensor:
        """Guess all patches from the kept ones.

        Args:
            image: (B, 3, H, W) normalized, of the size the backbone's positions are stored for.
            keep: (B, K) numbers of the visible tokens.

        Returns:
            (B, N, p * p * 3) guesses of whitened patches; only the hidden ones mean something.
        """
        tokens = self.image_embedding(image) + self.backbone.pos_embed  # (B, N, C)
        x = tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[-1]))  # (B, K, C)
        for block in self.backbone.blocks:
            x = block(x)
        x = self.to_decoder(self.encoder_norm(x))  # (B, K, width)
        full = self.mask_token.expand(*tokens.shape[:2], -1)
        full = full.scatter(1, keep[..., None].expand_as(x), x)  # (B, N, width)
        return self.decoder(full + self.positions)

    def loss(self, image: Tensor, keep: Tensor) -> Tensor:
        """Mean squared error over the hidden patches; arguments as in `forward`."""
        error = (self(image, keep) - whiten(patchify(image, self.backbone.patch_size))) ** 2
        hidden = torch.ones(error.shape[:2], device=error.device).scatter(1, keep, 0.0)
        return (error.mean(-1) * hidden).sum() / hidden.sum()


def pretrain(
    mae: MaskedAutoencoder,
    images: Tensor | Callable[[int], Tensor],
    steps: int,
    batch_size: int = 64,
    rate: float = 1.5e-3,
    ratio: float = 0.75,
    seed: int = 0,
    progress: bool = False,
) -> list[float]:
    """Train a masked autoencoder.

    Args:
        mae: trained in place.
        images: (N, 3, H, W) in [0, 1], or a function from a step's number to its images
            (B, 3, H, W), where they do not all fit into memory or are cropped anew.
        steps: optimizer steps of AdamW, with a warm-up of a tenth and a cosine to zero.
        batch_size: images a step, drawn with replacement; not read where a function gives them.
        rate: highest learning rate.
        ratio: share of the patches that is hidden.
        seed: of mirroring and hidden patches, and of which images of a tensor come when.
        progress: show a progress bar.

    Returns:
        the loss of every step: 1 is what the mean of each patch would give.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(mae.parameters(), lr=rate, weight_decay=0.05, betas=(0.9, 0.95))
    schedule = one_cycle(optimizer, rate, steps)
    losses = []
    bar = tqdm(range(steps), unit="step", disable=not progress)
    for step in bar:
        if isinstance(images, Tensor):
            image = images[torch.randint(len(images), (batch_size,), generator=generator)]
        else:
            image = images(step)
        if torch.rand((), generator=generator) < 0.5:
            image = image.flip(-1)
        keep = random_keep(len(image), mae.backbone.grid**2, ratio, generator)
        loss = mae.loss(normalize(image), keep)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    return losses


def save_encoder(mae: MaskedAutoencoder, path: str | Path) -> None:
    """Write embedding, positions and blocks without the decoder, in the format of MAE's encoders.

    Args:
        mae: what was pretrained.
        path: the .pth file that `load_model` and `TrainConfig.weights` read.

    Raises:
        InputError: the file cannot be written.
    """
    state = {f"blocks.{k}": v for k, v in mae.backbone.blocks.state_dict().items()}
    state |= {
        f"patch_embed.proj.{part}": getattr(mae.image_embedding.proj, part).detach()
        for part in ("weight", "bias")
    }
    positions = mae.backbone.pos_embed.detach()
    # MAE has a class token in front
    state["pos_embed"] = torch.cat([torch.zeros_like(positions[:, :1]), positions], 1)
    buffer = io.BytesIO()  # torch.save hides what a full disk says
    torch.save({"model": state}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
