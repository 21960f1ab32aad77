"""Measure with a simulated user: number of clicks (NoC), mIoU after k clicks, failures, seconds.

Explained in notebooks/10_evaluation.ipynb; section 4 of the paper. A robot clicks the center of the
largest error until the mask is good enough or 20 clicks are spent. NoC@90 is the mean number of
clicks that IoU 0.90 takes, with 20 for objects that never get there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .data import DATASETS, Sample
from .errors import InputError
from .files import write_json
from .robot import (  # two of them for those who measure one object by hand
    ObjectResult,
    Segmenter,
    evaluate_object,  # noqa: F401
    evaluate_objects,
    intersection_over_union,  # noqa: F401
)

THRESHOLDS = (0.80, 0.85, 0.90)


@dataclass
class Result:
    """All objects of one evaluation, and the numbers made of them.

    Attributes:
        objects: one entry per object, in the data set's order.
        settings: how it was measured; goes into the JSON.
        skipped: what could not be read, one sentence each.
        max_clicks: clicks after which an object counts as a failure.
        mean_over_groups: average the objects of a photograph first (name before '/').
    """

    objects: list[ObjectResult]
    settings: dict[str, Any]
    skipped: list[str] = field(default_factory=list)
    max_clicks: int = 20
    mean_over_groups: bool = False

    def _mean(self, values: Sequence[float]) -> float:
        if not values:
            return float("nan")
        if not self.mean_over_groups:
            return float(np.mean(values))
        groups: dict[str, list[float]] = {}
        for item, value in zip(self.objects, values, strict=True):
            groups.setdefault(item.name.split("/")[0], []).append(value)
        return float(np.mean([np.mean(group) for group in groups.values()]))

    def clicks_needed(self, threshold: float) -> list[int | None]:
        """Per object the first click with IoU >= threshold, None where none reached it."""
        return [
            next((k for k, iou in enumerate(item.ious, 1) if iou >= threshold), None)
            for item in self.objects
        ]

    def noc(self, threshold: float) -> float:
        """Mean number of clicks to reach an IoU; a failure counts as `max_clicks`."""
        return self._mean([k or self.max_clicks for k in self.clicks_needed(threshold)])

    def failures(self, threshold: float) -> int:
        """How many objects never reached the IoU."""
        return sum(k is None for k in self.clicks_needed(threshold))

    def miou(self, k: int) -> float:
        """Mean IoU after k clicks (k from 1); not a number if runs stopped before click k."""
        if any(len(item.ious) < k for item in self.objects):
            return float("nan")
        return self._mean([item.ious[k - 1] for item in self.objects])

    @property
    def seconds_per_click(self) -> float:
        """Median over objects of the seconds a prediction took."""
        times = [item.seconds / len(item.ious) for item in self.objects if item.ious]
        return float(np.median(times)) if times else float("nan")

    def as_dict(self) -> dict:
        """The JSON of the public contract."""
        complete = all(len(item.ious) >= self.max_clicks for item in self.objects)
        return {
            **{f"noc{round(t * 100)}": self.noc(t) for t in THRESHOLDS},
            "miou": [self.miou(k) for k in range(1, self.max_clicks + 1)] if complete else [],
            "failures85": self.failures(0.85),
            "failures90": self.failures(0.90),
            "seconds_per_click": self.seconds_per_click,
            "settings": self.settings | {"number_of_objects": len(self.objects)},
            "skipped": self.skipped,
            "objects": [item.as_dict() for item in self.objects],
        }

    def to_json(self, path: str | Path) -> None:
        """Write the result; keys noc80, noc85, noc90, miou, failures85, failures90, …"""
        write_json(path, self.as_dict())

    def table(self, clicks: Iterable[int] = (1, 2, 3, 5, 10, 20)) -> str:
        """The numbers as a Markdown table, with mIoU after each of these clicks."""
        ks = [k for k in clicks if k <= self.max_clicks]
        rows = [
            ("objects", f"{len(self.objects)}"),
            *((f"NoC@{round(t * 100)}", f"{self.noc(t):.2f}") for t in THRESHOLDS),
            *((f"mIoU@{k}", f"{self.miou(k):.3f}") for k in ks if self.miou(k) == self.miou(k)),
            ("failures at IoU 0.85", f"{self.failures(0.85)}"),
            ("failures at IoU 0.90", f"{self.failures(0.90)}"),
            ("seconds per click (median)", f"{self.seconds_per_click:.3f}"),
        ]
        if self.skipped:
            rows.append(("skipped (unreadable)", f"{len(self.skipped)}"))
        lines = [f"| {name} | {value} |" for name, value in rows]
        return "\n".join(["| measure | value |", "| --- | --- |", *lines])


def evaluate(
    predictor: Segmenter,
    dataset: Sequence[Sample],
    max_clicks: int = 20,
    stop_iou: float | None = None,
    log: str | Path | None = None,
    indices: Iterable[int] | None = None,
    progress: bool = True,
    settings: dict[str, Any] | None = None,
    batch_size: int = 1,
    jobs: int = 1,
) -> Result:
    """Let the robot click on every object of a data set.

    Unreadable samples are skipped, counted and reported. A predictor without its own `crop_size`
    uses the data set's published crop (half as large again for DAVIS as for the others).

    Args:
        predictor: a Predictor or a baseline.
        dataset: yields Samples.
        max_clicks: 20 in the paper.
        stop_iou: stop an object at this IoU (0.90 for the paper's NoC runs); None uses all clicks,
            which gives the same NoC and mIoU@k as well.
        log: a JSONL file to which every finished object is added; objects found there under the
            same settings are not run again, so an interrupted run continues.
        indices: which samples; all by default.
        progress: show a progress bar.
        settings: more facts to keep with the result.
        batch_size: objects that share a pass of the network (for a GPU); the result is the same.
        jobs: threads that each see one object through (for a CPU); the result is the same.

    Raises:
        InputError: max_clicks, batch_size or jobs under 1, both of the last two above it, no sample
            at all, a log of another run, or a batch of more than one for a baseline.
    """
    for what, number in {"max_clicks": max_clicks, "batch_size": batch_size, "jobs": jobs}.items():
        if number < 1:
            raise InputError(f"{what} must be at least 1, not {number}")
    if batch_size > 1 and jobs > 1:
        raise InputError("objects share a pass or have a thread each; give batch_size or jobs")
    name = getattr(dataset, "name", type(dataset).__name__)
    chosen = list(range(len(dataset)) if indices is None else indices)
    if not chosen:
        raise InputError(f"data set {name} is empty: nothing to evaluate")
    own_size = getattr(predictor, "crop_size", None)
    if hasattr(predictor, "input_size") and own_size is None:
        published = DATASETS[name].crop_size if name in DATASETS else 448
        predictor.crop_size = round(predictor.input_size * published / 448)
    facts = {
        "data": name,
        "max_clicks": max_clicks,
        "stop_iou": stop_iou,
        "method": getattr(predictor, "method", "model"),
    }
    for key in ("flip", "crop", "crop_size", "threshold", "radius"):
        if hasattr(predictor, key):
            facts[key] = getattr(predictor, key)
    facts |= {k: v for k, v in (("batch_size", batch_size), ("jobs", jobs)) if v > 1}
    facts |= settings or {}
    result = Result([], facts, max_clicks=max_clicks, mean_over_groups=name == "photos")
    done = _read_log(log, facts)
    keys = [str(index) for index in chosen]
    result.objects = [done[key] for key in keys if key in done]

    def samples() -> Iterator[tuple[str, Sample]]:
        for index, key in zip(chosen, keys, strict=True):
            if key in done:
                continue
            try:
                sample = dataset[index]
            except InputError as error:
                result.skipped.append(str(error))
                continue
            yield key, sample

    bar = tqdm(total=len(chosen), initial=len(result.objects), disable=not progress)
    bar.set_description(f"evaluate {name}")
    try:
        together = evaluate_objects(predictor, samples(), max_clicks, stop_iou, batch_size, jobs)
        for key, item in together:
            done[key] = item
            _append_log(log, facts, key, item)
            result.objects.append(item)
            bar.update(len(result.objects) + len(result.skipped) - bar.n)
            bar.set_postfix_str(f"NoC@90 {result.noc(0.90):.2f}")
    finally:
        if hasattr(predictor, "crop_size"):
            predictor.crop_size = own_size
        bar.close()
    result.objects = [done[key] for key in keys if key in done]  # in the data set's order
    if not result.objects:
        raise InputError(f"no sample of {name} could be read; the first: {result.skipped[0]}")
    return result


def _read_log(log: str | Path | None, facts: dict) -> dict[str, ObjectResult]:
    """Finished objects of an interrupted run; a line that was cut off is dropped."""
    if log is None or not Path(log).exists():
        return {}
    # what is damaged is run again, also where it is not even text
    lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    done: dict[str, ObjectResult] = {}
    for number, line in enumerate(lines):
        try:
            data = json.loads(line)
            if number == 0:
                if data != json.loads(json.dumps({"settings": facts})):
                    raise InputError(f"{log} belongs to a run with other settings; remove it")
            else:
                done[data["key"]] = ObjectResult.from_dict(data)
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
    return done


def _append_log(log: str | Path | None, facts: dict, key: str, item: ObjectResult) -> None:
    if log is None:
        return
    path = Path(log)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write(json.dumps({"settings": facts}) + "\n")
            file.write("\n" * _cut_off(path) + json.dumps({"key": key} | item.as_dict()) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _cut_off(path: Path) -> bool:
    """Whether the log's last line lacks its end, as after a kill in the middle of a write."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
