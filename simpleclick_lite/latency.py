"""Milliseconds per click beside the plain reference, and where the processor's peak is lost.

What `simpleclick-lite bench --table latency` runs. A click is a call of `Predictor.predict`: crop,
resizing, network with mirror averaging, and back to the photograph's size. Everything that is
compared takes turns in one process, so that whatever else the machine does falls on all of it; the
numbers are medians, with quartiles.
"""

from __future__ import annotations

import copy
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .checkpoint import load_model, resize_positions
from .errors import InputError
from .inference import linear
from .layer_costs import clock, lost_time
from .model import PRESETS, SimpleClick, build_model
from .predictor import Predictor
from .reference import PlainNetwork, PlainPredictor
from .simulation import MASK_THRESHOLD

CASES = (("xtiny", 224), ("xtiny", 448), ("base", 224), ("base", 448))
OPTIONS = ("bf16", "onnx", "int8", "compile")
PRODUCT = 2048  # side of the matrices whose product, the faster of two ways, tells the peak
PHOTO = (480, 640)  # (H, W), about as large as GrabCut's


def make_case(name: str, size: int) -> tuple[SimpleClick, str]:
    """The network of a preset, with the shipped weights where they fit, else random ones.

    Returns:
        the network, and `shipped` or `random`.
    """
    if name not in PRESETS:
        raise InputError(f"model {name!r} is not one of {', '.join(PRESETS)}")
    torch.manual_seed(0)
    fresh = build_model(name, size)
    try:
        shipped = resize_positions(load_model(), size)
    except InputError:  # none in this installation
        return fresh.eval(), "random"
    fits = shipped.config == fresh.config
    return (shipped if fits else fresh).eval(), "shipped" if fits else "random"


def make_clicks(count: int) -> tuple[np.ndarray, list[tuple[float, float]], list[int]]:
    """A photograph of noise with a bright disk, and clicks on and beside it, always the same."""
    rng = np.random.default_rng(0)
    height, width = PHOTO
    y, x = np.ogrid[:height, :width]
    disk = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2
    image = rng.integers(0, 120, (height, width, 3), dtype=np.uint8) + 130 * disk[..., None]
    points = rng.uniform(0.2, 0.8, (count, 2)) * (width, height)
    points[0] = width / 2, height / 2
    labels = [int(disk[int(y), int(x)]) for x, y in points]
    return image.astype(np.uint8), [(float(x), float(y)) for x, y in points], labels


def measure(
    cases: Sequence[tuple[str, int]] = CASES,
    clicks: int = 7,
    threads: int = 1,
    options: Sequence[str] = (),
    say: Callable[[str], None] = print,
    save: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Measure every case, and print a line about each.

    Args:
        cases: (preset, side of the input in pixels).
        clicks: how many count; one more warms up.
        threads: of PyTorch. With 1, seconds of the processor are measured, which other programs
            disturb least; with more, seconds on the wall.
        options: of `OPTIONS`; each is compared with the exact network.
        say: gets each line.
        save: gets the result so far after each case.

    Returns:
        values for JSON: `peak_gflops` (the best of all cases), `rows`, `options`, and how it was
        measured.
    """
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise InputError(f"option {unknown[0]!r} is not one of {', '.join(OPTIONS)}")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    result: dict[str, Any] = {
        "machine": f"{threads} of {_cores()} CPU cores, "
        f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, "
        f"torch {torch.__version__}",
        "clock": "seconds of the processor" if threads == 1 else "seconds on the wall",
        "clicks": clicks,
        "photograph": list(PHOTO),
        "peak_gflops": 0.0,
        "rows": [],
        "options": [],
    }
    try:
        for name, size in cases:
            row, rows = _measure_case(name, size, clicks, threads, options)
            result["peak_gflops"] = max(result["peak_gflops"], row["peak_gflops"])
            result["rows"].append(row)
            result["options"] += rows
            for line in (_row_line(row), *map(_option_line, rows)):
                say(line)
            save(result)
    finally:
        torch.set_num_threads(before)
    return result


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _measure_case(
    name: str, size: int, clicks: int, threads: int, options: Sequence[str]
) -> tuple[dict, list[dict]]:
    model, weights = make_case(name, size)
    contestants: dict[str, Predictor] = {
        "plain": PlainPredictor(PlainNetwork(model), "cpu"),
        "exact": Predictor(model, "cpu"),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for option in options:
            row = {"model": name, "size": size, "option": option}
            try:
                made = make_option(option, model, Path(folder), threads)
                contestants[option] = Predictor(made, "cpu")
                contestants[option].set_image(make_clicks(1)[0])
                contestants[option].predict([(9, 9)])  # compiles
            except Exception as error:  # noqa: BLE001  an option that is missing here is no failure
                contestants.pop(option, None)
                row["skipped"] = str(error).strip().splitlines()[0][:200]
            rows.append(row)
        times, answers, peak = _take_turns(contestants, clicks, threads)
    exact = np.array(times["exact"])
    row = {
        "model": name,
        "size": size,
        "weights": weights,
        "plain_ms": _spread(1000 * np.array(times["plain"])),
        "exact_ms": _spread(1000 * exact),
        "ratio": _spread(exact / times["plain"]),
        "largest_difference": _difference(answers["plain"], answers["exact"]),
        "peak_gflops": round(peak, 1),
        **lost_time(contestants["exact"], *make_clicks(clicks)[1:], threads, peak),
    }
    for option in rows:
        if "skipped" not in option:
            spent, found = np.array(times[option["option"]]), answers[option["option"]]
            changed = [
                (a > MASK_THRESHOLD) != (b > MASK_THRESHOLD)
                for a, b in zip(answers["exact"], found, strict=True)
            ]
            option |= {
                "ms": _spread(1000 * spent),
                "ratio_to_exact": _spread(spent / exact),
                "ratio_to_plain": _spread(spent / times["plain"]),
                "largest_difference": _difference(answers["exact"], found),
                "pixels_that_change": round(float(np.mean(changed)), 6),
            }
    return row, rows


def _take_turns(
    contestants: dict[str, Predictor], clicks: int, threads: int
) -> tuple[dict[str, list[float]], dict[str, list[np.ndarray]], float]:
    """Seconds per click of each, its answers, and the peak in GFLOP/s between the clicks."""
    now = clock(threads)
    image, points, labels = make_clicks(clicks + 1)
    a = torch.randn(PRODUCT, PRODUCT, generator=torch.Generator().manual_seed(0))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    answers: dict[str, list[np.ndarray]] = {name: [] for name in contestants}
    products = []
    for predictor in contestants.values():
        predictor.set_image(image)
    for k in range(1, clicks + 2):
        for name, predictor in contestants.items():
            start = now()
            answer = predictor.predict(points[:k], labels[:k])
            times[name].append(now() - start)
            answers[name].append(answer.probability)
        for product in (torch.matmul, partial(linear, bias=None)):  # by MKL or so, by oneDNN
            with torch.inference_mode():
                start = now()
                product(a, a)
                products.append(now() - start)
    peak = 2 * PRODUCT**3 / min(products) / 1e9
    return {name: spent[1:] for name, spent in times.items()}, answers, peak


def make_option(option: str, model: SimpleClick, folder: Path, threads: int) -> nn.Module:
    """The network run another way: with lower precision, compiled, or by onnxruntime.

    Args:
        option: one of `OPTIONS`.
        model: not changed.
        folder: for files.
        threads: of onnxruntime.

    Raises:
        InputError: what this machine lacks for it.
    """
    if option == "bf16":
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            raise InputError("this processor has no bfloat16 products")
        return copy.deepcopy(model).bfloat16()
    if option == "compile":
        compiled = copy.deepcopy(model)
        compiled.compile()
        return compiled
    from .onnx_export import OnnxModel, export_onnx

    path = export_onnx(model, folder / "network.onnx")
    if option == "int8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        path = folder / "network_int8.onnx"
        quantize_dynamic(  # the linear layers; weights of the head are cut when it runs
            folder / "network.onnx",
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8,
        )
    return OnnxModel(path, threads)


def _spread(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}


def _difference(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Largest difference of probability at the first click, before answers feed back."""
    return float(np.abs(first[0] - second[0]).max())


def _row_line(row: dict) -> str:
    loss = ", ".join(f"{p['part']} {p['share_of_loss']:.0%}" for p in row["layers"][:3])
    return (
        f"{row['model']:6} {row['size']:4}  plain {row['plain_ms']['median']:8.1f} ms  exact "
        f"{row['exact_ms']['median']:8.1f} ms  ratio {row['ratio']['median']:.3f} "
        f"({row['ratio']['quartiles'][0]:.3f} to {row['ratio']['quartiles'][1]:.3f})  "
        f"{row['share_of_peak']:.0%} of the peak, lost in: {loss}"
    )


def _option_line(row: dict) -> str:
    if "skipped" in row:
        return f"  {row['option']:8} skipped: {row['skipped']}"
    return (
        f"  {row['option']:8} {row['ms']['median']:8.1f} ms, {row['ratio_to_exact']['median']:.2f} "
        f"of exact; probability differs by up to {row['largest_difference']:.1e}, "
        f"{row['pixels_that_change']:.2%} of the pixels change"
    )
