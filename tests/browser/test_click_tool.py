"""The click tool in a real JupyterLab page, used as a person uses it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from lab_page import NotebookPage, poll

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOK = ROOT / "notebooks" / "13_click_tool.ipynb"
# pictures of the page are kept here to be looked at: BROWSER_SCREENSHOTS, or the test's folder
KEPT = os.environ.get("BROWSER_SCREENSHOTS")

# a tool on two photographs with a predictor that is fast and whose answers are known
FAKE_CELL = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from fake_predictor import FakePredictor
from simpleclick_lite.data import photos
from simpleclick_lite.widget import ClickTool
images = {{name: photos.photo(name) for name in ("coffee", "chelsea")}}
tool = ClickTool(images, FakePredictor(40, seconds=0.3), out_dir="annotations")
tool
"""
FIRST_DISK = 40  # radius of its answer to a first click


def saved_mask(page: NotebookPage, name: str, folder: str = "annotations") -> np.ndarray:
    """(H, W) bool: a mask of the tool's folder, once the tool has nothing left to do."""
    page.python("assert tool.wait(60)")
    path = page.folder / folder / "masks" / f"{name}.png"
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == 255


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels that look different."""
    return np.abs(before.astype(int) - after).max(axis=2) > 12


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def keep(page: NotebookPage, tmp_path: Path, name: str) -> None:
    """Pictures of the page at two widths."""
    for width in (1280, 700):
        page.page.set_viewport_size({"width": width, "height": 1000})
        page.screenshot(Path(KEPT or tmp_path) / f"{name}_{width}.png")
    page.page.set_viewport_size({"width": 1280, "height": 1000})


@pytest.fixture
def fake(open_notebook, tmp_path):
    """`fake(**how)` opens a notebook with the tool on the fake predictor and runs it."""
    import nbformat

    cell = nbformat.v4.new_code_cell(FAKE_CELL)
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "fake.ipynb")

    def _fake(**how) -> NotebookPage:
        page = open_notebook(tmp_path / "fake.ipynb", **how)
        page.run_all()
        page.canvas.wait_for()
        poll(lambda: page.pixels().std() > 20, "the photograph is on the canvas")
        return page

    return _fake


def click_and_see(page: NotebookPage, x: float, y: float, **how) -> np.ndarray:
    """Click, wait for the answer, and return which pixels of the canvas look different."""
    before = page.pixels()
    page.click(x, y, **how)
    poll(lambda: changed(before, page.pixels()).sum() > 50, "a click changes pixels", seconds=60)
    page.wait_status(" ms")
    return changed(before, page.pixels())


def test_notebook_13_cuts_an_object_out(open_notebook, tmp_path):
    page = open_notebook(NOTEBOOK)
    page.run_all()
    page.canvas.scroll_into_view_if_needed()
    page.page.locator(".click-tool select").first.select_option(index=3)
    page.wait_status("coffee")
    poll(lambda: page.pixels().shape == (400, 600, 3), "the coffee has its own size")
    poll(lambda: page.pixels().std() > 20, "the photograph is on the canvas")
    before = page.pixels()

    page.click(270, 170)
    page.wait_status("1 click", " ms", "IoU")
    page.click(100, 60, button="right")
    page.wait_status("2 clicks", " ms")
    assert page.page.locator(".lm-Menu").count() == 0  # JupyterLab's menu stays away
    page.button("− remove")
    page.click(560, 350)
    page.wait_status("3 clicks", " ms")
    signs = page.python("print([c.positive for c in tool.session.current.clicks])")
    assert signs.strip() == "[True, False, False]"

    mask = saved_mask(page, "coffee_1", "outputs/click_tool")
    assert mask.shape == (400, 600) and mask[165:176, 265:276].any()
    seen = changed(before, page.pixels())
    near_clicks = np.zeros_like(mask)
    for x, y in ((270, 170), (100, 60), (560, 350)):
        near_clicks[y - 12 : y + 13, x - 12 : x + 13] = True
    outline = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert iou(seen & ~near_clicks, outline & ~near_clicks) > 0.9
    page.button("What the network sees")
    page.page.get_by_text("The crop of the photograph").wait_for()
    keep(page, tmp_path, "notebook13")
    page.check_cells()


def test_two_objects_undo_finish_next_image_save_and_restart(fake, tmp_path):
    page = fake()
    disk = click_and_see(page, 150, 150)
    assert abs(disk.sum() - np.pi * FIRST_DISK**2) < 0.15 * np.pi * FIRST_DISK**2
    click_and_see(page, 165, 150, button="right")
    page.button("Undo")
    page.wait_status("1 click", " ms")
    mask = saved_mask(page, "coffee_1")
    assert mask[150, 165] and not mask[150, 195]
    page.button("Redo")
    page.wait_status("2 clicks", " ms")
    page.button("Finish object")
    page.wait_status("object finished")
    click_and_see(page, 400, 250)
    click_and_see(page, 430, 250, modifiers=["Shift"])
    keep(page, tmp_path, "two_objects")
    page.button("▶")
    page.wait_status("chelsea", "2 of 2")
    click_and_see(page, 100, 100)
    page.button("Save")
    page.wait_status("saved")
    page.check_cells()

    coco = pytest.importorskip("pycocotools.coco")
    folder = page.folder / "annotations"
    for file in ("coco.json", "coco_polygons.json"):
        data = coco.COCO(str(folder / "export" / file))
        assert len(data.imgs) == 2 and len(data.anns) == 3
        masks = [data.annToMask(data.anns[i]).astype(bool) for i in (1, 2, 3)]
        kept = [saved_mask(page, name) for name in ("coffee_1", "coffee_2", "chelsea_1")]
        for ours, theirs in zip(kept, masks, strict=True):
            assert (ours == theirs).all() and ours.any()
    everything = "import json; tool.session.go_to(0); print(json.dumps(tool.session.state()))"
    state = json.loads(page.python(everything))
    assert [len(i["actions"]) for i in state["images"]] == [5, 1]

    page.restart_kernel()
    page.run_all()
    page.wait_status("coffee")
    opened = "tool.session.go_to(1); " + everything
    assert json.loads(page.python(opened)) == state
    page.page.locator(".click-object").nth(1).wait_for()
    poll(lambda: iou_of_blue(page) > 0, "the first object is painted")
    page.check_cells()


def iou_of_blue(page: NotebookPage) -> float:
    """Share of the canvas that is much bluer than it is red."""
    pixels = page.pixels().astype(int)
    return float((pixels[..., 2] - pixels[..., 0] > 60).mean())


def test_by_keyboard_and_toggle_alone(fake, tmp_path):
    page = fake()
    keyboard = page.page.keyboard
    cells = page.page.locator(".jp-Cell").count()
    page.page.locator(".click-tool").focus()
    keyboard.press("Space")
    page.wait_status("1 click", " ms")
    for _ in range(3):
        keyboard.press("ArrowRight")
    keyboard.press("Shift+ArrowDown")
    keyboard.press("x")
    poll(lambda: "remove" in page.python("print(tool.parts.sign.value)"), "the switch says remove")
    keyboard.press("Space")
    page.wait_status("2 clicks", " ms")
    actions = "import json; print(json.dumps(tool.session.state()['images'][0]['actions']))"
    clicks = json.loads(page.python(actions))
    assert [(c["x"], c["y"], c["positive"]) for c in clicks] == [
        (300, 200, True),
        (330, 201, False),
    ]
    keyboard.press("Control+z")
    page.wait_status("1 click", " ms")
    keyboard.press("Control+Shift+z")
    page.wait_status("2 clicks", " ms")
    keyboard.press("f")
    page.wait_status("object finished")
    keyboard.press("x")
    for key in [*["ArrowLeft"] * 12, "Space"]:
        keyboard.press(key)
    page.wait_status("object 2: 1 click", " ms")
    # letters without a meaning do not become commands of the notebook, also on a button
    page.page.locator(".click-tool button").filter(has_text="Redo").focus()
    for key in ("a", "b", "d", "d", "m"):
        keyboard.press(key)
    keyboard.press("s")
    page.wait_status("saved")
    assert page.page.locator(".jp-Cell").count() == cells
    assert page.page.locator(".jp-MarkdownCell").count() == 0
    # a name with shortcut letters in it is only a name
    page.page.locator(".click-tool input[type=text]").first.fill("fox")
    keyboard.press("Tab")
    poll(lambda: "fox" in page.python("print(tool.session.current.name)"), "the object has a name")
    keyboard.press("Control+s")  # JupyterLab's own
    page.check_cells()


def test_the_toggle_removes_and_a_finger_clicks(fake):
    page = fake(touch=True)
    page.canvas.tap(position=page.place(200, 150))
    page.wait_status("1 click", " ms")
    page.button("− remove")
    page.canvas.tap(position=page.place(220, 150))
    page.wait_status("2 clicks", " ms")
    mask = saved_mask(page, "coffee_1")
    assert mask[150, 175] and not mask[150, 225]
    page.check_cells()


def test_a_reloaded_page_shows_everything_again(fake):
    page = fake()
    click_and_see(page, 150, 150)
    page.wait_status(" ms")
    before = page.pixels()
    page.page.keyboard.press("Control+s")  # the output must be in the file to be shown again
    page.page.wait_for_timeout(500)
    page.page.reload()
    page.ready()
    page.canvas.wait_for()
    poll(lambda: not changed(before, page.pixels()).any(), "the canvas is as before")
    click_and_see(page, 300, 200)
    page.check_cells()


def test_clicks_while_the_network_runs_are_not_lost(fake):
    page = fake()
    for x in (100, 200, 300, 400):
        page.click(x, 200)
    page.wait_status("4 clicks", " ms")
    mask = saved_mask(page, "coffee_1")
    assert all(mask[200, x] for x in (100, 200, 300, 400))


def test_the_pixels_of_the_photograph_arrive_without_loss(fake):
    from simpleclick_lite.data import photos

    page = fake()
    assert (page.pixels() == photos.photo("coffee")).all()


def test_these_tests_notice_a_callback_that_is_not_connected(fake):
    page = fake()
    page.python("tool.connection.disconnect()")
    before = page.pixels()
    page.click(150, 150)
    page.python("tool.wait(10)")
    assert not changed(before, page.pixels()).any()
    assert "click on an object" in page.status
    assert not (page.folder / "annotations" / "masks").exists()
