"""The buttons and lists of the click tool, and how they are arranged.

Explained in notebooks/13_click_tool.ipynb. What they do is in widget_actions.py
and widget.py.
"""

from __future__ import annotations

import html
from types import SimpleNamespace

import ipywidgets as w

from .overlay import MODES
from .widget_files import FileButton

ADD, REMOVE, MOVE = "+ add", "− remove", "✥ move"

STYLE = """<style>
.click-tool { max-width: 1180px; outline: none; }
.click-tool:focus .click-canvas { box-shadow: 0 0 0 2px #2f8fff; }
.click-tool canvas.click-canvas, .click-tool .click-canvas canvas
  { height: auto !important; max-width: 100%; cursor: crosshair; touch-action: none; }
.click-moving canvas.click-canvas { cursor: grab !important; }
.click-tool .click-status, .click-tool .click-status .widget-html-content { line-height: 1.4; }
.click-tool .click-keys { line-height: 1.5; }
.click-tool .click-keys td { padding-right: 12px; }
.click-tool .click-error { color: #b00020; font-weight: bold; }
.click-tool kbd { border: 1px solid #aaa; border-radius: 3px; padding: 0 4px; }
.click-tool .click-object button, .click-tool button.click-object { text-align: left; }
</style>"""

HELP = """<table class="click-keys">
<tr><td>left click · right or Shift click</td><td>add · remove (right click needs ipyevents; the
switch works everywhere)</td></tr>
<tr><td>wheel (after a click, or with Ctrl) · middle button drag · two
fingers</td><td>zoom · move the photograph · both</td></tr>
<tr><td><kbd>←↑↓→</kbd> <kbd>Space</kbd></td><td>move the cross hair (with Shift: finely) · click
there</td></tr>
<tr><td><kbd>X</kbd></td><td>switch between add and remove</td></tr>
<tr><td><kbd>Z</kbd> <kbd>Y</kbd> (also with Ctrl)</td><td>undo · redo</td></tr>
<tr><td><kbd>F</kbd> <kbd>Backspace</kbd> <kbd>Delete</kbd></td><td>finish · reset · delete the
object</td></tr>
<tr><td><kbd>N</kbd> <kbd>P</kbd></td><td>next · previous image</td></tr>
<tr><td><kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> <kbd>O</kbd></td><td>zoom in · out · whole image ·
to the object</td></tr>
<tr><td><kbd>V</kbd> <kbd>I</kbd> <kbd>G</kbd> <kbd>S</kbd></td><td>next view · what the network
sees · robot click · save</td></tr>
<tr><td><kbd>?</kbd></td><td>this list</td></tr>
</table>"""


def button(text: str, tip: str, **more: object) -> w.Button:
    """A button as wide as its text."""
    return w.Button(description=text, tooltip=tip, layout=w.Layout(width="auto"), **more)


def make_parts() -> SimpleNamespace:
    """All controls by name; nothing is connected yet."""
    narrow = w.Layout(width="auto")
    parts = SimpleNamespace(
        sign=w.ToggleButtons(
            options=[ADD, REMOVE, MOVE],
            tooltips=["left click adds", "left click removes", "drag moves the photograph"],
            style={"button_width": "auto"},
            layout=narrow,
        ),
        undo=button("Undo", "take the last change back (Z)"),
        redo=button("Redo", "do it again (Y)"),
        reset=button("Reset", "take all clicks of this object back (Backspace)"),
        finish=button("Finish object", "the next click begins a new object (F)"),
        save=button("Save", "write masks and all export formats (S)", button_style="primary"),
        robot=button("Robot click", "the known truth says where to click (G)"),
        zoom_in=button("Zoom +", "zoom in (+)"),
        zoom_out=button("Zoom −", "zoom out (-)"),
        zoom_out_fully=button("Whole", "show the whole image (0)"),
        zoom_to_object=button("To object", "zoom to the object (O)"),
        view=w.ToggleButtons(options=MODES, style={"button_width": "auto"}, layout=narrow),
        opacity=w.FloatSlider(
            value=0.45, min=0, max=1, step=0.05, description="opacity", readout=False,
            layout=w.Layout(width="220px"),
        ),
        network=w.ToggleButton(description="What the network sees", layout=narrow),
        network_image=w.Image(format="png", layout=w.Layout(width="100%", max_width="688px")),
        network_text=w.HTML(),
        help=w.ToggleButton(description="Keys", layout=narrow),
        help_text=w.HTML(HELP),
        previous_image=button("◀", "previous image (P)"),
        next_image=button("▶", "next image (N)"),
        images=w.Dropdown(layout=w.Layout(width="150px")),
        upload=FileButton("Add images …", "photographs from your computer", multiple=True),
        import_mask=FileButton("Import mask …", "the object starts from a mask file", False),
        objects=w.VBox(layout=w.Layout(max_height="260px", overflow="auto")),
        new_object=button("New object", "the next click begins a new object"),
        delete=button("Delete", "remove this object (Delete)"),
        name=w.Text(placeholder="name", continuous_update=False, layout=w.Layout(width="110px")),
        color=w.ColorPicker(concise=True, layout=w.Layout(width="32px")),
        status=w.HTML(),
    )  # fmt: skip
    parts.status.add_class("click-status")
    return parts


def arrange(parts: SimpleNamespace, canvas: w.Widget, helpers: list[w.Widget]) -> list[w.Widget]:
    """The rows of the tool; the lists stand beside the canvas, or below it where it is narrow."""
    wrap = w.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px")

    def row(*items: w.Widget) -> w.HBox:
        return w.HBox(items, layout=wrap)

    p = parts
    parts.network_box = w.VBox([p.network_text, p.network_image])
    parts.side = w.VBox(
        [
            row(p.previous_image, p.images, p.next_image),
            p.objects,
            row(p.new_object, p.delete, p.name, p.color),
            row(p.upload.widget, p.import_mask.widget),
        ],
        layout=w.Layout(min_width="230px", flex="1 1 230px", max_width="320px"),
    )
    canvas_box = w.VBox([canvas], layout=w.Layout(align_items="flex-start", max_width="100%"))
    return [
        w.HTML(STYLE),
        row(p.sign, p.undo, p.redo, p.reset, p.finish, p.save, p.robot),
        p.status,
        w.HBox([canvas_box, parts.side], layout=w.Layout(flex_flow="row wrap", grid_gap="8px")),
        row(p.view, p.opacity),
        row(p.zoom_in, p.zoom_out, p.zoom_out_fully, p.zoom_to_object, p.network, p.help),
        parts.network_box,
        p.help_text,
        *helpers,
    ]


def error_text(error: Exception, trace: str = "") -> str:
    """A user's mistake as its sentence, any other error with its traceback folded away."""
    text = f'<span class="click-error" role="alert">{html.escape(str(error) or repr(error))}</span>'
    if trace:
        kind = html.escape(type(error).__name__)
        text += f"<details><summary>{kind}</summary><pre>{html.escape(trace)}</pre></details>"
    return text
