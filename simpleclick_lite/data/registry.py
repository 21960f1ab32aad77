"""What is known about each data set before it is opened: splits, folders, published counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class DataSetInfo:
    """A data set's entry in `DATASETS`.

    Attributes:
        title: one line for people.
        module: the module of this package that reads it.
        offers: "samples" (open_dataset), "scenes" (open_scenes), or both.
        layouts: what its folder holds, as patterns; several layouts are alternatives.
        folders: the usual names of its folder, tried under a given root.
        splits: names of its splits; the first is what benchmarks use.
        options: names of the loader's own keyword options.
        counts: split (or "" without splits) -> (images, objects) of the complete set, where a
            number is published; None for a number that is not.
        crop_size: side of the square the published evaluation resizes its crop to, in pixels.
        function: the loader's name in its module, if it is not `samples` or `scenes`.
    """

    title: str
    module: str
    offers: tuple[str, ...] = ("samples",)
    layouts: tuple[tuple[str, ...], ...] = ()
    folders: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    counts: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    crop_size: int = 448
    needs_root: bool = True
    function: dict[str, str] = field(default_factory=dict)

    def opener(self, what: str) -> str:
        """Name of the module's function that opens "samples" or "scenes"."""
        return self.function.get(what, what)

    def layout_in(self, folder: Path) -> tuple[str, ...] | None:
        """The layout that a folder has, or None."""
        for layout in self.layouts:
            if all(next(folder.glob(pattern), None) for pattern in layout):
                return layout
        return None


BOTH = ("samples", "scenes")
VOLUMES = (
    ("images/*.nii*", "labels/*.nii*"),
    ("imagesTr/*.nii*", "labelsTr/*.nii*"),
    ("*/*_flair.nii*", "*/*_seg.nii*"),
)

DATASETS: dict[str, DataSetInfo] = {
    "photos": DataSetInfo(
        "photographs inside scikit-image's and scikit-learn's wheels, outlined for this project",
        "photos",
        BOTH,
        needs_root=False,
    ),
    "synthetic": DataSetInfo(
        "endless drawn scenes; training scenes and held-out ones never meet",
        "synthetic",
        BOTH,
        splits=("val", "train"),
        options=("seed", "length", "size"),
        needs_root=False,
    ),
    "folder": DataSetInfo(
        "your own images with masks, a COCO file or labelme files",
        "folder",
        BOTH,
        options=("format",),
    ),
    "grabcut": DataSetInfo(
        "GrabCut: 50 photographs, one object each",
        "pairs",
        layouts=(("data_GT", "boundary_GT"),),
        folders=("GrabCut",),
        counts={"": (50, 50)},
        function={"samples": "grabcut"},
    ),
    "berkeley": DataSetInfo(
        "Berkeley: 100 objects on 96 photographs",
        "pairs",
        layouts=(("images", "masks"),),
        folders=("Berkeley", "Berkeley_sample"),
        counts={"": (None, 100)},
        function={"samples": "berkeley"},
    ),
    "davis": DataSetInfo(
        "DAVIS: 345 frames of videos",
        "pairs",
        layouts=(("img", "gt"),),
        folders=("DAVIS", "DAVIS345", "DAVIS_sample"),
        counts={"": (345, 345)},
        crop_size=672,
        function={"samples": "davis"},
    ),
    "pascal_voc": DataSetInfo(
        "Pascal VOC 2012: objects of the segmentation task",
        "labelmaps",
        BOTH,
        layouts=(("JPEGImages", "SegmentationObject", "ImageSets/Segmentation"),),
        folders=("PascalVOC", "VOC2012", "VOCdevkit/VOC2012"),
        splits=("val", "train"),
        counts={"val": (1449, 3427), "train": (1464, None)},
        function={"samples": "pascal_voc", "scenes": "pascal_voc_scenes"},
    ),
    "sbd": DataSetInfo(
        "SBD: objects of 11,355 photographs of Pascal VOC",
        "sbd",
        BOTH,
        layouts=(("img", "inst"),),
        folders=("SBD", "SBD/dataset", "benchmark_RELEASE/dataset"),
        splits=("val", "train"),
        counts={"val": (2857, 6671), "train": (8498, 20172)},
    ),
    "coco": DataSetInfo(
        "COCO: any annotations/instances_*.json",
        "coco",
        BOTH,
        layouts=(("annotations/instances_*.json",),),
        folders=("COCO", "coco", "coco_mini"),
        splits=("val", "train"),
        options=("min_area",),
    ),
    "coco_lvis": DataSetInfo(
        "COCO+LVIS: the objects of both and COCO's stuff, from an index that is built once",
        "coco_lvis",
        BOTH,
        layouts=(("coco_lvis_index/*/index.json",),),
        folders=("COCO", "coco", "coco_mini"),
        splits=("val", "train"),
    ),
    "sstem": DataSetInfo(
        "ssTEM: mitochondria under the electron microscope",
        "medical",
        BOTH,
        layouts=(("raw", "mitochondria"),),
        folders=("ssTEM", "ssTEM_sample"),
        function={"samples": "sstem", "scenes": "sstem_scenes"},
    ),
    "brats": DataSetInfo(
        "BraTS: brain tumours, slices or NIfTI volumes",
        "medical",
        BOTH,
        layouts=(("image", "annotation"), *VOLUMES),
        folders=("BraTS20", "BraTS", "MICCAI_BraTS2020_TrainingData", "MRI_sample"),
        counts={"": (369, 369)},
        function={"samples": "brats", "scenes": "brats_scenes"},
    ),
    "oaizib": DataSetInfo(
        "OAIZIB: cartilage of the knee, slices or NIfTI volumes",
        "medical",
        BOTH,
        layouts=(("test/image", "test/annotations"), *VOLUMES),
        folders=("OAIZIB", "OAI-ZIB", "MRI_sample"),
        counts={"": (150, 300)},
        function={"samples": "oaizib", "scenes": "oaizib_scenes"},
    ),
    "coco_mval": DataSetInfo(
        "COCO_MVal: 800 objects, 10 of each category",
        "pairs",
        BOTH,
        layouts=(("img", "gt"),),
        folders=("COCO_MVal",),
        splits=("all", "train", "val"),
        counts={"all": (None, 800), "train": (None, 720), "val": (None, 80)},
        function={"samples": "coco_mval", "scenes": "coco_mval_scenes"},
    ),
    "coco_mini": DataSetInfo(
        "a small COCO folder for training, without COCO_MVal's held-out photographs",
        "holdout",
        ("scenes",),
        layouts=(("annotations/instances_*.json",),),
        folders=("coco_mini",),
        function={"scenes": "coco_mini_scenes"},
    ),
    "bsds_regions": DataSetInfo(
        "BSDS500: the regions every annotator drew",
        "labelmaps",
        BOTH,
        layouts=(("img", "seg"),),
        folders=("BSDS_regions",),
        counts={"": (401, None)},
        function={"samples": "bsds_regions", "scenes": "bsds_regions_scenes"},
    ),
    "ccp": DataSetInfo(
        "Clothing Co-Parsing: people and what they wear",
        "labelmaps",
        BOTH,
        layouts=(("img", "labels"),),
        folders=("CCP",),
        counts={"": (1004, None)},
        function={"samples": "ccp", "scenes": "ccp_scenes"},
    ),
    "pets": DataSetInfo(
        "Oxford-IIIT Pet: cats and dogs",
        "labelmaps",
        BOTH,
        layouts=(("img", "trimaps"),),
        folders=("pets",),
        function={"samples": "pets", "scenes": "pets_scenes"},
    ),
    "nuclei": DataSetInfo(
        "nuclei under the light microscope",
        "labelmaps",
        BOTH,
        layouts=(("img", "seg"),),
        folders=("nuclei",),
        function={"samples": "nuclei", "scenes": "nuclei_scenes"},
    ),
}
