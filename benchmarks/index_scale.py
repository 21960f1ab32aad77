"""What an index as large as COCO+LVIS costs in time and memory, also in loader workers.

    python benchmarks/index_scale.py [--images 118000] [--objects 2500000] [--json OUT]

The index is generated (drawn shapes at 640 x 480), measured in fresh processes, and removed.
Resident memory counts the pages of mapped files too, which all processes share and the system may
drop; own memory leaves them out. The ratio is to decoding one JPEG of 640 x 480.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from simpleclick_lite.data import Records
from simpleclick_lite.data.index import (
    IndexedImage,
    IndexedObject,
    encode_mask,
    open_index,
    write_index,
)
from simpleclick_lite.data.shapes import random_shape
from simpleclick_lite.files import write_json

HEIGHT, WIDTH = 480, 640


def shapes(count: int) -> list[IndexedObject]:
    """Drawn objects of all sizes, encoded."""
    rng = np.random.default_rng(0)
    found = []
    while len(found) < count:
        center = rng.uniform(0, WIDTH, 2)
        radius = np.exp(rng.uniform(np.log(5), np.log(200)))
        parts = random_shape(rng, WIDTH, center, radius)
        entry = encode_mask(np.max(parts, axis=0)[:HEIGHT] > 127)
        if entry is not None:
            found.append(entry)
    return found


def generate(images: int, objects: int) -> Iterator[IndexedImage]:
    """Images with as many objects as COCO+LVIS has on average: few on most, many on some."""
    rng = np.random.default_rng(1)
    bank = shapes(1500)
    share = rng.gamma(1.2, 1, images)
    counts = np.diff(np.round(np.concatenate([[0], np.cumsum(share)]) / share.sum() * objects))
    for i, count in enumerate(counts.astype(int)):
        chosen = [bank[k] for k in rng.integers(0, len(bank), count)]
        yield IndexedImage(i, f"train2017/{i:012d}.jpg", HEIGHT, WIDTH, chosen)


def memory_mb(what: str) -> float:
    """ "Rss" (resident) or "Anonymous" (own) memory of this process in MB; Linux only."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(what + ":")) / 1024


def walk(scenes: Records, seed: int, count: int) -> float:
    """Open scenes at random and decode one mask of each; milliseconds per scene."""
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    for number in rng.integers(0, len(scenes), count).tolist():
        scene = scenes[number]
        if len(scene):
            scene._objects()[int(rng.integers(0, len(scene)))]
            _ = scene.kinds, scene.parents
    return (time.perf_counter() - start) / count * 1e3


def worker(scenes: Records, seed: int, results: multiprocessing.Queue) -> None:
    """A loader worker: what it adds to the memory by walking through the index."""
    before = memory_mb("Anonymous")
    milliseconds = walk(scenes, seed, 3000)
    results.put((memory_mb("Anonymous") - before, milliseconds))


def measure(folder: Path) -> dict:
    """In a fresh process: open, walk, start workers."""
    before = memory_mb("Anonymous")
    start = time.perf_counter()
    scenes = open_index("index", folder, [folder])
    opened = time.perf_counter() - start
    milliseconds = walk(scenes, 0, 5000)
    own, resident = memory_mb("Anonymous") - before, memory_mb("Rss")
    start = time.perf_counter()
    every = masks = 0
    for number in range(0, len(scenes), max(1, len(scenes) // 300)):
        objects = scenes[number]._objects()
        begin = time.perf_counter()
        for i in range(len(objects)):
            objects[i]
        every += time.perf_counter() - begin
        masks += len(objects)
    noise = cv2.blur(
        np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), (9, 9)
    )
    jpeg = cv2.imencode(".jpg", noise)[1]
    start = time.perf_counter()
    for _ in range(50):
        cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    decode = (time.perf_counter() - start) / 50 * 1e3

    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=worker, args=(scenes, i, results)) for i in range(2)]
    for process in workers:
        process.start()
    added = [results.get() for _ in workers]
    for process in workers:
        process.join()
    return {
        "seconds_to_open": round(opened, 3),
        "main_process_resident_mb": round(resident, 1),
        "main_process_own_added_mb": round(own, 1),
        "worker_own_added_mb": [round(mb, 1) for mb, _ in added],
        "milliseconds_per_scene": round(milliseconds, 3),
        "scene_over_jpeg": round(milliseconds / decode, 3),
        "milliseconds_per_mask": round(every / masks * 1e3, 3),
    }


def main() -> None:
    """Generate, measure in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=118_000)
    parser.add_argument("--objects", type=int, default=2_500_000)
    parser.add_argument("--folder", type=Path, default=None, help="where the index may lie for now")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--measure", type=Path, default=None, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    cv2.setNumThreads(1)
    if settings.measure:
        print(json.dumps(measure(settings.measure)))
        return
    with tempfile.TemporaryDirectory(dir=settings.folder) as temporary:
        folder = Path(temporary) / "index"
        start = time.perf_counter()
        result = write_index(folder, generate(settings.images, settings.objects), ["generated"])
        result["seconds_to_write"] = round(time.perf_counter() - start, 1)
        result["disk_mb"] = round(sum(p.stat().st_size for p in folder.iterdir()) / 2**20, 1)
        command = [sys.executable, __file__, "--measure", str(folder)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr)
        result |= json.loads(run.stdout)
    for key, value in result.items():
        print(f"{key:24} {value}")
    if settings.json:
        write_json(settings.json, result)


if __name__ == "__main__":
    main()
