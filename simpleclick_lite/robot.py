"""Let the robot click on one object, or on several at once.

Used by evaluation.py. Several at once share a pass of the network or have a thread each; every
object keeps its own clicks, crop and previous mask, so that its answers are those it gets alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from copy import copy
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch

from .clicks import Click
from .data import Sample
from .errors import InputError
from .predictor import Predictor, predict_together
from .simulation import robot_click


class Segmenter(Protocol):
    """What `evaluate` needs: a Predictor, or one of the baselines."""

    def set_image(self, image: np.ndarray) -> None: ...

    def predict(self, points: Sequence[Sequence[float]], labels: Sequence[int]) -> Any: ...


@dataclass(frozen=True)
class ObjectResult:
    """What one object took.

    Attributes:
        name: the sample's name.
        ious: IoU after click 1, 2, …
        clicks: the robot's clicks.
        seconds: time of all predictions together.
    """

    name: str
    ious: list[float]
    clicks: list[Click]
    seconds: float

    def as_dict(self) -> dict:
        """Plain values for JSON; a click is [x, y, 1 or 0]."""
        clicks = [[c.x, c.y, int(c.positive)] for c in self.clicks]
        ious = [round(v, 6) for v in self.ious]
        return {"name": self.name, "iou": ious, "clicks": clicks, "seconds": self.seconds}

    @staticmethod
    def from_dict(data: dict) -> ObjectResult:
        """Undo `as_dict`."""
        clicks = [Click(x, y, bool(label)) for x, y, label in data["clicks"]]
        return ObjectResult(data["name"], data["iou"], clicks, data["seconds"])


def intersection_over_union(mask: np.ndarray, truth: np.ndarray) -> float:
    """IoU without the ignored pixels.

    Args:
        mask: (H, W) bool.
        truth: (H, W) int8, 1 object, 0 background, -1 ignored.

    Returns:
        0 … 1; two empty masks agree, which is 1.
    """
    counted, wanted = truth != -1, truth == 1
    union = ((mask | wanted) & counted).sum()
    return float((mask & wanted & counted).sum() / union) if union else 1.0


class _Clicking:
    """One object on its way: the robot's clicks and what became of them."""

    def __init__(self, segmenter: Segmenter, sample: Sample) -> None:
        self.segmenter, self.sample = segmenter, sample
        self.mask = np.zeros(sample.mask.shape, bool)
        self.clicks: list[Click] = []
        self.ious: list[float] = []
        self.seconds = 0.0
        segmenter.set_image(sample.image)

    def click(self) -> tuple[list[tuple[float, float]], list[int]]:
        """One click more; points and labels of all clicks."""
        self.clicks.append(robot_click(self.mask, self.sample.mask, self.clicks))
        return [(c.x, c.y) for c in self.clicks], [int(c.positive) for c in self.clicks]

    def take(self, mask: np.ndarray, seconds: float) -> None:
        """Note the answer to the last click."""
        self.mask = mask
        self.seconds += seconds
        self.ious.append(intersection_over_union(mask, self.sample.mask))

    def done(self, max_clicks: int, stop_iou: float | None) -> bool:
        """Whether no further click follows."""
        good = stop_iou is not None and self.ious and self.ious[-1] >= stop_iou
        return len(self.clicks) >= max_clicks or bool(good)

    def result(self) -> ObjectResult:
        return ObjectResult(self.sample.name, self.ious, self.clicks, round(self.seconds, 4))


def evaluate_object(
    predictor: Segmenter, sample: Sample, max_clicks: int = 20, stop_iou: float | None = None
) -> ObjectResult:
    """Let the robot click on one object.

    Args:
        predictor: gets the image, then all clicks each time.
        sample: image (H, W, 3) and mask (H, W).
        max_clicks: give up after so many.
        stop_iou: stop earlier once the IoU is reached.
    """
    clicking = _Clicking(predictor, sample)
    while not clicking.done(max_clicks, stop_iou):
        points, labels = clicking.click()
        start = time.perf_counter()
        answer = predictor.predict(points, labels)
        clicking.take(answer.mask, time.perf_counter() - start)
    return clicking.result()


def evaluate_objects(
    predictor: Segmenter,
    samples: Iterable[tuple[str, Sample]],
    max_clicks: int = 20,
    stop_iou: float | None = None,
    batch_size: int = 1,
    jobs: int = 1,
) -> Iterator[tuple[str, ObjectResult]]:
    """Let the robot click on many objects, several at a time.

    As soon as an object is done the next takes its place. A batch is what a GPU is quick with; on a
    CPU `jobs` is quicker, since a thread that sees one object through waits for nobody.

    Args:
        predictor: a Predictor; with `batch_size` 1 a baseline, too.
        samples: a name of the caller's choice, and the object.
        max_clicks, stop_iou: as for `evaluate_object`.
        batch_size: objects that share a pass of the network.
        jobs: threads, each with an object and one core of its own.

    Yields:
        name and result, in the order in which objects are done.

    Raises:
        InputError: a baseline and a batch of more than one.
    """
    if jobs > 1:
        yield from _in_threads(predictor, samples, max_clicks, stop_iou, jobs)
        return
    if batch_size == 1:
        for name, sample in samples:
            yield name, evaluate_object(predictor, sample, max_clicks, stop_iou)
        return
    if not isinstance(predictor, Predictor):
        raise InputError("only a network answers several objects at once; use a batch size of 1")
    waiting = iter(samples)
    running: list[tuple[str, _Clicking]] = []
    while True:
        for name, sample in islice(waiting, batch_size - len(running)):
            running.append((name, _Clicking(predictor.fork(), sample)))
        if not running:
            return
        asked = [(clicking.segmenter, *clicking.click()) for _, clicking in running]
        start = time.perf_counter()
        answers = predict_together(asked)
        share = (time.perf_counter() - start) / len(running)
        for (_, clicking), answer in zip(running, answers, strict=True):
            clicking.take(answer.mask, share)
        for name, clicking in running:
            if clicking.done(max_clicks, stop_iou):
                yield name, clicking.result()
        running = [r for r in running if not r[1].done(max_clicks, stop_iou)]


def _in_threads(
    predictor: Segmenter,
    samples: Iterable[tuple[str, Sample]],
    max_clicks: int,
    stop_iou: float | None,
    jobs: int,
) -> Iterator[tuple[str, ObjectResult]]:
    """As `evaluate_objects`; samples are read in the calling thread, no more than needed."""
    waiting, running = iter(samples), {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a core each; read by new threads
    pool = ThreadPoolExecutor(jobs)
    try:
        while True:
            for name, sample in islice(waiting, jobs - len(running)):
                fork = predictor.fork() if isinstance(predictor, Predictor) else copy(predictor)
                task = pool.submit(evaluate_object, fork, sample, max_clicks, stop_iou)
                running[task] = name
            if not running:
                return
            for task in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(task), task.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
