"""Whether the exported network gives the masks of PyTorch, on every object of `photos`.

    python benchmarks/onnx_photos.py [--clicks 3] [--resume]

The robot clicks on each object; both answer with crop, mirror image and previous mask, each
continuing from its own last answer, so that differences could add up. The result is the share of
pixels in which the two masks differ, per object and click; an interrupted run goes on with
--resume.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from tqdm import tqdm

from simpleclick_lite.checkpoint import SHIPPED, load_model
from simpleclick_lite.data import Sample, open_dataset
from simpleclick_lite.files import atomic_path, write_json
from simpleclick_lite.onnx_export import OnnxModel, export_onnx
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.simulation import robot_click

RESULT = Path(__file__).parent / "results" / "onnx_photos.json"
ALLOWED = 0.001  # share of pixels


def compare(predictors: tuple[Predictor, Predictor], sample: Sample, clicks: int) -> list[float]:
    """Share of differing pixels after each click of the robot, who watches the first predictor."""
    for predictor in predictors:
        predictor.set_image(sample.image)
    mask = np.zeros(sample.mask.shape, bool)
    given, shares = [], []
    for _ in range(clicks):
        given.append(robot_click(mask, sample.mask, given))
        points, labels = [(c.x, c.y) for c in given], [int(c.positive) for c in given]
        mask, other = (p.predict(points, labels).mask for p in predictors)
        shares.append(float((mask != other).mean()))
    return shares


def run(clicks: int, resume: bool = False) -> dict:
    """Measure, and write the result."""
    digest = hashlib.sha256((SHIPPED / "model.safetensors").read_bytes()).hexdigest()[:16]
    samples = open_dataset("photos")
    log = RESULT.parents[2] / "runs" / "report" / f"onnx_photos_{digest}_{clicks}.json"
    done = json.loads(log.read_text(encoding="utf-8")) if resume and log.exists() else {}
    model = load_model()
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(model, Path(folder) / "shipped.onnx")
        megabytes = path.stat().st_size / 1e6
        exported = OnnxModel(path, threads=torch.get_num_threads())
        predictors = Predictor(model, "cpu"), Predictor(exported, "cpu")
        for index, name in enumerate(tqdm(samples.names, unit="object")):
            if name not in done:
                done[name] = compare(predictors, samples[index], clicks)
                write_json(log, done)
    shares = np.array([done[name] for name in samples.names])
    result = {
        "command": f"python benchmarks/onnx_photos.py --clicks {clicks}",
        "data": f"photos, {len(samples)} objects, {clicks} clicks of the robot each",
        "settings": {"weights_sha256": digest, "input": model.config.image_size},
        "versions": f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}",
        "file_megabytes": round(megabytes, 1),
        "allowed_share": ALLOWED,
        "largest_share": float(shares.max()),
        "masks": int(shares.size),
        "masks_that_differ": int((shares > 0).sum()),
        "masks_over_allowed": int((shares > ALLOWED).sum()),
        "objects": {name: done[name] for name in samples.names},
    }
    with atomic_path(RESULT) as temporary:
        temporary.write_text(_compact(result), encoding="utf-8")
    return result


def _compact(result: dict) -> str:
    """JSON with one line per key and per object."""
    lines = []
    for key, value in result.items():
        text = json.dumps(value)
        if key == "objects":
            rows = (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            text = "{\n" + ",\n".join(rows) + "\n }"
        lines.append(f' "{key}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=3, help="of the robot on each object")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    args = parser.parse_args()
    result = run(args.clicks, args.resume)
    print({k: v for k, v in result.items() if k != "objects"})


if __name__ == "__main__":
    main()
