"""Comparisons with outputs of the published implementation, for test_parity_*.py.

Each `check_*` runs ours on a fixture's input, compares every stage and returns a dictionary
stage -> largest absolute difference. It fails at the first stage out of tolerance. The checks are
plain functions so that test_parity_mutations.py can run them on a network broken on purpose.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from simpleclick_lite import clicks as clicks_module
from simpleclick_lite import simulation
from simpleclick_lite.as_written import as_written
from simpleclick_lite.clicks import Click
from simpleclick_lite.embedding import normalize
from simpleclick_lite.loss import normalized_focal_loss
from simpleclick_lite.model import SimpleClick
from simpleclick_lite.official import official_name
from simpleclick_lite.prediction import State
from simpleclick_lite.predictor import Predictor

SINGLE = 1e-4  # absolute, for what is stored as float32
HALF = 2e-3  # relative to the largest entry, for what is stored as float16
NEAR = 1e-3  # a probability this close to the threshold may fall on either side


def to_ours(rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Published points (B, 2n, 3) = (y, x, order) -> points (B, 2n, 2) xy and labels (B, 2n)."""
    half = rows.shape[1] // 2
    labels = np.repeat([[1, 0]], half, axis=1).reshape(1, -1).repeat(len(rows), axis=0)
    labels = np.where(rows[..., :2].max(axis=2) < 0, -1, labels)
    return torch.from_numpy(rows[..., 1::-1].copy()), torch.from_numpy(labels)


def compare(found: dict[str, float], name: str, ours: Tensor, theirs: np.ndarray) -> None:
    """Note the largest difference of a stage and fail if it is out of tolerance."""
    ours = ours.detach().numpy()
    assert ours.shape == theirs.shape, f"{name}: shape {ours.shape}, published {theirs.shape}"
    difference = float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max())
    limit = HALF * float(np.abs(theirs).max()) if theirs.dtype == np.float16 else SINGLE
    found[f"{name} in float16" if theirs.dtype == np.float16 else name] = difference
    assert difference <= limit, f"{name}: differs by {difference:.2e}, more than {limit:.0e}"


def load(golden: Path, name: str) -> dict[str, np.ndarray]:
    """All arrays of a fixture."""
    with np.load(golden / name, allow_pickle=False) as file:
        return dict(file)


def inputs(data: dict[str, np.ndarray]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """image (B, 3, H, W), points, labels and previous mask of a model fixture."""
    points, labels = to_ours(data["points"])
    image = torch.from_numpy(data["image"]).permute(2, 0, 1).float() / 255
    return (
        image.expand(len(points), -1, -1, -1),
        points,
        labels,
        torch.from_numpy(data["prev_mask"]),
    )


def stages_of(model: SimpleClick, *args: Tensor) -> dict[str, Tensor]:
    """Run the network as a user does and keep what passes between its parts."""
    kept: dict[str, Tensor] = {}

    def keep(name):  # noqa: ANN001, ANN202
        return lambda module, args, output: kept.__setitem__(name, output)

    def keep_both(name, tokens):  # noqa: ANN001, ANN202
        return lambda module, args, output: kept.update({name: args[0], tokens: output})

    def keep_sum(module, args):  # noqa: ANN001, ANN202
        kept["tokens_sum"], kept["grid"] = args[:2]

    hooks = [
        model.embedding.image.register_forward_hook(keep_both("image_norm", "tokens_image")),
        model.embedding.clicks.register_forward_hook(keep_both("click_map", "tokens_clicks")),
        model.backbone.register_forward_pre_hook(keep_sum),
        model.backbone.register_forward_hook(keep("tokens_out")),
        model.pyramid.register_forward_hook(keep("pyramid")),
        model.head.fuse.register_forward_hook(keep("fused")),
        model.head.register_forward_hook(keep("head_out")),
    ]
    with torch.no_grad():
        kept["logits"] = model(*args)
        for hook in hooks:
            hook.remove()
        kept["tokens_pos"] = kept["tokens_sum"] + model.backbone.positions(kept["grid"])
        blocks: list[Tensor] = []
        again = model.backbone(kept["tokens_sum"], kept["grid"], blocks)
        kept |= {f"block{k:02}": x for k, x in enumerate(blocks)}
        fused = []
        hook = model.head.classify.register_forward_pre_hook(lambda _, args: fused.append(args[0]))
        with as_written():  # the fused map in one piece
            model.head(kept["pyramid"])
        hook.remove()
        kept["fused"] = fused[0]
    # keeping stages takes another path through the window blocks: it must be the same numbers
    assert torch.allclose(again, kept["tokens_out"], atol=1e-6)
    assert torch.equal(blocks[-1], again)
    return kept | {f"pyramid{k}": x for k, x in enumerate(kept["pyramid"])}


def check_stages(golden: Path, model: SimpleClick, fixture: str) -> dict[str, float]:
    """Every stage stored in a model_*.npz; _cK in a name is every K-th channel, _sK pixel."""
    data = load(golden, fixture)
    source = data if "image" in data else load(golden, "model_micro_448.npz")
    kept = stages_of(model, *inputs(source))
    found: dict[str, float] = {}
    if "disks" in data:
        compare(found, "disks", kept["click_map"][:, 1:], data["disks"])
        compare(found, "previous mask", kept["click_map"][:, :1], data["prev_mask"])
        assert found["disks"] == found["previous mask"] == 0
    for key, theirs in data.items():
        name, kind, step = re.fullmatch(r"(.*?)(?:_([cs])(\d+))?", key).groups()
        if name in ("image", "points", "prev_mask", "disks"):
            continue
        if name == "pos_embed":
            side = source["image"].shape[0] // model.config.patch_size
            compare(found, name, model.backbone.positions((side, side)), theirs[:, 1:])
            continue
        if name == "logits_crop":
            compare(found, name, kept["logits"][..., 176:240, 128:192], theirs)
            continue
        ours, k = kept[name], int(step or 1)
        if kind == "s":
            ours = ours[..., ::k, ::k]
        elif kind == "c":
            ours = ours[..., ::k] if ours.ndim == 3 else ours[:, ::k]  # tokens or a map
        # some stages are stored of sample 0 only
        compare(found, key, ours[0] if name == "image_norm" else ours[: len(theirs)], theirs)
    return found


def check_sizes(golden: Path, model: SimpleClick, tags: tuple[str, ...]) -> dict[str, float]:
    """Head output and positions at other input sizes (tags HEIGHTxWIDTH)."""
    data, found = load(golden, "model_micro_sizes.npz"), {}
    image, _, _, previous = inputs(load(golden, "model_micro_448.npz"))
    for tag in tags:
        size = tuple(map(int, tag.split("x")))
        both = torch.cat([image, previous], dim=1)
        both = F.interpolate(both, size=size, mode="bilinear", align_corners=True)
        points, labels = to_ours(data[f"points_{tag}"])
        kept = stages_of(model, both[:1, :3], points[:1], labels[:1], both[:1, 3:])
        compare(found, f"{tag} head", kept["head_out"], data[f"head_out_{tag}"])
        positions = model.backbone.positions(kept["grid"])[..., ::16]
        compare(found, f"{tag} positions", positions, data[f"pos_embed_{tag}_c16"][:, 1:])
    return found


def ellipses(shape: tuple[int, int], rows: list[list[float]]) -> np.ndarray:
    """Union of ellipses [cy, cx, ay, ax] as (H, W) bool."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = np.zeros(shape, bool)
    for cy, cx, ay, ax in rows:
        inside |= ((y - cy) / ay) ** 2 + ((x - cx) / ax) ** 2 <= 1
    return inside


def check_gradients(golden: Path, model: SimpleClick) -> dict[str, float]:
    """Loss per sample, and norm, sum and first four entries of every parameter's gradient."""
    data = json.loads((golden / "grad_micro.json").read_text(encoding="utf-8"))
    target = np.zeros((2, 1, 448, 448), np.int8)
    target[0, 0] = ellipses((448, 448), [[200, 180, 110, 80]])
    target[0, 0, :30] = -1
    target[1, 0] = ellipses((448, 448), [[100, 300, 60, 120], [330, 90, 40, 40]])
    model.zero_grad()
    logits = model(*inputs(load(golden, "model_micro_448.npz")))
    loss = normalized_focal_loss(logits, torch.from_numpy(target))
    loss.mean().backward()
    found: dict[str, float] = {}
    compare(found, "loss", loss, np.array(data["loss_per_sample"], np.float32))
    found["gradient"] = 0.0
    theirs = data["gradients_of_loss_mean"]
    used = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.double()
        key = official_name(name)
        published = used[key] = theirs[key]
        assert published is not None, f"{key} has no gradient in the published code"
        # the published positions have one more slot, the class token's, whose gradient is zero
        first = [] if key == "backbone.pos_embed" else published["first"]
        pairs = [
            (gradient.norm().item(), published["norm"]),
            (gradient.sum().item(), published["sum"]),
            *zip(gradient.flatten()[:4].tolist(), first, strict=False),
        ]
        for ours, expected in pairs:
            difference = abs(ours - expected) / max(published["norm"], 1e-3)
            found["gradient"] = max(found["gradient"], difference)  # relative to its norm
            assert difference <= SINGLE, f"{key}: gradient {ours:.6g}, published {expected:.6g}"
    silent = {k for k, v in theirs.items() if v is None or v["norm"] == 0}
    assert theirs.keys() - used.keys() <= silent, (
        "the published code trains a weight we do not have"
    )
    model.zero_grad()
    return found


def check_disks(golden: Path) -> dict[str, float]:
    """Click maps, exactly."""
    data, found = load(golden, "disks.npz"), {}
    for key in [k.removesuffix("_points") for k in data if k.endswith("_points")]:
        points, labels = to_ours(data[f"{key}_points"])
        disks = clicks_module.draw_disks(points, labels, (60, 80))
        found[key] = float(np.abs(disks.numpy() - data[f"{key}_disks"]).max())
        assert found[key] == 0, f"{key}: the disks differ"
    return found


def check_zoom_in(golden: Path, predictor: Predictor, tag: str, steps: int = 5) -> dict[str, float]:
    """The whole evaluation loop on one image: clicks, crops, points, probabilities, masks, IoU.

    A click or crop may differ only where probabilities within 1e-3 of a threshold decide; the loop
    then goes on with the published click.
    """
    data = load(golden, "zoom_in_eval.npz")
    index = tag[-1]
    image, truth = data[f"image{index}"], data[f"gt{index}"]
    step = 8 if f"{tag}_prob_s8" in data else 4
    predictor.set_image(image)
    state, clicks, mask = State(), [], np.zeros(truth.shape, bool)
    found = dict.fromkeys(("network points", "probability", "IoU", "pixels that flip"), 0.0)
    for t, (y, x, positive) in enumerate(data[f"{tag}_clicks"][:steps]):
        click, published = simulation.robot_click(mask, truth, clicks), Click(x, y, bool(positive))
        near_mask = state.probability is not None and bool(
            (np.abs(state.probability - 0.49) < NEAR).any()
        )
        assert click == published or near_mask, f"click {t}: {click}, published {published}"
        clicks.append(published)
        near_crop = state.probability is not None and bool(
            (np.abs(state.probability - 0.5) < NEAR).any()
        )
        result = predictor.continue_from(state, clicks)
        state = result.state
        top, bottom, left, right = data[f"{tag}_roi"][t].tolist()
        same = result.crop == (left, top, right + 1, bottom + 1)
        assert same or near_crop, f"crop {t}: {result.crop}, published {left, top, right, bottom}"
        _check_network_points(found, result, data[f"{tag}_net_points"][t : t + 1])
        probability = data[f"{tag}_prob_s{step}"][t].astype(np.float32)
        difference = float(np.abs(result.probability[::step, ::step] - probability).max())
        found["probability"] = max(found["probability"], difference)
        assert difference <= 2e-3, f"step {t}: probabilities differ by {difference:.1e}"
        bits = np.unpackbits(data[f"{tag}_mask_bits"][t])[: truth.size].reshape(truth.shape) > 0
        flipped = result.mask != bits
        far = np.abs(result.probability - 0.49) >= NEAR
        assert not (flipped & far).any(), f"step {t}: {int((flipped & far).sum())} pixels differ"
        found["pixels that flip"] = max(found["pixels that flip"], float(flipped.sum()))
        mask = result.mask
        difference = abs(iou(mask, truth) - float(data[f"{tag}_iou"][t]))
        found["IoU"] = max(found["IoU"], difference)
        assert difference <= 1e-3, f"step {t}: IoU differs by {difference:.1e}"
    return found


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union, ignored pixels left out."""
    valid, target = truth != -1, truth == 1
    both, either = (mask & target & valid).sum(), ((mask | target) & valid).sum()
    return float(both / either)


def _check_network_points(found: dict[str, float], result, published: np.ndarray) -> None:  # noqa: ANN001
    """The points the network got: the same clicks, whatever their slot."""
    points, labels = to_ours(published)
    ours, theirs = (
        sorted(
            (int(sign), x, y)
            for (x, y), sign in zip(p.tolist(), s.tolist(), strict=True)
            if sign >= 0
        )
        for p, s in ((result.net_points[0], result.net_labels[0]), (points[0], labels[0]))
    )
    assert len(ours) == len(theirs)
    difference = float(np.abs(np.array(ours) - np.array(theirs)).max())
    found["network points"] = max(found["network points"], difference)
    assert difference <= SINGLE, f"points for the network differ by {difference:.1e} pixels"


def check_normalized(golden: Path) -> dict[str, float]:
    """Mean and deviation of the image."""
    data, found = load(golden, "model_micro_448.npz"), {}
    compare(found, "normalized", normalize(inputs(data)[0])[0, :, ::4, ::4], data["image_norm_s4"])
    return found


def check_loss(golden: Path, case: str) -> dict[str, float]:
    """Value per sample and gradient of the sum, within 1e-6 of the largest entry."""
    data, found = load(golden, "nfl.npz"), {}
    logits = torch.from_numpy(data[f"{case}_logits"]).requires_grad_()
    loss = normalized_focal_loss(logits, torch.from_numpy(data[f"{case}_label"]))
    loss.sum().backward()
    for name, ours in (("loss", loss.detach()), ("grad", logits.grad)):
        theirs = data[f"{case}_{name}"]
        found[name] = float(np.abs(ours.numpy() - theirs).max())
        limit = 1e-6 * float(np.abs(theirs).max())
        assert found[name] <= limit, f"{case}: {name} differs by {found[name]:.1e}"
    return found


def check_evaluation_clicks(golden: Path) -> dict[str, float]:
    """The robot of the benchmark, exactly, on 30 sequences of five clicks."""
    data = load(golden, "eval_clicks.npz")
    found = 0
    for case, (truth, predictions, published) in enumerate(
        zip(data["gt"], data["pred"], data["clicks"], strict=True)
    ):
        clicks: list[Click] = []
        for step, (y, x, positive) in enumerate(published):
            click = simulation.robot_click(predictions[step] > 0, truth, clicks)
            assert click == Click(x, y, bool(positive)), f"case {case}, click {step}: {click}"
            clicks.append(click)
            found += 1
    assert found == 150
    return {"clicks": 0.0}


def check_training_clicks(golden: Path) -> dict[str, float]:
    """Sign and set of candidates of the training's clicks, exactly, and draws from that set."""
    data = load(golden, "train_next_click.npz")
    for case in range(len(data["sign"])):
        probability, truth = data["prob"][case, 0], data["gt"][case, 0]
        candidates, sign = simulation.training_candidates(probability, truth)
        assert sign == data["sign"][case], f"case {case}: sign {sign}"
        wrong = int((candidates != (data["candidates"][case] > 0)).sum())
        assert wrong == 0, f"case {case}: {wrong} candidates differ"
        click = simulation.training_click(probability, truth, np.random.default_rng(case))
        if sign == 0:
            assert click is None
            continue
        assert click.positive is bool(sign > 0)
        assert candidates[int(click.y), int(click.x)]
        # the published draw lands in our set too, and on the same side
        half = data["points"].shape[1] // 2
        before, after = data["points"][case], data["points_after_1"][case]
        (row,) = np.flatnonzero((before != after).any(axis=1))
        assert (row < half) == click.positive
        assert candidates[int(after[row, 0]), int(after[row, 1])]
    return {"candidates": 0.0}
