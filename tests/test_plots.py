"""Figure helpers: what is drawn has the promised shape, and every figure shown has an alt text."""

import base64
import io

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from simpleclick_lite import palette, plots
from simpleclick_lite.clicks import Click
from simpleclick_lite.pyramid import DESIGNS

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plots.plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """What plots.show handed to the notebook: a list of (bundle, metadata)."""
    calls = []
    monkeypatch.setattr(
        "IPython.display.display", lambda bundle, metadata, raw: calls.append((bundle, metadata))
    )
    return calls


def noise(height=40, width=60, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def test_show_stores_the_alt_text_beside_the_picture_and_closes_the_figure(shown):
    fig, _ = plots.curve_axes()
    plots.show(fig, alt="an empty diagram")
    bundle, metadata = shown[0]
    assert metadata == {"image/png": {"alt": "an empty diagram"}}
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).format == "PNG"
    assert not plots.plt.fignum_exists(fig.number)


def test_a_figure_with_a_photograph_is_stored_as_a_small_jpeg(shown):
    fig, _ = plots.show_grid([noise(400, 600)] * 2)
    plots.show(fig, alt="noise twice")
    bundle, metadata = shown[0]
    assert metadata["image/jpeg"]["alt"] == "noise twice"
    assert "image/png" not in bundle


def test_a_figure_without_alt_text_is_refused(shown):
    fig, _ = plots.curve_axes()
    with pytest.raises(ValueError, match="alt text"):
        plots.show(fig, alt=" ")
    assert shown == []


@pytest.mark.parametrize("count, columns, rows", [(1, None, 1), (4, None, 1), (5, 3, 2), (6, 3, 2)])
def test_panels_gives_as_many_axes_as_asked_for(count, columns, rows):
    fig, axes = plots.panels(count, columns)
    assert len(axes) == count == len(fig.axes)
    assert axes[0].get_gridspec().nrows == rows


@pytest.mark.parametrize(
    "image",
    [
        noise(),
        noise() / 255,
        noise()[..., 0],
        torch.rand(3, 40, 60),
        torch.rand(1, 3, 40, 60),
        torch.rand(1, 1, 40, 60),
    ],
    ids=["uint8", "float", "gray", "tensor", "batch of one", "mask"],
)
def test_show_image_takes_arrays_and_tensors_of_every_layout(image):
    _, (ax,) = plots.panels(1)
    plots.show_image(ax, image, "title")
    assert ax.images[0].get_array().shape[:2] == (40, 60)
    assert ax.get_title() == "title"


def test_show_image_refuses_what_is_no_image():
    _, (ax,) = plots.panels(1)
    with pytest.raises(ValueError, match="shape"):
        plots.show_image(ax, np.zeros(5))


def test_overlay_tints_only_inside_the_mask():
    image = np.full((4, 4, 3), 255, np.uint8)
    mask = np.zeros((4, 4), bool)
    mask[1, 2] = True
    out = plots.overlay(image, mask, opacity=1.0)
    np.testing.assert_allclose(out[1, 2], matplotlib.colors.to_rgb(palette.MASK))
    assert (np.delete(out.reshape(-1, 3), 6, axis=0) == 1).all()


def test_show_mask_draws_ignored_pixels_in_another_color():
    mask = np.array([[1, 0], [-1, 0]], np.int8)
    _, (ax,) = plots.panels(1)
    plots.show_mask(ax, mask)
    layer = ax.images[0].get_array()
    assert layer[0, 1, 3] == 0
    assert not np.allclose(layer[0, 0, :3], layer[1, 0, :3])


def test_positive_and_negative_clicks_differ_in_color_and_in_shape():
    _, (ax,) = plots.panels(1)
    plots.show_clicks(ax, [Click(3, 4), Click(5, 6, False)])
    _, positive, _, negative = ax.collections  # each on a larger white copy of itself
    np.testing.assert_allclose(positive.get_offsets(), [[3, 4]])
    assert not np.allclose(positive.get_facecolor(), negative.get_facecolor())
    assert len(positive.get_paths()[0]) != len(negative.get_paths()[0])


def test_padding_is_not_drawn():
    _, (ax,) = plots.panels(1)
    plots.show_clicks(ax, [(3, 4), (0, 0)], [1, -1])
    assert len(ax.collections) == 2  # one click: its marker and the white one below


def test_the_click_map_is_white_where_nothing_is():
    click_map = torch.zeros(3, 8, 8)
    click_map[1, 2, 3] = 1
    _, (ax,) = plots.panels(1)
    plots.show_click_map(ax, click_map)
    canvas = ax.images[0].get_array()
    np.testing.assert_allclose(canvas[2, 3], matplotlib.colors.to_rgb(palette.POSITIVE))
    np.testing.assert_allclose(canvas[0, 0], 1)


def test_filters_are_tiled_with_zero_as_gray():
    weights = np.zeros((5, 3, 4, 4))
    weights[0] = 2.0
    grid = plots.filter_grid(weights, columns=3)
    assert grid.shape == (11, 16, 3)
    assert grid[1, 1, 0] == 1.0  # the largest weight
    assert grid[1, 6, 0] == 0.5  # a filter of zeros
    assert grid[0, 0, 0] == 1.0  # between the filters


def test_the_overview_lights_exactly_the_asked_part():
    for part in plots.STAGES:
        fig = plots.model_overview(part)
        lit = matplotlib.colors.to_rgba(palette.ACCENT)
        boxes = [p for p in fig.axes[0].patches if p.get_facecolor() == lit]
        assert len(boxes) == 1
    with pytest.raises(ValueError, match="neck"):
        plots.model_overview("neck")


@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_of_the_pyramid_is_drawn_as_it_is_built(design):
    from simpleclick_lite.diagrams import _design_maps
    from simpleclick_lite.pyramid import Pyramid

    _, (ax,) = plots.panels(1)
    plots.pyramid_design(ax, design)
    depth = 8
    pyramid = Pyramid(8, (4, 4, 4, 4), design, depth)
    sources, strides = _design_maps(design)
    assert [quarter * depth // 4 - 1 for quarter in sources] == pyramid.sources
    token_map = torch.zeros(1, 8, 4, 4)
    sizes = [m.shape[-1] for m in pyramid({k: token_map for k in pyramid.sources})]
    assert sizes == [{"p/4": 16, "p/2": 8, "p": 4, "2p": 2}[s] for s in strides]


def test_no_two_colors_of_the_series_are_alike():
    assert len(set(palette.SERIES)) == len(palette.SERIES)
