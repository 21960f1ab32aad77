"""What the click tool writes for other programs is read back with their own readers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_predictor import FakePredictor

from simpleclick_lite.errors import InputError
from simpleclick_lite.export import FORMATS, cutout, label_map
from simpleclick_lite.files import read_mask
from simpleclick_lite.polygons import join, mask_polygons, polygons_mask
from simpleclick_lite.rle import decode_rle, encode_rle
from simpleclick_lite.session import ClickSession

# pycocotools with NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def random_mask(seed: int) -> np.ndarray:
    """Noise, blobs with holes, empty and full masks of odd sizes."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2)
    if seed % 3 == 0:
        return rng.random((height, width)) < rng.random()
    if seed % 3 == 1:
        return cv2.GaussianBlur(rng.random((height + 30, width + 30)), (0, 0), 3) > 0.5
    return np.full((height, width), bool(seed % 2))


@pytest.mark.parametrize("seed", range(60))
def test_run_lengths_are_those_of_pycocotools_and_come_back(seed):
    coco = pytest.importorskip("pycocotools.mask")
    mask = random_mask(seed)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = encode_rle(mask)
    assert ours["counts"] == theirs["counts"].decode() and ours["size"] == [*mask.shape]
    assert (decode_rle(ours) == mask).all()
    json.dumps(ours)


@pytest.mark.parametrize(
    "code",
    [
        {},
        {"size": [2, 2], "counts": [1]},
        {"size": [2, 2], "counts": "\n"},
        {"size": [2], "counts": []},
    ],
)
def test_a_damaged_run_length_code_is_refused(code):
    with pytest.raises(InputError, match="damaged"):
        decode_rle(code)


@pytest.mark.parametrize("seed", range(60))
def test_polygons_hold_every_pixel_holes_included(seed):
    coco = pytest.importorskip("pycocotools.mask")
    mask = random_mask(seed)
    polygons = mask_polygons(mask, tolerance=0)
    assert (polygons_mask(polygons, mask.shape) == mask).all()
    if mask.any():
        for rings in (polygons, [join(polygons)]):
            codes = coco.frPyObjects([ring.ravel().tolist() for ring in rings], *mask.shape)
            assert (coco.decode(coco.merge(codes)).astype(bool) == mask).all()


def test_simplified_polygons_stay_within_the_tolerance():
    mask = np.zeros((200, 300), np.uint8)
    cv2.ellipse(mask, (150, 100), (120, 60), 25, 0, 360, 1, -1)
    cv2.circle(mask, (150, 100), 20, 0, -1)
    exact, short = mask_polygons(mask, 0), mask_polygons(mask, 1)
    assert len(short) == 1 and len(short[0]) < len(exact[0]) / 2
    found = polygons_mask(short, mask.shape)
    assert (found & (mask > 0)).sum() / (found | (mask > 0)).sum() > 0.98
    assert not found[100, 150]


@pytest.fixture
def session(tmp_path: Path) -> ClickSession:
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(photos / "my cat.png"), rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    images = [photos / "my cat.png", rng.integers(0, 256, (50, 40, 3), dtype=np.uint8)]
    session = ClickSession(images, FakePredictor(9), tmp_path / "out")
    session.add_click(20, 20)
    session.add_click(20, 20, positive=False)  # leaves nothing: not exported
    session.undo()
    session.add_click(22, 22, positive=False)
    session.rename("cat")
    session.finish()
    session.add_click(60, 40)
    session.add_click(75, 10)
    session.rename("dog, brown")
    session.move(1)
    session.add_click(20, 20)
    session.rename("cat")
    return session


def test_every_object_is_a_png_of_0_and_255_also_the_unfinished_one(session):
    files = session.export(formats=["masks"])
    assert [f.name for f in files] == [
        "my cat_1_cat.png",
        "my cat_2_dog, brown.png",
        "image_1_cat.png",
    ]
    session.go_to(0)
    for number in (1, 2):
        stored = read_mask(files[number - 1])
        assert set(np.unique(stored)) == {0, 255}
        assert ((stored == 255) == session.mask(number)).all()


def test_the_label_map_holds_ids(session):
    files = session.export(formats=["labels"])
    session.go_to(0)
    stored = read_mask(files[0])
    assert set(np.unique(stored)) == {0, 1, 2}
    assert ((stored == 2) == session.mask(2)).all()


def test_a_cut_out_is_transparent_around_the_object(session):
    session.go_to(0)
    mask = session.mask(1)
    whole, small = cutout(session.image, mask, crop=False), cutout(session.image, mask)
    assert whole.shape == (60, 80, 4) and ((whole[..., 3] == 255) == mask).all()
    assert (whole[mask][:, :3] == session.image[mask]).all() and not whole[~mask].any()
    assert small.shape == (*(np.ptp(np.argwhere(mask), axis=0) + 1), 4)
    file = session.export(formats=["cutouts"])[0]
    stored = cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    assert (stored == small).all()


def test_pycocotools_reads_the_coco_files(session):
    coco = pytest.importorskip("pycocotools.coco")
    files = session.export(formats=["coco"])
    assert [f.name for f in files] == ["image.png", "coco.json", "coco_polygons.json"]
    folder = files[1].parent
    for file in files[1:]:
        data = coco.COCO(str(file))
        assert [c["name"] for c in data.loadCats(data.getCatIds())] == ["cat", "dog, brown"]
        for number, image in data.imgs.items():
            session.go_to(number - 1)
            assert (folder / image["file_name"]).resolve().is_file()
            assert (image["height"], image["width"]) == session.size
            found = data.loadAnns(data.getAnnIds(imgIds=[number]))
            for target, item in zip(session.objects, found, strict=True):
                mask = session.mask(target.id)
                assert (data.annToMask(item).astype(bool) == mask).all()
                assert item["area"] == mask.sum() and item["iscrowd"] == 0
                rows, columns = np.nonzero(mask)
                x, y, width, height = item["bbox"]
                assert (x, y) == (columns.min(), rows.min())
                assert (x + width - 1, y + height - 1) == (columns.max(), rows.max())
                assert data.loadCats(item["category_id"])[0]["name"] == target.name


def test_yolo_lines_are_one_polygon_per_object_in_fractions(session):
    files = session.export(formats=["yolo"])
    by_name = {f.name: f.read_text(encoding="utf-8") for f in files if f.suffix == ".txt"}
    assert by_name["classes.txt"] == "cat\ndog, brown\n"
    lines = by_name["my cat.txt"].splitlines()
    session.go_to(0)
    assert [line.split()[0] for line in lines] == ["0", "1"]
    for number, line in enumerate(lines, 1):
        points = np.array(line.split()[1:], float).reshape(-1, 2)
        assert (points >= 0).all() and (points <= 1).all() and len(points) >= 3
        found = polygons_mask([points * (80, 60)], (60, 80))
        assert (found == session.mask(number)).mean() > 0.999


def test_labelme_files_hold_polygons_grouped_by_object(session):
    files = session.export(formats=["labelme"])
    (path,) = (f for f in files if f.name == "my cat.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    assert (data["imageHeight"], data["imageWidth"]) == (60, 80) and data["imageData"] is None
    folder = files[-1].parent
    assert (folder / data["imagePath"]).resolve().is_file()
    session.go_to(0)
    for number in (1, 2):
        shapes = [s for s in data["shapes"] if s["group_id"] == number]
        found = polygons_mask([np.array(s["points"]) for s in shapes], (60, 80))
        assert (found == session.mask(number)).all()
        assert {s["shape_type"] for s in shapes} == {"polygon"}


def test_all_formats_at_once_and_what_cannot_be_exported(session, tmp_path):
    files = session.export()
    assert all(f.is_file() for f in files) and len(files) == len(set(files))
    assert {f.relative_to(session.folder.path / "export").parts[0] for f in files} == {
        *(
            "masks",
            "labels",
            "cutouts",
            "coco.json",
            "coco_polygons.json",
            "yolo",
            "labelme",
            "images",
        )
    }
    assert session.export(tmp_path / "other", ["labels"])[0].parent.parent == tmp_path / "other"
    with pytest.raises(InputError, match="tiff"):
        session.export(formats=["tiff"])
    empty = ClickSession(session.image, FakePredictor())
    with pytest.raises(InputError, match="out_dir"):
        empty.export()
    with pytest.raises(InputError, match="nothing is cut out"):
        empty.export(tmp_path)
    assert set(FORMATS) == {"masks", "labels", "cutouts", "coco", "yolo", "labelme"}


def test_a_label_map_with_large_ids_has_16_bits():
    from simpleclick_lite.export import MaskedObject

    mask = np.ones((2, 2), bool)
    assert label_map([MaskedObject(300, "a", mask)], (2, 2)).dtype == np.uint16
    assert label_map([], (2, 3)).shape == (2, 3)


def relative(folder: Path) -> set[str]:
    found = (f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())
    return {f for f in found if f not in (".lock", ".index.json")}


def test_an_object_with_another_name_or_deleted_leaves_no_file_behind(session):
    folder = session.folder.path / "export"
    (folder / "masks").mkdir(parents=True)
    (folder / "masks" / "my cat_9_own.png").write_text("the user's own", encoding="utf-8")
    before = {*session.export()}
    session.go_to(0)
    session.rename("fox", 1)
    session.delete(2)
    session.go_to(1)
    session.delete(1)
    files = {f.relative_to(folder).as_posix() for f in session.export()}
    assert relative(folder) == files | {"masks/my cat_9_own.png"}
    assert "masks/my cat_1_fox.png" in files and not any("image" in f for f in files)
    assert (folder / "yolo" / "classes.txt").read_text(encoding="utf-8") == "fox\n"
    session.go_to(0)
    session.delete(1)
    session.export()  # nothing is left, and so the folder says
    assert relative(folder) <= {"masks/my cat_9_own.png"} | {
        "coco.json",
        "coco_polygons.json",
        "yolo/classes.txt",
    }
    assert json.loads((folder / "coco.json").read_text(encoding="utf-8"))["annotations"] == []
    assert len(before) > 10


def test_files_of_formats_not_asked_for_stay(session):
    session.export(formats=["labels"])
    session.export(formats=["masks"])
    assert {f.split("/")[0] for f in relative(session.folder.path / "export")} == {
        "labels",
        "masks",
    }


def test_two_tools_with_other_images_export_to_one_folder(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    rng = np.random.default_rng(0)
    images = {n: rng.integers(0, 256, (50, 40, 3), dtype=np.uint8) for n in "abc"}
    one = ClickSession({n: images[n] for n in "ab"}, FakePredictor(9), tmp_path)
    two = ClickSession({n: images[n] for n in "bc"}, FakePredictor(9), tmp_path)
    one.add_click(10, 10)
    one.rename("cat")
    one.export()
    two.move(1)
    two.add_click(30, 20)
    two.rename("ant")
    one.move(1)
    one.add_click(20, 20)
    one.rename("dog")
    two.export()  # with the object that the other one has made meanwhile
    data = coco.COCO(str(tmp_path / "export" / "coco.json"))
    names = {image["file_name"]: number for number, image in data.imgs.items()}
    assert sorted(names) == ["images/a.png", "images/b.png", "images/c.png"]
    classes = (tmp_path / "export" / "yolo" / "classes.txt").read_text(encoding="utf-8").split()
    for name, wanted in zip("abc", ("cat", "dog", "ant"), strict=True):
        (found,) = data.loadAnns(data.getAnnIds(imgIds=[names[f"images/{name}.png"]]))
        assert data.loadCats(found["category_id"])[0]["name"] == wanted
        session = one if name in "ab" else two
        session.go_to([p.name for p in session.pictures].index(name))
        assert (data.annToMask(found).astype(bool) == session.mask(1)).all()
        line = (tmp_path / "export" / "yolo" / f"{name}.txt").read_text(encoding="utf-8")
        assert classes[int(line.split()[0])] == wanted


def test_a_damaged_index_is_written_anew(session):
    session.export()
    index = session.folder.path / "export" / ".index.json"
    for text in ("{", "[]", '{"a": 1}', "null"):
        index.write_text(text, encoding="utf-8")
        session.export()
        assert len(json.loads(index.read_text(encoding="utf-8"))) == 2


def test_a_photograph_turned_by_exif_is_exported_upright(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.full((30, 20, 3), 90, np.uint8))
    image.save(tmp_path / "turned.jpg", exif=exif)
    session = ClickSession(tmp_path / "turned.jpg", FakePredictor(5), tmp_path / "out")
    session.add_click(25, 10)
    session.export(formats=["coco"])
    (item,) = json.loads((tmp_path / "out/export/coco.json").read_text(encoding="utf-8"))["images"]
    assert (item["height"], item["width"]) == session.size == (20, 30)
    assert Image.open(tmp_path / "out" / "export" / item["file_name"]).size == (30, 20)
