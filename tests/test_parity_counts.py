"""Parameters and operations against the published numbers, to the digit."""

from __future__ import annotations

import json

import pytest

from simpleclick_lite.counting import count_operations, count_parameters

MODELS = {"xtiny": "ViT-xT", "base": "ViT-B", "large": "ViT-L", "huge": "ViT-H"}


@pytest.fixture(scope="module")
def counts(golden) -> dict:
    return json.loads((golden / "counts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODELS)
def test_parameters_equal_the_published_ones(counts, name, report):
    theirs, ours = counts["params"][f"{MODELS[name]}@448"], count_parameters(name)
    used = theirs["used_in_forward"]
    assert ours.parts == {
        "image_embedding": used["backbone_patch_embed"],
        "click_embedding": used["click_patch_embed"],
        "positions": used["backbone_pos_embed_patches"],
        "blocks": used["backbone_blocks"],
        "pyramid": used["neck"],
        "head": used["head_convs"] + used["head_fusion_conv"] + used["head_conv_seg"],
    }
    assert ours.used == theirs["total_used"]
    assert ours.never_run == theirs["total_unused"]
    assert ours.published_file == theirs["total"]
    assert ours.paper == theirs["paper_convention_parameters"]
    assert f"{ours.paper / 1e6:.2f}" == f"{theirs['paper_M']:.2f}"
    assert ours.table_vit * 2**20 == theirs["total_backbone"]
    assert ours.table_neck * 2**20 == theirs["total_neck"]
    assert ours.table_head * 2**20 == theirs["total_head"]
    report({"parameters": 0.0})


@pytest.mark.parametrize("size", [224, 448])
@pytest.mark.parametrize("name", MODELS)
def test_operations_equal_the_published_ones(counts, name, size, report):
    theirs, ours = counts["flops"][f"{MODELS[name]}@{size}"], count_operations(name, size)
    assert ours.paper / 1e9 == pytest.approx(theirs["paper_convention_GFLOPs"], abs=1e-6)
    assert ours.published / 1e9 == pytest.approx(theirs["true_GFLOPs_2_per_mac"], abs=1e-6)
    assert ours.attention / 1e9 == pytest.approx(theirs["attention_matmul_GFLOPs"], abs=1e-6)
    assert ours.ours < ours.published
    if theirs["paper_GFLOPs"] is not None:
        assert f"{ours.paper / 1e9:.2f}" == f"{theirs['paper_GFLOPs']:.2f}"
    report({"operations": abs(ours.published / 1e9 - theirs["true_GFLOPs_2_per_mac"])})
