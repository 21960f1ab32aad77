"""Set an image, click, get a mask: crop, mirror image and previous mask are taken care of.

Used in notebooks 00, 10 and 13. Nothing here needs a display.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .clicks import Click, check_clicks, pad_clicks
from .crop import Box, next_box, to_crop
from .errors import InputError
from .files import to_rgb8
from .kept_crops import KeptCrops, fingerprint, join, resize, runs_in_two_parts
from .model import SimpleClick
from .prediction import Prediction, State, View
from .simulation import MASK_THRESHOLD


def get_device(device: str | torch.device | None = None) -> torch.device:
    """The asked device, or the best one there is: cuda, else mps, else cpu.

    Raises:
        InputError: a device this machine or this build of PyTorch does not have.
    """
    if device is None or str(device) == "auto":
        name = "cpu"
        if torch.cuda.is_available():
            name = "cuda"
        elif torch.backends.mps.is_available():
            name = "mps"
        return torch.device(name)
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device!r} cannot be used: {reason}") from error
    return found


class Predictor:
    """Turns clicks on one image into masks.

    Args:
        model: the network; it is moved to the device and put in evaluation mode.
        device: None for cuda, else mps, else cpu.
        flip: also run the mirrored image and average the two (as in the published numbers).
        crop: follow the object with a crop; False always shows the whole image.
        crop_size: side of the network's input in pixels; None is the model's own.
        threshold: a pixel belongs to the mask if its probability is above.

    Raises:
        InputError: a path instead of a network, a device that cannot be used, or a crop size that
            is no positive whole number.
    """

    def __init__(
        self,
        model: SimpleClick,
        device: str | torch.device | None = None,
        flip: bool = True,
        crop: bool = True,
        crop_size: int | None = None,
        threshold: float = MASK_THRESHOLD,
    ) -> None:
        if isinstance(model, str | Path):
            raise InputError(f"Predictor needs a network, give it load_model({str(model)!r})")
        if crop_size is not None and (type(crop_size) is not int or crop_size < 1):
            raise InputError(f"crop_size must be a whole number of pixels, not {crop_size!r}")
        self.device = get_device(device)
        self.model = model.to(self.device).eval()
        self.flip, self.crop, self.crop_size = flip, crop, crop_size
        self.threshold = threshold
        self._crops: KeptCrops | None = None  # the image
        self.state = State()
        self._start = State()  # what the last answer continued from

    @property
    def input_size(self) -> int:
        """Side in pixels of what the network sees."""
        return self.crop_size or self.model.config.image_size

    def set_image(self, image: np.ndarray) -> None:
        """Take a new image and forget all clicks.

        Args:
            image: (H, W, 3) uint8 RGB; gray, RGBA, 16-bit and float in [0, 1] are converted.

        Raises:
            InputError: an array that is no image.
        """
        rgb = to_rgb8(image)
        pixels = torch.tensor(rgb, device=self.device)  # a copy: the array may be read-only
        self._crops = KeptCrops(pixels.permute(2, 0, 1)[None])
        self.reset()

    def reset(self) -> None:
        """Forget all clicks, keep the image."""
        self.state, self._start = State(), State()

    def predict(
        self,
        points: Sequence[Sequence[float]],
        labels: Sequence[int] | None = None,
        previous_mask: np.ndarray | None = None,
    ) -> Prediction:
        """Segment what was clicked.

        Give all clicks each time. If they continue the clicks of the last call, the last answer is
        shown to the network as previous mask and the crop follows the object; otherwise the
        prediction starts afresh. The same clicks again give the same answer again.

        Args:
            points: (x, y) pairs in pixels of the image.
            labels: 1 positive, 0 negative, one per point; None means all positive.
            previous_mask: (H, W) bool or probability to start from instead of the last answer.

        Raises:
            InputError: no image set, no click, or clicks that cannot be used.
        """
        state, clicks = self._continued(points, labels)
        if previous_mask is not None:
            state = State(state.clicks, _as_probability(previous_mask, self._size), state.box)
        return self.continue_from(state, clicks)

    def _continued(
        self, points: Sequence[Sequence[float]], labels: Sequence[int] | None
    ) -> tuple[State, tuple[Click, ...]]:
        """The clicks, checked, and the state that they continue."""
        clicks = tuple(check_clicks(points, labels, self._size))
        state = self._start if clicks == self.state.clicks else self.state
        return (state if clicks[: len(state.clicks)] == state.clicks else State()), clicks

    @property
    def _size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        if self._crops is None:
            raise InputError("no image is set; call set_image(image) first")
        return self._crops.image.shape[2], self._crops.image.shape[3]

    def continue_from(self, state: State, clicks: Sequence[Click]) -> Prediction:
        """Answer `clicks`, with previous mask and crop taken from `state` (undo: an older state).

        Args:
            state: of an earlier Prediction on this image, or State() to start.
            clicks: all clicks on the object, checked, in pixels of the image.
        """
        return continue_together([(self, state, clicks)])[0]

    def fork(self) -> Predictor:
        """A predictor for another image that shares this one's network and settings."""
        other = copy.copy(self)
        other._crops = None
        other.reset()
        return other

    def _look(self, state: State, clicks: Sequence[Click]) -> View:
        """What the network is shown for `clicks` after `state`."""
        (height, width), crops = self._size, self._crops
        start = time.perf_counter()
        box = Box(0, height - 1, 0, width - 1)
        if self.crop:
            box = next_box(state.box, state.probability, clicks, (height, width))
        with torch.no_grad():
            side = self.input_size
            image = crops.resized(box, side)
            previous = torch.zeros(1, 1, side, side, device=self.device)
            if state.probability is not None:
                part = state.probability[box.top : box.bottom + 1, box.left : box.right + 1]
                previous = resize(torch.from_numpy(part).to(self.device)[None, None], side)
            # as published, points keep float64 until disks are drawn; Apple's mps has none
            precise = torch.float32 if self.device.type == "mps" else torch.float64
            points, labels = pad_clicks([to_crop(clicks, box, side)], self.device, precise)
        return View(state, tuple(clicks), crops, box, image, points, labels, previous, start)

    def _answer(self, view: View, inside: Tensor, cached: bool = False) -> Prediction:
        """From the probability (1, 1, h, w) inside the crop to the photograph's mask."""
        box, (height, width) = view.box, view.crops.image.shape[2:]
        with torch.no_grad():
            inside = resize(inside, (box.bottom - box.top + 1, box.right - box.left + 1))
        probability = np.zeros((height, width), np.float32)
        probability[box.top : box.bottom + 1, box.left : box.right + 1] = (
            inside[0, 0].float().cpu().numpy()
        )
        self._start, self.state = view.state, State(view.clicks, probability, box)
        return Prediction(
            mask=probability > self.threshold,
            probability=probability,
            crop=(box.left, box.top, box.right + 1, box.bottom + 1),
            milliseconds=(time.perf_counter() - view.start) * 1000,
            state=self.state,
            net_image=view.image.clone(),  # the crop itself is kept for the next click
            net_points=view.points,
            net_labels=view.labels,
            net_previous_mask=view.previous,
            disk_radius=self.model.config.disk_radius,
            cached=cached,
        )

    @torch.no_grad()
    def _run(self, views: Sequence[View]) -> tuple[Tensor, list[bool]]:
        """Probability (B, 1, h, w) of each view, and which images late fusion knew already.

        With `flip` the mirrored crops run in the same batch.
        """
        batch = len(views)
        more = max(view.points.shape[1] for view in views)
        more = [more - view.points.shape[1] for view in views]
        image = torch.cat([view.image for view in views])
        points = torch.cat(
            [F.pad(v.points, (0, 0, 0, n)) for v, n in zip(views, more, strict=True)]
        )
        labels = torch.cat(
            [F.pad(v.labels, (0, n), value=-1) for v, n in zip(views, more, strict=True)]
        )
        previous = torch.cat([view.previous for view in views])
        if self.flip:
            mirrored = points.clone()
            mirrored[..., 0] = image.shape[-1] - 1 - mirrored[..., 0]
            image = torch.cat([image, image.flip(-1)])
            points, labels = torch.cat([points, mirrored]), torch.cat([labels, labels])
            previous = torch.cat([previous, previous.flip(-1)])
        late, known = bool(self.model.config.fusion_block), [False] * batch
        # several patch embeddings are cheaper in one batch than one by one
        if (batch == 1 or late) and runs_in_two_parts(self.model):
            weights = fingerprint(self.model)
            found = [
                view.crops.encoded(self.model, view.box, image[k::batch], weights)
                for k, view in enumerate(views)
            ]
            known = [late and before for _, before in found]
            state = join([state for state, _ in found], self.flip)
            logits = self.model.decode(state, points, labels, previous)
        else:
            logits = self.model(image, points, labels, previous)
        if not self.flip:
            return torch.sigmoid(logits), known
        # the published code averages the logits; averaging probabilities gives other numbers
        return torch.sigmoid(0.5 * (logits[:batch] + logits[batch:].flip(-1))), known


def predict_together(
    asked: Sequence[tuple[Predictor, Sequence[Sequence[float]], Sequence[int]]],
) -> list[Prediction]:
    """Answer a click on each of several objects with one pass of the network.

    Args:
        asked: predictor, points and labels of each object. The predictors are different ones with
            the same network and settings (`fork`), each with its own image.

    Returns:
        one Prediction each, as `predict` of each alone.
    """
    return continue_together([(p, *p._continued(points, labels)) for p, points, labels in asked])


def continue_together(
    asked: Sequence[tuple[Predictor, State, Sequence[Click]]],
) -> list[Prediction]:
    """As `continue_from` for several objects, of one image or of several, with one pass.

    Args:
        asked: predictor, the state to continue from and all clicks of each object. Objects of one
            image may have one predictor; all have the same network and settings.

    Returns:
        one Prediction each, as `continue_from` of each alone.
    """
    views = [p._look(state, clicks) for p, state, clicks in asked]
    if not views:
        return []
    inside, known = asked[0][0]._run(views)
    return [
        p._answer(view, part[None], before)
        for (p, *_), view, part, before in zip(asked, views, inside, known, strict=True)
    ]


def _as_probability(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.shape != size:
        raise InputError(f"previous_mask has shape {mask.shape}, the image is {size}")
    mask = mask.astype(np.float32)
    if not np.isfinite(mask).all() or mask.min() < 0 or mask.max() > 1:
        raise InputError("previous_mask must be bool, or probability between 0 and 1")
    return mask
