"""The network as one ONNX file, and a session that answers in the network's place.

Explained in notebooks/12_your_own_images.ipynb. The file needs neither PyTorch nor this package to
run; onnxruntime has interfaces for C++, C#, Java, JavaScript and more. It holds the whole network,
from pixels and clicks to logits. Batch B and number of clicks N are free, the input's side S is
fixed when the file is written:

    input   image          (B, 3, S, S) float32  RGB in [0, 1], not normalized
    input   points         (B, N, 2)    float64  xy in pixels of this input
    input   labels         (B, N)       int64    1 positive, 0 negative, -1 padding
    input   previous_mask  (B, 1, S, S) float32  probability after the last click, zeros at first
    output  logits         (B, 1, S, S) float32  before the sigmoid

Points are float64 as in a Predictor: where a pixel lies exactly on a click's circle, rounding
decides whether it belongs to the disk, and float32 can decide otherwise.

Needs the packages onnx, onnxscript and onnxruntime (the extra `course`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .checkpoint import resize_positions
from .errors import InputError
from .files import atomic_path
from .model import SimpleClick

INPUTS = ("image", "points", "labels", "previous_mask")
OUTPUT = "logits"
PROPERTY = "simpleclick_lite"  # under this name the file keeps its OnnxConfig
LARGEST = 1_900_000_000  # bytes of weights; a protocol buffer, which the file is, ends at 2 GiB
HINT = 'ONNX needs more packages: pip install "simpleclick-lite[course]"'


@dataclass(frozen=True)
class OnnxConfig:
    """What a Predictor asks of a network; kept inside the file."""

    image_size: int  # S, pixels
    disk_radius: float  # pixels of the input
    fusion_block: int = 0  # image and clicks enter together: nothing can be kept between clicks


def export_onnx(model: SimpleClick, path: str | Path, image_size: int | None = None) -> Path:
    """Write the network as one ONNX file.

    Args:
        model: any of ours; it stays as it is.
        path: the file, its name must end in .onnx.
        image_size: side S of the square input in pixels, a multiple of the patch size; None is the
            model's own. Positions are resampled to it once, here.

    Returns:
        The path.

    Raises:
        InputError: another suffix, a size that does not fit, weights of more than 1.9 GB, a missing
            package, or a folder that cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"cannot write {path}: give a name that ends in .onnx")
    weights = sum(v.numel() * 4 for v in model.state_dict().values())
    if weights > LARGEST:
        raise InputError(f"{weights / 1e9:.1f} GB of weights do not fit into one ONNX file")
    size = image_size or model.config.image_size
    copy = resize_positions(model, size).float().cpu().eval()
    config = OnnxConfig(size, copy.config.disk_radius)
    # two images and three clicks, all different, so that no axis is mistaken for a constant
    places = [[[0.2, 0.3], [0.7, 0.4], [0.5, 0.6]]] * 2
    points = torch.tensor(places, dtype=torch.float64) * size
    labels = torch.tensor([[1, 0, -1], [1, 1, 0]])
    example = (torch.zeros(2, 3, size, size), points, labels, torch.zeros(2, 1, size, size))
    batch, clicks = torch.export.Dim("batch"), torch.export.Dim("clicks")
    free = ({0: batch}, {0: batch, 1: clicks}, {0: batch, 1: clicks}, {0: batch})
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                copy,
                example,
                dynamo=True,
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_shapes=free,
                verbose=False,
            )
        except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
            if _missing("onnx", "onnxscript"):
                raise InputError(HINT) from error
            raise
    program.model.metadata_props[PROPERTY] = json.dumps(asdict(config))
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)
    return path


class OnnxModel(nn.Module):
    """An ONNX file in the place of a network: call it, or give it to a Predictor.

    Args:
        path: a file that `export_onnx` wrote.
        threads: of onnxruntime; None lets it take all cores.

    Raises:
        InputError: a missing or foreign file, or onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(HINT) from error
        if not Path(path).is_file():
            raise InputError(f"{path} does not exist; write it with export_onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            stored = self.session.get_modelmeta().custom_metadata_map[PROPERTY]
            self.config = OnnxConfig(**json.loads(stored))
        except KeyError as error:
            raise InputError(f"{path} was not written by export_onnx") from error
        except Exception as error:  # onnxruntime has no common type for broken files
            raise InputError(f"{path} is no ONNX file that onnxruntime can read") from error

    def forward(
        self, image: Tensor, points: Tensor, labels: Tensor, previous_mask: Tensor | None = None
    ) -> Tensor:
        """Run the file; arguments and result as `SimpleClick.forward`, on any device.

        Raises:
            InputError: an image that is not (B, 3, S, S).
        """
        side = self.config.image_size
        if image.shape[1:] != (3, side, side):
            raise InputError(
                f"this ONNX file takes images of {side} x {side} pixels, not "
                f"{tuple(image.shape)}; export another with image_size"
            )
        if previous_mask is None:
            previous_mask = torch.zeros_like(image[:, :1])
        values = (image.float(), points, labels.long(), previous_mask.float())
        arrays = [value.detach().cpu().contiguous().numpy() for value in values]
        arrays[1] = arrays[1].astype(np.float64)  # here, not there: Apple's mps has no float64
        (logits,) = self.session.run([OUTPUT], dict(zip(INPUTS, arrays, strict=True)))
        return torch.from_numpy(logits).to(image.device)


def input_table(path: str | Path) -> str:
    """Inputs and outputs of an ONNX file as a Markdown table; free axes have names, not numbers."""
    session = OnnxModel(path).session
    lines = ["| | name | shape | type |", "| --- | --- | --- | --- |"]
    for kind, nodes in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for node in nodes:
            shape = ", ".join(str(size) for size in node.shape)
            lines.append(f"| {kind} | {node.name} | ({shape}) | {node.type} |")
    return "\n".join(lines)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about its own inner steps."""
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "onnxscript", "torch.onnx")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)


def _missing(*packages: str) -> bool:
    from importlib.util import find_spec

    return any(find_spec(package) is None for package in packages)
