"""Every data set, read from a small copy in its released format, and from real samples."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from data_writers import SPLIT, WRITERS, jpeg, labels, nifti, run_lengths, volume
from data_writers import volumes as write_volumes

from simpleclick_lite.data import DATASETS, open_dataset, open_scenes
from simpleclick_lite.data.coco import decode_segmentation
from simpleclick_lite.data.medical import union
from simpleclick_lite.data.sbd import fill_of_box
from simpleclick_lite.data.volumes import cut_slice
from simpleclick_lite.errors import InputError
from simpleclick_lite.files import write_png


@pytest.fixture
def written(tmp_path):
    """`written(name)` writes a small copy and gives its folder."""

    def write(name: str):
        return WRITERS[name][0](tmp_path / name)

    return write


# what holds for every data set


@pytest.mark.parametrize("name", WRITERS)
def test_a_released_copy_gives_its_objects_in_a_fixed_order(written, name):
    root = written(name)
    samples = open_dataset(name, root)
    assert len(samples) == WRITERS[name][1]
    assert len(set(samples.names)) == len(samples)
    again = open_dataset(name, root)
    for index, sample in enumerate(samples):
        assert sample.name == samples.names[index] == again.names[index]
        assert sample.image.shape[:2] == sample.mask.shape and sample.image.dtype == np.uint8
        assert sample.mask.dtype == np.int8 and (sample.mask == 1).any()
        assert np.array_equal(sample.mask, again[index].mask)


@pytest.mark.parametrize("name", [n for n in WRITERS if "scenes" in DATASETS[n].offers])
def test_scenes_hold_every_object_and_decode_on_demand(written, name):
    split = SPLIT.get(name)
    for scene in open_scenes(name, written(name), split):
        assert len(scene) == len(scene.kinds) == len(scene.parents) > 0
        assert scene.masks.shape == (len(scene), *scene.image.shape[:2])
        assert scene.masks.any(axis=(1, 2)).all()
        assert set(np.unique(scene.target(0))) <= {-1, 0, 1}


@pytest.mark.parametrize("name", WRITERS)
def test_a_data_set_is_found_below_a_folder_of_data_sets(tmp_path, name):
    usual = (DATASETS[name].folders or ("folder",))[0]
    root = WRITERS[name][0](tmp_path / usual)
    below = root if name == "folder" else tmp_path
    assert len(open_dataset(name, below)) == WRITERS[name][1]


@pytest.mark.parametrize("name", WRITERS)
def test_a_data_set_can_be_sent_to_a_worker(written, name):
    root = written(name)
    samples = open_dataset(name, root)
    _ = samples[0]
    assert np.array_equal(pickle.loads(pickle.dumps(samples))[1].mask, samples[1].mask)
    if "scenes" in DATASETS[name].offers:
        split = SPLIT.get(name)
        scenes = pickle.loads(pickle.dumps(open_scenes(name, root, split)))
        assert len(pickle.loads(pickle.dumps(scenes[0]))) == len(scenes[0])


# what is special about each


def test_grabcut_ignores_128_and_refuses_other_values(written):
    root = written("grabcut")
    sample = open_dataset("grabcut", root)[0]
    assert (sample.mask[:3] == -1).all() and set(np.unique(sample.mask)) == {-1, 0, 1}
    write_png(root / "boundary_GT" / "photo0.png", labels(0, 1) * 37)
    with pytest.raises(InputError, match=r"photo0.png holds \[37\]"):
        open_dataset("grabcut", root)[0]


def test_a_size_mismatch_names_both_files_and_both_sizes(written):
    root = written("grabcut")
    jpeg(root / "data_GT" / "photo0.jpg", 0, (30, 44))
    with pytest.raises(InputError, match=r"photo0\.png is 56 x 40 .*photo0\.jpg is 44 x 30"):
        open_dataset("grabcut", root)[0]


def test_a_file_without_its_partner_costs_one_record(written):
    root = written("grabcut")
    (root / "data_GT" / "photo1.bmp").unlink()
    (root / "boundary_GT" / "photo2.png").unlink()
    samples = open_dataset("grabcut", root)
    assert samples.names == ["photo0", "photo1", "photo2", "photo3"]
    with pytest.raises(InputError, match=r"photo1\.bmp has no image"):
        samples[1]
    with pytest.raises(InputError, match=r"photo2\.png has no mask"):
        samples[2]
    assert samples[3].mask.any()


def test_berkeley_has_a_second_object_under_a_letter(written):
    samples = open_dataset("berkeley", written("berkeley"))
    assert samples.names == ["1000", "1001", "1001a", "1002"]
    assert np.array_equal(samples[1].image, samples[2].image)
    assert not np.array_equal(samples[1].mask, samples[2].mask)


def test_davis_takes_every_index_of_the_palette_as_the_object(written):
    root = written("davis")
    samples = open_dataset("davis", root)
    assert np.array_equal(samples[2].mask == 1, labels(2, 3) > 0)
    assert DATASETS["davis"].crop_size == 672


def test_pascal_voc_ignores_the_void_and_reads_both_splits(written):
    root = written("pascal_voc")
    samples = open_dataset("pascal_voc", root)
    assert samples.names[1:3] == ["2007_000001_1", "2007_000001_2"]
    assert (samples[1].mask[0] == -1).all()
    assert np.array_equal(samples[2].mask == 1, np.vstack([[[0] * 56], labels(1, 2)[1:]]) == 2)
    assert len(open_scenes("pascal_voc", root, "train")) == 1
    (root / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(InputError, match=r"val\.txt"):
        open_dataset("pascal_voc", root)


def test_sbd_leaves_broken_objects_out_of_training_only(written):
    root = written("sbd")
    assert [len(scene) for scene in open_scenes("sbd", root, "train")] == [2, 1]
    assert len(open_dataset("sbd", root, "train")) == 4
    assert open_dataset("sbd", root).names[0] == "2008_000000_1"


def test_the_fill_of_a_box_counts_the_border_pixels():
    mask = np.zeros((20, 20), bool)
    mask[3, 4] = mask[12, 13] = True
    assert fill_of_box(mask) == pytest.approx(2 / 100)
    assert fill_of_box(np.zeros((4, 4), bool)) == 0


def test_coco_reads_polygons_both_rles_and_ignores_crowds(written):
    samples = open_dataset("coco", written("coco"), "val")
    assert samples.names[:3] == ["000000000000_0", "000000000000_1", "000000000000_2"]
    polygon, plain, packed = samples[0], samples[1], samples[2]
    assert np.array_equal(plain.mask == 1, labels(0, 4) == 2)
    assert np.array_equal(packed.mask == 1, labels(0, 4) == 3)
    assert np.array_equal(plain.mask == -1, labels(0, 4) == 4)
    assert polygon.mask[10, 10] == 1 and (polygon.mask == 1).sum() == 18 * 27


def test_coco_leaves_out_what_is_under_the_least_area(written):
    root = written("coco")
    assert len(open_dataset("coco", root, min_area=1)) == 12
    assert [len(s) for s in open_scenes("coco", root, "val")] == [3, 3, 3]
    with pytest.raises(InputError, match="no annotated images"):
        open_dataset("coco", root, min_area=10**6)
    with pytest.raises(InputError, match=r"instances_train\*"):
        open_scenes("coco", root)


def test_both_run_length_codes_give_the_mask_that_pycocotools_packed():
    from pycocotools import mask as coco_mask

    rng = np.random.default_rng(0)
    for density in (0.01, 0.3, 0.9):
        mask = rng.random((37, 41)) < density
        packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
        for counts in (packed, packed.decode(), run_lengths(mask)):
            code = {"size": [37, 41], "counts": counts}
            assert np.array_equal(decode_segmentation(code, 37, 41), mask)


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[0.0, 0.0, float("nan"), 3.0, 4.0, 4.0]],
        {"size": [8, 10], "counts": [10, 20]},
        {"size": [8, 10], "counts": [100]},
        {"size": [10, 8], "counts": [80]},
        {"size": [8, 10], "counts": "11"},
        {"size": [8, 10], "counts": [100, -20]},
    ],
)
def test_a_broken_segmentation_is_refused(segmentation):
    with pytest.raises(InputError):
        decode_segmentation(segmentation, 8, 10)


def test_sstem_has_one_object_per_four_connected_component(tmp_path):
    jpeg(tmp_path / "raw" / "00.tif", 0, (6, 6))
    mask = np.zeros((6, 6), np.uint8)
    mask[1:3, 1:3] = 255
    mask[3:5, 3:5] = 255  # touches the first at a corner only
    mask[0, 5] = 90  # a soft border's pixel
    write_png(tmp_path / "mitochondria" / "00.png", mask)
    samples = open_dataset("sstem", tmp_path)
    assert [int((s.mask == 1).sum()) for s in samples] == [4, 4]


def test_prepared_slices_are_one_object_for_brats_and_one_per_label_for_oaizib(written):
    brats = open_dataset("brats", written("brats"))
    assert np.array_equal(brats[1].mask == 1, labels(1, 3) > 0)
    oaizib = open_dataset("oaizib", written("oaizib"))
    assert np.array_equal(oaizib[3].mask == 1, labels(1, 2) == 2)


def test_volumes_give_the_slice_that_shows_most(tmp_path):
    root = write_volumes(tmp_path)
    assert len(open_dataset("brats", root)) == 2
    oaizib = open_dataset("oaizib", root)
    assert len(oaizib) == 4
    voxels, marks = volume(0)
    expected = np.rot90(marks[:, :, 4])
    assert np.array_equal(oaizib[0].mask == 1, expected == 1)
    assert np.array_equal(oaizib[1].mask == 1, expected == 2)
    gray = oaizib[0].image[..., 0].astype(float)
    assert np.corrcoef(gray.ravel(), np.rot90(voxels[:, :, 4]).ravel())[0, 1] > 0.999
    assert gray.min() == 0 and gray.max() == 255


def test_the_orientation_in_the_header_is_obeyed(tmp_path):
    voxels, marks = volume(0)
    nifti(tmp_path / "a.nii.gz", voxels)
    nifti(tmp_path / "a_seg.nii", marks)
    flip = np.diag([-1.0, 1, 1, 1])
    nifti(tmp_path / "b.nii.gz", voxels[::-1].copy(), flip)
    nifti(tmp_path / "b_seg.nii", marks[::-1].copy(), flip)
    one = cut_slice(tmp_path / "a.nii.gz", tmp_path / "a_seg.nii")
    other = cut_slice(tmp_path / "b.nii.gz", tmp_path / "b_seg.nii")
    assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def test_brats_is_read_as_it_is_released(tmp_path):
    for i in range(2):
        voxels, marks = volume(i)
        case = tmp_path / "MICCAI_BraTS2020_TrainingData" / f"BraTS20_Training_{i:03d}"
        for kind in ("flair", "t1", "t1ce", "t2"):
            nifti(case / f"{case.name}_{kind}.nii.gz", voxels * (1 if kind == "flair" else 0))
        nifti(case / f"{case.name}_seg.nii.gz", marks * 2)
    samples = open_dataset("brats", tmp_path)
    assert samples.names == ["BraTS20_Training_000_1", "BraTS20_Training_001_1"]
    assert np.array_equal(samples[0].mask == 1, np.rot90(union(volume(0)[1][:, :, 4])) == 1)
    assert samples[0].image.std() > 30


def test_a_volume_with_nan_another_shape_or_no_label_is_refused_by_name(tmp_path):
    root = write_volumes(tmp_path)
    voxels, marks = volume(0)
    voxels[3, 3, 3] = np.nan
    nifti(root / "images" / "case0.nii.gz", voxels)
    nifti(root / "labels" / "case1.nii.gz", marks[:-1])
    samples = open_dataset("brats", root)
    with pytest.raises(InputError, match=r"case0\.nii\.gz holds NaN"):
        samples[0]
    with pytest.raises(InputError, match=r"case1\.nii\.gz have the shape"):
        samples[1]
    nifti(root / "labels" / "case1.nii.gz", marks * 0)
    with pytest.raises(InputError, match="empty"):
        open_dataset("brats", root)[1]


def test_ccp_is_a_person_with_parts(written):
    scene = open_scenes("ccp", written("ccp"))[0]
    assert scene.kinds == ("thing", "part", "part", "part") and scene.parents == (-1, 0, 0, 0)
    assert np.array_equal(scene.mask(0), scene.masks[1:].any(axis=0))


def test_pets_ignore_the_undecided_border(written):
    sample = open_dataset("pets", written("pets"))[0]
    assert (
        (sample.mask[8:27, 8:27] == 1).all() and sample.mask[6, 6] == -1 and sample.mask[0, 0] == 0
    )


def test_bsds_regions_of_all_annotators_overlap(written):
    scene = open_scenes("bsds_regions", written("bsds_regions"))[0]
    assert len(scene) == 6 and set(scene.kinds) == {"thing"}
    assert (scene.masks.sum(axis=0) == 2).all()
    assert scene.object_name(3) == "100_1_1"


def test_objects_of_one_photograph_come_together(written):
    scenes = open_scenes("coco_mval", written("coco_mval"))
    assert [len(scene) for scene in scenes] == [2, 1]


def test_a_scene_that_cannot_be_scanned_costs_one_record(written):
    root = written("pascal_voc")
    (root / "SegmentationObject" / "2007_000001.png").write_bytes(b"broken")
    samples = open_dataset("pascal_voc", root)
    assert samples.names == [
        "2007_000000_1", "2007_000001", "2007_000002_1", "2007_000002_2", "2007_000002_3",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"2007_000001\.png"):
        samples[1]
    assert samples[2].mask.any()


def test_a_missing_key_in_a_mat_file_is_named(written):
    from scipy.io import savemat

    root = written("sbd")
    path = root / "inst" / "2008_000000.mat"
    savemat(path, {"GTcls": {"Segmentation": labels(0, 2)}})
    with pytest.raises(InputError, match=r"2008_000000\.mat has no GTinst"):
        open_dataset("sbd", root)[0]
    savemat(path, {"GTinst": {"Boundaries": 1}})
    with pytest.raises(InputError, match="GTinst.Segmentation"):
        open_dataset("sbd", root)[0]


def test_voc_masks_must_have_a_palette_or_be_gray(written):
    root = written("pascal_voc")
    jpeg(root / "SegmentationObject" / "2007_000000.png", 0)
    with pytest.raises(InputError, match=r"2007_000000\.png has colors"):
        open_dataset("pascal_voc", root)[0]


# real samples


def test_grabcut_is_whole(shared):
    samples = open_dataset("grabcut", shared / "datasets")
    assert len(samples) == 50
    assert sum((s.mask == -1).any() for s in samples) == 42


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("davis", 6),
        ("berkeley", 5),
        ("sstem", 82),
        ("brats", 4),
        ("oaizib", 8),
        ("coco_mval", 800),
        ("nuclei", 2949),
    ],
)
def test_real_samples_load(shared, name, count):
    samples = open_dataset(name, shared / "datasets")
    assert len(samples) == count
    for sample in samples.limit(8, seed=1):
        assert (sample.mask == 1).any()


@pytest.mark.parametrize(("split", "images", "objects"), [("val", 162, 1444), ("train", 316, 2392)])
def test_the_real_coco_files_load(shared, split, images, objects):
    scenes = open_scenes("coco", shared / "datasets", split)
    assert (len(scenes), len(open_dataset("coco", shared / "datasets", split))) == (images, objects)
    for scene in scenes.limit(8):
        assert scene.masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("name", "count"), [("bsds_regions", 401), ("ccp", 1004), ("pets", 600), ("nuclei", 60)]
)
def test_real_training_scenes_load(shared, name, count):
    scenes = open_scenes(name, shared / "datasets")
    assert len(scenes) == count
    for scene in scenes.limit(6, seed=2):
        assert scene.masks.any(axis=(1, 2)).all()


def test_coco_decodes_like_pycocotools(shared):
    from pycocotools.coco import COCO

    path = shared / "datasets" / "coco_mini" / "annotations" / "instances_val2017.json"
    theirs = COCO(str(path))
    samples = open_dataset("coco", shared / "datasets", "val")
    for index in range(0, len(samples), 97):
        number = int(samples.names[index].rpartition("_")[2])
        expected = theirs.annToMask(theirs.anns[number])
        assert np.array_equal(samples[index].mask == 1, expected == 1)


def test_a_copy_with_one_broken_real_photograph_still_runs(shared, tmp_path):
    for folder in ("img", "gt"):
        shutil.copytree(shared / "datasets" / "DAVIS_sample" / folder, tmp_path / folder)
    path = tmp_path / "img" / "060.jpg"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:3000])
    samples = open_dataset("davis", tmp_path)
    assert samples[0].mask.any()
    with pytest.raises(InputError, match=r"060\.jpg is cut off"):
        samples[1]


def test_held_out_photographs_are_in_no_training_set(shared):
    root = shared / "datasets"
    held_out = open_scenes("coco_mval", root / "COCO_MVal", "val").names
    assert len(open_dataset("coco_mval", root / "COCO_MVal", "val")) == 80, "objects"
    trained = open_scenes("coco_mval", root / "COCO_MVal", "train").names
    trained = [*trained, *open_scenes("coco_mini", root / "coco_mini").names]
    ids = [{int(name) for name in names} for names in (held_out, trained)]
    assert ids[0] and len(ids[1]) > 600 and not ids[0] & ids[1]
