"""The click tool by keyboard, toggle or finger alone, by wheel and drag, and its uploads."""

from __future__ import annotations

import itertools
import json

import cv2
import numpy as np
import pytest
from lab_page import PANEL, NotebookPage, click_and_see, keep, poll, saved_mask

from simpleclick_lite.overlay import View

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

FIRST_DISK = 40  # radius of the fake predictor's answer to a first click
ACTIONS = """if True:
    import json
    print(json.dumps([image['actions'] for image in tool.session.state()['images']]))"""


def actions(page: NotebookPage) -> list:
    """What was done to each image that was opened."""
    return json.loads(page.python(ACTIONS))


def view(page: NotebookPage) -> View:
    """The part of the photograph that the tool shows."""
    code = "import dataclasses, json; print(json.dumps(dataclasses.asdict(tool._photo.view)))"
    fields = json.loads(page.python(code))
    return View(**fields | {"size": tuple(fields["size"])})


def read_back(page: NotebookPage, wanted: list[tuple[str, int, str]]) -> None:
    """Compare coco.json with (image, object, class) and the tool's own masks."""
    coco = pytest.importorskip("pycocotools.coco")
    data = coco.COCO(str(page.folder / "annotations" / "export" / "coco.json"))
    assert len(data.anns) == len(wanted)
    for found, (image, number, name) in zip(data.anns.values(), wanted, strict=True):
        assert data.imgs[found["image_id"]]["file_name"] == f"images/{image}.png"
        assert data.cats[found["category_id"]]["name"] == name
        mask = saved_mask(page, f"{image}_{number}")
        assert mask.any() and (data.annToMask(found).astype(bool) == mask).all()


def test_the_whole_story_by_keyboard_alone(fake):
    page = fake()
    keyboard = page.page.keyboard
    cells = page.page.locator(".jp-Cell").count()
    # run the cell again and walk into its output, as someone without a mouse does
    page.page.evaluate("() => { document.querySelector('.click-tool').dataset.old = true; }")
    page.page.locator(".jp-Cell").first.focus()
    keyboard.press("Control+Enter")
    fresh = "() => [...document.querySelectorAll('.click-tool')].every(t => !t.dataset.old)"
    poll(lambda: page.page.evaluate(fresh), "the cell's earlier output is gone")
    page.page.locator(".click-tool").first.wait_for()
    page.ready()

    def walks_in() -> bool:
        page.page.locator(".jp-Cell").first.focus()
        for _ in range(5):
            keyboard.press("Tab")
            if page.page.evaluate("() => document.activeElement.classList.contains('click-tool')"):
                return True
        return False

    poll(walks_in, "Tab leads to the tool")
    poll(lambda: page.pixels().std() > 20, "the photograph is on the canvas")
    keyboard.press("Space")
    page.wait_status("1 click", " ms")
    for _ in range(3):
        keyboard.press("ArrowRight")
    keyboard.press("Shift+ArrowDown")
    keyboard.press("x")
    poll(lambda: "remove" in page.python("print(tool.parts.sign.value)"), "the switch says remove")
    keyboard.press("Space")
    page.wait_status("2 clicks", " ms")
    assert [(c["x"], c["y"], c["positive"]) for c in actions(page)[0]] == [
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
    keep(page, "keyboard")
    # letters without a meaning do not become commands of the notebook, also on a button
    page.page.locator(".click-tool button").filter(has_text="Redo").focus()
    for key in ("a", "b", "d", "d", "m"):
        keyboard.press(key)
    # a name with shortcut letters in it is only a name
    page.page.locator(".click-tool input[type=text]").first.fill("fox")
    keyboard.press("Tab")
    poll(lambda: "fox" in page.python("print(tool.session.current.name)"), "the object has a name")
    keyboard.press("Control+s")  # JupyterLab's own
    page.page.locator(".click-tool").focus()
    keyboard.press("n")
    page.wait_status("chelsea", "2 of 2")
    keyboard.press("Space")
    page.wait_status("object 1: 1 click", " ms")
    keyboard.press("s")
    page.wait_status("saved")
    assert page.page.locator(".jp-Cell").count() == cells
    assert page.page.locator(".jp-MarkdownCell").count() == 0
    read_back(page, [("coffee", 1, "object"), ("coffee", 2, "fox"), ("chelsea", 1, "object")])
    page.python("tool.session.go_to(0); tool.session.go_to(1)")
    before = actions(page)

    page.restart_kernel()
    page.page.locator(".jp-Cell").first.focus()
    keyboard.press("Control+Enter")
    page.wait_status("chelsea", "object 1: 1 click")
    page.python("tool.session.go_to(0); tool.session.go_to(1)")
    assert actions(page) == before
    page.check_cells()


def test_the_whole_story_by_toggle_alone_where_only_ipycanvas_is_installed(fake):
    page = fake(without=("ipyevents", "anywidget"))
    disk = click_and_see(page, 200, 150)
    assert abs(disk.sum() - np.pi * FIRST_DISK**2) < 0.15 * np.pi * FIRST_DISK**2
    page.button("− remove")
    page.click(220, 150)
    page.wait_status("2 clicks", " ms")
    mask = saved_mask(page, "coffee_1")
    assert mask[150, 175] and not mask[150, 225]
    page.button("Undo")
    page.wait_status("1 click", " ms")
    page.button("Redo")
    page.wait_status("2 clicks", " ms")
    page.button("Finish object")
    page.wait_status("object finished")
    page.button("+ add")
    page.click(400, 300)
    page.wait_status("object 2: 1 click", " ms")
    page.button("▶")
    page.wait_status("chelsea", "2 of 2")
    page.click(100, 100)
    page.wait_status("object 1: 1 click", " ms")
    page.canvas.focus()
    page.page.keyboard.press("z")  # keys come from the canvas
    page.wait_status("click on an object")
    page.button("Redo")
    page.wait_status("object 1: 1 click", " ms")
    page.button("Save")
    page.wait_status("saved")
    read_back(page, [("coffee", 1, "object"), ("coffee", 2, "object"), ("chelsea", 1, "object")])
    page.check_cells()


@pytest.mark.parametrize("without", [(), ("ipyevents", "anywidget")], ids=["all", "ipycanvas"])
def test_a_finger_clicks_once(fake, without):
    page = fake(without, touch=True)
    page.canvas.tap(position=page.place(200, 150))
    page.wait_status("1 click", " ms")
    assert saved_mask(page, "coffee_1")[150, 200]
    page.button("− remove")
    page.canvas.tap(position=page.place(220, 150))
    page.wait_status("2 clicks", " ms")
    assert not saved_mask(page, "coffee_1")[150, 225]
    page.check_cells()


def test_the_wheel_zooms_around_the_mouse_and_a_drag_moves_as_far_as_the_hand(fake):
    page = fake()
    mouse = page.page.mouse
    page.canvas.scroll_into_view_if_needed()
    box, whole = page.canvas.bounding_box(), view(page)
    hand = page.place(150, 100)
    mouse.move(box["x"] + hand["x"], box["y"] + hand["y"])
    page.page.locator(".click-tool").first.focus()  # as a click does
    for _ in range(4):
        mouse.wheel(0, -100)
    for _ in range(100):  # a touch pad sends many small ones: one notch more
        mouse.wheel(0, -1)
    poll(
        lambda: abs(view(page).scale / whole.scale - 1.25**5) < 1e-3,
        "five notches; scale {}",
        lambda: str(view(page).scale),
    )
    zoomed = view(page)
    assert np.allclose(zoomed.to_canvas(150, 100), whole.to_canvas(150, 100), atol=2)
    for button, switch in (("middle", None), ("left", "✥ move")):
        if switch:
            page.button(switch)
        start, box = view(page), page.canvas.bounding_box()
        mouse.move(box["x"] + 200, box["y"] + 150)
        mouse.down(button=button)
        for step in range(1, 31):
            mouse.move(box["x"] + 200 - 4 * step, box["y"] + 150 - step)
        mouse.up(button=button)
        mouse.move(box["x"] + 10, box["y"] + 10)  # let go: nothing moves any more
        across = whole.width / box["width"]
        wanted = start.moved(-120 * across, -30 * across)
        poll(
            lambda w=wanted: np.allclose(
                (view(page).left, view(page).top), (w.left, w.top), atol=0.1
            ),
            f"the photograph has moved to {wanted}; it is at {{}}",
            lambda: str(view(page)),
        )
    assert page.python("print(tool.session.objects)").strip() == "[]"
    page.button("+ add")
    shown = click_and_see(page, 300, 200)
    scale = view(page).scale
    assert abs(shown.sum() / (np.pi * (FIRST_DISK * scale) ** 2) - 1) < 0.2
    page.button("Whole")
    poll(lambda: view(page) == whole, "the whole photograph is shown")
    page.check_cells()


@pytest.mark.parametrize("button", ["left", "right"])
def test_a_press_means_the_place_under_the_mouse_though_the_page_jumps(fake, button):
    page = fake(among=True, size=(1280, 700))
    # the last cell is active and the tool half below the window, which a focus would mend
    page.page.evaluate(f"() => {{ {PANEL}.content.activeCellIndex = 2; }}")
    page.canvas.evaluate("e => e.scrollIntoView({ block: 'start' })")
    page.page.mouse.move(600, 400)
    page.canvas.evaluate("e => { e.closest('.jp-WindowedPanel-outer').scrollBy(0, -380); }")
    page.page.wait_for_timeout(300)
    box, hand = page.canvas.bounding_box(), page.place(150, 60)
    x, y = box["x"] + hand["x"], box["y"] + hand["y"]
    assert y < 660, "the place is in sight"
    wanted = view(page).to_image(150, 60)
    page.page.mouse.move(x, y)
    page.page.mouse.down(button=button)
    page.page.mouse.up(button=button)
    poll(lambda: len(actions(page)[0]) == 1, "one click; {}", lambda: str(actions(page)))
    found = actions(page)[0][0]
    assert abs(found["x"] - wanted[0]) <= 1 and abs(found["y"] - wanted[1]) <= 1, (found, wanted)
    assert found["positive"] == (button == "left")
    page.check_cells()


def test_the_wheel_scrolls_the_page_until_the_tool_is_clicked(fake):
    page = fake(among=True, size=(1280, 700))
    page.page.evaluate(f"() => {{ {PANEL}.content.activeCellIndex = 2; }}")
    page.canvas.scroll_into_view_if_needed()
    box, whole = page.canvas.bounding_box(), view(page)
    x, y = box["x"] + 100, box["y"] + box["height"] / 3
    page.page.mouse.move(x, y)
    page.page.mouse.wheel(0, -60)
    poll(lambda: page.canvas.bounding_box()["y"] > box["y"] + 30, "the page has scrolled")
    assert view(page) == whole
    page.page.mouse.click(x, y)
    page.wait_status("1 click")
    page.page.mouse.wheel(0, -100)
    poll(lambda: view(page).scale > whole.scale, "after a click the photograph is zoomed")


def test_one_finger_pushes_two_fingers_zoom_and_neither_clicks(fake):
    page = fake(touch=True)
    page.canvas.scroll_into_view_if_needed()
    box, whole = page.canvas.bounding_box(), view(page)
    screen = page.context.new_cdp_session(page.page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [
            {"x": box["x"] + x, "y": box["y"] + y, "id": i} for i, (x, y) in enumerate(places)
        ]
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (200, 200))
    touch("touchStart", (200, 200), (300, 200))
    for step in range(1, 26):
        touch("touchMove", (200 - 2 * step, 200), (300 + 2 * step, 200))
    # a slow kernel is sent fewer places of the fingers; one more comes when it is ready
    poll(
        lambda: touch("touchMove", (150, 200), (350, 200)) or view(page).scale > 1.9 * whole.scale,
        "zoomed; scale {}",
        lambda: str(view(page).scale),
    )
    touch("touchEnd")
    zoomed = view(page)
    assert zoomed.scale < 2.1 * whole.scale
    touch("touchStart", (300, 200))
    touch("touchMove", (240, 200))
    places = itertools.cycle([(200, 200), (199, 200)])  # the browser drops a move to the same place
    poll(
        lambda: touch("touchMove", next(places)) or view(page).left > zoomed.left + 25,
        "pushed to the left; {}",
        lambda: str(view(page)),
    )
    touch("touchEnd")
    page.python("assert tool.wait(60)")
    assert page.python("print(tool.session.objects)").strip() == "[]"
    page.check_cells()


def choose_files(page: NotebookPage, button: str, *files) -> None:
    """Press the button and choose files, as a person does."""
    with page.page.expect_file_chooser() as chooser:
        page.button(button)
    chooser.value.set_files(files)


def test_own_photographs_of_any_size_are_uploaded_and_shown_without_loss(fake, tmp_path):
    page = fake()
    rng = np.random.default_rng(0)
    # as much as a photograph of 24 megapixels: more than one message to the server may hold
    large = rng.integers(0, 256, (1500, 2600, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), large)
    assert (tmp_path / "large.png").stat().st_size > 10 * 2**20
    (tmp_path / "letter.jpg").write_text("dear reader", encoding="utf-8")
    deep = rng.integers(0, 65536, (200, 300), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    choose_files(
        page, "Add images …", *(tmp_path / n for n in ("large.png", "letter.jpg", "deep.png"))
    )
    page.wait_status("letter.jpg is not an image")
    assert "Traceback" not in page.status
    names = page.python("print([p.name for p in tool.session.pictures])")
    assert names.strip() == "['coffee', 'chelsea', 'large', 'deep']"
    poll(lambda: page.pixels().shape == (320, 480, 3), "the last one is shown")
    page.click(100, 100)
    page.wait_status("deep", "1 click", " ms")
    page.page.locator(".click-tool").focus()
    page.page.keyboard.press("z")
    page.page.keyboard.press("+")
    poll(lambda: view(page).scale > 2, "zoomed in")
    page.page.keyboard.press("p")
    page.wait_status("large", "3 of 4")
    poll(lambda: page.pixels().shape == (462, 800, 3), "the large one is shown")
    # zoomed in beyond the pixels that were sent first: exactly those of the photograph
    for _ in range(6):
        page.page.keyboard.press("+")
    poll(lambda: view(page).scale > 3, "zoomed in")
    rgb = cv2.cvtColor(large, cv2.COLOR_BGR2RGB)
    shown = view(page).show(rgb)
    poll(lambda: (page.pixels() == shown).mean() > 0.98, "the photograph's own pixels are shown")
    mask = np.zeros(large.shape[:2], np.uint8)
    mask[300:900, 500:1500] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    choose_files(page, "Import mask …", tmp_path / "mask.png")
    page.wait_status("large", "starts from mask.png")
    assert (saved_mask(page, "large_1") == (mask > 0)).all()
    page.check_cells()


def test_a_photograph_in_motion_never_leaves_the_canvas_blank(fake):
    page = fake()
    page.page.evaluate(
        """() => { const e = document.querySelector('canvas.click-canvas'); window.blank = 0;
        const pen = e.getContext('2d'); const look = () => {
          const p = pen.getImageData(e.width / 2, e.height / 2, 1, 1).data;
          if (!p[3]) window.blank += 1; requestAnimationFrame(look); };
        requestAnimationFrame(look); }"""
    )
    page.page.locator(".click-tool").focus()
    before = view(page)
    for key in "+++-+-+":
        page.page.keyboard.press(key)
    poll(lambda: view(page).scale > before.scale * 3, "zoomed in")
    assert page.page.evaluate("window.blank") == 0
