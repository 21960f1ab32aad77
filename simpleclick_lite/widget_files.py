"""A button that takes files from the user's computer, of any size.

Explained in notebooks/13_click_tool.ipynb. ipywidgets' own upload sends each file in one message,
and Jupyter's server drops the connection at messages of 10 MB, without a word: a photograph of 24
megapixels is larger. So a script in the page (widget_files.js, through anywidget) sends pieces. The
upload of ipywidgets serves where anywidget is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as w

Files = list[tuple[str, bytes]]


class FileButton:
    """A button and what it hands over.

    Args:
        text: on the button.
        tip: shown when the mouse rests on it.
        multiple: whether several files can be chosen at once.

    Attributes:
        widget: to show.
        on_files: called with names and contents of the files chosen at once.
    """

    def __init__(self, text: str, tip: str, multiple: bool):
        self.on_files: Callable[[Files], None] = lambda files: None
        self._coming: list[tuple[str, bytearray]] = []
        widget = _sender(text, tip, multiple)
        if widget is None:
            widget = w.FileUpload(
                accept="image/*", multiple=multiple, description=text, tooltip=tip
            )
            widget.observe(self._whole, "value")
        else:
            widget.on_msg(self._piece)
        self.widget = widget

    def _piece(self, _: w.Widget, message: dict[str, Any], buffers: list) -> None:
        """A file's name, then its pieces; "done" after the last file. Each is confirmed."""
        try:
            if "name" in message:
                self._coming.append((str(message["name"]), bytearray()))
            elif message.get("done"):
                files, self._coming = self._coming, []
                self.on_files([(name, bytes(data)) for name, data in files])
            else:
                for piece in buffers:
                    self._coming[-1][1].extend(piece)
        finally:
            self.widget.send({"heard": True})

    def _whole(self, change: dict[str, Any]) -> None:
        """What ipywidgets 8 and 7 upload; the widget is emptied."""
        part = self.widget
        if not part.value:
            return
        if isinstance(part.value, dict):  # ipywidgets 7
            files = [(name, bytes(item["content"])) for name, item in part.value.items()]
            part.metadata, part.data, part._counter = [], [], 0
        else:
            files = [(item["name"], bytes(item["content"])) for item in part.value]
            part.value = ()
        self.on_files(files)


def _sender(text: str, tip: str, multiple: bool) -> w.Widget | None:
    """The button whose script sends pieces; None without anywidget."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class FileSender(anywidget.AnyWidget):
        _esm = Path(__file__).with_name("widget_files.js")
        text = traitlets.Unicode().tag(sync=True)
        tip = traitlets.Unicode().tag(sync=True)
        accept = traitlets.Unicode("image/*").tag(sync=True)
        multiple = traitlets.Bool().tag(sync=True)

    return FileSender(text=text, tip=tip, multiple=multiple)
