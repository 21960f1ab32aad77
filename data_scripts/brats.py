"""BraTS 2020: brain tumours, one slice of each of 369 volumes."""

import sys

from _common import Recipe, run

RECIPE = Recipe(
    name="brats",
    folder="BraTS20",
    source="""
the Brain Tumor Segmentation challenge 2020 (MICCAI): volumes from the organizers; slices as the
authors of SimpleClick prepared them from the folder they share, which is named in the README of
github.com/uncbiag/SimpleClick.""",
    license="""
the challenge's data use agreement: for research, with citations, and not to be passed on. Read the
one you are shown.""",
    by_hand="""
everything; nothing is fetched by this script. Either (volumes, several GB):
1. open www.med.upenn.edu/cbica/brats2020/data.html, make an account at the portal it leads to,
   request the training data and accept the agreement (the challenge has moved before; if the page
   is gone, search for "BraTS 2020 data request");
2. fetch the archive MICCAI_BraTS2020_TrainingData.zip, with 369 folders that hold a
   CASE_flair.nii(.gz) and a CASE_seg.nii(.gz) each;
3. run this script with --archive MICCAI_BraTS2020_TrainingData.zip, or copy the 369 folders into
   the root and run it without. (In copies from elsewhere case 355 may have its labels under
   another name; rename that file to BraTS20_Training_355_seg.nii.)
Or (slices, to compare with published numbers): fetch the BraTS archive from the authors' folder
with a browser, and run this script with --archive FILE; it must hold image/ and annotation/.""",
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
