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
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from .annotation import CutObject
from .clicks import Click
from .prediction import Prediction, State
from .predictor import Predictor, continue_together
from .rle import decode_rle

NET_INPUTS = ("net_image", "net_previous_mask")
CACHE_BYTES = 512 * 2**20  # an answer on a 640x480 image takes 5 MB with the network's inputs
BYTES_PER_PIXEL = 5  # of an answer: float32 probability, bool mask
BYTES_PER_INPUT = 16  # of a pixel of the network's input: image and previous mask in float32
INPUT_SIDE = 448  # where no network is there yet
BATCH = 8  # objects that share a pass of the network
IN_PASSING = 2  # the same on a CPU while a user may click, who would wait for the pass to end

# an object, the answer to as many of its clicks as possible, and to how many it is
_Seen = tuple[CutObject, Prediction | None, int]


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
        key = image, target.digest(count)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)  # what is asked for is dropped last
            return self._known.get(key)

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
            return self._advance(image, load, [(target, *self.latest(image, target))])[0][1:]

    def step_together(
        self, image: str, load: Callable[[], np.ndarray], targets: Sequence[CutObject]
    ) -> bool:
        """Compute the next missing answer of several objects, with one pass of the network.

        Args:
            image: fingerprint of the image.
            load: gives the image, (H, W, 3) uint8 RGB.
            targets: objects with at least one click; the first few without all of their answers
                get one, on a CPU only `IN_PASSING` at a time.

        Returns:
            False if there was nothing to do.
        """
        with self._model:
            seen = [(target, *self.latest(image, target)) for target in targets]
            due = [one for one in seen if one[2] < len(one[0].clicks)]
            if due:
                most = self._most(load())
                if str(getattr(self._predictor, "device", "cpu")) == "cpu":
                    most = min(most, IN_PASSING)
                self._advance(image, load, due[:most])
            return bool(due)

    def answer(self, image: str, load: Callable[[], np.ndarray], target: CutObject) -> Prediction:
        """The answer to all clicks on an object; arguments as in `step`."""
        return next(self.answer_together(image, load, [target]))[1]

    def answer_together(
        self, image: str, load: Callable[[], np.ndarray], targets: Sequence[CutObject]
    ) -> Iterator[tuple[CutObject, Prediction]]:
        """The answers to all clicks on several objects, which share the passes of the network.

        As soon as an object is done the next takes its place.

        Args:
            image: fingerprint of the image.
            load: gives the image, (H, W, 3) uint8 RGB.
            targets: objects with at least one click.

        Yields:
            an object and its answer, in the order in which they are done.
        """
        if not targets:
            return
        waiting, running, most = iter(targets), [], self._most(load())
        while True:
            for target in islice(waiting, most - len(running)):
                running.append((target, *self.latest(image, target)))
            if not running:
                return
            with self._model:  # what others have answered meanwhile is not computed again
                running = [
                    max(one, (one[0], *self.latest(image, one[0])), key=_count) for one in running
                ]
                running = self._advance(image, load, running)
            for target, answer, count in running:
                if count == len(target.clicks):
                    yield target, answer
            running = [one for one in running if one[2] < len(one[0].clicks)]

    def _most(self, image: np.ndarray) -> int:
        """How many objects share a pass, so that what all of them continue from finds room."""
        side = getattr(self._predictor, "input_size", INPUT_SIDE)
        one = image.shape[0] * image.shape[1] * BYTES_PER_PIXEL + side**2 * BYTES_PER_INPUT
        return max(1, min(BATCH, self._room // (2 * one)))

    def _advance(
        self, image: str, load: Callable[[], np.ndarray], seen: Sequence[_Seen]
    ) -> list[_Seen]:
        """One answer more for each object that lacks one; an error is raised after the others."""
        due = [one for one in seen if one[2] < len(one[0].clicks)]
        if not due:
            return [*seen]
        answers, error = _ask(self._ready(image, load), due)
        found, fresh = [], iter(answers)
        for target, answer, count in seen:
            if count < len(target.clicks):
                new = next(fresh)
                if new is not None:
                    answer, count = new, count + 1
                    self._keep((image, target.digest(count)), answer)
            found.append((target, answer, count))
        if error is not None:
            raise error
        return found

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
    predictor: Predictor, due: Sequence[_Seen]
) -> tuple[list[Prediction | None], Exception | None]:
    """A click more on each object, in one pass of the network where that works.

    Returns:
        the answers, None where there was an error, and the last error.
    """
    # a predictor with a method of its own in its place is asked one by one
    if len(due) > 1 and getattr(type(predictor), "continue_from", None) is Predictor.continue_from:
        with suppress(Exception):  # one bad object, or too many for the memory: one by one then
            return continue_together([(predictor, *_next(*one)) for one in due]), None
    answers: list[Prediction | None] = []
    error = None
    for one in due:
        try:
            answers.append(_ask_alone(predictor, *one))
        except Exception as found:
            answers.append(None)
            error = found
    return answers, error


def _next(
    target: CutObject, before: Prediction | None, count: int
) -> tuple[State, tuple[Click, ...]]:
    """The state to continue from, and a click more."""
    state = State(probability=_start(target)) if before is None else before.state
    return state, target.clicks[: count + 1]


def _ask_alone(
    predictor: Any, target: CutObject, before: Prediction | None, count: int
) -> Prediction:
    """A click more on one object; anything with a `predict` can answer."""
    if hasattr(predictor, "continue_from"):
        return predictor.continue_from(*_next(target, before, count))
    clicks, more = target.clicks[: count + 1], {}
    if "previous_mask" in inspect.signature(predictor.predict).parameters:
        more["previous_mask"] = _start(target) if before is None else before.probability
    points, labels = [(c.x, c.y) for c in clicks], [int(c.positive) for c in clicks]
    return predictor.predict(points, labels, **more)


def _start(target: CutObject) -> np.ndarray | None:
    """The imported mask that the first click corrects."""
    return None if target.start is None else decode_rle(target.start).astype(np.float32)


def _count(seen: _Seen) -> int:
    return seen[2]


def _bytes(answer: Prediction) -> int:
    parts = (getattr(answer, n, None) for n in ("mask", "probability", *NET_INPUTS))
    return sum(part.nbytes for part in parts if part is not None)
