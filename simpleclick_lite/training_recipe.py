"""The stages of the shipped weights: what each changes in the preset `scratch`.

How well each did, and what else was tried, is in simpleclick_lite/weights/README.md. The data
sets' folders are inside `root`, named as there.
"""

from __future__ import annotations

from typing import Any

_DATA = (
    "synthetic:{drawn},coco_mval=COCO_MVal:3,coco_mini=coco_mini:3,bsds_regions=BSDS_regions:2,"
    "ccp=CCP:1.5,pets=pets:1.5,nuclei=nuclei:0.3"
)
_ALL: dict[str, Any] = {
    "data": _DATA.format(drawn=0.5),
    "min_area": 500,
    "parts": 0.15,
    "rounds": 2,
    "precision": "bf16",
    "validation_data": "coco_mval=COCO_MVal",
    "validation_objects": 80,
    "validation_clicks": 10,
    "validate_every": 500,
    "checkpoint_every": 200,
}
# One or two CPU cores: small inputs first.
_CPU = {
    "shipped_1": {
        "data": _DATA.format(drawn=1),
        "image_size": 112,
        "steps": 2400,
        "warmup": 200,
        "ema": 0.998,
        "rounds": 1,
        "carry": False,
        "precision": "no",
    },
    "shipped_2": {
        "data": _DATA.format(drawn=1),
        "image_size": 160,
        "steps": 550,
        "lr": 6e-4,
        "warmup": 20,
        "ema": 0.995,
        "rounds": 1,
        "precision": "no",
    },
    "shipped_3": {
        "image_size": 128,
        "steps": 2000,
        "lr": 8e-4,
        "warmup": 50,
        "ema": 0.998,
        "distill": 1.0,
    },
    "shipped_4": {
        "image_size": 224,
        "model_size": 224,
        "steps": 650,
        "lr": 5e-4,
        "warmup": 30,
        "ema": 0.997,
    },
    "shipped_5": {
        "image_size": 224,
        "model_size": 224,
        "steps": 1900,
        "lr": 6e-4,
        "warmup": 40,
        "ema": 0.998,
    },
    "shipped_6": {
        "image_size": 320,
        "model_size": 320,
        "steps": 1400,
        "lr": 5e-4,
        "warmup": 40,
        "ema": 0.998,
        "seed": 7,
    },
    "shipped_7": {
        "image_size": 320,
        "model_size": 320,
        "steps": 1900,
        "lr": 5e-4,
        "warmup": 40,
        "ema": 0.998,
        "seed": 8,
        "start_share": 0.35,
    },
    "shipped_8": {
        "image_size": 448,
        "model_size": 448,
        "steps": 700,
        "lr": 5e-4,
        "warmup": 30,
        "ema": 0.997,
        "seed": 9,
    },
    "shipped_9": {
        "image_size": 448,
        "model_size": 448,
        "steps": 900,
        "lr": 4e-4,
        "warmup": 30,
        "ema": 0.997,
        "seed": 10,
        "start_share": 0.35,
    },
}
# The same from random weights where a GPU is at hand: some 1.4 million samples. Without the
# teacher, which brought nothing measurable in stage 3 (table in the model card). Another seed in
# each stage: a sample depends on seed and number alone, so one seed would repeat the same crops.
_GPU = {
    "shipped_gpu_1": {"image_size": 128, "batch_size": 128, "steps": 8000},
    "shipped_gpu_2": {"image_size": 224, "batch_size": 64, "steps": 4000, "lr": 5e-4, "seed": 1},
    "shipped_gpu_3": {
        "image_size": 448,
        "model_size": 448,
        "batch_size": 32,
        "steps": 3000,
        "lr": 3e-4,
        "seed": 2,
    },
}

CPU_STAGES: dict[str, dict[str, Any]] = {name: _ALL | stage for name, stage in _CPU.items()}
GPU_STAGES: dict[str, dict[str, Any]] = {
    name: _ALL | {"workers": 14} | stage for name, stage in _GPU.items()
}
