"""Runs the network beside the notebook, so that clicks made meanwhile are taken at once.

Explained in notebooks/13_click_tool.ipynb. One thread per tool; it asks for the next piece of work
until there is none, and then sleeps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Worker:
    """A thread that works off what there is to do.

    Args:
        work: does one piece and says whether there was one.
        failed: told of an error in `work`; the thread then waits for the next `kick`.
        background: False does the work inside of `kick`, where errors go to the caller.
    """

    def __init__(
        self,
        work: Callable[[], bool],
        failed: Callable[[Exception], None],
        background: bool = True,
    ):
        self._work, self._failed, self._background = work, failed, background
        self._change = threading.Condition()
        self._wanted = self._busy = self._closed = False
        self._thread: threading.Thread | None = None

    def kick(self) -> None:
        """Say that there is something to do."""
        if not self._background:
            while self._work():
                pass
            return
        with self._change:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="click tool", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until nothing is left to do; False if that takes longer."""
        with self._change:
            return self._change.wait_for(lambda: not (self._wanted or self._busy), seconds)

    def close(self) -> None:
        """End the thread after the present piece of work."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                self._busy = False
                self._change.notify_all()
                self._change.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
                self._wanted, self._busy = False, True
            try:
                while not self._closed and self._work():
                    pass
            except Exception as error:
                self._failed(error)
