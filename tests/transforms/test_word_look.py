"""Tests of WordLook against rotations and crops in NumPy, and of its point mapping."""

from __future__ import annotations

from lpv_mmocr.datasets.transforms import WordLook

import cv2
import numpy as np
import pytest
from mmocr.registry import TRANSFORMS


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 24, 3), np.uint8)


@pytest.mark.parametrize("shape", [(9, 24), (2000, 3000)])
def test_default_look_changes_nothing(shape):
    image = np.zeros((*shape, 3), np.uint8)
    seen, matrix = WordLook().look(image)
    assert seen is image
    assert np.array_equal(matrix, np.eye(2, 3))


@pytest.mark.parametrize(("turn", "quarters"), [(90, 1), (180, 2), (-90, 3), (270, 3)])
def test_quarter_turns_keep_every_pixel(image, turn, quarters):
    assert np.array_equal(WordLook(turn).look(image)[0], np.rot90(image, quarters))


def test_negative_margins_crop(image):
    seen, matrix = WordLook(margin=(-1 / 12, -1 / 9)).look(image)
    assert np.array_equal(seen, image[1:-1, 2:-2])
    assert matrix == pytest.approx(np.array([[1, 0, -2], [0, 1, -1]]))


def test_added_margins_repeat_the_edge(image):
    seen, _ = WordLook(margin=(1 / 8, 1 / 3)).look(image)
    assert np.array_equal(seen, np.pad(image, ((3, 3), (3, 3), (0, 0)), "edge"))


@pytest.mark.parametrize("turn", [10, -35, 90, 200])
@pytest.mark.parametrize("margin", [(0, 0), (0.2, 0.02), (-0.1, -0.2)])
@pytest.mark.parametrize(("slant", "slope"), [(0, 0), (0.3, 0), (-0.5, 0.2), (0, 0.4)])
def test_matrix_maps_a_spot_to_where_it_is_shown(turn, margin, slant, slope):
    image = np.zeros((80, 120, 3), np.uint8)
    spot = np.array([66.0, 37.0])
    cv2.circle(image, (65, 36), 3, (255, 255, 255), -1)  # pixel 65 reaches from 65 to 66
    image = cv2.GaussianBlur(image, (0, 0), 1)
    seen, matrix = WordLook(turn, slant=slant, slope=slope, margin=margin).look(image)
    ys, xs = np.mgrid[: seen.shape[0], : seen.shape[1]] + 0.5
    mass = seen[..., 0].astype(float)
    shown = np.array([(xs * mass).sum(), (ys * mass).sum()]) / mass.sum()
    assert matrix @ (*(spot - 0.5), 1) == pytest.approx(shown, abs=0.1)


@pytest.mark.parametrize(
    "options", [dict(turn=10), dict(turn=-45), dict(slant=0.3), dict(slope=-0.4, slant=-0.3)]
)
def test_no_corner_is_lost(options, image):
    seen, matrix = WordLook(**options).look(image)
    corners = np.array([[0, 0, 1], [24, 0, 1], [0, 9, 1], [24, 9, 1]]) @ matrix.T
    assert (corners > -0.51).all()
    assert (corners < np.array(seen.shape[1::-1]) + 0.51).all()


def test_positive_turn_is_counter_clockwise():
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 50:] = 255  # the right end rises
    seen, _ = WordLook(20).look(image)
    ys, xs = np.nonzero(seen[..., 0] > 128)
    assert ys.mean() < seen.shape[0] / 2 - 3
    assert xs.mean() > seen.shape[1] / 2 + 10


def test_slant_makes_leaning_letters_upright():
    image = np.zeros((20, 60, 3), np.uint8)
    cv2.line(image, (40, 0), (30, 19), (255, 255, 255), 3)  # one column in two rows
    seen, _ = WordLook(slant=0.5).look(image)
    rows = [np.nonzero(row[:, 0] > 128)[0].mean() for row in seen[2:-2]]
    assert np.ptp(rows) < 2
    assert seen.shape[0] == 20


def test_slope_makes_climbing_words_level():
    image = np.zeros((40, 60, 3), np.uint8)
    cv2.line(image, (0, 35), (59, 5), (255, 255, 255), 3)
    seen, _ = WordLook(slope=0.5).look(image)
    columns = [np.nonzero(column[:, 0] > 128)[0].mean() for column in seen[:, 2:-2].swapaxes(0, 1)]
    assert np.ptp(columns) < 2
    assert seen.shape[1] == 60


def test_tall_only_changes_only_tall_images(image):
    look = WordLook(90, tall_only=True)
    assert look.applies(np.rot90(image)) and not look.applies(image)
    assert look.look(image)[0] is image
    assert np.array_equal(look.look(np.rot90(image, 3))[0], image)
    square = image[:, :9]
    assert not look.applies(square)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (300, 2)])
@pytest.mark.parametrize("options", [dict(turn=10), dict(margin=(-0.1, -0.3)), dict(slope=0.4)])
def test_tiny_images_are_supported(shape, options):
    seen, _ = WordLook(**options).look(np.full((*shape, 3), 77, np.uint8))
    assert (seen == 77).all() and min(seen.shape) >= 1


@pytest.mark.parametrize("shape", [(1500, 4000), (4000, 1500), (20, 9000), (9000, 1)])
@pytest.mark.parametrize("options", [dict(turn=90), dict(turn=-10), dict(slope=0.4)])
def test_large_images_are_made_smaller(shape, options):
    image = np.zeros((*shape, 3), np.uint8)
    half = shape[0] // 2
    image[half:] = 255
    seen, matrix = WordLook(**options).look(image)
    assert max(seen.shape) <= 1024 * 1.4 + 1
    assert min(seen.shape[:2]) >= min(32, *shape)
    # The centre maps to the centre, and above it the view is black.
    height, width = shape
    assert matrix @ (width / 2, height / 2, 1) == pytest.approx(np.array(seen.shape[1::-1]) / 2)
    for y, value in ((0.2 * height, 0), (0.8 * height, 255)):
        column, row = (matrix @ (width / 2, y, 1)).astype(int)
        assert seen[row, column, 0] == value


def test_transform_updates_the_shape_and_keeps_its_input(image):
    look = TRANSFORMS.build(dict(type="WordLook", turn=90))
    sample = dict(img=image, img_shape=(9, 24), sample_key="a")
    changed = look(sample)
    assert changed["img_shape"] == changed["img"].shape[:2] == (24, 9)
    assert changed["sample_key"] == "a"
    assert sample["img"] is image and sample["img_shape"] == (9, 24)


@pytest.mark.parametrize("margin", [(0, -0.5), (-0.6, 0.1), 0.1, (0.1,)])
def test_bad_margins_are_refused(margin):
    with pytest.raises(ValueError, match=r"margin must be two numbers above -0\.5, at which"):
        WordLook(margin=margin)


@pytest.mark.parametrize(
    "options", [dict(turn=float("nan")), dict(slope=float("inf")), dict(margin=(0, float("nan")))]
)
def test_non_finite_numbers_are_refused(options):
    with pytest.raises(ValueError, match="turn, slant, slope and margin must be finite, got"):
        WordLook(**options)


@pytest.mark.parametrize(("slant", "slope"), [(2, 0.5), (0.1 * 3, 1 / 0.3)])
def test_slant_and_slope_that_flatten_are_refused(slant, slope):
    with pytest.raises(ValueError, match="flatten an image to a line; their product must not"):
        WordLook(slant=slant, slope=slope)
