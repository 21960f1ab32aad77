"""Normalized focal loss: hard pixels count more, yet the sum of weights stays the same.

Explained in notebooks/06_normalized_focal_loss.ipynb; section 3.3 of the paper (the loss is from
Sofiiuk et al., 2019). Focal loss weighs each pixel by (1 - p_t)^gamma, so its gradient fades as the
network gets better; dividing by the mean weight keeps it alive.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

EPSILON = 1e-12


def normalized_focal_loss(
    logits: Tensor,
    target: Tensor,
    alpha: float = 0.5,
    gamma: float = 2.0,
    ignore: int = -1,
    stable: bool = False,
) -> Tensor:
    """Normalized focal loss per sample.

    Args:
        logits: (B, 1, H, W) float, before the sigmoid.
        target: (B, 1, H, W), 1 object, 0 background, `ignore` elsewhere.
        alpha: weight of the object's pixels; the background gets 1 - alpha.
        gamma: how much easy pixels are discounted.
        ignore: label of pixels that do not count.
        stable: compute the logarithm from the logits (log-sigmoid) instead of in the published
            order of operations, whose gradient vanishes where the sigmoid saturates.

    Returns:
        (B,) loss: sum over pixels divided by the number of counted pixels, 0 where all is ignored.

    Raises:
        ValueError: logits and target of different shapes.
    """
    if logits.shape != target.shape:  # broadcasting would give a number, and a wrong one
        raise ValueError(
            f"logits {tuple(logits.shape)} and target {tuple(target.shape)} must have one shape"
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()  # half precision knows no 1e-12
    counted = target != ignore
    positive = target > 0.5
    if stable:
        signed = torch.where(positive, logits, -logits)
        log_pt = F.logsigmoid(signed)
        wrong = torch.sigmoid(-signed)  # 1 - p_t
    else:
        pt = 1 - (target.to(logits.dtype) - torch.sigmoid(logits)).abs()
        pt = torch.where(counted, pt, torch.ones_like(pt))
        wrong = 1 - pt
        log_pt = torch.log(torch.clamp(pt + EPSILON, max=1.0))
    weight = torch.where(counted, wrong**gamma, 0.0)
    number = counted.sum(dim=(-2, -1), keepdim=True).to(logits.dtype)
    # the normalizer scales, it is not itself optimized: no gradient through it
    scale = (number / (weight.sum(dim=(-2, -1), keepdim=True) + EPSILON)).detach()
    balance = torch.where(positive, alpha, 1 - alpha)
    loss = torch.where(counted, -balance * (weight * scale) * log_pt, 0.0)
    return loss.sum(dim=(1, 2, 3)) / (number.sum(dim=(1, 2, 3)) + EPSILON)
