"""SimpleClick Lite: click-based interactive segmentation with a plain Vision Transformer.

    import simpleclick_lite as scl

    predictor = scl.Predictor(scl.load_model())
    predictor.set_image(image)  # (H, W, 3) uint8, RGB
    mask = predictor.predict(points=[(x, y)], labels=[1]).mask

Shape symbols, the same in every docstring and notebook:
    B       images in a batch
    H, W    height and width in pixels
    p       side of a patch in pixels: 16, or 14 for huge
    N       tokens of an image, (H/p)(W/p); of points: clicks, padded to the longest in the batch
    C       channels, the width of the transformer
    h, w    height and width of a feature map or a crop

A click is x (column) and y (row) in pixels of the original image; (0, 0) is the center of the
top-left pixel. Label 1 is positive, 0 negative, -1 padding. Terms and shapes: docs and README.

Names are imported when they are first used, so that `import simpleclick_lite` is quick and needs
only PyTorch, timm, NumPy and OpenCV.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Click": "clicks",
    "InputError": "errors",
    "Predictor": "predictor",
    "build_model": "model",
    "evaluate": "evaluation",
    "load_model": "checkpoint",
}
_MODULES = ("data", "plots")

__all__ = [
    "Click",
    "InputError",
    "Predictor",
    "__version__",
    "build_model",
    "data",
    "evaluate",
    "load_model",
    "plots",
]

if TYPE_CHECKING:
    from . import data, plots
    from .checkpoint import load_model
    from .clicks import Click
    from .errors import InputError
    from .evaluation import evaluate
    from .model import build_model
    from .predictor import Predictor


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    elif name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted({*globals(), *__all__})
