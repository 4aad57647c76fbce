"""Tests of the image pool."""

from __future__ import annotations

from lpv_mmocr.streaming import ImagePool

import pytest
import torch
from streaming_cases import IMAGE, numbered_chunk


def contents(pool: ImagePool) -> set[int]:
    """Return the numbers of all images in a pool, by drawing often enough."""
    torch.manual_seed(0)
    return set(pool.draw(50 * pool.capacity)[1].numbers.tolist())


def test_newest_images_stay():
    pool = ImagePool(10)
    for first in (0, 4, 8):  # the last four wrap around the end of the ring
        pool.add(numbered_chunk(first, 4))
    assert len(pool) == 10
    assert contents(pool) == set(range(2, 12))


def test_partly_filled_pool_draws_what_it_has():
    pool = ImagePool(10)
    pool.add(numbered_chunk(0, 3))
    assert len(pool) == 3
    assert contents(pool) == {0, 1, 2}


def test_images_keep_their_targets():
    pool = ImagePool(300)
    pool.add(numbered_chunk(0, 300))
    images, words = pool.draw(64)
    assert images.shape == (64, 3, *IMAGE) and images.dtype == torch.uint8
    assert words.targets.shape == (64, 27) and words.targets.dtype == torch.int64
    assert torch.equal(images[:, 0, 0, 0].long(), words.numbers % 256)
    assert torch.equal(words.targets[:, 5], words.numbers)
    assert len(words) == 64


def test_draws_follow_the_seed():
    pool = ImagePool(100)
    pool.add(numbered_chunk(0, 100))
    first, again = (torch.manual_seed(7) and pool.draw(20)[1].numbers for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, pool.draw(20)[1].numbers)


def test_draws_during_an_update_see_complete_images(monkeypatch):
    """Draw between any two of the copies that replace images, as another thread may."""
    pool = ImagePool(12)
    for first in (0, 4, 8):
        pool.add(numbered_chunk(first, 4))
    copy, seen = torch.Tensor.copy_, set()

    def copy_and_draw(self, *args):
        result = copy(self, *args)
        images, words = pool.draw(200)
        assert torch.equal(images[:, 0, 0, 0].long(), words.numbers)
        assert torch.equal(words.targets[:, 0], words.numbers)
        seen.update(words.numbers.tolist())
        return result

    monkeypatch.setattr(torch.Tensor, "copy_", copy_and_draw)
    pool.add(numbered_chunk(12, 4))
    assert seen == set(range(4, 12))
    monkeypatch.undo()
    assert contents(pool) == set(range(4, 16))


def test_added_and_drawn_images_are_counted():
    pool = ImagePool(4)
    pool.add(numbered_chunk(0, 4))
    pool.add(numbered_chunk(4, 4))
    pool.draw(20)
    assert (pool.added, pool.drawn) == (8, 20)


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="capacity must be positive, got 0"):
        ImagePool(0)
    pool = ImagePool(4)
    with pytest.raises(RuntimeError, match="empty"):
        pool.draw(1)
    with pytest.raises(ValueError, match="5 images at once are more than the pool's 4"):
        pool.add(numbered_chunk(0, 5))
    pool.add(numbered_chunk(0, 2))
    larger = numbered_chunk(0, 2)._replace(images=numbered_chunk(0, 2).images.repeat(2, axis=3))
    with pytest.raises(ValueError, match="the new images bring"):
        pool.add(larger)
