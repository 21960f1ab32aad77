"""Pretrain xtiny as a masked autoencoder on the photographs of the shipped weights' data.

    python benchmarks/masked_pretraining.py --root DATASETS --out ENCODER.pth [--steps 1200]
    simpleclick-lite train … --weights ENCODER.pth --model-size 128 …
    python benchmarks/weights_experiments.py GROUP "NAME=RUN"

The paper's backbones start from MAE on ImageNet. Here there are a few thousand photographs, the
same ones that the click training sees (no held-out ones, no masks). 128 crops of 128 pixels a step:
of 64 patches 16 stay visible, so that the encoder sees a quarter of the tokens.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from simpleclick_lite.data import dataset_info, open_scenes
from simpleclick_lite.data.mixture import parse_mixture
from simpleclick_lite.errors import InputError
from simpleclick_lite.mae import MaskedAutoencoder, pretrain, save_encoder
from simpleclick_lite.model import PRESETS, SimpleClick
from simpleclick_lite.training import preset

SIDE = 128  # pixels of a crop
KEPT = 192  # pixels of a photograph's shorter side
BATCH = 128
LEAST = 0.2  # share of a photograph that a crop shows at least
CROP = 20  # key of the randomness of crops


def photographs(root: str) -> list[np.ndarray]:
    """All photographs of the click training, (H, W, 3) uint8, their shorter side KEPT pixels."""
    found = []
    for source in parse_mixture(preset("shipped_3").data, root):
        if source.name == "synthetic":
            continue
        split = "train" if "train" in dataset_info(source.name).splits else None
        scenes = open_scenes(source.name, source.root, split)
        for index in tqdm(range(len(scenes)), desc=source.name, unit="scene"):
            try:
                image = scenes[index].image
            except InputError as error:
                tqdm.write(str(error))
                continue
            scale = KEPT / min(image.shape[:2])
            size = [round(side * scale) for side in image.shape[1::-1]]
            found.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return found


def random_crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: what `random_box` chose of an image (H, W, 3)."""
    x, y, w, h = random_box(*image.shape[:2], rng)
    return cv2.resize(image[y : y + h, x : x + w], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


def random_box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """x, y, width, height in pixels of LEAST to all of the area, up to 4:3 either way; what
    reaches beyond the photograph is cut off."""
    area = rng.uniform(LEAST, 1) * height * width
    ratio = math.exp(rng.uniform(-1, 1) * math.log(4 / 3))
    w = min(width, round(math.sqrt(area * ratio)))
    h = min(height, round(math.sqrt(area / ratio)))
    return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h


def main() -> None:
    """Read the photographs, pretrain, write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of the data sets")
    parser.add_argument("--out", required=True, help="the encoder, a .pth file")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    images = photographs(args.root)
    print(f"{len(images)} photographs, {sum(i.nbytes for i in images) / 2**20:.0f} MB")

    def crops(step: int) -> Tensor:
        rng = np.random.default_rng((args.seed, CROP, step))
        chosen = rng.integers(len(images), size=BATCH)
        made = np.stack([random_crop(images[i], rng) for i in chosen])
        return torch.from_numpy(made).permute(0, 3, 1, 2).float() / 255

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        network = SimpleClick(replace(PRESETS["xtiny"], image_size=SIDE))
        mae = MaskedAutoencoder(network.embedding.image, network.backbone, width=96, heads=3)
    losses = pretrain(mae, crops, args.steps, seed=args.seed, progress=True)
    save_encoder(mae, args.out)
    tail = losses[-50:]
    print(f"loss {losses[0]:.3f} at first, {sum(tail) / len(tail):.3f} over the last {len(tail)}")


if __name__ == "__main__":
    main()
