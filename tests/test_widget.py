"""The click tool without a browser: events as ipycanvas and ipyevents send them."""

from __future__ import annotations

import sys
import threading
from datetime import datetime
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

pytest.importorskip("ipycanvas")

from fake_predictor import FakePredictor

from simpleclick_lite.data import Scene
from simpleclick_lite.errors import InputError
from simpleclick_lite.overlay import View, network_picture, paint
from simpleclick_lite.widget import ClickTool, enable_colab
from simpleclick_lite.widget_worker import Worker


def photo(size: tuple[int, int] = (480, 640), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def send(widget, event: str, **content) -> None:
    """A message as the browser sends it: the one place that knows ipywidgets' private name."""
    widget._handle_custom_msg({"event": event, **content}, [])


def mouse_down(tool: ClickTool, x: float, y: float, button: int = 0, shift: bool = False) -> None:
    """A press at canvas pixel x, y of a canvas that the page shows at half its size."""
    rect = dict(boundingRectLeft=100, boundingRectTop=50)
    rect |= dict(boundingRectWidth=tool.canvas.width / 2, boundingRectHeight=tool.canvas.height / 2)
    place = dict(clientX=100 + x / 2, clientY=50 + y / 2)
    send(
        tool.connection.mouse, "mousedown", type="mousedown", button=button, shiftKey=shift,
        **place, **rect,
    )  # fmt: skip


@pytest.fixture
def tool(tmp_path: Path) -> ClickTool:
    pytest.importorskip("ipyevents")
    images = {"first": photo(), "second": photo((60, 80), 1)}
    return ClickTool(images, FakePredictor(20), tmp_path / "out", strict=True)


@pytest.fixture
def plain_tool(tmp_path: Path, monkeypatch) -> ClickTool:
    """The tool where neither ipyevents nor anywidget is installed."""
    monkeypatch.setitem(sys.modules, "ipyevents", None)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    return ClickTool(photo(), FakePredictor(20), tmp_path / "out", strict=True)


def clicks(tool: ClickTool) -> list[tuple[float, float, bool]]:
    current = tool.session.current
    return [] if current is None else [(c.x, c.y, c.positive) for c in current.clicks]


def test_left_adds_right_and_shift_remove(tool):
    mouse_down(tool, 100, 80)
    mouse_down(tool, 110.9, 80.2, button=2)
    mouse_down(tool, 120, 80, shift=True)
    assert clicks(tool) == [(100, 80, True), (110, 80, False), (120, 80, False)]
    assert "3 clicks" in tool.parts.status.value and " ms" in tool.parts.status.value


def test_without_ipyevents_the_toggle_says_what_a_click_does(plain_tool):
    tool = plain_tool
    assert tool.connection.mouse is tool.canvas and tool.connection.script is None
    send(tool.canvas, "mouse_down", x=100.7, y=80.2)
    tool.parts.sign.value = "− remove"
    send(tool.canvas, "mouse_down", x=110, y=80)
    assert clicks(tool) == [(100, 80, True), (110, 80, False)]
    send(tool.canvas, "key_down", key="x", shift_key=False, ctrl_key=False, meta_key=False)
    assert tool.parts.sign.value == "+ add"
    send(tool.canvas, "key_down", key="z", shift_key=False, ctrl_key=True, meta_key=False)
    assert len(clicks(tool)) == 1
    send(tool.canvas, "key_down", key="s", shift_key=False, ctrl_key=True, meta_key=False)
    assert not (tool.session.folder.path / "export").exists()


def test_a_click_comes_from_one_source_only(tool):
    send(tool.canvas, "mouse_down", x=100, y=80)
    assert clicks(tool) == []
    tool.connection.disconnect()
    mouse_down(tool, 100, 80)
    assert clicks(tool) == []


def test_places_at_and_beyond_the_edge_are_clipped(plain_tool):
    for x, y in ((-3, -0.1), (639.99, 479.99), (640, 480), (900, 2000)):
        send(plain_tool.canvas, "mouse_down", x=x, y=y)
    assert [c[:2] for c in clicks(plain_tool)] == [(0, 0)] + 3 * [(639, 479)]


def test_a_finger_that_is_lifted_clicks_and_one_that_moves_does_not(plain_tool):
    touch = lambda kind, *points: send(  # noqa: E731
        plain_tool.canvas, f"touch_{kind}", touches=[{"x": x, "y": y} for x, y in points]
    )
    touch("start", (50, 60)), touch("end")
    assert clicks(plain_tool) == [(50, 60, True)]
    touch("start", (50, 60)), touch("move", (90, 60)), touch("end")
    assert len(clicks(plain_tool)) == 1
    before = plain_tool._photo.view
    touch("start", (100, 100)), touch("start", (100, 100), (200, 100))
    touch("move", (50, 100), (250, 100)), touch("end", (50, 100)), touch("end")
    assert len(clicks(plain_tool)) == 1
    assert plain_tool._photo.view.scale == pytest.approx(2 * before.scale)


def test_the_page_zooms_and_pushes_and_is_told_when_it_may_send_more(tool):
    script, sent = tool.connection.script, []
    script.send = sent.append
    before = tool._photo.view
    script._handle_custom_msg({"move": [1.25, -25, -50]}, [])
    view = tool._photo.view
    assert view.scale == pytest.approx(1.25 * before.scale)
    assert view.to_image(100, 200) == before.to_image(100, 200)  # 100 = 1.25 * 100 - 25
    script._handle_custom_msg({"move": [1, -30, 20]}, [])
    assert tool._photo.view == view.moved(-30, 20)
    for _ in range(40):  # far beyond the largest scale: the place under the mouse stays
        script._handle_custom_msg({"move": [1.25, -25, -50]}, [])
    assert tool._photo.view.to_image(100, 200) == view.moved(-30, 20).to_image(100, 200)
    script._handle_custom_msg({}, [])
    assert len(sent) == 43
    tool.parts.sign.value = "✥ move"
    assert "click-moving" in tool._dom_classes
    tool.parts.sign.value = "+ add"
    assert "click-moving" not in tool._dom_classes


def test_ctrl_click_is_the_right_click_of_a_mac(tool):
    send(
        tool.connection.mouse, "mousedown", type="mousedown", button=0, shiftKey=False,
        ctrlKey=True, clientX=10, clientY=10, boundingRectLeft=0, boundingRectTop=0,
        boundingRectWidth=640, boundingRectHeight=480,
    )  # fmt: skip
    assert clicks(tool) == [(10, 10, False)]


def test_a_drag_without_the_page_script(plain_tool):
    tool = plain_tool
    tool.zoom_in()
    tool.parts.sign.value = "✥ move"
    before = tool._photo.view
    send(tool.canvas, "mouse_down", x=100, y=100)
    send(tool.canvas, "mouse_move", x=80, y=110)
    send(tool.canvas, "mouse_up", x=80, y=110)
    send(tool.canvas, "mouse_move", x=10, y=10)
    assert tool._photo.view == before.moved(-20, 10) != before and clicks(tool) == []
    send(tool.canvas, "mouse_wheel", x=0, y=-100)
    assert tool._photo.view.scale == pytest.approx(1.25 * before.scale)


def test_every_key_has_an_action_and_every_button_does_something(tmp_path):
    from simpleclick_lite.widget_events import KEYS

    tool = ClickTool(photo(), FakePredictor(20), tmp_path)
    tool.press(100, 80)
    for key in KEYS:
        tool.key(key)
        assert tool.wait(10) and "Traceback" not in tool.parts.status.value
    tool.key("no such key")
    for part in ("undo", "redo", "reset", "zoom_in", "zoom_out", "zoom_out_fully", "new_object"):
        getattr(tool.parts, part).click()


def test_a_session_by_keyboard_alone(tool):
    script = tool.connection.script
    assert script is not None
    press = lambda key, shift=False: script._handle_custom_msg({"key": key, "shift": shift}, [])  # noqa: E731
    press(" ")
    for _ in range(3):
        press("ArrowRight")
    press("ArrowDown", True), press("x"), press(" ")
    assert clicks(tool) == [(320, 240, True), (350, 241, False)]
    press("f"), press("x"), press(" ")
    assert len(tool.session.objects) == 2
    press("Undo"), press("Undo")
    assert clicks(tool)[0] == (320, 240, True) and len(tool.session.objects) == 1
    press("Redo"), press("s"), press("n")
    assert tool.session.name == "second" and (tool.session.folder.path / "export").is_dir()


def test_the_buttons_lead_through_a_session(tool):
    p = tool.parts
    mouse_down(tool, 100, 80)
    p.name.value = "cat"
    p.color.value = "#ff00ff"
    p.finish.click()
    mouse_down(tool, 300, 300)
    assert [b.description for b in p.objects.children] == [
        "✓ 1 · cat · 1 click",
        "▸ 2 · object · 1 click",
    ]
    assert p.objects.children[0].style.button_color == "#ff00ff"
    p.objects.children[0].click()
    assert tool.session.current.id == 1 and p.name.value == "cat"
    p.delete.click()
    assert [o.id for o in tool.session.objects] == [2]
    p.undo.click()
    assert [o.name for o in tool.session.objects] == ["cat", "object"]
    p.reset.click()
    assert tool.session.current.empty
    p.images.value = 1
    assert tool.session.name == "second" and p.objects.children == ()
    p.previous_image.click()
    p.save.click()
    assert "saved" in p.status.value
    assert (tool.session.folder.path / "export" / "coco.json").is_file()


def test_the_end_of_the_images_and_other_mistakes_are_one_sentence(tmp_path):
    tool = ClickTool(photo(), FakePredictor(), tmp_path)
    tool.next_image()
    assert "is the last image" in tool.parts.status.value
    assert "Traceback" not in tool.parts.status.value
    tool.save()
    assert "nothing is cut out yet" in tool.parts.status.value


def test_an_error_is_shown_and_raised_again_only_in_strict_mode(tmp_path):
    predictor = FakePredictor()
    tool = ClickTool(photo(), predictor, tmp_path / "a")
    assert tool.wait(10)
    predictor.fail = RuntimeError("out of <memory>")
    tool.press(10, 10)
    assert tool.wait(10)
    assert "out of &lt;memory&gt;" in tool.parts.status.value
    assert "Traceback" in tool.parts.status.value
    tool.press(20, 20)  # the click that failed is answered, too
    assert tool.wait(10) and predictor.asked == [1, 1, 2]
    strict = ClickTool(photo(), predictor, tmp_path / "b", strict=True)
    predictor.fail = RuntimeError("out of memory")
    with pytest.raises(RuntimeError):
        strict.press(10, 10)
    assert "out of memory" in strict.parts.status.value
    with pytest.raises(InputError, match="letter"):
        path = tmp_path / "letter.jpg"
        path.write_text("dear reader", encoding="utf-8")
        ClickTool(path, predictor)


def test_clicks_made_while_the_network_runs_are_queued_in_order(tmp_path):
    predictor = FakePredictor(20, seconds=0.15)
    tool = ClickTool(photo(), predictor, tmp_path)
    for x in (100, 130, 160, 190):
        tool.press(x, 100)
    assert "the network is running" in tool.parts.status.value
    assert len(clicks(tool)) == 4
    tool.undo()
    assert tool.wait(20) and predictor.asked == [1, 2, 3]
    assert "running" not in tool.parts.status.value and tool.session.mask()[100, 160]


def test_before_the_first_click_the_network_has_seen_nothing_and_no_picture_is_shown(tool):
    tool.parts.network.value = True
    assert "Click on an object" in tool.parts.network_text.value
    assert tool.parts.network_image.layout.display == "none"


def test_views_opacity_and_what_the_network_sees(tool):
    drawn = []
    tool._photo.draw_layer = drawn.append
    mouse_down(tool, 100, 80)
    tool.parts.opacity.value = 1.0
    assert (drawn[-1][80, 100] == (0x2F, 0x8F, 0xFF, 255)).all()
    tool.parts.view.value = "outline"
    assert drawn[-1][80, 100, 3] == 0 and drawn[-1][80, 81:86, 3].max() == 255
    tool.parts.view.value = "cut-out"
    assert drawn[-1][80, 100, 3] == 0 and drawn[-1][300, 300, 3] == 255
    tool.parts.view.value = "probability"
    assert drawn[-1][80, 100, 3] > 200 and drawn[-1][300, 300, 3] == 0
    count = len(drawn)
    tool._screen.refresh()
    assert len(drawn) == count  # nothing has changed, nothing is sent
    tool.parts.network.value = True
    assert "does not tell" in tool.parts.network_text.value


def test_a_reloaded_page_gets_everything_again(tool):
    mouse_down(tool, 100, 80)
    drawn = []
    tool._photo.draw_layer = drawn.append
    tool.canvas._canvases[-1]._handle_custom_msg({"event": "client_ready"}, [])
    assert len(drawn) == 1 and drawn[0][80, 100, 3] > 0


def test_the_robot_button_appears_where_the_truth_is_known(tool, tmp_path):
    assert tool.parts.robot.layout.display == "none"
    mask = np.zeros((1, 60, 80), bool)
    mask[0, 20:40, 20:40] = True
    known = ClickTool(Scene("known", photo((60, 80)), mask), FakePredictor(8), None, strict=True)
    known.parts.robot.click()
    assert known.parts.robot.layout.display is None
    assert mask[0][int(clicks(known)[0][1]), int(clicks(known)[0][0])]
    assert "IoU 0." in known.parts.status.value


def upload(part, *files: tuple[str, bytes]) -> None:
    """What the browser does when the user has chosen files, with and without anywidget."""
    if hasattr(part.widget, "_esm"):
        hear = part.widget._handle_custom_msg
        for name, content in files:
            hear({"name": name}, [])
            for start in range(0, len(content), 100):
                hear({}, [memoryview(content[start : start + 100])])
        hear({"done": True}, [])
        return
    items = [{"name": name, "type": "image/png", "size": len(data)} for name, data in files]
    if isinstance(part.widget.value, dict):
        part.widget.metadata, part.widget.data = items, [data for _, data in files]
        part.widget._counter += len(files)
    else:
        now = datetime.now()
        part.widget.value = tuple(
            item | {"content": data, "last_modified": now}
            for item, (_, data) in zip(items, files, strict=True)
        )


def png(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


@pytest.mark.parametrize("kind", ["tool", "plain_tool"])
def test_uploaded_images_and_masks(kind, request):
    tool = request.getfixturevalue(kind)
    upload(tool.parts.upload, ("mine.png", png(photo((30, 40)))))
    assert tool.session.name == "mine" and tool.session.size == (30, 40)
    mask = np.zeros((30, 40), np.uint8)
    mask[5:9, 5:9] = 255
    upload(tool.parts.import_mask, ("mask.png", png(mask)))
    assert (tool.session.mask() == (mask > 0)).all()
    assert not getattr(tool.parts.upload.widget, "value", ())
    upload(tool.parts.import_mask, ("mask.jpg", cv2.imencode(".jpg", mask)[1].tobytes()))
    assert (tool.session.mask() == (mask > 0)).mean() > 0.99


def test_one_broken_file_does_not_stop_the_others(tmp_path):
    tool = ClickTool(photo(), FakePredictor(), tmp_path)
    files = [("a.png", png(photo((30, 40)))), ("b.jpg", b"dear reader"), ("c.png", png(photo()))]
    upload(tool.parts.upload, *files)
    assert [p.name for p in tool.session.pictures] == ["image", "a", "c"]
    assert "b.jpg is not an image" in tool.parts.status.value and tool.session.name == "c"
    upload(tool.parts.upload, ("b.jpg", b"dear reader"))
    assert len(tool.session.pictures) == 3 and tool.session.name == "c"


def test_objects_that_were_left_before_their_answer_get_it_afterwards(tmp_path):
    tool = ClickTool(photo((60, 80)), FakePredictor(5, seconds=0.1), tmp_path)
    for x in (10, 40, 70):
        tool.session.add_click(x, 30, predict=False)
        tool.session.finish()
    tool._changed()
    assert tool._worker.wait(20)
    known = [tool.session.known_mask(number) for number in (1, 2, 3)]
    assert all(mask[30, x] for mask, x in zip(known, (10, 40, 70), strict=True))
    assert len([*tmp_path.rglob("*.png")]) == 3
    tool.close()


def test_the_tool_comes_back_as_it_was(tool):
    mouse_down(tool, 100, 80)
    tool.finish()
    mouse_down(tool, 300, 300)
    tool.next_image()
    mouse_down(tool, 200, 200)
    images = {"first": photo(), "second": photo((60, 80), 1)}
    again = ClickTool(images, FakePredictor(20), tool.session.folder.path, strict=True)
    assert again.session.name == "second" and clicks(again) == clicks(tool)
    again.previous_image()
    assert [b.description for b in again.parts.objects.children] == [
        "✓ 1 · object · 1 click", "▸ 2 · object · 1 click"
    ]  # fmt: skip


def test_photographs_reach_the_browser_without_loss(tool):
    stored = cv2.imdecode(np.frombuffer(tool._photo._photo.value, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (cv2.cvtColor(stored, cv2.COLOR_BGR2RGB) == photo()).all()


def test_large_and_tiny_images_are_shown_scaled(tmp_path):
    large = np.zeros((4000, 6000, 3), np.uint8)
    tool = ClickTool(large, FakePredictor(50), None, strict=True)
    assert (tool.canvas.width, tool.canvas.height) == (800, 534)
    tool.press(799.9, 533.3)
    assert clicks(tool) == [(5999, 3999, True)] and tool.session.mask().shape == (4000, 6000)
    tool.zoom_to_object()
    assert tool._photo.view.scale > 2
    tiny = ClickTool(np.zeros((1, 1, 3), np.uint8), FakePredictor(), None, strict=True)
    assert tiny.canvas.width == 480
    tiny.press(470, 3)
    assert clicks(tiny) == [(0, 0, True)]


def test_colab_is_left_alone_elsewhere():
    assert enable_colab() is False


def test_on_colab_the_widget_manager_is_switched_on_before_the_first_canvas(monkeypatch):
    calls = []
    colab, output = ModuleType("google.colab"), ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: calls.append("on")
    colab.output = output
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setattr(
        "simpleclick_lite.widget.PhotoCanvas", lambda most: calls.append("canvas") or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        ClickTool(photo(), FakePredictor(), None)
    assert calls == ["on", "canvas"]


@pytest.mark.parametrize("size", [(480, 640), (30, 20), (1, 1), (4000, 600)])
@pytest.mark.parametrize("factor", [1, 3.7, 20])
def test_canvas_and_image_places_belong_together(size, factor):
    view = View.whole(size, (800, 600)).zoomed(factor, 100, 50)
    for x, y in ((0, 0), (13, 7), (size[1] - 1, size[0] - 1)):
        if x < size[1] and y < size[0]:
            assert view.to_image(*view.to_canvas(x, y)) == (x, y)
    # the edge of the image is never inside of the canvas
    assert view.left >= 0 and view.left + view.width / view.scale <= size[1] + 1


def test_what_is_shown_is_what_a_click_hits():
    rng = np.random.default_rng(0)
    mask = rng.random((48, 64)) < 0.5
    view = View.whole((48, 64), (800, 600)).zoomed(3, 200, 100).moved(-37, -21)
    shown = view.show(mask)
    for x, y in rng.integers(0, (view.width, view.height), (200, 2)):
        column, row = view.to_image(x + 0.5, y + 0.5)
        assert shown[y, x] == mask[row, column]


def test_painting_no_object_is_empty_and_the_net_picture_has_three_squares():
    assert not paint((5, 7), []).any()
    maps = np.zeros((3, 32, 32), np.float32)
    maps[1, 4:8, 4:8] = 1
    assert network_picture(np.zeros((32, 32, 3), np.float32), maps, 64).shape == (64, 208, 3)


def test_a_worker_survives_errors_and_ends():
    todo, failed = [1, 2], []
    running = threading.Event()

    def work() -> bool:
        running.set()
        if not todo:
            return False
        if todo.pop() == 1:
            raise ValueError("one")
        return True

    worker = Worker(work, failed.append)
    assert worker.wait(1)
    worker.kick()
    assert running.wait(5) and worker.wait(5) and [str(e) for e in failed] == ["one"]
    todo.append(3)
    worker.kick()
    assert worker.wait(5) and todo == []
    worker.close()
