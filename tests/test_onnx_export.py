"""The ONNX file: free batch and clicks, and the same answers as PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.clicks import draw_disks
from simpleclick_lite.data import open_dataset
from simpleclick_lite.errors import InputError
from simpleclick_lite.model import ModelConfig, SimpleClick
from simpleclick_lite.onnx_export import INPUTS, OnnxModel, export_onnx, input_table
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.simulation import robot_click

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TINY = ModelConfig(
    image_size=64,
    width=16,
    depth=8,  # every second block attends in windows
    heads=2,
    pyramid_channels=(4, 6, 8, 10),
    head_channels=8,
    disk_radius=4,
)


def _tiny() -> SimpleClick:
    torch.manual_seed(0)
    model = SimpleClick(TINY)
    torch.nn.init.normal_(model.head.classify.weight, std=3)  # so that answers depend on inputs
    return model


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    return export_onnx(load_model(), tmp_path_factory.mktemp("onnx") / "shipped.onnx")


@pytest.fixture(scope="module")
def windowed(tmp_path_factory) -> Path:
    """A network at another size than its own, large enough for window attention."""
    return export_onnx(_tiny(), tmp_path_factory.mktemp("onnx") / "tiny.onnx", image_size=448)


def _inputs(batch: int, clicks: int, side: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, side, side, generator=rng)
    points = torch.rand(batch, clicks, 2, generator=rng) * side
    labels = torch.randint(-1, 2, (batch, clicks), generator=rng)
    return image, points, labels, torch.rand(batch, 1, side, side, generator=rng)


@pytest.mark.parametrize(("batch", "clicks"), [(1, 1), (1, 24), (3, 2)])
def test_batch_and_number_of_clicks_are_free(windowed, batch, clicks):
    inputs = _inputs(batch, clicks, 448)
    with torch.no_grad():
        wanted = _tiny().eval()(*inputs)
    assert wanted.std() > 0.1, "a constant answer would prove nothing"
    torch.testing.assert_close(OnnxModel(windowed)(*inputs), wanted, rtol=1e-3, atol=1e-3)


def test_every_input_reaches_the_answer(windowed):
    model = OnnxModel(windowed, threads=1)
    image, points, labels, previous = _inputs(1, 3, 448)
    labels = torch.tensor([[1, 0, 1]])
    answer = model(image, points, labels, previous)
    for other in (
        (1 - image, points, labels, previous),
        (image, points.flip(-1), labels, previous),
        (image, points, 1 - labels, previous),
        (image, points, labels, None),
    ):
        assert not torch.allclose(model(*other), answer, atol=1e-2)


def test_a_pixel_on_the_circle_is_decided_as_in_pytorch(windowed):
    """3.2 and 2.4 pixels away is a distance of 4, the radius; float32 may see it otherwise."""
    image, _, _, previous = _inputs(1, 1, 448)
    labels = torch.ones(1, 20, dtype=torch.long)
    whole = torch.randint(10, 430, (1, 20, 2), generator=torch.Generator().manual_seed(3))
    points = whole.double() + torch.tensor([0.2, 0.4], dtype=torch.float64)
    disks = [draw_disks(p, labels, (448, 448), 4) for p in (points, points.float())]
    assert not torch.equal(*disks), "these points would prove nothing"
    with torch.no_grad():
        wanted = _tiny().eval()(image, points, labels, previous)
    found = OnnxModel(windowed)(image, points, labels, previous)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_the_file_says_what_it_takes(windowed):
    table = input_table(windowed)
    assert all(name in table for name in INPUTS)
    assert "(batch, 3, 448, 448)" in table and "(batch, clicks, 2) | tensor(double)" in table
    assert OnnxModel(windowed).config.disk_radius == 4


def test_export_leaves_the_model_as_it_is(tmp_path):
    model = _tiny().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match="multiple of the patch size"):
        export_onnx(model, tmp_path / "a.onnx", image_size=100)
    with pytest.raises(InputError, match=r"ends in \.onnx"):
        export_onnx(model, tmp_path / "a.pt")
    assert model.training and model.config == TINY
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_too_large_a_model_is_refused_before_any_work(tmp_path):
    config = replace(TINY, width=2048, depth=12)
    with torch.device("meta"):
        model = SimpleClick(config)
    with pytest.raises(InputError, match="do not fit into one ONNX file"):
        export_onnx(model, tmp_path / "a.onnx")


def test_files_that_are_not_ours(tmp_path, windowed):
    with pytest.raises(InputError, match="does not exist"):
        OnnxModel(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network", encoding="utf-8")
    with pytest.raises(InputError, match="no ONNX file"):
        OnnxModel(tmp_path / "text.onnx")
    import onnx

    foreign = onnx.load(windowed)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match="not written by export_onnx"):
        OnnxModel(tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match="448 x 448"):
        OnnxModel(windowed)(*_inputs(1, 1, 64))


@pytest.mark.parametrize("index", [0, 7, 15])
def test_masks_on_photographs_equal_pytorchs(shipped, index):
    """The robot's first clicks; crop, mirror image and previous mask as in an evaluation."""
    sample = open_dataset("photos")[index]
    ours, theirs = Predictor(load_model(), "cpu"), Predictor(OnnxModel(shipped), "cpu")
    for predictor in (ours, theirs):
        predictor.set_image(sample.image)
    clicks, mask = [], np.zeros(sample.mask.shape, bool)
    for _ in range(3):
        clicks.append(robot_click(mask, sample.mask, clicks))
        points, labels = [(c.x, c.y) for c in clicks], [int(c.positive) for c in clicks]
        mask = ours.predict(points, labels).mask
        other = theirs.predict(points, labels)
        assert (mask != other.mask).mean() <= 0.001
    assert mask.any(), "an empty mask would prove little"
