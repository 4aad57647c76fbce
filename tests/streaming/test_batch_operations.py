"""Tests of batch operations against slow implementations for single images."""

from __future__ import annotations

import math

from lpv_mmocr.streaming.batch_operations import (
    add_noise,
    block_mask,
    blur_kernels,
    convolve,
    cover,
    downsample,
    fitted_matrix,
    line_mask,
    recolour,
    warp,
)

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates

HEIGHT, WIDTH = 20, 52
ASPECT = WIDTH / HEIGHT


@pytest.fixture
def images() -> torch.Tensor:
    """Return three smooth images, which a shift of a hundredth of a pixel hardly changes."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(3, 3, 5, 9, generator=generator)
    return F.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic", align_corners=True).clamp(0, 1)


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


PLACES = dict(
    angle=column(0.2, -0.1, 0.0),
    shear=column(-0.3, 0.2, 0.0),
    perspective=torch.tensor([[0.3, -0.2], [-0.2, 0.1], [0.0, 0.0]]),
    size=torch.tensor([[0.8, 0.7], [1.05, 0.9], [1.0, 1.0]]),
    place=torch.tensor([[-1.0, 0.5], [1.0, 1.0], [0.3, -0.4]]),
)


class TestWarp:
    def test_equals_sampling_point_by_point(self, images):
        matrix = fitted_matrix(**PLACES, aspect=ASPECT)
        wave = dict(
            amplitude=column(0.3, 0.0, -0.2),
            frequency=column(0.5, 1.0, 1.2),
            phase=column(0.4, 2.0, 5.0),
        )
        result = warp(images, matrix, **wave)
        for n in range(3):
            amplitude, frequency, phase = (float(value[n]) for value in wave.values())
            rows, columns = np.empty((HEIGHT, WIDTH)), np.empty((HEIGHT, WIDTH))
            for i in range(HEIGHT):
                for j in range(WIDTH):
                    point = ((2 * j + 1 - WIDTH) / HEIGHT, (2 * i + 1 - HEIGHT) / HEIGHT, 1)
                    x, y, scale = matrix[n].double().numpy() @ point
                    x, y = x / scale, y / scale
                    # x / ASPECT runs from -1 to 1, a range of 2, hence the division by 2.
                    angle = 2 * math.pi * frequency * (x / ASPECT) / 2 + phase
                    y = (1 + abs(amplitude)) * y + amplitude * math.sin(angle)
                    rows[i, j] = (y + 1) * HEIGHT / 2 - 0.5
                    columns[i, j] = (x + ASPECT) * HEIGHT / 2 - 0.5
            for channel in range(3):
                expected = map_coordinates(
                    images[n, channel].numpy(), (rows, columns), order=1, mode="nearest"
                )
                np.testing.assert_allclose(result[n, channel], expected, atol=1e-4)

    def test_without_strength_is_the_identity(self, images):
        zero, one, pair = torch.zeros(3), torch.ones(3), torch.zeros(3, 2)
        matrix = fitted_matrix(zero, zero, pair, pair + 1, pair + 0.7, ASPECT)
        result = warp(images, matrix, zero, one, one)
        torch.testing.assert_close(result, images, atol=1e-4, rtol=0)

    def test_matrix_equals_opencv_on_the_four_corners(self):
        found = fitted_matrix(**PLACES, aspect=ASPECT).double().numpy()
        corners = np.array([(x * ASPECT, y) for y in (-1, 1) for x in (-1, 1)])
        for n in range(3):
            angle, shear, vanish, size, place = (value[n].numpy() for value in PLACES.values())
            seen = []
            for x, y in corners:
                far = 1 + vanish[0] * x / ASPECT + vanish[1] * y
                x, y = x / far + shear * y / far, y / far
                turned = complex(x, y) * np.exp(1j * angle)
                seen.append((turned.real, turned.imag))
            seen = np.array(seen)
            # The result is fitted into a box of the given size at its place in the frame.
            low, high = seen.min(0), seen.max(0)
            half = np.array([ASPECT, 1]) * size
            centre = np.array([ASPECT, 1]) * (1 - size) * place
            seen = (seen - (low + high) / 2) / ((high - low) / 2) * half + centre
            expected = cv2.getPerspectiveTransform(seen.astype("f4"), corners.astype("f4"))
            np.testing.assert_allclose(found[n] / found[n, 2, 2], expected, atol=1e-4)


class TestBlur:
    def test_gaussian_equals_opencv(self):
        sigma = column(0.7, 1.4)
        reach, two = torch.stack((sigma, sigma), 1), column(2, 2)
        found = blur_kernels(reach, column(0.0, 1.0), two, column(1, 1), radius=4)
        for n in range(2):
            line = cv2.getGaussianKernel(9, float(sigma[n]))
            np.testing.assert_allclose(found[n], line @ line.T, atol=1e-6)

    def test_long_axis_points_along_the_angle(self):
        angles = column(0.0, 0.6, math.pi / 2, 2.5)
        reach = torch.tensor([[2.0, 0.7]]).expand(4, 2)
        kernels = blur_kernels(reach, angles, column(2, 2, 2, 2), torch.ones(4), radius=6)
        line = np.arange(-6, 7)
        for kernel, angle in zip(kernels.numpy(), angles, strict=True):
            x, y = kernel.sum(0), kernel.sum(1)
            mixed = (kernel * np.outer(line, line)).sum()
            moments = np.array([[x @ line**2, mixed], [mixed, y @ line**2]])
            direction = np.linalg.eigh(moments)[1][:, 1]
            along = abs(direction @ [math.cos(angle), math.sin(angle)])
            assert along == pytest.approx(1, abs=2e-3)

    def test_box_and_motion_kernels_are_uniform(self):
        reach = torch.tensor([[2.5, 2.5], [2.5, 0.6]])
        box, motion = blur_kernels(reach, column(0, 0), column(16, 16), column(1, 1), radius=4)
        expected = torch.zeros(9, 9)
        expected[2:7, 2:7] = 1 / 25
        torch.testing.assert_close(box, expected, atol=2e-3, rtol=0)
        expected = torch.zeros(9, 9)
        expected[4, 2:7] = 1 / 5
        torch.testing.assert_close(motion, expected, atol=5e-3, rtol=0)

    def test_amount_ranges_from_blurring_to_sharpening(self):
        reach = torch.tensor([[1.0, 1.0]]).expand(3, 2)
        kernels = blur_kernels(reach, torch.zeros(3), column(2, 2, 2), column(1, 0, -0.5), radius=3)
        soft, none, sharp = kernels
        delta = torch.zeros(7, 7)
        delta[3, 3] = 1
        assert torch.equal(none, delta)
        torch.testing.assert_close(sharp, delta + 0.5 * (delta - soft))

    def test_convolve_equals_one_convolution_per_image(self, images):
        kernels = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0))
        result = convolve(images, kernels)
        assert result.shape == images.shape
        for n in range(3):
            padded = F.pad(images[n : n + 1], (2, 2, 2, 2), mode="replicate")
            weight = kernels[n].expand(3, 1, 5, 5)
            expected = F.conv2d(padded, weight, groups=3)[0]
            torch.testing.assert_close(result[n], expected)

    def test_blur_of_tiny_reach_is_the_identity(self, images):
        reach = torch.full((3, 2), 0.2)
        kernels = blur_kernels(reach, torch.ones(3), 2 * torch.ones(3), torch.ones(3), radius=4)
        torch.testing.assert_close(convolve(images, kernels), images, atol=1e-3, rtol=0)


class TestNoise:
    def test_equals_pixel_by_pixel(self, images):
        gaussian, speckle, impulse = column(0.1, 0, 0), column(0, 0.3, 0), column(0, 0, 0.4)
        images = images[:, :, :6, :8]
        result = add_noise(images, gaussian, speckle, impulse, torch.Generator().manual_seed(5))
        generator = torch.Generator().manual_seed(5)
        normal = torch.randn(images.shape, generator=generator)
        chance = torch.rand(3, 1, 6, 8, generator=generator)
        for n, c, i, j in np.ndindex(*images.shape):
            value = float(images[n, c, i, j])
            scale = float(gaussian[n] + speckle[n] * value)
            expected = min(1.0, max(0.0, value + scale * float(normal[n, c, i, j])))
            if chance[n, 0, i, j] < impulse[n] / 2:
                expected = 0.0
            elif chance[n, 0, i, j] >= 1 - impulse[n] / 2:
                expected = 1.0
            assert float(result[n, c, i, j]) == pytest.approx(expected, abs=1e-6)

    def test_amounts_set_the_strength_of_each_noise(self):
        grey = torch.full((3, 3, 200, 200), 0.5)
        generator = torch.Generator().manual_seed(1)
        added, multiplied, dotted = add_noise(
            grey, column(0.05, 0, 0), column(0, 0.1, 0), column(0, 0, 0.2), generator
        )
        assert added.std() == pytest.approx(0.05, rel=0.02)
        assert multiplied.std() == pytest.approx(0.05, rel=0.02)
        for value in (0, 1):
            assert (dotted == value).float().mean() == pytest.approx(0.1, abs=0.01)

    def test_zero_amounts_change_nothing(self, images):
        zero = torch.zeros(3)
        assert torch.equal(add_noise(images, zero, zero, zero), images)


class TestRecolour:
    def test_equals_pixel_by_pixel(self, images):
        generator = torch.Generator().manual_seed(2)
        matrix = torch.eye(3) + 0.4 * torch.randn(3, 3, 3, generator=generator)
        offset, gamma, levels = column(0.2, -0.1, 0), column(0.5, 1, 1.7), column(5, 8, 65536)
        images = images[:, :, :5, :7]
        result = recolour(images, matrix, offset, gamma, levels)
        off = 0
        for n, i, j in np.ndindex(3, 5, 7):
            mixed = matrix[n].double().numpy() @ images[n, :, i, j].double().numpy()
            mixed = np.clip(mixed + float(offset[n]), 0, 1) ** float(gamma[n])
            steps = float(levels[n]) - 1
            expected = np.round(mixed * steps) / steps
            # Rounding may move a value midway between two levels to either of them.
            off += not np.allclose(result[n, :, i, j], expected, atol=1e-4)
        assert off <= 1

    def test_neutral_settings_are_the_identity(self, images):
        one = torch.ones(3)
        result = recolour(images, torch.eye(3).expand(3, 3, 3), 0 * one, one, 2**16 * one)
        torch.testing.assert_close(result, images, atol=1e-4, rtol=0)


class TestCover:
    def test_lines_equal_pixel_by_pixel(self):
        angle, period, phase = column(0, 0.7, math.pi / 2), column(5, 6.5, 7), column(0.1, 0.3, 0.5)
        crossed = torch.tensor([False, True, False])
        masks = line_mask(HEIGHT, WIDTH, angle, period, phase, crossed)
        for n, i, j in np.ndindex(3, HEIGHT, WIDTH):
            shift = float(phase[n] * period[n])
            turned = complex(j, i) * np.exp(-1j * float(angle[n]))
            places = [turned.real, turned.imag][: 1 + int(crossed[n])]
            rest = [(place + shift) % float(period[n]) for place in places]
            if min(abs(value - edge) for value in rest for edge in (0, 1, float(period[n]))) > 1e-4:
                assert bool(masks[n, i, j]) == any(value < 1 for value in rest)
        # Lines across x: every fifth column, from top to bottom.
        assert masks[0].any(0).sum() == masks[0].all(0).sum() == pytest.approx(WIDTH / 5, abs=1)

    def test_blocks_cover_their_rectangles(self):
        centre = torch.tensor([[[4.5, 3.5], [30.0, 10.0]], [[51.5, 19.5], [0.0, 0.0]]])
        size = torch.tensor([[[1.0, 1.0], [4.0, 6.0]], [[5.0, 3.0], [2.0, 2.0]]])
        expected = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool)
        expected[0, 3, 4] = True
        expected[0, 7:13, 28:32] = True
        expected[1, 18:20, 49:52] = True
        expected[1, 0, 0] = True
        assert torch.equal(block_mask(HEIGHT, WIDTH, centre, size), expected)

    def test_colour_is_blended_by_opacity(self, images):
        mask = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < 0.3
        colour, opacity = torch.eye(3), column(1, 0.25, 0)
        result = cover(images, mask, colour, opacity)
        for n in range(3):
            under, over = images[n][:, mask[n]], colour[n][:, None]
            share = opacity[n]
            torch.testing.assert_close(result[n][:, mask[n]], (1 - share) * under + share * over)
            assert torch.equal(result[n][:, ~mask[n]], images[n][:, ~mask[n]])


def test_coarsen_equals_image_by_image(images):
    images = torch.cat((images, images[:1]))
    result = downsample(images, column(0, 1, 2, 3))
    assert torch.equal(result[0], images[0])
    for n, size in ((1, (15, 39)), (2, (12, 31)), (3, (9, 23))):
        options = dict(mode="bilinear", align_corners=False)
        small = F.interpolate(images[n : n + 1], size, antialias=True, **options)
        expected = F.interpolate(small, (HEIGHT, WIDTH), **options)[0]
        torch.testing.assert_close(result[n], expected)
