"""The click tool in a real JupyterLab page, used as a person uses it."""

from __future__ import annotations

import json
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
KEPT = ROOT / "runs" / "browser"  # pictures of the page, to be looked at

# a tool on two photographs with a predictor that is fast and whose answers are known
FAKE_CELL = f"""\
sys.path.insert(0, {str(ROOT / "tests")!r})
from fake_predictor import FakePredictor
from simpleclick_lite.data import photos
from simpleclick_lite.widget import ClickTool
images = {{name: photos.photo(name) for name in ("coffee", "chelsea")}}
tool = ClickTool(images, FakePredictor(40, seconds=0.3), out_dir="annotations")
tool
"""
TOOL = "outputs/click_tool"  # where notebook 13 keeps its clicks
FIRST_DISK = 40  # radius of its answer to a first click


def saved_mask(page: NotebookPage, name: str, folder: str = "annotations") -> np.ndarray:
    """(H, W) bool: a mask of the tool's folder, once the tool has nothing left to do."""
    page.python("assert tool.wait(60)")
    path = page.folder / folder / "masks" / f"{name}.png"
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == 255


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(h, w) bool: pixels that look different."""
    return np.abs(before.astype(int) - after).max(axis=2) > 12


def dilated(mask: np.ndarray) -> np.ndarray:
    """With the dark line that the tool draws around an object."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def keep(page: NotebookPage, name: str) -> None:
    """Pictures of the page at two widths."""
    for width in (1280, 700):
        page.page.set_viewport_size({"width": width, "height": 1000})
        page.screenshot(KEPT / f"{name}_{width}.png")
    page.page.set_viewport_size({"width": 1280, "height": 1000})


@pytest.fixture
def fake(open_notebook, tmp_path):
    """`fake()` opens a notebook with the tool on the fake predictor and runs it."""
    import nbformat

    kernel = {"name": "python3", "display_name": "Python 3"}

    def _fake(without: tuple[str, ...] = (), **how) -> NotebookPage:
        missing = "".join(f"sys.modules[{name!r}] = None\n" for name in without)
        cell = nbformat.v4.new_code_cell("import sys\n" + missing + FAKE_CELL)
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
        nbformat.write(notebook, tmp_path / "fake.ipynb")
        page = open_notebook(tmp_path / "fake.ipynb", **how)
        page.run_all()
        page.canvas.wait_for()
        poll(lambda: page.pixels().std() > 20, "the photograph is on the canvas")
        if "anywidget" not in without:
            page.page.locator(".click-tool[tabindex]").wait_for()  # keys are caught
        return page

    return _fake


def click_and_see(page: NotebookPage, x: float, y: float, **how) -> np.ndarray:
    """Click, wait for the answer, and return which pixels of the canvas look different."""
    before = page.pixels()
    page.click(x, y, **how)
    poll(lambda: changed(before, page.pixels()).sum() > 50, "a click changes pixels", seconds=60)
    page.wait_status(" ms")
    return changed(before, page.pixels())


def test_notebook_13_cuts_two_objects_out_and_finds_them_again_after_a_restart(
    open_notebook,
):
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
    mask = saved_mask(page, "coffee_1", TOOL)
    assert mask.shape == (400, 600) and mask[165:176, 265:276].any()
    seen = changed(before, page.pixels())
    near_clicks = np.zeros_like(mask)
    for x, y in ((270, 170), (100, 60), (560, 350)):
        near_clicks[y - 12 : y + 13, x - 12 : x + 13] = True
    assert iou(seen & ~near_clicks, dilated(mask) & ~near_clicks) > 0.9
    page.button("What the network sees")
    page.page.get_by_text("The crop of the photograph").wait_for()
    keep(page, "notebook13_first_object")

    page.button("Undo")
    page.wait_status("2 clicks", " ms")
    page.button("Finish object")
    page.wait_status("object finished")
    page.button("+ add")
    page.click(430, 285)
    page.wait_status("object 2: 1 click", " ms")
    page.click(300, 380, button="right")
    page.wait_status("object 2: 2 clicks", " ms")
    assert saved_mask(page, "coffee_2", TOOL).any()
    keep(page, "notebook13_second_object")
    page.button("▶")
    page.wait_status("coins", "5 of 12")
    page.click(200, 150)
    page.wait_status("1 click", " ms")
    page.button("Save")
    page.wait_status("saved")
    page.check_cells()

    coco = pytest.importorskip("pycocotools.coco")
    folder = page.folder / TOOL
    names = ["coffee_1", "coffee_2", "coins_1"]
    masks = [m for m in (saved_mask(page, name, TOOL) for name in names) if m.any()]
    for file in ("coco.json", "coco_polygons.json"):
        data = coco.COCO(str(folder / "export" / file))
        assert len(data.imgs) == 2 and len(data.anns) == len(masks)
        for number, mask in enumerate(masks, 1):
            assert (data.annToMask(data.anns[number]).astype(bool) == mask).all()
    everything = """if True:
        import json
        for index in (3, 4):
            tool.session.go_to(index)
        print(json.dumps(tool.session.state()))"""
    state = json.loads(page.python(everything))
    coffee, coins = [i["actions"] for i in state["images"] if i["actions"]]
    assert [a["do"] for a in coffee] == ["click", "click", "finish", "click", "click"]
    assert [a["do"] for a in coins] == ["click"]

    page.restart_kernel()
    page.run_all()
    page.wait_status("coins", "object 1: 1 click")
    again = json.loads(page.python(everything))
    assert [i for i in again["images"] if i["actions"]] == [
        i for i in state["images"] if i["actions"]
    ]
    for name, mask in zip(names, masks, strict=False):
        assert (saved_mask(page, name, TOOL) == mask).all()
    page.button("◀")
    page.wait_status("coffee")
    poll(lambda: page.page.locator("button.click-object").count() == 2, "both objects are listed")
    painted = changed(before, page.pixels())
    assert iou(painted, dilated(masks[0] | masks[1])) > 0.8
    page.check_cells()


def test_by_keyboard_and_toggle_alone(fake):
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


def test_the_toggle_removes_and_a_finger_clicks_where_only_ipycanvas_is_installed(fake):
    page = fake(without=("ipyevents", "anywidget"), touch=True)
    disk = click_and_see(page, 200, 150)
    assert abs(disk.sum() - np.pi * FIRST_DISK**2) < 0.15 * np.pi * FIRST_DISK**2
    page.button("− remove")
    page.canvas.tap(position=page.place(220, 150))
    page.wait_status("2 clicks", " ms")
    mask = saved_mask(page, "coffee_1")
    assert mask[150, 175] and not mask[150, 225]
    page.canvas.focus()
    page.page.keyboard.press("z")
    page.wait_status("1 click", " ms")
    page.check_cells()


def test_a_finger_clicks_once_where_everything_is_installed(fake):
    page = fake(touch=True)
    page.canvas.tap(position=page.place(200, 150))
    page.wait_status("1 click", " ms")
    assert saved_mask(page, "coffee_1")[150, 200]
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


def test_the_photograph_arrives_without_loss_and_no_click_is_lost_while_the_network_runs(fake):
    from simpleclick_lite.data import photos

    page = fake()
    assert (page.pixels() == photos.photo("coffee")).all()
    for x in (100, 200, 300, 400):
        page.click(x, 200)
    page.wait_status("4 clicks", " ms")
    mask = saved_mask(page, "coffee_1")
    assert all(mask[200, x] for x in (100, 200, 300, 400))


def test_these_tests_notice_a_callback_that_is_not_connected(fake):
    page = fake()
    page.python("tool.connection.disconnect()")
    before = page.pixels()
    page.click(150, 150)
    page.python("tool.wait(10)")
    assert not changed(before, page.pixels()).any()
    assert "click on an object" in page.status
    assert not (page.folder / "annotations" / "masks").exists()
