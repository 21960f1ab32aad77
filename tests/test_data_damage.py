"""200 seeded damages: each is an error that names the file, or a skipped record in the report."""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_writers import (
    SPLIT,
    WRITERS,
    folder,
    labelme,
    labels,
    nifti,
    palette_png,
    picture,
    volumes,
)
from fake_predictor import FakePredictor

from simpleclick_lite.data import DATASETS, open_dataset, open_scenes, robust
from simpleclick_lite.data.check import check_dataset
from simpleclick_lite.data.mixture import Source
from simpleclick_lite.data.sampling import SamplingConfig, TrainingSamples
from simpleclick_lite.errors import InputError
from simpleclick_lite.evaluation import evaluate
from simpleclick_lite.files import write_png

DAMAGES = 200
TRAINING = SamplingConfig("none", image_size=32, min_area=1, background=0.0)
pytestmark = pytest.mark.filterwarnings("ignore:skipped")

# copy -> (data set, its writer, the objects that are in it)
COPIES = {name: (name, *entry) for name, entry in WRITERS.items()} | {
    "brats volumes": ("brats", volumes, 2),
    "oaizib volumes": ("oaizib", volumes, 4),
    "labelme": ("folder", labelme, 8),
}
EIGHT_BITS = ("grabcut", "berkeley", "davis", "pascal_voc", "sstem", "coco_mval", "ccp", "pets")
NO_PALETTE = ("grabcut", "berkeley", "coco_mval", "sstem")  # elsewhere an index is the number
MASK_FOLDERS = (
    "boundary_GT", "masks", "gt", "SegmentationObject", "mitochondria", "annotation",
    "annotations", "seg", "labels", "trimaps",
)  # fmt: skip


def truncate(path: Path, rng: np.random.Generator) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * rng.uniform(0, 0.9))])


def text(path: Path, _rng: np.random.Generator) -> None:
    path.write_text("<html>404 Not Found</html>", encoding="utf-8")


def delete(path: Path, _rng: np.random.Generator) -> None:
    path.unlink()


def nothing(path: Path, _rng: np.random.Generator) -> None:
    path.write_bytes(b"")


def other_size(path: Path, rng: np.random.Generator) -> None:
    height, width = rng.integers(8, 36, 2).tolist()
    array = labels(0, 2, (height, width)) if path.parent.name in MASK_FOLDERS else None
    array = picture(0, (height, width)) if array is None else array
    path.write_bytes(cv2.imencode(path.suffix, array)[1].tobytes())


def sixteen_bits(path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 60000, (40, 56)).astype(np.uint16)
    path.write_bytes(cv2.imencode(".png", values)[1].tobytes())


def colors(path: Path, _rng: np.random.Generator) -> None:
    path.write_bytes(cv2.imencode(".png", picture(0))[1].tobytes())


def palette(path: Path, _rng: np.random.Generator) -> None:
    palette_png(path, labels(0, 2) + 1)


def missing_key(path: Path, _rng: np.random.Generator) -> None:
    from scipy.io import savemat

    savemat(path, {"something": np.zeros(3)}, appendmat=False)


def wrong_type(path: Path, _rng: np.random.Generator) -> None:
    from scipy.io import savemat

    savemat(path, {"GTinst": {"Segmentation": np.ones((40, 56, 2)) / 3}}, appendmat=False)


def change_json(change: Callable[[dict, np.random.Generator], None]):
    def damage(path: Path, rng: np.random.Generator) -> None:
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content, rng)
        path.write_text(json.dumps(content), encoding="utf-8")

    damage.__name__ = change.__name__
    return damage


@change_json
def dangling_id(content: dict, rng: np.random.Generator) -> None:
    content["annotations"][int(rng.integers(0, 3))]["image_id"] = 987654


@change_json
def long_rle(content: dict, rng: np.random.Generator) -> None:
    content["annotations"][1]["segmentation"]["counts"][0] += int(rng.integers(1, 99))


@change_json
def short_string(content: dict, _rng: np.random.Generator) -> None:
    code = content["annotations"][2]["segmentation"]
    code["counts"] = code["counts"][:-3]


@change_json
def line_for_polygon(content: dict, _rng: np.random.Generator) -> None:
    content["annotations"][0]["segmentation"] = [[1.0, 2.0, 9.0, 9.0]]


@change_json
def without_images(content: dict, _rng: np.random.Generator) -> None:
    del content["images"]


@change_json
def without_height(content: dict, rng: np.random.Generator) -> None:
    del content["images"][int(rng.integers(0, 3))]["height"]


@change_json
def other_height(content: dict, rng: np.random.Generator) -> None:
    content["images"][int(rng.integers(0, 3))]["height"] += 5


@change_json
def points_without_end(content: dict, rng: np.random.Generator) -> None:
    shape = content["shapes"][int(rng.integers(0, 4))]
    shape["points"] = shape["points"][:1]


@change_json
def without_width(content: dict, _rng: np.random.Generator) -> None:
    del content["imageWidth"]


def holds_nan(path: Path, _rng: np.random.Generator) -> None:
    voxels = np.ones((20, 24, 6), np.float32)
    voxels[2, 3, 4] = np.nan
    nifti(path, voxels)


def other_shape(path: Path, _rng: np.random.Generator) -> None:
    nifti(path, np.ones((20, 23, 6), np.float32))


def plane(path: Path, _rng: np.random.Generator) -> None:
    nifti(path, np.ones((20, 24), np.float32))


def broken_archive(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(gzip.compress(rng.bytes(200)))


def unknown_name(path: Path, _rng: np.random.Generator) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "2099_999999\n", encoding="utf-8")


def binary(path: Path, _rng: np.random.Generator) -> None:
    path.write_bytes(bytes(range(128, 256)))


def damages_for(copy: str, path: Path) -> list[Callable[[Path, np.random.Generator], None]]:
    """What can happen to this file of this data set."""
    if path.name.endswith(".nii.gz"):
        return [truncate, text, delete, nothing, holds_nan, other_shape, plane, broken_archive]
    if path.suffix == ".mat":
        return [truncate, text, delete, nothing, missing_key, wrong_type]
    if path.suffix == ".txt":
        return [unknown_name, binary, delete]
    if path.suffix == ".json" and copy == "labelme":
        return [truncate, text, nothing, points_without_end, without_width]
    if path.suffix == ".json":
        return [
            truncate, text, delete, nothing, dangling_id, long_rle, short_string,
            line_for_polygon, without_images, without_height, other_height,
        ]  # fmt: skip
    found = [truncate, text, delete, nothing, other_size]
    if path.parent.name in MASK_FOLDERS:
        name = COPIES[copy][0]
        found += [colors] if path.suffix == ".png" and name != "davis" else []
        found += [sixteen_bits] if name in EIGHT_BITS and path.suffix == ".png" else []
        found += [palette] if name in NO_PALETTE and path.suffix == ".png" else []
    return found


def used_files(copy: str, root: Path) -> list[Path]:
    """The files that the default split of a copy reads."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if copy == "pascal_voc":
        files = [p for p in files if "000003" not in p.name and p.name != "train.txt"]
    if copy == "sbd":
        files = [p for p in files if p.stem[-1] not in "23" and p.name != "train.txt"]
    return files


def possible(copy: str, root: Path) -> dict[str, list[tuple]]:
    """Each kind of damage that can happen to a copy -> the files and functions for it."""
    found: dict[str, list[tuple]] = {}
    for path in used_files(copy, root):
        for way in damages_for(copy, path):
            found.setdefault(f"{way.__name__} {path.suffix}", []).append((path, way))
    return found


@functools.lru_cache
def rarity() -> dict[str, int]:
    """Each kind of damage -> in how many copies it can happen."""
    count: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for copy, (name, write, _) in COPIES.items():
            for kind in possible(copy, write(Path(folder) / copy / name)):
                count[kind] = count.get(kind, 0) + 1
    return count


def chosen_damage(seed: int, copy: str, root: Path):
    """A generator, the file, and what happens to it.

    The seeds of a copy go through its kinds of damage, those first that few other copies can have;
    the file is random.
    """
    rng = np.random.default_rng(seed)
    kinds = possible(copy, root)
    order = sorted(kinds, key=lambda kind: (rarity()[kind], kind))
    able = kinds[order[seed // len(COPIES) % len(order)]]
    return rng, *able[rng.integers(0, len(able))]


def decode(scene) -> int:
    """What training does with a scene."""
    _ = scene.image
    return [scene.target(i).sum() for i in range(len(scene))]


@pytest.mark.parametrize("seed", range(DAMAGES))
def test_a_damaged_file_is_named_and_costs_one_record_at_most(tmp_path, seed):
    copy = sorted(COPIES)[seed % len(COPIES)]
    name, write, sound = COPIES[copy]
    root = write(tmp_path / name)
    rng, path, way = chosen_damage(seed, copy, root)
    way(path, rng)

    messages = []
    try:
        items = robust(open_dataset(name, root))
        read = list(items)
        assert len(read) + len(items.skipped) == len(items)
        assert len(read) >= sound - 6, f"{way.__name__} of {path.name} cost {sound - len(read)}"
        assert all(reason in items.report() for reason in list(items.skipped.values())[:1])
        messages += items.skipped.values()
        if read:  # an evaluation steps over it, and counts it
            samples = open_dataset(name, root)
            result = evaluate(FakePredictor(), samples, max_clicks=1, progress=False)
            assert [item.name for item in result.objects] == [sample.name for sample in read]
            assert len(result.skipped) == len(items.skipped)
    except InputError as error:  # a file that everything depends on
        assert path.suffix in (".json", ".txt"), f"{way.__name__} of {path.name}: {error}"
        messages.append(str(error))
    report = check_dataset(name, root, SPLIT.get(name))
    assert not report.ok
    messages += report.problems
    # a file that nothing else refers to is missed by the number of objects alone, one that is found
    # by a pattern by its folder
    told = ("the complete set has", f"has no {path.parent.name}/") if way is delete else ()
    told += (path.stem.split(".")[0],)
    assert any(word in message for message in messages for word in told), messages

    if "scenes" in DATASETS[name].offers:
        split = SPLIT.get(name)
        try:
            scenes = robust(open_scenes(name, root, split), decode)
            able = [len(scene) for scene in scenes]
            samples = TrainingSamples([Source(name, str(root), 1.0)], TRAINING)
        except InputError as error:
            assert path.suffix in (".json", ".txt"), f"{way.__name__} of {path.name}: {error}"
        else:
            if any(able):  # training steps over it
                assert all((samples[i].target == 1).any() for i in range(3))


def test_the_seeds_reach_every_data_set_and_every_kind_of_damage(tmp_path):
    """What the 200 seeds really do, and that the kinds one meets most in the wild are among it."""
    roots = {copy: write(tmp_path / copy / name) for copy, (name, write, _) in COPIES.items()}
    met = set()
    for seed in range(DAMAGES):
        copy = sorted(COPIES)[seed % len(COPIES)]
        _, path, way = chosen_damage(seed, copy, roots[copy])
        met.add(f"{way.__name__} {path.suffix}")
    assert len(COPIES) == 18
    assert met == set(rarity()), f"never happens: {sorted(set(rarity()) - met)}"
    assert {
        "truncate .jpg", "text .jpg", "other_size .png", "sixteen_bits .png", "palette .png",
        "missing_key .mat", "dangling_id .json", "long_rle .json", "holds_nan .gz",
    } <= met  # fmt: skip


def test_every_file_of_an_own_folder_may_be_broken_but_one(tmp_path):
    root = folder(tmp_path)
    for path in sorted((root / "masks").iterdir())[1:]:
        path.write_bytes(b"")
    items = robust(open_dataset("folder", root))
    assert [sample.name for sample in items] == ["my0"]
    assert "2 of 3" in items.report()


def test_nothing_readable_at_all_is_one_sentence(tmp_path):
    for i in range(2):
        write_png(tmp_path / "images" / f"{i}.png", picture(i))
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / "masks" / f"{i}.png").write_bytes(b"")
    items = robust(open_dataset("folder", tmp_path))
    assert list(items) == [] and len(items.skipped) == 2
    with pytest.raises(InputError, match="not one record can be read"):
        items[0]
