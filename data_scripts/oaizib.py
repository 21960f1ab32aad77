"""OAIZIB: cartilage of the knee in 150 slices of magnetic resonance volumes."""

import sys

from _common import Recipe, run

RECIPE = Recipe(
    name="oaizib",
    folder="OAIZIB",
    source="""
volumes from the Osteoarthritis Initiative (nda.nih.gov/oai), labels from the Zuse Institute Berlin
(pubdata.zib.de; Ambellan et al., Medical Image Analysis 2019); slices as the authors of
SimpleClick prepared them from the folder they share, which is named in the README of
github.com/uncbiag/SimpleClick.""",
    license="""
the Osteoarthritis Initiative's data use terms for the images and those of pubdata.zib.de for the
labels. Read the ones you are shown.""",
    by_hand="""
everything; nothing is fetched by this script. Either (slices, to compare with published numbers):
fetch the OAI-ZIB archive from the authors' folder with a browser, and run this script with
--archive FILE; it must hold test/image and test/annotations. Or (volumes):
1. make an account at nda.nih.gov/oai and accept its terms; request the labels at pubdata.zib.de;
2. convert both to NIfTI (they come as DICOM and MHD), the volume of a case and its labels under
   the same name in images/ and labels/ of the root;
3. run this script.""",
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
