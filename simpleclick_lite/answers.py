"""What the network said to the clicks of a session: each answer computed once, and again if needed.

Explained in notebooks/13_click_tool.ipynb. The answer to the third click depends on the first two,
on the previous mask and on the crop. So answers are computed one click after the other, in order,
and are kept by what they follow from: image, imported mask, clicks. Undo then finds them at once.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from .annotation import CutObject
from .predictor import Prediction, Predictor, State
from .rle import decode_rle

NET_INPUTS = ("net_image", "net_previous_mask")
CACHE_BYTES = 512 * 2**20  # an answer on a 640x480 image takes 5 MB with the network's inputs


class Answers:
    """Answers of one predictor, computed when asked for and kept while there is room.

    Args:
        predictor: a `Predictor`, or anything with its `set_image` and `predict`; None loads the
            shipped weights when the first answer is due.
        room: bytes to keep; the newest answer is kept in any case.
    """

    def __init__(self, predictor: Predictor | None = None, room: int = CACHE_BYTES):
        self._predictor = _own(predictor) if isinstance(predictor, Predictor) else predictor
        self._room = room
        self._model = threading.RLock()  # held while the network runs
        self._lock = threading.RLock()  # held while the known answers are read or changed
        self._image: str | None = None
        self._known: OrderedDict[tuple[str, str], Prediction] = OrderedDict()

    def known(self, image: str, target: CutObject, count: int | None = None) -> Prediction | None:
        """The answer to the first `count` clicks (None: all) on an object, if it is there.

        Args:
            image: fingerprint of the image.
            target: the object.
            count: how many of its clicks.
        """
        with self._lock:
            return self._known.get((image, target.digest(count)))

    def latest(self, image: str, target: CutObject) -> tuple[Prediction | None, int]:
        """The answer to as many of an object's clicks as possible, and to how many it is.

        Args:
            image: fingerprint of the image.
            target: the object.
        """
        for count in range(len(target.clicks), 0, -1):
            answer = self.known(image, target, count)
            if answer is not None:
                return answer, count
        return None, 0

    def step(
        self, image: str, load: Callable[[], np.ndarray], target: CutObject
    ) -> tuple[Prediction, int]:
        """Compute the next missing answer, unless all are there.

        Args:
            image: fingerprint of the image.
            load: gives the image, (H, W, 3) uint8 RGB; called when the predictor has another one.
            target: an object with at least one click.

        Returns:
            the answer, and how many of the clicks it has seen.
        """
        with self._model:
            before, count = self.latest(image, target)
            if before is None or count < len(target.clicks):
                before = _ask(self._ready(image, load), before, target, count + 1)
                count += 1
                self._keep((image, target.digest(count)), before)
            return before, count

    def answer(self, image: str, load: Callable[[], np.ndarray], target: CutObject) -> Prediction:
        """The answer to all clicks on an object; arguments as in `step`."""
        while True:
            answer, count = self.step(image, load, target)
            if count == len(target.clicks):
                return answer

    def prepare(self, image: str, load: Callable[[], np.ndarray]) -> None:
        """Load the weights and give the predictor an image, so that the first answer comes sooner.

        Args:
            image: fingerprint of the image.
            load: gives the image, (H, W, 3) uint8 RGB.
        """
        with self._model:
            self._ready(image, load)

    def _ready(self, image: str, load: Callable[[], np.ndarray]) -> Predictor:
        if self._predictor is None:
            from .checkpoint import load_model

            self._predictor = Predictor(load_model())
        if self._image != image:
            self._predictor.set_image(load())
            self._image = image
        return self._predictor

    def _keep(self, key: tuple[str, str], answer: Prediction) -> None:
        with self._lock:
            self._known[key] = answer
            used = sum(_bytes(one) for one in self._known.values())
            while used > self._room and len(self._known) > 1:
                used -= _bytes(self._known.popitem(last=False)[1])


def _own(predictor: Predictor) -> Predictor:
    """A copy that shares model and settings, so that two sessions do not disturb each other."""
    own = copy.copy(predictor)
    for name, value in [*vars(own).items()]:
        if isinstance(value, dict):  # what it remembers of an image's crops must not be shared
            setattr(own, name, {})
    return own


def _ask(
    predictor: Predictor, before: Prediction | None, target: CutObject, count: int
) -> Prediction:
    """One run of the network: the first `count` clicks, continuing from the answer before."""
    clicks = target.clicks[:count]
    start = None
    if before is None and target.start is not None:
        start = decode_rle(target.start).astype(np.float32)
    if hasattr(predictor, "continue_from"):
        state = State(probability=start) if before is None else before.state
        return predictor.continue_from(state, clicks)
    more = {}
    if "previous_mask" in inspect.signature(predictor.predict).parameters:
        more["previous_mask"] = start if before is None else before.probability
    points, labels = [(c.x, c.y) for c in clicks], [int(c.positive) for c in clicks]
    return predictor.predict(points, labels, **more)


def _bytes(answer: Prediction) -> int:
    parts = (getattr(answer, n, None) for n in ("mask", "probability", *NET_INPUTS))
    return sum(part.nbytes for part in parts if part is not None)
