"""Reading pictures of every kind, refusing broken ones, and writing nothing by halves."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from simpleclick_lite.errors import InputError
from simpleclick_lite.files import (
    atomic_path,
    read_image,
    read_labels,
    read_mask,
    read_palette,
    write_json,
    write_png,
)


@pytest.fixture
def rgb() -> np.ndarray:
    """A (24, 36, 3) picture without two equal quarters."""
    y, x = np.mgrid[:24, :36]
    return np.stack([x * 7, y * 10, (x + y) * 4], axis=2).astype(np.uint8)


def test_an_image_comes_back_as_it_was_written(tmp_path, rgb):
    write_png(tmp_path / "a.png", rgb)
    assert np.array_equal(read_image(tmp_path / "a.png"), rgb)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_gray_sixteen_bit_alpha_and_palette_become_rgb(tmp_path, rgb):
    write_png(tmp_path / "gray.png", rgb[..., 0])
    write_png(tmp_path / "deep.png", rgb[..., 0].astype(np.uint16) * 257)
    write_png(tmp_path / "alpha.png", np.dstack([rgb, rgb[..., 0]]))
    Image.fromarray(rgb).quantize(16).save(tmp_path / "palette.png")
    gray = np.repeat(rgb[..., :1], 3, axis=2)
    assert np.array_equal(read_image(tmp_path / "gray.png"), gray)
    assert np.array_equal(read_image(tmp_path / "deep.png"), gray)
    assert np.array_equal(read_image(tmp_path / "alpha.png"), rgb)
    assert read_image(tmp_path / "palette.png").shape == rgb.shape


def test_the_exif_note_turns_a_photograph(tmp_path, rgb):
    note = Image.Exif()
    note[0x0112] = 6  # the camera was held upright
    Image.fromarray(rgb).save(tmp_path / "turned.jpg", exif=note, quality=95)
    assert read_image(tmp_path / "turned.jpg").shape == (36, 24, 3)


def test_names_may_hold_any_letters(tmp_path, rgb):
    path = tmp_path / "Übung 日本 ñ" / "naïve.png"
    write_png(path, rgb)
    assert np.array_equal(read_image(path), rgb)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 0.9])
def test_a_cut_off_picture_is_refused_by_name(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="cut"):
        read_image(path)


def test_a_thumbnails_end_does_not_hide_that_a_jpeg_is_cut_off(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    small = cv2.imencode(".jpg", noise[:8, :8])[1].tobytes()
    segment = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    whole = jpeg[:2] + segment + jpeg[2:]
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-200])
    assert read_image(tmp_path / "whole.jpg").shape == (60, 80, 3)
    with pytest.raises(InputError, match="cut off"):
        read_image(tmp_path / "cut.jpg")


def test_missing_files_folders_and_texts_are_refused_by_name(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    for name in ("absent.png", "text.jpg", "folder.png"):
        for read in (read_image, read_mask, read_palette, read_labels):
            with pytest.raises(InputError, match=name):
                read(tmp_path / name)


def test_label_maps_keep_their_numbers(tmp_path):
    labels = np.arange(24, dtype=np.uint16).reshape(4, 6) * 40
    write_png(tmp_path / "deep.png", labels)
    assert np.array_equal(read_labels(tmp_path / "deep.png"), labels)
    assert read_mask(tmp_path / "deep.png").dtype == np.uint16


def test_a_palette_is_read_as_indices(tmp_path):
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    picture = Image.new("P", (6, 4))
    picture.putdata(labels.ravel().tolist())
    picture.putpalette([v for i in range(256) for v in (i * 37 % 256, i * 91 % 256, i)])
    picture.save(tmp_path / "palette.png")
    assert np.array_equal(read_labels(tmp_path / "palette.png"), labels)
    assert np.array_equal(read_palette(tmp_path / "palette.png"), labels)


def test_equal_channels_count_as_gray_and_colors_are_refused(tmp_path, rgb):
    write_png(tmp_path / "equal.png", np.repeat(rgb[..., :1], 3, axis=2))
    assert np.array_equal(read_mask(tmp_path / "equal.png"), rgb[..., 0])
    write_png(tmp_path / "colors.png", rgb)
    for read in (read_mask, read_labels, read_palette):
        with pytest.raises(InputError, match="colors.png"):
            read(tmp_path / "colors.png")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert "1" in path.read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_an_unwritable_folder_and_another_suffix_are_refused(tmp_path, rgb):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="file"):
        write_png(tmp_path / "file" / "a.png", rgb)
    with pytest.raises(InputError, match="png"):
        write_png(tmp_path / "a.jpg", rgb)


@pytest.mark.skipif(os.name != "posix", reason="permissions differ")
def test_a_written_file_has_the_usual_permissions(tmp_path, rgb):
    write_png(tmp_path / "a.png", rgb)
    (tmp_path / "b").write_text("", encoding="utf-8")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_png_without_its_middle_is_refused_although_its_end_is_there(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2] + data[-12:])
    with pytest.raises(InputError, match="cut off"):
        read_image(tmp_path / "cut.png")


@pytest.mark.parametrize("write", [write_json, write_png])
def test_a_folder_in_the_files_place_is_refused_before_anything_is_written(tmp_path, write):
    place = tmp_path / "name.png"
    place.mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        write(place, np.zeros((2, 2), np.uint8))
    assert not list(place.iterdir()) and [p.name for p in tmp_path.iterdir()] == ["name.png"]


def test_a_name_no_system_allows_is_an_input_error():
    with pytest.raises(InputError, match="null"):
        read_image("a\0b.png")
    with pytest.raises(InputError, match="null"):
        write_png("a\0b.png", np.zeros((2, 2), np.uint8))
