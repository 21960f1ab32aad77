"""The masked autoencoder: patches, masks, which parts learn, and that it learns."""

import pytest
import torch

from simpleclick_lite.mae import (
    MaskedAutoencoder,
    patchify,
    pretrain,
    random_keep,
    unpatchify,
    whiten,
)
from simpleclick_lite.toy import toy_model


@pytest.fixture
def mae():
    torch.manual_seed(0)
    model = toy_model(depth=2)
    return MaskedAutoencoder(model.embedding.image, model.backbone, width=32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_patches_are_put_together_to_the_same_image():
    image = torch.randn(2, 3, 8, 12)
    patches = patchify(image, 4)
    assert patches.shape == (2, 6, 48)
    assert torch.equal(unpatchify(patches, 4, (2, 3)), image)
    assert torch.equal(patches[0, 1].view(4, 4, 3).permute(2, 0, 1), image[0, :, :4, 4:8])


def test_whitened_patches_have_mean_zero_and_deviation_one():
    white = whiten(torch.randn(2, 5, 48) * 3 + 7)
    torch.testing.assert_close(white.mean(-1), torch.zeros(2, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(white.std(-1), torch.ones(2, 5), atol=1e-4, rtol=0)


def test_a_constant_patch_is_whitened_to_zero():
    assert (whiten(torch.full((1, 1, 48), 0.3)).abs() < 1e-3).all()


def test_a_quarter_of_the_tokens_stays_and_none_twice():
    keep = random_keep(5, 64, 0.75, generator())
    assert keep.shape == (5, 16)
    assert all(len(set(row.tolist())) == 16 for row in keep)
    assert not torch.equal(keep[0], keep[1])


def test_hidden_patches_do_not_reach_the_backbone(mae):
    image = torch.randn(1, 3, 64, 64)
    keep = random_keep(1, 64, 0.75, generator())
    changed = patchify(image, 8)
    hidden = torch.ones(64, dtype=torch.bool)
    hidden[keep[0]] = False
    changed[0, hidden] += 5.0
    with torch.no_grad():
        torch.testing.assert_close(mae(image, keep), mae(unpatchify(changed, 8, (8, 8)), keep))


def test_visible_patches_do_not_count_in_the_loss(mae):
    image = torch.randn(2, 3, 64, 64)
    everything = torch.arange(63)[None].expand(2, -1)  # only the last patch is hidden
    with torch.no_grad():
        error = (mae(image, everything) - whiten(patchify(image, 8)))[:, 63] ** 2
        torch.testing.assert_close(mae.loss(image, everything), error.mean())


def test_pretraining_lowers_the_loss_moves_the_backbone_and_is_repeatable(mae):
    torch.manual_seed(1)
    ramps = torch.linspace(0, 1, 64)
    images = torch.rand(12, 3, 1, 1) * ramps + torch.rand(12, 3, 1, 1) * ramps[:, None]
    before = {name: weight.clone() for name, weight in mae.state_dict().items()}
    losses = pretrain(mae, images / 2, steps=30, batch_size=8)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    moved = mae.state_dict()["backbone.blocks.0.mlp.fc1.weight"]
    assert not torch.equal(moved, before["backbone.blocks.0.mlp.fc1.weight"])
    mae.load_state_dict(before)
    first = pretrain(mae, images / 2, steps=3, batch_size=8)
    mae.load_state_dict(before)
    assert pretrain(mae, images / 2, steps=3, batch_size=8) == pytest.approx(first)


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_few_steps_are_steps_too(mae, steps):
    assert len(pretrain(mae, torch.rand(2, 3, 64, 64), steps=steps, batch_size=2)) == steps
