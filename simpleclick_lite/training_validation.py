"""Seeing whether training works: the benchmark's robot on a small fixed set, and pictures of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch

from .clicks import Click
from .data import dataset_info, open_dataset
from .data.base import Sample
from .data.mixture import parse_mixture
from .data.records import Records
from .distributed import gather_lists
from .evaluation import Result, evaluate
from .model import SimpleClick
from .overlay import rgb
from .palette import NEGATIVE, POSITIVE
from .predictor import Predictor
from .training_config import TrainConfig
from .training_rounds import Share

PICTURE_SIDE = 160  # pixels of one picture


class Validation:
    """Fixed objects that the robot clicks on from time to time.

    Loss alone says little: it is measured on random clicks and falls while masks stay useless.

    Args:
        config: validation_data, validation_objects and validation_clicks are read.
        share: the objects are split over all processes.
        device: where the network runs.
    """

    def __init__(self, config: TrainConfig, share: Share, device: torch.device):
        self.config, self.share, self.device = config, share, device
        self._sets: dict[str, Records[Sample]] | None = None

    @property
    def sets(self) -> dict[str, Records[Sample]]:
        """The data sets, opened when first needed."""
        if self._sets is None:
            self._sets = {}
            for source in parse_mixture(self.config.validation_data, self.config.root):
                count = self.config.validation_objects
                info = dataset_info(source.name)
                options = {"length": count} if "length" in info.options else {}
                split = "val" if "val" in info.splits else None
                samples = open_dataset(source.name, source.root, split, **options)
                self._sets[source.name] = samples.limit(count)
        return self._sets

    def predictor(self, model: SimpleClick) -> Predictor:
        """Without mirror averaging, at the size of the training crops."""
        return Predictor(model, self.device, flip=False, crop_size=self.config.image_size)

    def run(self, model: SimpleClick) -> dict[str, list[float]]:
        """Every process takes its objects; all of them get the whole result.

        Returns:
            data set -> mean IoU after 1, 2, … clicks.
        """
        found = {}
        clicks = self.config.validation_clicks
        for name, samples in self.sets.items():
            mine = list(range(self.share.rank, len(samples), self.share.world))
            objects = []
            if mine:
                result = evaluate(
                    self.predictor(model), samples, clicks, indices=mine, progress=False
                )
                objects = list(zip(mine, result.objects, strict=True))
            objects = sorted(gather_lists(objects, self.share.world), key=lambda item: item[0])
            table = Result(
                [item for _, item in objects],
                {},
                max_clicks=clicks,
                mean_over_groups=name == "photos",
            )
            found[name] = [table.miou(k) for k in range(1, clicks + 1)]
        return found

    def picture(self, model: SimpleClick, count: int = 8) -> np.ndarray:
        """Rows of objects: image, clicks, prediction, truth.

        Returns:
            (rows * S, 2 * 4 * S, 3) uint8.
        """
        predictor = self.predictor(model)
        samples = [s for records in self.sets.values() for s in records.limit(count)][:count]
        cells = []
        for sample in samples:
            item = evaluate(predictor, [sample], 3, progress=False).objects[0]
            predictor.set_image(sample.image)
            for k in range(1, len(item.clicks) + 1):
                part = item.clicks[:k]
                answer = predictor.predict(
                    [(c.x, c.y) for c in part], [int(c.positive) for c in part]
                )
            cells.append(_row(sample, item.clicks, answer.mask))
        if len(cells) % 2:
            cells.append(np.full_like(cells[0], 255))
        return np.vstack([np.hstack(cells[i : i + 2]) for i in range(0, len(cells), 2)])


def _row(sample: Sample, clicks: Sequence[Click], mask: np.ndarray) -> np.ndarray:
    """Image, image with clicks, prediction, truth; each a square."""
    scale = PICTURE_SIDE / max(sample.image.shape[:2])
    size = tuple(max(1, round(v * scale)) for v in sample.image.shape[1::-1])
    image = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA)
    clicked = image.copy()
    for click in clicks:
        center = (round(click.x * scale), round(click.y * scale))
        cv2.circle(clicked, center, 5, (255, 255, 255), -1, cv2.LINE_AA)
        color = rgb(POSITIVE if click.positive else NEGATIVE)
        cv2.circle(clicked, center, 4, color, -1, cv2.LINE_AA)
    cells = [image, clicked]
    for region in (mask, sample.mask == 1):
        small = cv2.resize(region.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        cells.append(np.where(small[..., None] > 0, image, (image // 4)))
    canvas = [np.full((PICTURE_SIDE, PICTURE_SIDE, 3), 255, np.uint8) for _ in cells]
    for place, cell in zip(canvas, cells, strict=True):
        place[: cell.shape[0], : cell.shape[1]] = cell
    return np.hstack(canvas)


def describe(validation: Mapping[str, Sequence[float]]) -> str:
    """One line: mIoU after 1, 3 and the last click of every set."""
    parts = []
    for name, values in validation.items():
        chosen = sorted({1, 3, len(values)} & set(range(1, len(values) + 1)))
        parts.append(name + " " + " ".join(f"mIoU@{k} {values[k - 1]:.3f}" for k in chosen))
    return "; ".join(parts)
