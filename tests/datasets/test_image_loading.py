"""Tests of image decoding and of the released resize, with Pillow as reference."""

from __future__ import annotations

import io
import struct

from lpv_mmocr.datasets import decode_image
from lpv_mmocr.datasets.image_header import is_truncated_jpeg, stated_size

import cv2
import numpy as np
import pytest
from mmocr.registry import TRANSFORMS
from PIL import Image


@pytest.fixture
def colours():
    image = np.random.default_rng(0).integers(0, 256, (7, 12, 3), np.uint8)
    return cv2.resize(image, (60, 35), interpolation=cv2.INTER_LINEAR)  # BGR


def encode(image: Image.Image, image_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def rgb(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[..., ::-1]))


def test_colour_png_decodes_to_bgr(colours):
    decoded = decode_image(encode(rgb(colours)))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, colours)


def test_jpeg_decodes_as_in_pillow(colours):
    encoded = encode(rgb(colours), "JPEG", quality=95, subsampling=0)
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))[..., ::-1]
    # Both use libjpeg, but its builds may round the colour conversion slightly differently.
    difference = decode_image(encoded).astype(int) - expected
    assert abs(difference).max() <= 2


def test_grey_png_decodes_to_three_equal_channels(colours):
    grey = Image.fromarray(colours[..., 0])
    np.testing.assert_array_equal(decode_image(encode(grey)), colours[..., [0, 0, 0]])


def test_alpha_is_dropped(colours):
    image = rgb(colours)
    image.putalpha(Image.fromarray(colours[..., 1]))
    np.testing.assert_array_equal(decode_image(encode(image)), colours)


def test_palette_png_decodes_to_its_colours(colours):
    image = rgb(colours).quantize(16)
    expected = np.asarray(image.convert("RGB"))[..., ::-1]
    np.testing.assert_array_equal(decode_image(encode(image)), expected)


def test_sixteen_bit_png_decodes_to_eight_bits(colours):
    encoded = cv2.imencode(".png", colours.astype(np.uint16) * 256 + 17)[1].tobytes()
    decoded = decode_image(encoded)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, colours)


def test_orientation_tag_is_ignored(colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    plain = encode(rgb(colours), "JPEG")
    tagged = encode(rgb(colours), "JPEG", exif=exif)
    assert tagged != plain
    np.testing.assert_array_equal(decode_image(tagged), decode_image(plain))


@pytest.mark.parametrize("encoded", [b"", b"no image at all"])
def test_undecodable_bytes_raise(encoded):
    with pytest.raises(ValueError, match="its image"):
        decode_image(encoded)


def test_size_above_the_opencv_limit_raises_value_error(colours):
    """OpenCV raises its own error here, which is not a ValueError."""
    encoded = bytearray(encode(rgb(colours), "BMP"))
    encoded[18:26] = struct.pack("<ii", 40_000, 40_000)
    with pytest.raises(ValueError, match=r"its image \(\d+ bytes\) cannot be decoded"):
        decode_image(bytes(encoded))


def test_cut_jpeg_raises(colours):
    encoded = encode(rgb(colours), "JPEG")
    with pytest.raises(ValueError, match="JPEG that was cut short"):
        decode_image(encoded[: len(encoded) // 2])


def test_cut_jpeg_with_a_complete_thumbnail_raises(colours):
    exif = b"Exif\0\0" + encode(rgb(colours).resize((12, 7)), "JPEG")
    plain = encode(rgb(colours), "JPEG")
    # The application segment, as cameras write it: marker, length, content.
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    whole = plain[:2] + segment + plain[2:]
    np.testing.assert_array_equal(decode_image(whole), decode_image(plain))
    for length in (len(segment) + 2, len(segment) + 40, len(whole) - 60, len(whole) - 2):
        assert b"\xff\xd9" in whole[:length]
        with pytest.raises(ValueError, match="JPEG that was cut short"):
            decode_image(whole[:length])


@pytest.mark.parametrize(
    ("encoded", "cut"),
    [
        (b"\xff\xd8", True),
        (b"\xff\xd8\xff\xff\xe0\x00\x02\xff\xda\x00\x02..", True),  # padding before a marker
        (b"\xff\xd8\xff\xff\xe0\x00\x02\xff\xda\x00\x02..\xff\xd9", False),
        (b"\xff\xd8\xff\xe0\xff\xff", True),  # a segment that extends beyond the end
        (b"\xff\xd8no marker", True),
        (b"\xff\xd8no marker\xff\xd9", False),  # left to the decoder
        (b"\xff\xd8\xff\xd9", False),
        (b"\x89PNG", False),
    ],
)
def test_jpeg_without_an_end_marker_is_cut(encoded, cut):
    assert is_truncated_jpeg(encoded) is cut


@pytest.mark.parametrize("shape", [(32, 100), (48, 160), (31, 99), (8, 8), (300, 700), (1, 1)])
@pytest.mark.parametrize("target", [(100, 32), (160, 48)])
@pytest.mark.parametrize("grey", [False, True])
def test_resize_of_the_configs_equals_pillow_bicubic(shape, target, grey):
    """MMCV's own Resize reproduces the released preprocessing byte for byte."""
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    image = image[..., 0] if grey else image
    resize = TRANSFORMS.build(
        dict(
            type="mmcv.Resize",
            scale=target,
            keep_ratio=False,
            backend="pillow",
            interpolation="bicubic",
        )
    )
    resized = resize(dict(img=image))["img"]
    # The released code resizes RGB; channels are resized independently, so BGR gives the same.
    expected = Image.fromarray(image if grey else image[..., ::-1].copy())
    expected = np.asarray(expected.resize(target, Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resized, expected if grey else expected[..., ::-1])


def test_opencv_bicubic_resize_differs_from_pillow():
    image = np.random.default_rng(1).integers(0, 256, (64, 200, 3), np.uint8)
    pillow = Image.fromarray(image).resize((100, 32), Image.Resampling.BICUBIC)
    opencv = cv2.resize(image, (100, 32), interpolation=cv2.INTER_CUBIC)
    assert abs(np.asarray(pillow).astype(int) - opencv).max() > 10


def test_webp_orientation_is_applied_unless_stored_upright(colours):
    tags = Image.Exif()
    tags[274] = 3  # upside down
    encoded = encode(rgb(colours), "WEBP", lossless=True, exif=tags)
    np.testing.assert_array_equal(decode_image(encoded), colours)
    np.testing.assert_array_equal(decode_image(encoded, follow_exif=True), colours[::-1, ::-1])
    for length in range(12, 22):
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode_image(encoded[:length], follow_exif=True)


@pytest.mark.parametrize("follow_exif", [False, True])
@pytest.mark.parametrize("format", ["PNG", "GIF", "JPEG", "TIFF", "WEBP"])
def test_image_of_gigabytes_is_refused_by_its_header(format, follow_exif, monkeypatch):
    """Such a file can be small: it is compressed, and all of one colour."""
    content = io.BytesIO()
    Image.new("L", (9000, 9000)).save(content, format=format)
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ValueError, match=r"\(\d+ bytes\) cannot be .* more than 67 million pixels"):
        decode_image(content.getvalue(), follow_exif=follow_exif)


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_of_gigabytes_without_their_data_is_refused(progressive):
    """OpenCV would fill in what is missing."""
    content = io.BytesIO()
    Image.new("RGB", (64, 32)).save(content, format="JPEG", progressive=progressive)
    encoded = content.getvalue()
    large = encoded.replace(struct.pack(">HH", 32, 64), struct.pack(">HH", 30_000, 30_000), 1)
    assert decode_image(encoded).shape == (32, 64, 3) and large != encoded
    with pytest.raises(ValueError, match="more than 67 million pixels"):
        decode_image(large)


def test_limit_can_be_raised():
    content = io.BytesIO()
    Image.new("1", (9000, 8000)).save(content, format="PNG")
    assert decode_image(content.getvalue(), max_pixels=10**8).shape == (8000, 9000, 3)
    with pytest.raises(ValueError, match="more than 1 million pixels"):
        decode_image(content.getvalue(), max_pixels=10**6)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000"])
def test_stated_size_is_width_and_height(format):
    content = io.BytesIO()
    Image.new("RGB", (64, 32)).save(content, format=format)
    assert stated_size(content.getvalue()) == (64, 32)
    for length in (0, 2, 3, 10, 20):
        assert stated_size(content.getvalue()[:length]) in (None, (64, 32))


def test_image_that_pillow_takes_for_an_attack_is_refused():
    content = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(content, format="TIFF", compression="tiff_lzw")
    with pytest.raises(ValueError, match="more than 67 million pixels"):
        decode_image(content.getvalue())
