"""Encoders pretrained by masked autoencoding (MAE): base, large and huge models start from them."""

import sys
from pathlib import Path

from _common import Archive, Recipe, run

SERVER = "https://dl.fbaipublicfiles.com/mae/pretrain"


def verify(root: Path) -> list[str]:
    """Load every encoder that is there."""
    from simpleclick_lite.checkpoint import load_model

    lines = []
    for archive in RECIPE.archives:
        path = root / archive.name
        if path.is_file():
            width = load_model(path).config.width
            lines.append(f"{path} is read: width {width}, the rest of the model is fresh")
    return lines + ["use one with: simpleclick-lite train --weights FILE ..."]


def _encoder(name: str, size: int, beginning: str) -> Archive:
    file = f"mae_pretrain_vit_{name}.pth"
    return Archive(file, (f"{SERVER}/{file}",), hash=f"md5:{beginning}", size=size, part=name)


RECIPE = Recipe(
    name="",
    folder="mae",
    source="""
github.com/facebookresearch/mae, the files of its README, which publishes the first six digits of
their checksums (sizes computed from the number of weights). timm has the same encoders; with
--weights vit_base_patch16_224.mae they are fetched by training itself.""",
    license="""
CC BY-NC 4.0: not for commercial use, and, to be safe, neither is what is trained from them.""",
    archives=(
        _encoder("base", 343_000_000, "8cad7c"),
        _encoder("large", 1_210_000_000, "b8b06e"),
        _encoder("huge", 2_530_000_000, "9bdbb0"),
    ),
    verify=verify,
)

if __name__ == "__main__":
    sys.exit(run(RECIPE))
