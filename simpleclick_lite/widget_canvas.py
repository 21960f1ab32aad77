"""The canvas of the click tool: the photograph, the layer over it, and the clicks.

Explained in notebooks/13_click_tool.ipynb. The pixels of a photograph go to the browser once, to a
canvas that is not shown; zoom and pan only draw that canvas again. Pixels are sent as PNG, because
ipycanvas sends RGB arrays as JPEG. Nothing is ever read back from the browser.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from ipycanvas import Canvas, MultiCanvas, hold_canvas
from ipywidgets import Image

from .clicks import Click
from .overlay import View
from .palette import NEGATIVE, POSITIVE

DETAIL = 2  # a large photograph is sent with so many pixels per canvas pixel, for zooming in
RADIUS = 8  # of a click's marker, in canvas pixels

# all canvases of a kernel share one queue of draw commands, so only one thread may draw
_drawing = threading.RLock()


@contextlib.contextmanager
def one_message() -> Iterator[None]:
    """Send what is drawn inside as one message, also when drawing raises an error."""
    failed: Exception | None = None
    with _drawing, hold_canvas():
        try:
            yield
        except Exception as error:  # hold_canvas would hold for ever
            failed = error
    if failed is not None:
        raise failed


class PhotoCanvas:
    """Three layers in one widget: 0 the photograph, 1 what is painted over it, 2 the clicks.

    Args:
        most: largest (width, height) in pixels.

    Attributes:
        widget: the `MultiCanvas` to show.
        view: which part of the photograph it shows.
    """

    def __init__(self, most: tuple[int, int] = (800, 600)):
        self.most = most
        self.widget = MultiCanvas(3, width=most[0], height=most[1])
        self.widget.add_class("click-canvas")
        self.view = View.whole((most[1], most[0]), most)
        self._stored = Canvas(width=1, height=1)  # the photograph, never shown itself
        self._images: deque[Image] = deque()
        self._photo: Image | None = None
        self._full: np.ndarray | None = None

    def set_image(self, image: np.ndarray) -> None:
        """Show another photograph, whole.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        self.view = View.whole(image.shape[:2], self.most)
        self._full = image
        shrink = min(1.0, self.view.scale * DETAIL)
        if shrink < 1:
            size = [max(round(v * shrink), 1) for v in (image.shape[1], image.shape[0])]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if self._photo is not None:
            self._retire(self._photo)
        self._photo = Image(value=png(image), format="png")
        with _drawing:
            self._stored.width, self._stored.height = image.shape[1], image.shape[0]
            self.widget.width, self.widget.height = self.view.width, self.view.height
            self.widget.layout.width = f"{self.view.width}px"
        self.store()

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call when a page shows the canvas for the first time or again: it is blank then."""
        self._stored.on_client_ready(callback)
        self.widget.on_client_ready(callback)

    def store(self) -> None:
        """Send the photograph to the canvas that keeps it; needed again in a reloaded page."""
        if self._photo is not None:
            with one_message():
                self._stored.draw_image(self._photo, 0, 0)

    def _retire(self, image: Image) -> None:
        """Give a picture back when the browser has surely read it."""
        self._images.append(image)
        if len(self._images) > 16:
            self._images.popleft().close()

    def draw_photo(self) -> None:
        """Draw the visible part of the photograph on layer 0."""
        if self._full is None:
            return
        view, layer = self.view, self.widget[0]
        height, width = self._full.shape[:2]
        # zoomed in beyond the pixels that were sent: send those that are seen
        sharper = self._stored.width < width and view.scale * width > self._stored.width * 1.01
        patch = view.show(self._full, smooth=view.scale < 3) if sharper else None
        with one_message():
            layer.clear()
            if patch is not None:
                shown = Image(value=png(patch), format="png")
                layer.draw_image(shown, 0, 0)
                self._retire(shown)
                return
            layer.image_smoothing_enabled = view.scale < 3
            x, y = -view.left * view.scale, -view.top * view.scale
            layer.draw_image(self._stored, x, y, width * view.scale, height * view.scale)

    def draw_layer(self, layer: np.ndarray) -> None:
        """Put a (h, w, 4) uint8 RGBA picture on layer 1."""
        rows, columns = np.flatnonzero(layer[..., 3].any(axis=1)), []
        if len(rows):  # only what is not transparent, which is quicker to compress
            columns = np.flatnonzero(layer[..., 3].any(axis=0))
            layer = layer[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        with one_message():
            self.widget[1].clear()
            if len(rows):
                self.widget[1].put_image_data(layer, int(columns[0]), int(rows[0]))

    def draw_clicks(
        self,
        clicks: Sequence[Click],
        answered: int,
        crop: tuple[int, int, int, int] | None = None,
        cursor: tuple[float, float] | None = None,
    ) -> None:
        """Draw the clicks on layer 2: green disk with a plus, red square with a minus.

        Args:
            clicks: in pixels of the image.
            answered: how many of them the network has answered; the others are half transparent.
            crop: x0, y0, x1, y1 of what the network saw; None draws no box.
            cursor: place of the keyboard's cross hair in canvas pixels, or None.
        """
        layer = self.widget[2]
        with one_message():
            layer.clear()
            layer.global_alpha = 1.0
            if crop is not None:
                self._draw_crop(crop)
            for number, click in enumerate(clicks):
                layer.global_alpha = 1.0 if number < answered else 0.55
                self._draw_click(*self.view.to_canvas(click.x, click.y), click.positive)
            layer.global_alpha = 1.0
            if cursor is not None:
                self._draw_cursor(*cursor)

    def _draw_click(self, x: float, y: float, positive: bool) -> None:
        layer, r, arm = self.widget[2], RADIUS, RADIUS * 0.55
        layer.fill_style = POSITIVE if positive else NEGATIVE
        layer.stroke_style, layer.line_width = "white", 2
        if positive:
            layer.fill_circle(x, y, r)
            layer.stroke_circle(x, y, r)
            layer.stroke_line(x, y - arm, x, y + arm)
        else:
            layer.fill_rect(x - r, y - r, 2 * r, 2 * r)
            layer.stroke_rect(x - r, y - r, 2 * r, 2 * r)
        layer.stroke_line(x - arm, y, x + arm, y)

    def _draw_crop(self, crop: tuple[int, int, int, int]) -> None:
        layer = self.widget[2]
        x0, y0 = self.view.to_canvas(crop[0] - 0.5, crop[1] - 0.5)
        x1, y1 = self.view.to_canvas(crop[2] - 0.5, crop[3] - 0.5)
        for color, width, dash in (("black", 3, []), ("white", 1.5, [6, 6])):
            layer.stroke_style, layer.line_width = color, width
            layer.set_line_dash(dash)
            layer.stroke_rect(x0 + 1.5, y0 + 1.5, x1 - x0 - 3, y1 - y0 - 3)
        layer.set_line_dash([])

    def _draw_cursor(self, x: float, y: float) -> None:
        layer = self.widget[2]
        for color, width in (("black", 3), ("white", 1)):
            layer.stroke_style, layer.line_width = color, width
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                layer.stroke_line(x + 4 * dx, y + 4 * dy, x + 16 * dx, y + 16 * dy)


def png(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB as a PNG file, compressed quickly."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
