from __future__ import annotations

from lpv_mmocr.visualization import character_boxes

import numpy as np
import pytest


def attention(centres: list[tuple[float, float]], grid: tuple[int, int]) -> np.ndarray:
    """Return maps (T, h, w) with a narrow spot at x, y for each character."""
    rows, columns = np.mgrid[: grid[0], : grid[1]]
    y, x = (rows + 0.5) / grid[0], (columns + 0.5) / grid[1]
    maps = np.ones((27, *grid))
    for index, (a, b) in enumerate(centres):
        maps[index + 1] = np.exp(-0.5 * (((x - a) / 0.02) ** 2 + ((y - b) / 0.02) ** 2)) + 1e-9
    return (maps / maps.sum((1, 2), keepdims=True)).astype(np.float32)


def evenly(count: int) -> list[tuple[float, float]]:
    return [((index + 0.5) / count, 0.5) for index in range(count)]


@pytest.mark.parametrize("count", [2, 5, 25])
def test_boxes_of_letters_of_equal_width(count):
    boxes = character_boxes(attention(evenly(count), (8, 100)), count, (32, 200))
    assert boxes.shape == (count, 4)
    assert boxes.dtype == np.float32
    cells = np.arange(count + 1) * 200 / count
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    np.testing.assert_allclose(middle, (cells[1:] + cells[:-1]) / 2, atol=0.15 * 200 / count)
    assert np.all(boxes[:, 0] >= cells[:-1] - 0.15 * 200 / count)
    assert np.all(boxes[:, 2] <= cells[1:] + 0.15 * 200 / count)
    assert np.all(boxes[:, 1] < 16)
    assert np.all(boxes[:, 3] > 16)


def test_last_stage_is_used():
    maps = np.stack([attention(evenly(3), (4, 50)), attention(evenly(5), (4, 50))])
    np.testing.assert_array_equal(
        character_boxes(maps, 5, (30, 90)), character_boxes(maps[1], 5, (30, 90))
    )


def test_boxes_of_a_vertical_word():
    centres = [(0.5, 0.9), (0.5, 0.5), (0.5, 0.1)]  # read from the bottom up
    boxes = character_boxes(attention(centres, (30, 10)), 3, (120, 30))
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    np.testing.assert_allclose(middle, [108, 60, 12], atol=8)
    assert np.all(boxes[:, 0] < 15)
    assert np.all(boxes[:, 2] > 15)


def test_boxes_have_an_area_and_stay_inside_for_any_maps():
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 26):
        for maps in (rng.random((27, 4, 25)) ** 9, np.ones((27, 4, 25)), np.zeros((27, 4, 25))):
            boxes = character_boxes(maps, count, (31, 97))
            assert np.all(boxes[:, 2:] > boxes[:, :2])
            assert boxes.min() >= 0
            assert np.all(boxes.max(axis=0) <= [97, 31, 97, 31])


def test_empty_text_has_no_boxes():
    assert character_boxes(np.ones((3, 27, 2, 25)), 0, (32, 100)).shape == (0, 4)


def test_one_letter_fills_the_crop():
    (box,) = character_boxes(attention(evenly(1), (8, 25)), 1, (40, 20))
    assert box == pytest.approx([2, 4.8, 18, 35.2], abs=0.01)


@pytest.mark.parametrize(
    ("shape", "count", "message"),
    [
        ((27, 25), 1, r"must be \(S, T, h, w\) or \(T, h, w\), got \(27, 25\)"),
        ((27, 2, 25), 27, "num_chars must be from 0 to 26"),
        ((27, 2, 25), -1, "num_chars must be from 0 to 26"),
    ],
)
def test_bad_arguments(shape, count, message):
    with pytest.raises(ValueError, match=message):
        character_boxes(np.ones(shape), count, (32, 100))
