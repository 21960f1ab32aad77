"""Which weights a result is of: the shipped ones and the digest of their file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import simpleclick_lite

SHIPPED = Path(simpleclick_lite.__file__).parent / "weights"


def weights_hash(folder: Path = SHIPPED) -> str:
    """The first 16 digits of the SHA-256 of the weights' file."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:16]
