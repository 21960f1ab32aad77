"""Training samples from scenes: which object, which crop, which start clicks.

Explained in notebooks/09_training.ipynb. Sample number i is a function of (seed, i) and of the data
alone: it does not matter which process or loader worker makes it, or what was made before, so a
resumed run and a run on other hardware see the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from ..clicks import Click, pad_clicks
from ..errors import InputError
from ..simulation import start_clicks
from . import dataset_info, open_scenes
from .augmentation import pipeline
from .cache import CachedScene, SceneCache
from .copy_paste import paste
from .mixture import Source
from .wear import worn

TRIES = 10  # augmentations drawn for one sample before another scene is taken


@dataclass(frozen=True)
class SamplingConfig:
    """How a training sample is drawn from a scene; the defaults are the published ones."""

    augmentation: str = "zoom"  # zoom | sbd | cocolvis | none
    image_size: int = 448  # side of the square sample in pixels
    min_area: float = 1000  # pixels in the sample; smaller objects are no targets
    least_fill: float = 0.0  # objects that fill less of their box are left out (SBD: 0.08)
    merge: float = 0.15  # probability that two objects together are the target
    background: float = 0.05  # probability that a crop without any object is kept
    stuff: float = 0.30  # probability that regions (sky, grass) are candidates too
    parts: float = 0.0  # probability that parts of objects are candidates too
    blur: float = 0.0  # probability of a blurred sample
    jpeg: float = 0.0  # probability of one with the traces of JPEG
    paste: float = 0.0  # probability that the target is put onto another photograph
    max_clicks: int = 24  # start clicks of each sign
    gamma: float = 0.8  # how fast longer sets of start clicks get rarer
    reuse: int = 4  # samples taken from each synthetic scene (drawing one costs more than a crop)


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """One sample of a batch, before it becomes tensors.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        target: (S, S) int8; 1 object, 0 background, -1 ignored.
        clicks: the start set.
        index: the sample's number; together with the seed it fixes all of the sample's randomness.
        source: name of the scene.
    """

    image: np.ndarray
    target: np.ndarray
    clicks: list[Click]
    index: int
    source: str


@dataclass
class Batch:
    """Tensors of B samples."""

    image: Tensor  # (B, 3, S, S) uint8
    target: Tensor  # (B, 1, S, S) int8
    points: Tensor  # (B, N, 2) float32
    labels: Tensor  # (B, N) int64
    index: list[int]  # the samples' numbers
    source: list[str]  # names of their scenes
    previous: Tensor | None = None  # (B, 1, S, S) probability after the last click

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from where a GPU can fetch it (called by DataLoader)."""
        return replace(
            self, **{k: v.pin_memory() for k, v in vars(self).items() if isinstance(v, Tensor)}
        )


def collate(samples: Sequence[TrainingSample]) -> Batch:
    """Stack samples; clicks are padded to the longest set."""
    points, labels = pad_clicks([s.clicks for s in samples])
    image = np.stack([s.image for s in samples])
    return Batch(
        image=torch.from_numpy(image).permute(0, 3, 1, 2),  # stays channels-last in memory
        target=torch.from_numpy(np.stack([s.target for s in samples]))[:, None],
        points=points,
        labels=labels,
        index=[s.index for s in samples],
        source=[s.source for s in samples],
    )


class TrainingSamples(Dataset):
    """Endless training samples from a mixture of data sets.

    Args:
        sources: data sets with weights; each sample's set is drawn by weight.
        config: how samples are drawn.
        seed: another seed gives another stream of samples.
        short_side: photographs are resized once so that their shorter side is at most this.
        cache_bytes: memory for decoded scenes, over all sets.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        config: SamplingConfig,
        seed: int = 0,
        short_side: int | None = None,
        cache_bytes: int = 0,
    ):
        self.config = config
        self.seed = seed
        weights = np.array([s.weight for s in sources])
        self.weights = weights / weights.sum()
        self.sets = [self._open(s, short_side, cache_bytes // len(sources)) for s in sources]

    def _open(self, source: Source, short_side: int | None, limit: int) -> SceneCache:
        info = dataset_info(source.name)
        split = "train" if "train" in info.splits else None
        options = {"seed": self.seed} if "seed" in info.options else {}
        if source.name == "synthetic":
            options["size"] = min(224, round(1.25 * self.config.image_size))
            limit = 0  # endless: no scene comes twice
        return SceneCache(
            open_scenes(source.name, source.root, split, **options), short_side, limit
        )

    def __len__(self) -> int:
        return sum(len(s) for s in self.sets)

    def rng(self, index: int) -> np.random.Generator:
        """The sample's own source of randomness."""
        return np.random.default_rng((self.seed, 0, index))

    def __getitem__(self, index: int) -> TrainingSample:
        """Sample number `index`, any number from 0.

        Raises:
            InputError: no scene can be read, or no object is ever large enough.
        """
        rng = self.rng(index)
        for _ in range(20):
            made = draw_sample(self._scene(index, rng), self.config, rng)
            if made is None:
                continue
            augmented, target, others = made
            image = augmented.image
            if self.config.paste and rng.random() < self.config.paste:
                image, target, others = self._pasted(image, target, others, index, rng)
            image = worn(image, self.config.blur, self.config.jpeg, rng)
            clicks = start_clicks(target, others, rng, self.config.max_clicks, self.config.gamma)
            if clicks:
                return TrainingSample(image, target, clicks, index, augmented.name)
        raise InputError(
            "20 scenes in a row held no object large enough for training; "
            "lower min_area or check the data"
        )

    def _scene(self, index: int, rng: np.random.Generator) -> CachedScene:
        chosen = int(rng.choice(len(self.sets), p=self.weights))
        scenes = self.sets[chosen]
        number = int(rng.integers(len(scenes)))
        if scenes.scenes.dataset.name == "synthetic":
            number = index // self.config.reuse  # an endless set: fresh scenes all the time
        return scenes[number]

    def _pasted(
        self,
        image: np.ndarray,
        target: np.ndarray,
        others: np.ndarray,
        index: int,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sample before another photograph, or as it is where it does not fit one."""
        other = self._scene(index + self.config.reuse, rng)  # of an endless set the next scene
        behind = augment(other, self.config, None, rng)
        taken = _others(behind, np.zeros_like(target))
        found = paste(image, target, behind.image, taken, behind.ignored, rng)
        return (image, target, others) if found is None else found


def augment(
    scene: CachedScene, config: SamplingConfig, wanted: int | None, rng: np.random.Generator
) -> CachedScene:
    """The scene after a random augmentation, (S, S) pixels; its areas are counted anew.

    Args:
        scene: what to augment.
        config: `augmentation` and `image_size` are read.
        wanted: the object a zooming crop should show.
        rng: source of randomness.
    """
    layers = scene.layers
    if scene.ignored is not None:
        layers = np.concatenate([layers, scene.ignored[..., None].view(np.uint8)], -1)
    given = {
        "image": tv_tensors.Image(torch.from_numpy(scene.image).permute(2, 0, 1)),
        "layers": tv_tensors.Mask(torch.from_numpy(layers).permute(2, 0, 1)),
        "rng": rng,
    }
    if wanted is not None:
        given["box"] = tv_tensors.BoundingBoxes(
            scene.boxes[wanted][None], format="XYXY", canvas_size=scene.image.shape[:2]
        )
    made = pipeline(config.augmentation, config.image_size)(given)
    layers = made["layers"].permute(1, 2, 0).numpy()
    ignored = None
    if scene.ignored is not None:
        layers, ignored = layers[..., :-1], layers[..., -1] > 0
    planes = np.empty((layers.shape[2], *layers.shape[:2]), np.uint8)  # each layer in one piece
    for i, plane in enumerate(planes):
        cv2.extractChannel(layers, i, plane)
    layers = planes.transpose(1, 2, 0)
    counts = [  # float32, exact up to 16 million pixels; its shape depends on OpenCV's version
        cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel() for plane in planes
    ]
    areas = np.int64(counts)[scene.layer, scene.label] if counts else scene.areas
    image = np.ascontiguousarray(made["image"].permute(1, 2, 0).numpy())
    return replace(scene, image=image, layers=layers, ignored=ignored, areas=areas)


def draw_sample(
    scene: CachedScene, config: SamplingConfig, rng: np.random.Generator
) -> tuple[CachedScene, np.ndarray, np.ndarray] | None:
    """Augment a scene and choose what is to be found in it.

    As published, an augmentation without any object is drawn again, except with probability
    `background`: then nothing is to be found, and all clicks are negative. Objects under `min_area`
    are left out before that test. (The published code leaves them out after it, so that some of
    its samples have an empty target by accident; ours have not.)

    Returns:
        the augmented scene, the target (S, S) int8 and the other objects (S, S) bool; None if the
        scene has nothing that is large enough.
    """
    able = candidates(scene, config, rng)
    for _ in range(TRIES):
        wanted = int(rng.choice(able)) if len(able) else None
        augmented = augment(scene, config, wanted, rng)
        visible = [k for k in able if augmented.areas[k] >= config.min_area]
        if not visible:
            if rng.random() < config.background:
                target = np.zeros(augmented.layers.shape[:2], np.int8)
                _ignore(augmented, target)
                return augmented, target, _others(augmented, target)
            continue
        chosen = [wanted if wanted in visible else int(rng.choice(visible))]
        if len(visible) > 1 and rng.random() < config.merge:
            chosen.append(int(rng.choice([k for k in visible if k != chosen[0]])))
        target = augmented.mask(chosen[0]).view(np.int8)
        for k in chosen[1:]:
            target |= augmented.mask(k)
        _ignore(augmented, target)
        return augmented, target, _others(augmented, target)
    return None


def candidates(scene: CachedScene, config: SamplingConfig, rng: np.random.Generator) -> np.ndarray:
    """Indices of the objects that may be targets this time: things, sometimes stuff and parts."""
    kinds = {"thing", "region"}
    if rng.random() < config.stuff:
        kinds.add("stuff")
    if rng.random() < config.parts:
        kinds.add("part")
    boxes = scene.boxes
    space = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    fits = (scene.areas > 0) & (scene.areas >= config.least_fill * space)
    return np.array([k for k in np.flatnonzero(fits) if scene.kinds[k] in kinds], np.int64)


def _others(scene: CachedScene, target: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of any object that are not in the target."""
    first, *more = scene.layers.transpose(2, 0, 1) if len(scene) else [np.zeros_like(target)]
    taken = first != 0
    for layer in more:  # any(-1) would take twenty times as long
        taken |= layer != 0
    return taken & (target == 0)


def _ignore(augmented: CachedScene, target: np.ndarray) -> None:
    if augmented.ignored is not None:
        target[augmented.ignored & (target == 0)] = -1
