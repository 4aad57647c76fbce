"""Tests of operations that change values against statistics, formulas and Pillow."""

from random import Random

from lpv_mmocr.datasets.transforms.text_augment import (
    NUM_MAGNITUDES,
    OPERATIONS,
    noise,
    pattern,
    process,
)
from lpv_mmocr.datasets.transforms.text_augment.fields import (
    frost_texture,
    normal_field,
    plasma_texture,
    random_window,
    uniform_field,
)

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from text_augment_cases import as_bgr, as_pil, flat, make_scatter, make_word

MAGNITUDES = range(NUM_MAGNITUDES)


@pytest.fixture(scope="module")
def word():
    return make_word()


@pytest.fixture(scope="module")
def scatter():
    return make_scatter()


class TestFields:
    def test_normal_and_uniform_moments(self):
        normal = normal_field((300, 500), Random(0))
        assert normal.mean() == pytest.approx(0, abs=0.02)
        assert normal.std() == pytest.approx(1, abs=0.02)
        uniform = uniform_field((300, 500), Random(0))
        histogram = np.bincount(uniform.ravel() >> 12, minlength=16) / uniform.size
        np.testing.assert_allclose(histogram, 1 / 16, atol=0.004)

    def test_runs_wrap_around_the_pool(self):
        large = normal_field((2**20 + 5,), Random(0))
        np.testing.assert_array_equal(large[:5], large[-5:])

    def test_textures_vary_and_are_reproducible(self):
        textures = [plasma_texture(2.0, 0), plasma_texture(2.0, 1), plasma_texture(1.7, 0),
                    frost_texture(0), frost_texture(1)]  # fmt: skip
        assert len({texture.tobytes() for texture in textures}) == len(textures)
        again = frost_texture.__wrapped__(0)
        np.testing.assert_array_equal(again, textures[3])
        # Rougher surfaces differ more between neighbours.
        smooth, rough = (np.abs(np.diff(textures[i][..., 0].astype(int))).mean() for i in (0, 2))
        assert smooth < rough

    def test_window_larger_than_the_texture_has_no_seam(self):
        texture = plasma_texture(2.0, 0)
        window = random_window(texture, 900, 1300, Random(0))[..., 0].astype(int)
        assert window.shape == (900, 1300)
        np.testing.assert_array_equal(random_window(texture, 512, 512, Random(0)), texture)
        inside = np.abs(np.diff(texture[..., 0].astype(int))).max()
        assert np.abs(np.diff(window, axis=1)).max() <= inside


class TestNoise:
    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_gaussian_noise_has_the_deviation_of_its_magnitude(self, magnitude):
        deviations = []
        for seed in range(20):
            noisy = noise.gaussian_noise(flat(128), magnitude, Random(seed)).astype(float)
            assert noisy.mean() == pytest.approx(128, abs=0.6)
            deviations.append(noisy.std() / 255)
        low = (0.08, 0.10, 0.12)[magnitude]
        assert low * 0.98 < min(deviations) < low + 0.01
        assert low + 0.02 < max(deviations) < (low + 0.03) * 1.02

    @pytest.mark.parametrize("photons", [5, 12, 20])
    def test_poisson_table_has_poisson_moments(self, photons):
        table = noise.poisson_table(photons).reshape(256, -1)
        assert np.all(table[0] == 0)
        assert np.all(np.diff(table.astype(int), axis=0) >= 0)
        # Brightness at which the counts hardly ever exceed full white.
        value = 64
        arrived = table[value] / 255 * photons
        rate = value / 255 * photons
        assert arrived.mean() == pytest.approx(rate, rel=0.02)
        assert arrived.var() == pytest.approx(rate, rel=0.05)
        assert (arrived == 0).mean() == pytest.approx(np.exp(-rate), abs=2e-3)

    def test_shot_noise_keeps_the_mean(self):
        noisy = noise.shot_noise(flat(70), 1, Random(0))
        assert noisy.mean() == pytest.approx(70, abs=2)
        assert noisy.std() > 30

    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_impulse_noise_is_black_and_white_in_equal_parts(self, magnitude):
        shares = []
        for seed in range(20):
            noisy = noise.impulse_noise(flat(99), magnitude, Random(seed))
            assert set(np.unique(noisy)) == {0, 99, 255}
            black, white = (noisy == 0).mean(), (noisy == 255).mean()
            assert black == pytest.approx(white, abs=0.005)
            shares.append(black + white)
        low = (0.03, 0.07, 0.11)[magnitude]
        assert low - 0.005 < min(shares) < max(shares) < low + 0.045

    def test_speckle_grows_with_brightness(self):
        assert np.all(noise.speckle_noise(flat(0), 2, Random(0)) == 0)
        dark = noise.speckle_noise(flat(40), 2, Random(0)).std()
        bright = noise.speckle_noise(flat(120), 2, Random(0)).std()
        assert bright == pytest.approx(3 * dark, rel=0.05)
        assert 0.25 < bright / 120 < 0.30


class TestWeather:
    def test_fog_lowers_contrast(self, word):
        for magnitude, density in enumerate((1.5, 2.0, 2.5)):
            foggy = OPERATIONS["fog"](word, magnitude, Random(1)).astype(int)
            brightest = word.max() / 255
            kept = brightest / (brightest + density)
            steps = np.diff(word.astype(int), axis=1)
            slope = (np.diff(foggy, axis=1) * steps).sum() / (steps**2).sum()
            assert slope == pytest.approx(kept, abs=0.03)

    def test_frost_is_a_weighted_sum(self):
        black = OPERATIONS["frost"](flat(0), 2, Random(1)).astype(int)
        white = OPERATIONS["frost"](flat(255), 2, Random(1)).astype(int)
        unclipped = white < 255
        assert unclipped.any()
        assert np.abs((white - black)[unclipped] - 0.49 * 255).max() <= 1.5
        # Ice is bluish: blue is the first channel.
        assert black[..., 0].mean() > black[..., 2].mean() > 5

    def test_snow_brightens(self, word):
        whiter = [OPERATIONS["snow"](word, m, Random(1)).mean() for m in MAGNITUDES]
        assert word.mean() < min(whiter)
        snowy = OPERATIONS["snow"](flat(0), 0, Random(2))
        np.testing.assert_array_equal(snowy[..., 0], snowy[..., 2])
        # A colour is never darkened, and with one layer of flakes the mean would be 40.
        assert np.all(OPERATIONS["snow"](flat((255, 0, 0)), 0, Random(2))[..., 0] == 255)
        assert snowy.mean() > 47

    @pytest.mark.parametrize("size", [(32, 100), (96, 200)])
    def test_rain_has_one_colour_and_a_density(self, size):
        shares = []
        for seed in range(20):
            wet = OPERATIONS["rain"](flat(10, *size), 1, Random(seed))
            assert set(np.unique(wet)) == {10, 200}
            shares.append((wet[..., 0] == 200).mean())
        assert 0.08 < np.mean(shares) < 0.25

    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_shadow_darkens_a_part(self, magnitude):
        low = (64, 96, 128)[magnitude]
        for seed in range(10):
            values = np.unique(OPERATIONS["shadow"](flat(200), magnitude, Random(seed)))
            assert len(values) == 2
            assert values[1] == 200
            assert 200 * (1 - (low + 32) / 255) - 1 <= values[0] <= 200 * (1 - low / 255) + 1


class TestCamera:
    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_contrast_follows_its_formula(self, magnitude, word):
        factor = (0.4, 0.3, 0.2)[magnitude]
        mean = word.reshape(-1, 3).mean(axis=0)
        oracle = (word - mean) * factor + mean
        after = OPERATIONS["contrast"](word, magnitude, Random(0))
        assert np.abs(after - oracle).max() <= 0.51

    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_brightness_raises_the_value_and_keeps_the_hue(self, magnitude, scatter):
        import colorsys

        gain = (0.1, 0.2, 0.3)[magnitude]
        img = scatter.copy()
        img[0, 0] = 0
        after = OPERATIONS["brightness"](img, magnitude, Random(0))
        for y, x in [(0, 0), *np.random.default_rng(0).integers(0, 40, (200, 2))]:
            blue, green, red = img[y, x] / 255
            hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
            oracle = colorsys.hsv_to_rgb(hue, saturation, min(value + gain, 1))
            np.testing.assert_allclose(after[y, x][::-1], np.array(oracle) * 255, atol=1)

    def test_jpeg_agrees_with_pillow(self, word):
        import io

        for magnitude, quality in enumerate((25, 18, 15)):
            after = OPERATIONS["jpeg"](word, magnitude, Random(0))
            buffer = io.BytesIO()
            as_pil(word).save(buffer, "JPEG", quality=quality)
            oracle = as_bgr(Image.open(buffer))
            assert np.abs(after.astype(int) - oracle).mean() < 3

    def test_pixelate_leaves_squares(self):
        ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 32, axis=0)
        ramp = np.repeat(ramp, 3, axis=2)
        fine, halved, coarse = (OPERATIONS["pixelate"](ramp, m, Random(0)) for m in MAGNITUDES)
        np.testing.assert_array_equal(halved[:, ::2], halved[:, 1::2])
        assert [len(np.unique(after)) for after in (fine, halved, coarse)] == [60, 50, 40]


class TestProcess:
    def test_invert_twice_is_identity(self, word):
        once = process.invert(word, 0, Random(0))
        np.testing.assert_array_equal(once, 255 - word)
        np.testing.assert_array_equal(process.invert(once, 2, Random(0)), word)

    @pytest.mark.parametrize("bits", range(1, 8))
    def test_posterize_agrees_with_pillow(self, bits, scatter):
        oracle = as_bgr(ImageOps.posterize(as_pil(scatter), bits))
        np.testing.assert_array_equal(process.reduce_bits(scatter, bits), oracle)

    @pytest.mark.parametrize("threshold", [0, 64, 128, 200, 255])
    def test_solarize_agrees_with_pillow(self, threshold, scatter):
        oracle = as_bgr(ImageOps.solarize(as_pil(scatter), threshold))
        np.testing.assert_array_equal(process.solarize_above(scatter, threshold), oracle)

    def test_equalize_agrees_with_pillow(self, word, scatter):
        half = np.where(np.arange(100)[None, :, None] < 50, 10, 200)
        half = np.broadcast_to(half, (32, 100, 3)).astype(np.uint8)
        for img in (word, scatter, scatter // 4 + 90, half, flat(7)):
            oracle = as_bgr(ImageOps.equalize(as_pil(img)))
            np.testing.assert_array_equal(process.equalize(img, 0, Random(0)), oracle)

    def test_autocontrast_agrees_with_pillow(self, word, scatter):
        for img in (word, scatter // 3 + 20, flat(7)):
            oracle = as_bgr(ImageOps.autocontrast(as_pil(img)))
            after = process.autocontrast(img, 0, Random(0))
            assert np.abs(after.astype(int) - oracle).max() <= 1
        stretched = process.autocontrast(word, 1, Random(0))
        assert (stretched.min(), stretched.max()) == (0, 255)

    def test_autocontrast_leaves_a_full_range_alone(self):
        ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        np.testing.assert_array_equal(process.autocontrast(ramp, 0, Random(0)), ramp)

    @pytest.mark.parametrize("name", ["sharpness", "color"])
    @pytest.mark.parametrize("magnitude", MAGNITUDES)
    def test_enhancement_is_pillows_with_the_drawn_factor(self, name, magnitude, word):
        enhancer = {"sharpness": ImageEnhance.Sharpness, "color": ImageEnhance.Color}[name]
        low, high = ((0.7, 1.3), (0.4, 1.6), (0.1, 1.9))[magnitude]
        for seed in range(6):
            after = OPERATIONS[name](word, magnitude, Random(seed))[1:-1, 1:-1].astype(int)

            def distance(factor, after=after):
                oracle = as_bgr(enhancer(as_pil(word)).enhance(factor))[1:-1, 1:-1]
                return np.abs(after - oracle).max()

            best = min(np.linspace(0.05, 1.95, 191), key=distance)
            assert distance(best) <= 2
            assert low - 0.02 <= best <= high + 0.02
            assert abs(best - 1) > 0.08

    def test_color_leaves_grey_alone_and_weighs_channels_in_bgr_order(self):
        grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        np.testing.assert_array_equal(process.color(grey, 2, Random(0)), grey)
        blue = flat((200, 0, 0))
        paled = next(
            image
            for image in (process.color(blue, 2, Random(seed)) for seed in range(20))
            if image[0, 0, 0] < 200
        )
        factor = 1 - paled[0, 0, 2] / round(0.114 * 200)
        assert paled[0, 0, 0] == pytest.approx(200 * factor + 23 * (1 - factor), abs=6)

    @pytest.mark.parametrize("ink, paper", [(20, 235), (235, 20), (120, 60), (90, 165)])
    def test_text_outlasts_solarize_and_posterize(self, ink, paper):
        img = flat(paper, 32, 100)
        img[8:24, 10:90:8] = ink
        for name in ("solarize", "posterize"):
            for magnitude in MAGNITUDES:
                for seed in range(20):
                    after = OPERATIONS[name](img, magnitude, Random(seed)).astype(int)
                    step = abs(after[10, 10] - after[0, 0]).max()
                    assert step >= 0.35 * abs(ink - paper), (name, magnitude, seed)


@pytest.mark.parametrize("magnitude", MAGNITUDES)
def test_one_grid_is_of_rectangles_and_one_of_ellipses(magnitude):
    rectangles, ellipses = (
        grid(flat(255, 32, 100), magnitude, Random(0))[..., 0] == 0
        for grid in (pattern.rectangle_grid, pattern.ellipse_grid)
    )
    # Away from the middle, a rectangle's upper edge continues straight, an ellipse's does not.
    assert (rectangles[:8, 45] == rectangles[:8, 55]).all()
    np.testing.assert_array_equal(rectangles[:8, 50], rectangles[:8, 35])
    assert (ellipses[:8, 50] != ellipses[:8, 35]).any()
    assert ellipses[:8, :25].any()  # they reach the corners
