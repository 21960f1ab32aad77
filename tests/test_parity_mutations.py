"""Would the parity checks notice? Each mistake made here on purpose must fail at least one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import (
    check_disks,
    check_evaluation_clicks,
    check_gradients,
    check_loss,
    check_sizes,
    check_stages,
    check_training_clicks,
    check_zoom_in,
)

from simpleclick_lite import (
    backbone,
    clicks,
    crop,
    head,
    loss,
    model,
    predictor,
    pyramid,
    simulation,
)
from simpleclick_lite.checkpoint import load_model
from simpleclick_lite.clicks import Click

CHECKS = {
    "stages": lambda g: check_stages(
        g, load_model(g / "simpleclick_micro.pth"), "model_micro_448.npz"
    ),
    "sizes": lambda g: check_sizes(g, load_model(g / "simpleclick_micro.pth"), ("320x320",)),
    "gradients": lambda g: check_gradients(g, load_model(g / "simpleclick_micro.pth")),
    "loss": lambda g: check_loss(g, "random"),
    "saturated loss": lambda g: check_loss(g, "saturated"),
    "disks": check_disks,
    "robot": check_evaluation_clicks,
    "training clicks": check_training_clicks,
    "zoom-in": lambda g: _zoom_in(g, "micro_tuned_flip_0"),
    "zoom-in, no flip": lambda g: _zoom_in(g, "micro_noflip_2"),
}


def _zoom_in(golden, tag):
    name = f"simpleclick_micro{'_tuned' * ('tuned' in tag)}.pth"
    made = predictor.Predictor(load_model(golden / name), "cpu", flip="noflip" not in tag)
    return check_zoom_in(golden, made, tag)


def swap_pyramid_levels(patch):
    honest = pyramid.Pyramid.forward

    def swapped(self, *given):
        maps = honest(self, *given)
        fine, coarse = maps[1], maps[2]
        c = fine.shape[1]
        maps[1] = F.interpolate(coarse[:, :c], fine.shape[-2:])
        small = F.interpolate(fine, coarse.shape[-2:])
        maps[2] = torch.cat([small, coarse[:, c:]], dim=1)
        return maps

    patch.setattr(pyramid.Pyramid, "forward", swapped)


def swap_levels_in_the_head(patch):
    honest = head.MLPHead.forward

    def swapped(self, *given):
        weight = self.fuse.weight
        a, b, c, d = weight.chunk(4, dim=1)
        self.fuse.weight = torch.nn.Parameter(torch.cat([a, c, b, d], dim=1))
        out = honest(self, *given)
        self.fuse.weight = weight
        return out

    patch.setattr(head.MLPHead, "forward", swapped)


def drop_previous_mask(patch):
    honest = model.click_map
    patch.setattr(model, "click_map", lambda p, s, mask, r: honest(p, s, torch.zeros_like(mask), r))


def predictor_forgets_previous_mask(patch):
    honest = predictor.Predictor._run
    patch.setattr(
        predictor.Predictor,
        "_run",
        lambda self, views: honest(
            self, [replace(view, previous=torch.zeros_like(view.previous)) for view in views]
        ),
    )


def global_attention_everywhere(patch):
    patch.setattr(backbone.PlainViT, "is_global", lambda self, index: True)


def global_block_comes_first(patch):
    patch.setattr(
        backbone.PlainViT, "is_global", lambda self, index: index % self.global_every == 0
    )


def shift_disks_by_a_pixel(patch):
    honest = clicks.draw_disks
    patch.setattr(clicks, "draw_disks", lambda p, *rest: honest(p + torch.tensor([1, 0]), *rest))


def shift_crop_clicks_by_a_pixel(patch):
    honest = crop.to_crop

    def shifted(given, *rest):
        return [Click(c.x + 1, c.y, c.positive) for c in honest(given, *rest)]

    patch.setattr(predictor, "to_crop", shifted)


def shift_robot_by_a_pixel(patch):
    honest = simulation.robot_click

    def shifted(*args):
        click = honest(*args)
        return Click(click.x + 1, click.y, click.positive)

    patch.setattr(simulation, "robot_click", shifted)


def swap_disk_channels(patch):
    honest = clicks.draw_disks
    patch.setattr(clicks, "draw_disks", lambda *args: honest(*args).flip(1))


def mask_threshold_one_half(patch):
    honest = predictor.Predictor.__init__
    patch.setattr(
        predictor.Predictor,
        "__init__",
        lambda self, *args, **more: honest(self, *args, **more, threshold=0.5),
    )


def training_threshold_one_half(patch):
    honest = simulation.training_candidates
    patch.setattr(simulation, "training_candidates", lambda p, t: honest(p, t, 0.5))


def crop_follows_the_masks_threshold(patch):
    patch.setattr(crop, "CROP_THRESHOLD", 0.4)


def average_probabilities(patch):
    @torch.no_grad()
    def averaged(self, views):
        (view,) = views
        image, points, labels, previous = view.image, view.points, view.labels, view.previous
        if not self.flip:
            return torch.sigmoid(self.model(image, points, labels, previous)), [False]
        mirrored = points.clone()
        mirrored[..., 0] = image.shape[-1] - 1 - mirrored[..., 0]
        other = self.model(image.flip(-1), mirrored, labels, previous.flip(-1)).flip(-1)
        here = self.model(image, points, labels, previous)
        return 0.5 * (torch.sigmoid(here) + torch.sigmoid(other)), [False]

    patch.setattr(predictor.Predictor, "_run", averaged)


def mirror_about_the_width(patch):
    honest = predictor.Predictor._run

    @torch.no_grad()
    def off_by_one(self, views):
        if not self.flip:
            return honest(self, views)
        (view,) = views
        image, points, labels, previous = view.image, view.points, view.labels, view.previous
        mirrored = points.clone()
        mirrored[..., 0] = image.shape[-1] - mirrored[..., 0]
        logits = self.model(
            torch.cat([image, image.flip(-1)]),
            torch.cat([points, mirrored]),
            torch.cat([labels, labels]),
            torch.cat([previous, previous.flip(-1)]),
        )
        return torch.sigmoid(0.5 * (logits[:1] + logits[1:].flip(-1))), [False]

    patch.setattr(predictor.Predictor, "_run", off_by_one)


def robot_uses_approximate_distances(patch):
    honest = cv2.distanceTransform
    patch.setattr(simulation.cv2, "distanceTransform", lambda x, kind, size: honest(x, kind, 3))


def robot_breaks_ties_the_other_way(patch):
    honest = simulation.robot_click

    def other(prediction, truth, earlier):
        click = honest(prediction, truth, earlier)
        ignored = truth == -1
        turned = np.where(ignored, -1, np.where(truth == 1, 0, 1)).astype(truth.dtype)
        mirror = honest(~prediction, turned, earlier)  # positive and negative change places
        return click if mirror.positive else Click(mirror.x, mirror.y, True)

    patch.setattr(simulation, "robot_click", other)


def smooth_loss_everywhere(patch):
    honest = loss.normalized_focal_loss
    import parity

    patch.setattr(parity, "normalized_focal_loss", lambda a, b: honest(a, b, stable=True))


MUTATIONS = {
    swap_pyramid_levels: ["stages", "sizes", "gradients", "zoom-in"],
    swap_levels_in_the_head: ["stages", "sizes"],
    drop_previous_mask: ["stages", "gradients", "zoom-in"],
    predictor_forgets_previous_mask: ["zoom-in", "zoom-in, no flip"],
    global_attention_everywhere: ["stages"],
    global_block_comes_first: ["stages"],
    shift_disks_by_a_pixel: ["stages", "disks", "sizes"],
    shift_crop_clicks_by_a_pixel: ["zoom-in", "zoom-in, no flip"],
    shift_robot_by_a_pixel: ["robot", "zoom-in"],
    swap_disk_channels: ["stages", "disks"],
    mask_threshold_one_half: ["zoom-in", "zoom-in, no flip"],
    training_threshold_one_half: ["training clicks"],
    crop_follows_the_masks_threshold: ["zoom-in"],
    average_probabilities: ["zoom-in"],
    mirror_about_the_width: ["zoom-in"],
    robot_uses_approximate_distances: ["robot", "training clicks"],
    robot_breaks_ties_the_other_way: ["robot"],
    smooth_loss_everywhere: ["saturated loss"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_without_a_mistake_every_check_passes(golden, check):
    CHECKS[check](golden)


@pytest.mark.parametrize(
    "mistake, check",
    [(mistake, check) for mistake, checks in MUTATIONS.items() for check in checks],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_mistake_is_noticed(golden, monkeypatch, mistake, check):
    mistake(monkeypatch)
    with pytest.raises(AssertionError):
        CHECKS[check](golden)
