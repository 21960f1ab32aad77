"""The scripts of data_scripts, run against a server on the loopback with sets in miniature."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import json
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import data_writers
import pytest
from file_server import FileServer, serve

SCRIPTS = Path(__file__).parent.parent / "data_scripts"
RECIPES = sorted(
    p.stem for p in SCRIPTS.glob("*.py") if p.stem != "coco_lvis" and not p.stem.startswith("_")
)
# where a set lies within its archive as released
INSIDE = {
    "grabcut": "",
    "berkeley": "",
    "davis": "",
    "pascal_voc": "VOCdevkit/VOC2012",
    "sbd": "benchmark_RELEASE/dataset",
    "sstem": "groundtruth-drosophila-vnc-master/stack1",
}


@pytest.fixture
def scripts(monkeypatch) -> Callable[[str], object]:
    """Import a script as if it were run from its folder."""
    monkeypatch.syspath_prepend(SCRIPTS)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in (*RECIPES, "_common"):
            del sys.modules[name]


@pytest.fixture
def server(monkeypatch) -> FileServer:
    monkeypatch.setenv("NO_PROXY", "*")
    with serve() as state:
        yield state


def pack(folder: Path, inside: str, name: str) -> bytes:
    """The files of a folder as a zip or tar."""
    buffer = io.BytesIO()
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    inner = {p: (Path(inside) / p.relative_to(folder)).as_posix() for p in files}
    if name.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w") as archive:
            for path, member in inner.items():
                archive.write(path, member)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz" if name.endswith("gz") else "w") as archive:
            for path, member in inner.items():
                archive.add(path, member)
    return buffer.getvalue()


def serve_recipe(recipe, contents: dict[str, bytes], server: FileServer):
    """The recipe with the server's addresses; checksums only where the real one has some."""
    archives = []
    for archive in recipe.archives:
        data = contents[archive.name]
        server.files[f"/{archive.name}"] = data
        known = archive.hash and "md5:" + hashlib.md5(data).hexdigest()
        urls = (f"{server.url}/{archive.name}",)
        archives.append(
            dataclasses.replace(archive, urls=urls, hash=known, size=len(data), unpacked=len(data))
        )
    return dataclasses.replace(recipe, archives=tuple(archives), converted=0)


@pytest.fixture
def mini(scripts, server, tmp_path: Path):
    """`mini(name)`: a script's module and its recipe, served in miniature."""

    def make(name: str):
        module = scripts(name)
        source = getattr(data_writers, name)(tmp_path / "source")
        file = module.RECIPE.archives[0].name
        contents = {file: pack(source, INSIDE[name], file)}
        return serve_recipe(module.RECIPE, contents, server), module.run

    return make


def left_over(root: Path) -> list[str]:
    """Names that only a run in the middle of its work should have."""
    return sorted(
        p.name for p in root.rglob("*") if p.name.startswith(".unpacking") or ".part" in p.name
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_tells_everything_and_writes_nothing(scripts, name, tmp_path, capsys):
    module = scripts(name)
    assert module.run(module.RECIPE, ["--dry-run", "--root", str(tmp_path / "new")]) == 0
    told = capsys.readouterr().out
    for word in ("source:", "size:", "license:", "by hand:", "disk needed"):
        assert word in told
    for archive in module.RECIPE.archives:
        assert archive.name in told
        assert all(url in told for url in archive.urls)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", INSIDE)
def test_a_set_is_fetched_checked_and_drawn_once(mini, server, tmp_path, capsys, name):
    recipe, run = mini(name)
    root = tmp_path / "root"
    code = run(recipe, ["--root", str(root)])
    told = capsys.readouterr().out
    problems = [line for line in told.splitlines() if "the complete set has" in line]
    assert code == (1 if problems else 0)  # miniatures have too few objects, and nothing else
    assert f"{len(problems)} problem" in told or "no problem" in told
    assert (root / f"{name}_sheet.png").stat().st_size > 1000
    assert left_over(root) == []
    assert not (root / ".downloads").exists()
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if not p.name.endswith("sheet.png")}
    assert run(recipe, ["--root", str(root)]) == code
    assert "done before, nothing to do" in capsys.readouterr().out
    assert len(server.asked) == 1
    after = {p: p.stat().st_mtime_ns for p in root.rglob("*") if not p.name.endswith("sheet.png")}
    assert before == after


def coco_contents(folder: Path) -> dict[str, bytes]:
    """COCO and LVIS in miniature: archive name -> bytes."""
    for split in ("train2017", "val2017"):
        data_writers.coco(folder / split, split)
    objects, stuff = folder / "objects" / "annotations", folder / "stuff" / "annotations"
    objects.mkdir(parents=True)
    stuff.mkdir(parents=True)
    content = data_writers.coco_content()
    for split in ("train", "val"):
        file = folder / f"{split}2017" / "annotations" / f"instances_{split}2017.json"
        shutil.move(file, objects)
        (objects / f"captions_{split}2017.json").write_text("{}", encoding="utf-8")
        (stuff / f"stuff_{split}2017.json").write_text(json.dumps(content), encoding="utf-8")
        lvis = folder / f"lvis_{split}"
        lvis.mkdir()
        images = [
            {k: v for k, v in i.items() if k != "file_name"}
            | {"coco_url": f"http://images.cocodataset.org/{split}2017/{i['file_name']}"}
            for i in content["images"]
        ]
        annotations = [a for a in content["annotations"] if not a.get("iscrowd")]
        (lvis / f"lvis_v1_{split}.json").write_text(
            json.dumps(content | {"images": images, "annotations": annotations}), encoding="utf-8"
        )
        shutil.rmtree(folder / f"{split}2017" / "annotations")
    return {
        "train2017.zip": pack(folder / "train2017", "", ".zip"),
        "val2017.zip": pack(folder / "val2017", "", ".zip"),
        "annotations_trainval2017.zip": pack(folder / "objects", "", ".zip"),
        "stuff_annotations_trainval2017.zip": pack(folder / "stuff", "", ".zip"),
        "lvis_v1_train.json.zip": pack(folder / "lvis_train", "", ".zip"),
        "lvis_v1_val.json.zip": pack(folder / "lvis_val", "", ".zip"),
    }


def test_coco_then_lvis_share_a_folder_and_build_the_index(scripts, server, tmp_path, capsys):
    contents = coco_contents(tmp_path / "source")
    root = tmp_path / "root"
    coco = scripts("coco")
    recipe = serve_recipe(coco.RECIPE, contents, server)
    assert coco.run(recipe, ["--root", str(root), "--only", "val"]) == 0
    assert sorted(p.name for p in root.iterdir() if p.is_dir()) == [
        ".fetched",
        "annotations",
        "val2017",
    ]
    assert not (root / "annotations" / "captions_val2017.json").exists()  # not needed
    lvis = scripts("lvis")
    recipe = serve_recipe(lvis.RECIPE, contents, server)
    assert lvis.run(recipe, ["--root", str(root)]) == 0, capsys.readouterr()
    for split in ("train", "val"):
        assert (root / "coco_lvis_index" / split / "index.json").is_file()
    asked = [path for path, _ in server.asked]
    assert len(asked) == len(set(asked)) == 6  # what COCO brought is not fetched again
    assert lvis.run(recipe, ["--root", str(root)]) == 0
    assert len(server.asked) == 6


def test_a_broken_archive_is_removed_and_fetched_again(mini, server, tmp_path, capsys):
    recipe, run = mini("grabcut")
    good = server.files["/GrabCut.zip"]
    server.files["/GrabCut.zip"] = good[: len(good) // 2]
    root = tmp_path / "root"
    assert run(recipe, ["--root", str(root)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "GrabCut.zip is" in error
    assert "run this again" in error
    assert not (root / "data_GT").exists()
    assert left_over(root) == []
    server.files["/GrabCut.zip"] = good
    run(recipe, ["--root", str(root)])
    assert len(list((root / "data_GT").iterdir())) == 4


def test_a_run_that_was_killed_while_moving_is_not_taken_for_complete(
    mini, server, tmp_path, monkeypatch, capsys
):
    recipe, run = mini("grabcut")
    common = importlib.import_module("_common")
    put, root = common._put, tmp_path / "root"

    def killed(source: Path, target: Path) -> None:
        if target.name == "data_GT":
            raise KeyboardInterrupt
        put(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(common, "_put", killed)
        assert run(recipe, ["--root", str(root)]) == 130
    assert (root / "boundary_GT").exists()
    assert not (root / "data_GT").exists()
    assert common.state(recipe.archives[0], root) == "to fetch"
    run(recipe, ["--root", str(root)])
    assert (root / "data_GT").exists()
    assert common.state(recipe.archives[0], root) == "done"
    assert len(server.asked) == 1  # the archive was still there


def test_files_that_vanished_are_fetched_again(mini, server, tmp_path):
    recipe, run = mini("davis")
    root = tmp_path / "root"
    run(recipe, ["--root", str(root)])
    shutil.rmtree(root / "gt")
    run(recipe, ["--root", str(root)])
    assert len(list((root / "gt").iterdir())) == 3


def test_a_copy_of_ones_own_is_left_alone_unless_again_is_said(mini, server, tmp_path, capsys):
    recipe, run = mini("davis")
    root = data_writers.davis(tmp_path / "root")
    run(recipe, ["--root", str(root)])
    assert "left alone" in capsys.readouterr().out
    assert server.asked == []
    run(recipe, ["--root", str(root), "--again"])
    assert len(server.asked) == 1


def test_another_archive_than_expected_is_refused(mini, server, tmp_path, capsys):
    recipe, run = mini("davis")
    server.files["/DAVIS.zip"] = pack(tmp_path / "source" / "img", "something", ".zip")
    assert run(recipe, ["--root", str(tmp_path / "root")]) == 2
    assert "does not hold img, gt" in capsys.readouterr().err
    assert left_over(tmp_path / "root") == []


def test_too_little_disk_is_said_before_starting(mini, server, tmp_path, capsys, monkeypatch):
    recipe, run = mini("davis")
    monkeypatch.setattr("simpleclick_lite.disk.free_bytes", lambda path: 1000)
    assert run(recipe, ["--root", str(tmp_path / "root")]) == 2
    assert "are free; free some space" in capsys.readouterr().err
    assert server.asked == []
    assert not (tmp_path / "root").exists()


def test_a_dead_address_is_one_sentence(mini, server, tmp_path, capsys):
    recipe, run = mini("davis")
    server.files.clear()
    assert run(recipe, ["--root", str(tmp_path / "root")]) == 2
    error = capsys.readouterr().err
    assert "answers 404" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["brats", "oaizib"])
def test_what_was_fetched_by_hand_is_unpacked_and_checked(scripts, name, tmp_path, capsys):
    module = scripts(name)
    source = getattr(data_writers, name)(tmp_path / "source")
    archive = tmp_path / "by_hand.zip"
    archive.write_bytes(pack(source, "some/folder", ".zip"))
    root = tmp_path / "root"
    assert module.run(module.RECIPE, ["--root", str(root), "--archive", str(archive)]) == 1
    told = capsys.readouterr().out
    assert "the complete set has" in told  # and nothing else is wrong with a miniature
    assert (root / f"{name}_sheet.png").is_file()
    assert archive.is_file()  # the user's own
    assert left_over(root) == []


@pytest.mark.parametrize("name", ["brats", "oaizib"])
def test_nothing_fetched_by_hand_is_said_in_one_sentence(scripts, name, tmp_path, capsys):
    module = scripts(name)
    assert module.run(module.RECIPE, ["--root", str(tmp_path / "none")]) == 2
    assert "by hand" in capsys.readouterr().err
    assert module.run(module.RECIPE, ["--archive", str(tmp_path / "none.zip")]) == 2
    assert "none.zip does not exist" in capsys.readouterr().err


def test_weights_are_put_in_place_and_read(scripts, server, tmp_path, monkeypatch, capsys):
    module = scripts("mae_weights")
    contents = {a.name: a.name.encode() * 99 for a in module.RECIPE.archives}
    recipe = serve_recipe(module.RECIPE, contents, server)
    read = []
    recipe = dataclasses.replace(recipe, verify=lambda root: read.append(root) or ["fine"])
    root = tmp_path / "weights"
    for _ in range(2):
        assert module.run(recipe, ["--root", str(root), "--only", "base"]) == 0
    assert (root / "mae_pretrain_vit_base.pth").read_bytes() == contents[recipe.archives[0].name]
    assert len(server.asked) == 1
    assert read == [root, root]


def test_official_checkpoints_are_verified(scripts, golden: Path, tmp_path, capsys):
    module = scripts("official_checkpoints")
    assert module.run(module.RECIPE, ["--root", str(tmp_path)]) == 2
    assert "holds no .pth" in capsys.readouterr().err
    shutil.copy(golden / "simpleclick_micro.pth", tmp_path)
    assert module.run(module.RECIPE, ["--root", str(tmp_path)]) == 0
    assert "simpleclick_micro.pth is read" in capsys.readouterr().out
    (tmp_path / "cut.pth").write_bytes((golden / "simpleclick_micro.pth").read_bytes()[:5000])
    assert module.run(module.RECIPE, ["--root", str(tmp_path)]) == 2
    assert "cut.pth" in capsys.readouterr().err


def test_the_table_of_sets_is_complete():
    text = (SCRIPTS / "README.md").read_text(encoding="utf-8")
    assert all(f"[{name}.py]" in text for name in (*RECIPES, "coco_lvis"))
