"""500 random actions never break a session, and undoing all of them gives back the start."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from fake_predictor import FakePredictor
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simpleclick_lite.session import ClickSession

IMAGES = [np.full((12, 16, 3), 50, np.uint8), np.full((9, 7, 3), 90, np.uint8)]
COORDINATE = st.integers(0, 6)


class RandomActions(RuleBasedStateMachine):
    """A user who presses every button in any order; what must hold is checked all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.session = ClickSession(IMAGES, FakePredictor(2), self.folder.name)

    def teardown(self) -> None:
        session = self.session
        for index in range(len(session.pictures)):
            session.go_to(index)
            for _ in range(2):
                while session.redo():
                    pass
                self.everything_fits_together()
                while session.undo():
                    pass
                assert session.objects == [] and session.current is None
                assert not session.mask().any()
        assert [*Path(self.folder.name, "masks").glob("*.png")] == []
        self.folder.cleanup()

    @rule(x=COORDINATE, y=COORDINATE, positive=st.booleans(), predict=st.booleans())
    def click(self, x, y, positive, predict):
        self.session.add_click(x, y, positive, predict)

    @rule()
    def undo(self):
        before = self.session.state()
        if self.session.undo():
            assert self.session.redo()
            assert self.session.state()["images"] == before["images"] or self.only_selection(before)
            self.session.undo()

    def only_selection(self, before) -> bool:
        """Undo and redo may end on another object being selected, with nothing else changed."""
        drop = [{k: v for k, v in i.items() if k != "current"} for i in before["images"]]
        now = [
            {k: v for k, v in i.items() if k != "current"} for i in self.session.state()["images"]
        ]
        return drop == now

    @rule()
    def redo(self):
        self.session.redo()

    @rule()
    def finish(self):
        self.session.finish()

    @rule()
    def clear(self):
        self.session.clear()

    @rule(data=st.data())
    def select(self, data):
        ids = [None, *(o.id for o in self.session.objects)]
        self.session.select(data.draw(st.sampled_from(ids)))

    @precondition(lambda self: self.session.objects)
    @rule(data=st.data(), name=st.sampled_from(["cat", "dog", "Ünï cödé / \\"]))
    def delete_or_rename(self, data, name):
        number = data.draw(st.sampled_from([o.id for o in self.session.objects]))
        if data.draw(st.booleans()):
            self.session.delete(number)
        else:
            self.session.rename(name, number)
            self.session.recolor("#123456", number)

    @rule(full=st.booleans())
    def import_mask(self, full):
        self.session.start_from(np.full(self.session.size, full))

    @rule(index=st.integers(0, 1))
    def go_to(self, index):
        self.session.go_to(index)

    @rule()
    def restart(self):
        before = self.session.state()
        objects, current = self.session.objects, self.session.current
        masks = [self.session.mask(o.id) for o in objects]
        self.session = ClickSession(IMAGES, FakePredictor(2), self.folder.name)
        assert self.session.index == before["index"] and self.session.objects == objects
        assert self.session.current == current
        for target, mask in zip(objects, masks, strict=True):
            assert (self.session.mask(target.id) == mask).all()

    @invariant()
    def everything_fits_together(self):
        session = self.session
        json.dumps(session.state())
        assert session.current is None or session.current in session.objects
        ids = [o.id for o in session.objects]
        assert ids == sorted(set(ids))
        for target in session.objects:
            mask = session.mask(target.id)
            assert mask.shape == session.size and mask.dtype == bool
            assert mask.any() <= (not target.empty)


RandomActions.TestCase.settings = settings(
    max_examples=3,
    stateful_step_count=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
test_500_random_actions_never_break_the_session = RandomActions.TestCase
