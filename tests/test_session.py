"""The session of the click tool: undo, several objects and images, files, threads, the robot."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fake_predictor import FakePredictor

from simpleclick_lite.annotation import COLORS
from simpleclick_lite.data import Sample, Scene
from simpleclick_lite.errors import InputError
from simpleclick_lite.files import read_mask
from simpleclick_lite.model import PRESETS, SimpleClick, build_model
from simpleclick_lite.predictor import Predictor
from simpleclick_lite.session import ClickSession
from simpleclick_lite.session_files import file_stem


def picture(seed: int = 0, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture
def session(tmp_path: Path) -> ClickSession:
    return ClickSession(picture(), FakePredictor(), out_dir=tmp_path / "out")


def reopened(session: ClickSession, images=None, predictor=None) -> ClickSession:
    images = [p.load() for p in session.pictures] if images is None else images
    return ClickSession(images, predictor or FakePredictor(), out_dir=session.folder.path)


def test_a_positive_click_adds_and_a_negative_one_removes(session):
    assert not session.mask().any()
    session.add_click(20, 20)
    assert session.mask()[20, 20]
    answer = session.add_click(24, 20, positive=False)
    assert not session.mask()[20, 24] and session.mask()[20, 14]
    assert (answer.mask == session.mask()).all()
    assert session.probability().dtype == np.float32
    assert session.latest() == (answer, 2)


def test_clicks_outside_and_values_that_are_no_numbers_change_nothing(session):
    session.add_click(3, 4)
    for x, y in ((60, 5), (-1, 5), (5, 40), (float("nan"), 1), (1, float("inf"))):
        with pytest.raises(InputError):
            session.add_click(x, y)
    assert len(session.current.clicks) == 1


def test_undo_and_redo_walk_through_the_same_masks(session):
    masks = [session.mask()]
    for x in (10, 20, 30, 40):
        session.add_click(x, 20, positive=x != 30)
        masks.append(session.mask())
    for mask in masks[-2::-1]:
        assert session.undo()
        assert (session.mask() == mask).all()
    assert not session.undo() and session.objects == []
    for mask in masks[1:]:
        assert session.redo()
        assert (session.mask() == mask).all()
    assert not session.redo()


def test_after_undo_a_click_continues_from_the_previous_mask_of_the_state_before(session):
    session.add_click(10, 20)
    session.add_click(20, 20)
    session.add_click(30, 20)
    wanted = session.probability()
    session.undo()
    session.add_click(22, 25, positive=False)
    session.undo()
    session.add_click(30, 20)
    assert (session.probability() == wanted).all()
    fresh = ClickSession(session.image, FakePredictor())
    for x in (10, 20, 30):
        fresh.add_click(x, 20)
    assert (fresh.probability() == wanted).all()


def test_answers_already_given_are_not_computed_again():
    predictor = FakePredictor()
    session = ClickSession(picture(), predictor)
    for x in (10, 20, 30):
        session.add_click(x, 20)
    session.undo(), session.undo(), session.redo(), session.mask(), session.probability()
    assert predictor.asked == [1, 2, 3] and predictor.images == 1


def test_a_new_click_forgets_what_could_be_redone(session):
    session.add_click(10, 20)
    session.add_click(20, 20)
    session.undo()
    session.add_click(30, 30)
    assert not session.redo()
    assert [c.x for c in session.current.clicks] == [10, 30]


def test_objects_have_ids_names_and_colors_and_are_finished_one_after_the_other(session):
    session.add_click(10, 10)
    assert session.finish() and session.current is None
    session.add_click(40, 30)
    assert [o.id for o in session.objects] == [1, 2]
    assert [o.finished for o in session.objects] == [True, False]
    assert [o.color for o in session.objects] == list(COLORS[:2])
    assert session.rename("  a   cat ") and session.current.name == "a cat"
    assert session.recolor("#ABCDEF", 1) and session.objects[0].color == "#abcdef"
    session.select(1)
    session.add_click(12, 12)
    assert not session.objects[0].finished and len(session.objects[0].clicks) == 2
    assert session.delete(1) and [o.id for o in session.objects] == [2]
    session.undo()
    assert session.current.id == 1 and (session.mask(1) == session.mask()).all()


def test_impossible_requests_do_nothing_or_say_why(session):
    assert not session.undo() and not session.redo() and not session.finish()
    assert not session.clear() and not session.delete() and not session.rename("x")
    with pytest.raises(InputError, match="has no object 7"):
        session.select(7)
    session.add_click(5, 5)
    with pytest.raises(InputError, match="rrggbb"):
        session.recolor("red")
    with pytest.raises(InputError, match="empty"):
        session.rename("   ")
    assert not session.rename("object")
    assert session.undo() and not session.undo()


def test_clear_keeps_the_object_and_can_be_undone(session):
    session.add_click(5, 5)
    session.rename("cat")
    assert session.clear() and session.current.name == "cat" and not session.mask().any()
    assert not session.clear()
    session.undo()
    assert session.mask().any()


def test_an_imported_mask_is_the_start_that_clicks_correct(session):
    start = np.zeros(session.size, bool)
    start[5:15, 5:25] = True
    session.start_from(start)
    assert (session.mask() == start).all() and session.current.clicks == ()
    session.add_click(40, 20)
    # the fake network blends: a quarter of the imported mask, three quarters of the click
    assert session.probability()[10, 10] == 0.25 and session.probability()[20, 40] == 0.75
    session.undo()
    assert (session.mask() == start).all()
    with pytest.raises(InputError, match="shape"):
        session.start_from(np.zeros((3, 3)))


def test_several_images_each_have_their_own_objects(tmp_path):
    images = {"a": picture(1), "b": picture(2, (20, 30))}
    session = ClickSession(images, FakePredictor(), tmp_path)
    session.add_click(10, 10)
    assert session.move(1) == [] and session.objects == [] and session.size == (20, 30)
    session.add_click(1, 1)
    session.finish()
    session.add_click(20, 10)
    assert session.counts() == [1, 2]
    session.undo()
    session.go_to(0)
    assert len(session.objects) == 1
    with pytest.raises(InputError, match="first image"):
        session.move(-1)
    with pytest.raises(InputError):
        session.go_to(2)
    assert session.index == 0


def test_a_broken_image_is_passed_over_with_one_sentence(tmp_path):
    (tmp_path / "b.jpg").write_text("this is a letter", encoding="utf-8")
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    cv2.imwrite(str(tmp_path / "c.png"), picture())
    session = ClickSession(tmp_path, FakePredictor())
    troubles = session.move(1)
    assert session.name == "c" and len(troubles) == 1 and "b.jpg" in troubles[0]
    with pytest.raises(InputError, match="b.jpg"):
        session.go_to(1)
    with pytest.raises(InputError, match="b.jpg") as error:
        ClickSession(tmp_path / "b.jpg", FakePredictor())
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="does not exist"):
        ClickSession(tmp_path / "nothing.png")
    with pytest.raises(InputError):
        ClickSession([])


def test_all_kinds_of_images_work(tmp_path):
    from PIL import Image

    gray = np.full((30, 20), 7, np.uint8)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((30, 20), 40000, np.uint16))
    Image.fromarray(np.full((30, 20, 4), 9, np.uint8)).save(tmp_path / "rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(0, (30, 20))).save(tmp_path / "turned.jpg", exif=exif)
    cv2.imwrite(str(tmp_path / "one.png"), np.full((1, 1, 3), 9, np.uint8))
    session = ClickSession(tmp_path, FakePredictor(3), out_dir=tmp_path / "out")
    sizes = {}
    for index in range(len(session.pictures)):
        session.go_to(index)
        assert session.add_click(0, 0) is not None
        sizes[session.name] = session.mask().shape
        assert session.mask()[0, 0] and session.image.dtype == np.uint8
    upright, turned = (30, 20), (20, 30)
    assert sizes == dict(deep=upright, gray=upright, one=(1, 1), rgba=upright, turned=turned)


def test_everything_comes_back_after_a_restart(tmp_path):
    images = [picture(1), picture(2)]
    session = ClickSession(images, FakePredictor(), tmp_path)
    session.add_click(10, 10)
    session.add_click(14, 12, positive=False)
    session.rename("left")
    session.finish()
    session.add_click(40.5, 30.25)
    session.move(1)
    session.add_click(5, 5)
    session.add_click(9, 9)
    session.undo()
    predictor = FakePredictor()
    shutil.copytree(tmp_path, tmp_path.with_suffix(".copy"))
    again = ClickSession(images, predictor, tmp_path.with_suffix(".copy"))
    assert again.state() == {**session.state(), "images": session.state()["images"][1:]}
    assert again.index == 1 and (again.mask() == session.mask()).all()
    again.go_to(0)
    session.go_to(0)
    assert again.state() == session.state() and again.objects == session.objects
    assert (again.mask(1) == session.mask(1)).all() and (again.mask(2) == session.mask(2)).all()
    assert predictor.asked == []  # masks come from disk, the network need not run
    again.add_click(20, 20)
    session.add_click(20, 20)
    assert (again.probability() == session.probability()).all()
    while again.undo():
        assert session.undo()
    assert again.objects == []


def test_a_click_is_on_disk_before_the_network_has_answered(tmp_path):
    predictor = FakePredictor()
    session = ClickSession(picture(), predictor, tmp_path)
    predictor.fail = RuntimeError("power cut")
    with pytest.raises(RuntimeError):
        session.add_click(10, 10)
    again = reopened(session)
    assert len(again.current.clicks) == 1 and again.known_mask() is None
    assert again.step()[1] == 0 and again.mask()[10, 10]
    assert again.step() is None


def test_masks_on_disk_follow_every_change(session):
    path = session.folder.path / "masks" / "image_1.png"
    session.add_click(10, 10)
    assert ((read_mask(path) == 255) == session.mask()).all()
    session.add_click(20, 20)
    session.undo()
    assert ((read_mask(path) == 255) == session.mask()).all()
    session.undo()
    assert not path.exists()
    session.redo()
    assert path.exists()
    session.delete()
    assert not path.exists()


def test_a_mask_whose_clicks_changed_is_not_believed(session):
    session.add_click(10, 10)
    session.add_click(30, 30, predict=False)
    again = reopened(session)
    assert again.known_mask() is None  # the file still shows the first click alone
    assert again.mask()[30, 30]


def test_two_tools_on_one_folder_lose_nothing(tmp_path):
    image = picture()
    one = ClickSession(image, FakePredictor(), tmp_path)
    two = ClickSession(image, FakePredictor(), tmp_path)
    one.add_click(10, 10)
    two.add_click(40, 30)
    one.add_click(12, 14)
    assert len(reopened(one, image).state()["images"][0]["actions"]) == 3
    assert len(two.undo() and two.current.clicks) == 2
    three = ClickSession(
        {"image": picture(5)}, FakePredictor(), tmp_path
    )  # same name, other pixels
    three.add_click(1, 1)
    assert len(reopened(one, image).current.clicks) == 2
    assert len(reopened(three, picture(5)).current.clicks) == 1


def click_twenty_times(folder: Path, x: int) -> None:
    session = ClickSession(picture(), FakePredictor(), folder)
    for y in range(20):
        session.add_click(x, y, predict=False)


def test_two_processes_on_one_folder_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    running = [context.Process(target=click_twenty_times, args=(tmp_path, x)) for x in (5, 50)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0, 0]
    clicks = ClickSession(picture(), FakePredictor(), tmp_path).current.clicks
    for x in (5, 50):
        assert [c.y for c in clicks if c.x == x] == list(range(20))


def test_threads_do_not_disturb_each_other(tmp_path):
    session = ClickSession(picture(), FakePredictor(seconds=0.002), tmp_path)
    errors = []

    def click(x: int) -> None:
        try:
            for y in range(10):
                session.add_click(x, y, predict=bool(y % 2))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=click, args=(x,)) for x in (5, 25, 45)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(session.current.clicks) == 30
    assert session.answer() is not None and len(reopened(session).current.clicks) == 30


def test_the_state_is_json_and_can_be_loaded(session):
    session.add_click(10, 10)
    session.start_from(np.ones(session.size, bool))
    state = json.loads(json.dumps(session.state()))
    session.add_click(20, 20)
    session.load_state(state)
    assert session.state() == state and session.mask().all()
    other = ClickSession(picture(9), FakePredictor())
    with pytest.raises(InputError, match="another image"):
        other.load_state(state)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', "null"])
def test_a_damaged_file_is_named_and_not_overwritten(session, text):
    session.add_click(10, 10)
    path = session.folder.path / "clicks" / "image.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="image.json"):
        reopened(session)
    assert path.read_text(encoding="utf-8") == text


def test_an_added_image_is_kept_for_the_next_time(session):
    encoded = cv2.imencode(".png", picture(3, (12, 14)))[1].tobytes()
    assert session.add_image("own photo.png", encoded) == 1 and session.size == (12, 14)
    session.add_click(2, 2)
    with pytest.raises(InputError, match="letter.jpg"):
        session.add_image("letter.jpg", b"dear reader")
    assert len(session.pictures) == 2
    again = reopened(session, picture())
    assert again.name == "own photo" and again.mask().any()


def test_the_robot_continues_until_nothing_is_wrong():
    rows, columns = np.mgrid[:40, :60]
    truth = ((rows - 20) ** 2 + (columns - 30) ** 2 <= 16).astype(np.int8)
    truth[0, :] = -1
    session = ClickSession(Sample(picture(), truth, "disk"), FakePredictor(4))
    assert session.iou() == 0
    session.add_click(33, 20)
    assert 0.3 < session.iou() < 1
    session.clear()
    click = session.robot_click()
    assert (click.x, click.y, click.positive) == (30, 20, True) and session.iou() == 1
    assert session.robot_click() is None and len(session.current.clicks) == 1
    with pytest.raises(InputError, match="no known objects"):
        ClickSession(picture(), FakePredictor()).robot_click()


def test_the_robot_takes_the_known_objects_of_a_scene_one_after_the_other():
    masks = np.zeros((3, 40, 60), bool)
    masks[0, 5:15, 5:15] = masks[1, 25:35, 40:50] = masks[2, 2:18, 2:18] = True
    session = ClickSession(Scene("scene", picture(), masks), FakePredictor(4))
    for number in range(3):
        click = session.robot_click()
        assert masks[number, int(click.y), int(click.x)]
        session.finish()
    # the click on object 3 lies in object 1, too, which is smaller, so the third is still wanted
    session = ClickSession(Scene("scene", picture(), masks), FakePredictor(4))
    session.add_click(45, 30)
    assert (session.truth() == masks[1]).all()
    session.finish()
    assert (session.truth() == masks[0]).all()


def test_the_real_predictor_replays_previous_mask_and_crop(tmp_path):
    torch.manual_seed(0)
    predictor = Predictor(build_model("micro", image_size=64), device="cpu")
    image = picture(4, (50, 70))
    session = ClickSession(image, predictor, tmp_path)
    clicks = [(20, 20, True), (40, 30, False), (22, 28, True)]
    for x, y, positive in clicks:
        session.add_click(x, y, positive)
    predictor.set_image(image)
    for count in range(1, 4):
        answer = predictor.predict(
            [c[:2] for c in clicks[:count]], [int(c[2]) for c in clicks[:count]]
        )
    assert (session.probability() == answer.probability).all()
    session.undo()
    session.add_click(*clicks[2])
    again = reopened(session, image, predictor)
    assert (again.mask() == answer.mask).all()
    assert (again.probability() == answer.probability).all()


# with late fusion, the predictor remembers what the network knows of a crop
@pytest.mark.parametrize("late", [False, True])
def test_two_sessions_of_one_predictor_do_not_mix_their_images(late):
    config = replace(PRESETS["micro"], image_size=64)
    torch.manual_seed(0)
    model = SimpleClick(replace(config, fusion_block=1) if late else config)
    predictor = Predictor(model, device="cpu")
    images = [picture(seed, (64, 64)) for seed in (1, 2)]
    together = [ClickSession(image, predictor) for image in images]
    alone = [ClickSession(image, Predictor(model, device="cpu")) for image in images]
    for x, y in ((20, 20), (40, 30), (10, 50)):
        for one, other in zip(together, alone, strict=True):
            one.add_click(x, y)
            other.add_click(x, y)
            assert (one.probability() == other.probability()).all()


@pytest.mark.parametrize("late", [False, True])
def test_objects_without_answers_share_the_passes_of_the_network(tmp_path, late, monkeypatch):
    config = replace(PRESETS["micro"], image_size=64, fusion_block=1 if late else 0)
    torch.manual_seed(0)
    predictor = Predictor(SimpleClick(config), device="cpu")
    clicks = [[(20, 20)], [(40, 30), (12, 12)], [(60, 8), (50, 40), (30, 30)]]

    def clicked(folder: Path) -> ClickSession:
        session = ClickSession(picture(4, (50, 70)), predictor, folder)
        for points in clicks:
            for x, y in points:
                session.add_click(x, y, predict=False)
            session.finish()
        return session

    passes = []
    run = Predictor._run
    monkeypatch.setattr(Predictor, "_run", lambda p, v: passes.append(len(v)) or run(p, v))
    alone = clicked(tmp_path / "alone")
    expected = {o.id: alone.probability(o.id) for o in alone.objects}
    assert passes == [1] * 6
    passes.clear()
    together = clicked(tmp_path / "together")
    masks = together.masks()
    assert passes == [3, 2, 1]
    for number, probability in expected.items():
        np.testing.assert_allclose(together.probability(number), probability, atol=1e-5)
        assert (masks[number] == (together.probability(number) > predictor.threshold)).all()
    assert passes == [3, 2, 1]  # probability found the answers
    assert len([*(tmp_path / "together").rglob("*.png")]) == 3
    passes.clear()
    clicked(tmp_path / "exported").export()
    assert passes == [3, 2, 1]


def test_what_other_objects_lack_is_answered_after_the_current_one(tmp_path):
    session = ClickSession(picture(), FakePredictor(4), tmp_path)
    for x in (10, 30, 50):
        session.finish()
        session.add_click(x, 10, predict=False)
    session.add_click(50, 20, predict=False)
    while session.step() is not None:
        pass
    assert [session.known_mask(n) is not None for n in (1, 2, 3)] == [False, False, True]
    assert session.step_others() and not session.step_others()
    session.save()
    again = reopened(session, predictor=FakePredictor(4))
    assert [again.known_mask(n)[10, x] for n, x in ((1, 10), (2, 30), (3, 50))] == [True] * 3


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("answers", [1, 3, 20, 1000])
def test_objects_are_answered_once_however_little_room_there_is(answers, real, monkeypatch):
    passes, run = [], Predictor._run
    monkeypatch.setattr(Predictor, "_run", lambda p, v: passes.append(len(v)) or run(p, v))
    predictor = fake = FakePredictor(4)
    if real:
        predictor = Predictor(build_model("micro", image_size=64), device="cpu", flip=False)
    session = ClickSession(picture(), predictor)
    session._answers._room = answers * (5 * 40 * 60 + (16 * 64 * 64 if real else 0))
    for number in range(6):
        session.finish()
        session.add_click(5 + 8 * number, 10, predict=False)
        session.add_click(5 + 8 * number, 20, predict=False)
    session.finish()
    steps = 0
    while session.step_others():
        steps += 1
        assert steps <= 12
    asked = passes if real else fake.asked
    session.masks()
    session.picture()
    assert sum(passes) == 12 if real else sorted(asked) == [1] * 6 + [2] * 6


def test_what_the_background_answers_does_not_push_out_the_current_object():
    session = ClickSession(picture(), FakePredictor(4))
    session._answers._room = 8 * 5 * 40 * 60
    for number in range(4):
        session.add_click(5 + 8 * number, 10, predict=False)
        session.add_click(5 + 8 * number, 20, predict=False)
        session.finish()
    for number in range(5):
        session.add_click(50, 5 + 5 * number)
    while session.step_others():
        session.latest()  # as the screen does
    assert session.latest()[1] == 5


class OneFails(FakePredictor):
    """Cannot answer clicks in the column 20."""

    def predict(self, points, labels, previous_mask=None):
        if points[0][0] == 20:
            raise InputError("not this one")
        return super().predict(points, labels, previous_mask)


def test_an_object_that_cannot_be_answered_does_not_stop_the_others():
    session = ClickSession(picture(), OneFails(4))
    for x in (10, 20, 30, 40):
        session.add_click(x, 10, predict=False)
        session.finish()
    for _ in range(3):
        with pytest.raises(InputError, match="not this one"):
            session.masks()
    assert [session.known_mask(n) is not None for n in (1, 2, 3, 4)] == [True, False, True, True]
    assert session._answers._predictor.asked == [1, 1, 1]


def test_a_pass_that_fails_for_several_objects_is_done_one_by_one(monkeypatch):
    run = Predictor._run

    def small_memory(predictor, views):
        if len(views) > 1:
            raise RuntimeError("out of memory")
        return run(predictor, views)

    monkeypatch.setattr(Predictor, "_run", small_memory)
    session = ClickSession(picture(), Predictor(build_model("micro", image_size=64), "cpu"))
    for x in (10, 30, 50):
        session.add_click(x, 10, predict=False)
        session.finish()
    assert [*session.masks()] == [1, 2, 3]


def test_a_predictor_with_its_own_continue_from_is_asked():
    class Own(Predictor):
        asked = 0

        def continue_from(self, state, clicks):
            self.asked += 1
            return super().continue_from(state, clicks)

    class Foreign:
        def __init__(self, inside):
            self.set_image, self.predict = inside.set_image, inside.predict
            self.continue_from = inside.continue_from

    for wrap in (lambda p: p, Foreign):
        own = Own(build_model("micro", image_size=64), "cpu")
        session = ClickSession(picture(), wrap(own))
        for x in (10, 30):
            session.add_click(x, 10, predict=False)
            session.finish()
        assert len(session.masks()) == 2
    assert own.asked == 2


def test_the_robot_leaves_out_no_object_that_lies_around_another():
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:35, 10:50] = True  # its middle lies in the other, which is smaller
    masks[1, 15:25, 20:40] = True
    session = ClickSession(Scene("scene", picture(), masks), FakePredictor(4))
    truths = []
    for _ in range(2):
        session.robot_click()
        truths.append(session.truth() == 1)
        session.finish()
    assert (truths[0] == masks[0]).all() and (truths[1] == masks[1]).all()
    assert session.truth() is None
    session.undo(), session.undo()
    assert (session.truth() == masks[1]).all()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("my cat", "my cat"),
        ("Straße 5 (neu)", "Straße 5 (neu)"),
        ("a/b\\c:d?", "a_b_c_d_"),
        (" .. ", "image"),
        ("nul", "nul_"),
        ("x" * 300, "x" * 150),
    ],
)
def test_names_become_file_names_that_every_system_takes(name, stem):
    assert file_stem(name) == stem
