"""The click tool in a real JupyterLab page, used as a person uses it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from lab_page import ROOT, changed, click_and_see, keep, poll, saved_mask

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

NOTEBOOK = ROOT / "notebooks" / "13_click_tool.ipynb"
TOOL = "outputs/click_tool"  # where notebook 13 keeps its clicks


def dilated(mask: np.ndarray) -> np.ndarray:
    """With the dark line that the tool draws around an object."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


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


def test_a_reloaded_page_shows_everything_again(fake):
    page = fake()
    click_and_see(page, 150, 150)
    page.wait_status(" ms")
    before = page.pixels()
    page.page.keyboard.press("Control+s")  # the output must be in the file to be shown again
    page.wait_saved()
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
