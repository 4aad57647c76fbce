"""Tests of every operation, and of those that move, cover or blur pixels by geometry."""

from random import Random

from lpv_mmocr.datasets.transforms.text_augment import (
    GROUPS,
    NUM_MAGNITUDES,
    OPERATIONS,
    blur,
    geometry,
    operations_by_group,
    pattern,
    warp,
)
from lpv_mmocr.datasets.transforms.text_augment.cache import cached_array
from lpv_mmocr.datasets.transforms.text_augment.operations import operation

import cv2
import numpy as np
import pytest
from PIL import Image
from text_augment_cases import as_bgr, as_pil, flat, make_scatter, make_word

MAGNITUDES = range(NUM_MAGNITUDES)


@pytest.fixture(scope="module")
def word():
    return make_word()


@pytest.fixture(scope="module")
def scatter():
    return make_scatter()


@pytest.mark.parametrize("magnitude", MAGNITUDES)
@pytest.mark.parametrize("name", OPERATIONS)
class TestEveryOperation:
    def test_returns_a_new_image_of_the_same_kind(self, name, magnitude, word):
        before = word.copy()
        after = OPERATIONS[name](word, magnitude, Random(5))
        assert after.shape == word.shape
        assert after.dtype == np.uint8
        assert not np.array_equal(after, word)
        assert not np.shares_memory(after, word)
        np.testing.assert_array_equal(word, before)

    def test_depends_on_generator_alone(self, name, magnitude, word, scatter):
        first = OPERATIONS[name](word, magnitude, Random(11))
        OPERATIONS[name](scatter, magnitude, Random(12))
        np.testing.assert_array_equal(OPERATIONS[name](word, magnitude, Random(11)), first)

    @pytest.mark.parametrize("size", [(1, 1), (3, 2), (32, 5), (48, 160), (600, 700)])
    def test_any_size_is_supported(self, name, magnitude, size):
        img = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        assert OPERATIONS[name](img, magnitude, Random(1)).shape == img.shape

    def test_read_only_and_strided_input_is_supported(self, name, magnitude, word):
        wide = np.repeat(word, 2, axis=1)
        wide.flags.writeable = False
        expected = OPERATIONS[name](word, magnitude, Random(2))
        np.testing.assert_array_equal(
            OPERATIONS[name](wide[:, ::2], magnitude, Random(2)), expected
        )


def test_thirty_six_operations_in_eight_groups():
    sizes = {group: len(members) for group, members in operations_by_group().items()}
    assert tuple(sizes) == GROUPS
    assert list(sizes.values()) == [3, 3, 5, 4, 5, 5, 4, 7]


def test_random_operations_vary(word):
    constant = {
        "gaussian_blur", "defocus_blur", "zoom_blur", "contrast", "brightness", "jpeg", "pixelate",
        "invert", "equalize", "autocontrast",
    }  # fmt: skip
    for name, op in OPERATIONS.items():
        results = {op(word, 1, Random(seed)).tobytes() for seed in range(40)}
        assert (len(results) == 1) == (name in constant), name


def test_change_grows_with_magnitude(word):
    """The mean change rises, except for operations whose change is not a matter of degree."""
    for name in OPERATIONS.keys() - {"invert", "equalize", "autocontrast", "pixelate"}:
        change = [
            np.mean(
                [
                    cv2.absdiff(OPERATIONS[name](word, magnitude, Random(seed)), word).mean()
                    for seed in range(30)
                ]
            )
            for magnitude in MAGNITUDES
        ]
        assert change[0] < change[1] < change[2], (name, change)


class TestWarp:
    def test_spline_hits_control_points_and_keeps_affine_maps(self):
        height, width = 32, 100
        basis = warp.spline_basis(height, width).reshape(8, height, width)
        columns = [0, 33, 66, 99]
        at_points = basis[:, [0] * 4 + [31] * 4, columns * 2]
        np.testing.assert_allclose(at_points, np.eye(8), atol=1e-4)
        x, y = warp.pixel_grid(height, width).astype(np.float64)
        points_x = np.array(columns * 2)
        points_y = np.array([0] * 4 + [31] * 4)
        affine = np.tensordot(0.3 * points_x - 0.7 * points_y + 2, basis, axes=1)
        np.testing.assert_allclose(affine, 0.3 * x - 0.7 * y + 2, atol=1e-3)

    def test_equal_displacements_translate(self, word):
        moved = warp.thin_plate_warp(word, np.array([[5.0] * 8, [-3.0] * 8]))
        difference = cv2.absdiff(moved[:-3, 5:], word[3:, :-5])
        assert difference.max() <= 6

    def test_stretch_keeps_rows(self):
        rows = np.repeat(np.arange(32, dtype=np.uint8)[:, None, None] * 8, 100, axis=1)
        stretched = warp.stretch(np.repeat(rows, 3, axis=2), 2, Random(0))
        inside = stretched[:, 20:80].astype(int)
        assert np.abs(inside - rows[:, 20:80]).max() <= 1

    def test_edges_move_inwards(self):
        edges = []
        for seed in range(20):
            distorted = warp.distort(flat(255, 64, 200), 2, Random(seed))
            stretched = warp.stretch(flat(255, 64, 200), 2, Random(seed))
            edges += [distorted[0], distorted[-1], stretched[:, 0], stretched[:, -1]]
        for edge in range(4):  # black outside the moved edges
            assert np.mean([pixels.mean() for pixels in edges[edge::4]]) < 60

    def test_curve_is_an_arc(self):
        """The top edge of a white image lies on a circle of about the expected radius."""
        upwards = set()
        for seed in range(6):
            curved = warp.curve(flat(255, 160, 500), 1, Random(seed))[..., 0] > 127
            upwards.add(bool(curved[0, 250]))
            curved = curved if curved[0, 250] else curved[::-1]
            columns = np.arange(40, 460, 20)
            # Units of the frame: 500 × 160 pixels are 1 × 0.5.
            x, y = (columns + 0.5) / 500 - 0.5, curved[:, columns].argmax(axis=0) / 320
            radius = np.median((x**2 + y**2)[y > 0.02] / (2 * y[y > 0.02]))
            assert 0.93 < radius < 1.07
        assert upwards == {True, False}

    def test_content_stays_inside(self, word):
        for name in ("curve", "distort", "rotate", "perspective", "shrink"):
            for seed in range(10):
                mass = OPERATIONS[name](flat(255, 64, 200), 2, Random(seed))
                assert mass.mean() > 60, (name, seed)


class TestGeometry:
    @pytest.mark.parametrize("degrees", [-30, -7, 12, 30])
    def test_rotation_keeps_the_centre_and_the_corners(self, degrees):
        img = flat(0, 33, 101)
        img[15:18, 47:54] = 255
        turned = geometry.rotate_about_centre(img, degrees)[..., 0].astype(float)
        y, x = np.mgrid[0:33, 0:101]
        assert (turned * x).sum() / turned.sum() == pytest.approx(50, abs=0.2)
        assert (turned * y).sum() / turned.sum() == pytest.approx(16, abs=0.2)
        # All of a white image is still there: the area shrinks by the square of the expansion.
        radians = np.radians(abs(degrees))
        share = geometry.rotate_about_centre(flat(255, 300, 900), degrees).mean() / 255
        assert share == pytest.approx((np.cos(radians) + np.sin(radians)) ** -2, abs=0.01)

    def test_rotation_of_a_square_agrees_with_pillow(self):
        img = flat(0, 101, 101)
        cv2.putText(img, "R", (30, 75), cv2.FONT_HERSHEY_DUPLEX, 2, (255, 255, 255), 3)
        ours = geometry.rotate_about_centre(img, 20)
        turned = as_pil(img).rotate(20, Image.Resampling.BILINEAR, expand=True)
        oracle = as_bgr(turned.resize((101, 101), Image.Resampling.BILINEAR))
        correlation = np.corrcoef(ours.ravel(), oracle.ravel())[0, 1]
        assert correlation > 0.95

    def test_perspective_shortens_one_side(self):
        sides = set()
        for seed in range(12):
            turned = geometry.perspective(flat(255, 100, 300), 1, Random(seed))[..., 0] > 127
            left, right = turned[:, 1].sum(), turned[:, -2].sum()
            sides.add(left < right)
            assert max(left, right) >= 98
            assert 46 <= min(left, right) <= 66
        assert sides == {True, False}

    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_shrink_leaves_the_margin(self, magnitude):
        for seed in range(12):
            white = geometry.shrink(flat(255, 200, 600), magnitude, Random(seed))[..., 0] > 127
            height, width = white.any(axis=1).sum(), white.any(axis=0).sum()
            low, high = (magnitude + 1) * 0.1, (magnitude + 2) * 0.1
            assert 200 * (1 - high) - 2 <= height <= 200 * (1 - low) + 2
            assert 600 * (1 - high * 2 / 3) - 2 <= width <= 600 * (1 - low * 2 / 3) + 2


class TestPattern:
    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_covered_fraction_follows_the_period(self, magnitude):
        white = flat(255, 120, 240)
        period = 4 - magnitude
        for seed in range(5):
            for name in ("vertical_lines", "horizontal_lines"):
                covered = (OPERATIONS[name](white, magnitude, Random(seed)) == 0).mean()
                assert covered == pytest.approx(1 / period)
            covered = (pattern.grid(white, magnitude, Random(seed)) == 0).mean()
            assert covered == pytest.approx(1 - (1 - 1 / (period + 1)) ** 2)

    @pytest.mark.parametrize("name", ["rectangle_grid", "ellipse_grid"])
    def test_rings_are_symmetric_and_denser_with_magnitude(self, name):
        covered = []
        for magnitude in MAGNITUDES:
            lines = OPERATIONS[name](flat(255, 121, 361), magnitude, Random(0))[..., 0] == 0
            assert (lines == lines[::-1]).mean() > 0.98
            assert (lines == lines[:, ::-1]).mean() > 0.9
            covered.append(lines.mean())
        assert 0.1 < covered[0] < covered[1] < covered[2] < 0.8

    def test_only_black_is_added(self, word):
        for op in operations_by_group()["pattern"]:
            after = op(word, 1, Random(4))
            assert np.all((after == word) | (after == 0)), op.name


class TestBlur:
    @pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur"])
    def test_keeps_mean_and_flat_images(self, name, word):
        for magnitude in MAGNITUDES:
            after = OPERATIONS[name](word, magnitude, Random(0))
            assert after.mean() == pytest.approx(word.mean(), abs=4)
            plain = OPERATIONS[name](flat(77, 32, 100), magnitude, Random(0))
            np.testing.assert_array_equal(plain, flat(77, 32, 100))

    @pytest.mark.parametrize("radius", [1.5, 2.25, 3.0])
    def test_disk_kernel_has_the_variance_of_a_disk(self, radius):
        kernel = blur.disk_kernel(radius)
        assert kernel.sum() == pytest.approx(1)
        np.testing.assert_array_equal(kernel, np.rot90(kernel))
        reach = len(kernel) // 2
        x = np.arange(-reach, reach + 1)
        variance = (kernel.sum(axis=0) * x**2).sum()
        assert variance == pytest.approx(radius**2 / 4, rel=0.2)

    @pytest.mark.parametrize("degrees", [-45, -20, 0, 33])
    def test_motion_kernel_lies_along_its_direction(self, degrees):
        sigma = 1.5
        kernel = blur.motion_kernel(sigma, degrees)
        assert kernel.sum() == pytest.approx(1)
        y, x = np.mgrid[-5:6, -5:6]
        y = -y
        moments = [[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)]
        values, vectors = np.linalg.eigh(moments)
        direction = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
        assert min(abs(direction - degrees % 180), 180 - abs(direction - degrees % 180)) < 1.5
        assert values[1] == pytest.approx(sigma**2, rel=0.15)
        assert values[0] < 0.3

    @pytest.mark.parametrize(("magnitude", "sigma"), [(0, 1.4), (1, 2.0), (2, 2.6)])
    def test_motion_blur_has_the_sigma_of_its_magnitude(self, magnitude, sigma):
        img = flat(0, 41, 41)
        img[20, 20] = 255
        smeared = blur.motion_blur(img, magnitude, Random(0))[..., 0].astype(float)
        y, x = np.mgrid[-20:21, -20:21]
        moments = [[(smeared * a * b).sum() / smeared.sum() for a in (x, y)] for b in (x, y)]
        assert np.linalg.eigvalsh(moments)[1] == pytest.approx(sigma**2, rel=0.3)

    def test_glass_moves_values_only_nearby(self):
        img = flat(0, 40, 60)
        img[20, 30] = 255
        reached = np.argwhere(blur.glass_blur(img, 2, Random(3)).any(axis=2))
        assert len(reached) > 1
        # Two blurs of radius 2 and two moves by one pixel.
        assert np.abs(reached - [20, 30]).max() <= 6

    def test_zoom_is_the_mean_over_the_zoom_factors(self, word):
        smooth = cv2.GaussianBlur(word, (9, 9), 2)
        factors = 1.2 ** (np.arange(16) / 15)
        zoomed = []
        for factor in factors:
            shift = (1 - 1 / factor) * np.array([49.5, 15.5])
            matrix = np.array([[1 / factor, 0, shift[0]], [0, 1 / factor, shift[1]]])
            zoomed.append(
                cv2.warpAffine(smooth, matrix, (100, 32), flags=cv2.INTER_LINEAR
                               | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
            )  # fmt: skip
        oracle = np.mean(zoomed, axis=0)
        assert np.abs(blur.zoom_blur(smooth, 2, Random(0)) - oracle).max() < 4


class TestRegistry:
    def test_unknown_group_is_refused(self):
        with pytest.raises(ValueError, match="unknown group 'wrap'; the groups are warp, geometry"):
            operation("wrap")

    def test_name_already_registered_is_refused(self):
        def invert(img, magnitude, rng):
            return img

        with pytest.raises(ValueError, match="'invert' is registered already"):
            operation("process")(invert)

    def test_unknown_operation_is_refused(self):
        with pytest.raises(ValueError, match=r"unknown operation\(s\) 'blurr', 'snoww'; .* curve,"):
            operations_by_group(["snoww", "snow", "blurr"])


class TestCache:
    def test_bounded_in_bytes_and_read_only(self):
        calls = []

        def make(size):
            calls.append(size)
            return np.zeros(size, np.uint8)

        cached = cached_array(make, max_bytes=1000)
        assert cached(400) is cached(400)
        cached(401)
        assert calls == [400, 401]
        cached(402)
        assert [args for (args,) in cached.cache] == [401, 402]
        cached(2000)
        assert cached(2000).size == 2000
        assert calls == [400, 401, 402, 2000, 2000]
        with pytest.raises(ValueError, match="read-only"):
            cached(402)[0] = 1
