"""The two symmetric patch embeddings."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from simpleclick_lite.embedding import SymmetricEmbedding, normalize


@pytest.mark.parametrize("patch, size", [(16, (32, 48)), (14, (28, 42)), (8, (8, 8))])
def test_tokens_are_patches_in_raster_order_and_add_up(patch, size):
    embedding = SymmetricEmbedding(patch, 12)
    image, clicks = torch.rand(2, 3, *size), torch.rand(2, 3, *size)
    tokens = embedding(image, clicks)
    rows, columns = size[0] // patch, size[1] // patch
    assert tokens.shape == (2, rows * columns, 12)
    # token k is the linear map of patch k, by hand
    k = rows * columns - 1
    top, left = (k // columns) * patch, (k % columns) * patch
    by_hand = 0
    for part, picture in ((embedding.image, image), (embedding.clicks, clicks)):
        cut = picture[:, :, top : top + patch, left : left + patch].flatten(1)
        by_hand = by_hand + F.linear(cut, part.proj.weight.flatten(1), part.proj.bias)
    torch.testing.assert_close(tokens[:, k], by_hand, atol=1e-5, rtol=1e-5)


def test_click_embedding_may_start_at_zero():
    embedding = SymmetricEmbedding(16, 8, zero_clicks=True)
    image = torch.rand(1, 3, 32, 32)
    tokens = embedding(image, torch.rand(1, 3, 32, 32))
    assert torch.equal(tokens, embedding.image(image))


def test_both_embeddings_get_gradients():
    embedding = SymmetricEmbedding(16, 8)
    embedding(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in embedding.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_normalizing_keeps_the_type(dtype):
    image = torch.rand(2, 3, 4, 5).to(dtype)
    out = normalize(image)
    assert out.dtype == dtype and out.shape == image.shape
    mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 4, 5)
    assert normalize(mean).abs().max() < 1e-6
