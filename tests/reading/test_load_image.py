from __future__ import annotations

import io
import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lpv_mmocr.datasets.transforms import LoadWordImage
from lpv_mmocr.reading import image_loading
from lpv_mmocr.reading.image_loading import MAX_PIXELS, ImageError, load_image

import cv2
import numpy as np
import pytest
from apis.inference_cases import noise
from PIL import Image, features

# An image of 4 x 4 in a pixel format that does not exist.
DAMAGED_DDS = (
    b"DDS "
    + struct.pack("<5I", 124, 0x1007, 4, 4, 0)
    + bytes(52)
    + struct.pack("<2I4s", 32, 4, b"ZZZZ")
    + bytes(40)
)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG with a size in its header and hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
@pytest.mark.parametrize("path_type", [str, Path])
def test_decodes_as_the_pipeline_does(tmp_path, suffix, path_type):
    file = tmp_path / f"word{suffix}"
    cv2.imwrite(str(file), noise())
    expected = LoadWordImage()(str(file))["img"]
    np.testing.assert_array_equal(load_image(path_type(file)), expected)


def test_follows_exif_orientation(tmp_path):
    image = Image.fromarray(np.rot90(noise())[..., ::-1])
    tags = image.getexif()
    tags[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=tags)
    np.testing.assert_array_equal(load_image(tmp_path / "turned.png"), noise())


def test_pgm_values_are_scaled_by_its_maximum(tmp_path):
    (tmp_path / "word.pgm").write_bytes(b"P2 3 1 1000\n0 500 1000\n")
    assert load_image(tmp_path / "word.pgm")[0, :, 0].tolist() == [0, 128, 255]
    # 16 bits keep their upper 8, and comments may be anywhere before the values.
    values = np.array([0, 0x80FF, 0xFFFF], ">u2").tobytes()
    (tmp_path / "word.pgm").write_bytes(b"P5 #a\n3 # b\n1\n65535\n" + values)
    assert load_image(tmp_path / "word.pgm")[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_follows_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, :30] = 255
    Image.fromarray(np.rot90(image)).save(tmp_path / "turned.avif", exif=exif)
    loaded = load_image(tmp_path / "turned.avif")
    assert loaded.shape == image.shape and abs(loaded.astype(int) - image).mean() < 2


def test_animated_png_is_read_as_its_still_image(tmp_path):
    """In this file, the still image is not part of the animation."""
    still, *frames = (Image.fromarray(noise(seed=seed)[..., ::-1]) for seed in range(3))
    still.save(tmp_path / "word.png", save_all=True, append_images=frames, default_image=True)
    np.testing.assert_array_equal(load_image(tmp_path / "word.png"), noise(seed=0))
    np.testing.assert_array_equal(LoadWordImage()(str(tmp_path / "word.png"))["img"], noise(seed=0))


def test_arrays_become_bgr_or_are_refused():
    grey = noise(channels=0)
    np.testing.assert_array_equal(load_image(grey), cv2.merge([grey] * 3))
    with pytest.raises(ImageError, match="type float32"):
        load_image(np.zeros((4, 4), np.float32))


JPEG = cv2.imencode(".jpg", noise())[1].tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"no image", "not an image, or one of unknown or damaged format"),
        (JPEG[: len(JPEG) // 2], "cut short"),
        (
            png_header(30_000, 30_000),
            "too many pixels; 67 million",
        ),  # Pillow raises DecompressionBombError
        (png_header(10_000, 7_000), r"too many pixels; 67 million are allowed \(10000 by 7000\)"),
    ],
)
def test_unreadable_file_is_refused_with_a_reason(tmp_path, content, message):
    (tmp_path / "word.png").write_bytes(content)
    with pytest.raises(ImageError, match=message):
        load_image(tmp_path / "word.png")


def test_format_that_only_pillow_knows(tmp_path):
    """Pillow reads it, or the error says what is wrong with it."""
    for suffix in ("pcx", "dib"):
        Image.fromarray(noise()).save(tmp_path / f"word.{suffix}")
        found = load_image(tmp_path / f"word.{suffix}")
        np.testing.assert_array_equal(found, noise()[..., ::-1])
    Image.fromarray(noise()[..., 0].astype(np.float32)).save(tmp_path / "word.tif")
    with pytest.raises(ImageError, match="its values are floating-point numbers"):
        load_image(tmp_path / "word.tif")


def test_jpeg_2000_with_two_sizes_is_refused(tmp_path):
    """Pillow reports the last size, but OpenCV decodes the first one."""
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, "JPEG2000")
    encoded = buffer.getvalue()
    place = encoded.index(b"ihdr") - 4
    box = encoded[place : place + 22]
    assert int.from_bytes(box[:4], "big") == len(box)
    (tmp_path / "word.jp2").write_bytes(encoded)
    assert (load_image(tmp_path / "word.jp2") == noise()[..., ::-1]).all()
    header = encoded.index(b"jp2h") - 4
    longer = (int.from_bytes(encoded[header : header + 4], "big") + len(box)).to_bytes(4, "big")
    small = box[:8] + (1).to_bytes(4, "big") * 2 + box[16:]
    hidden = b"\0\0\0\x20uuid" + b"jp2c" * 6
    after = place + len(box)
    twice = encoded[:header] + hidden + longer + encoded[header + 4 : after] + small
    (tmp_path / "word.jp2").write_bytes(twice + encoded[after:])
    assert Image.open(tmp_path / "word.jp2").size == (1, 1)
    assert cv2.imread(str(tmp_path / "word.jp2")).shape == noise().shape
    with pytest.raises(ImageError, match="damaged"):
        load_image(tmp_path / "word.jp2")


def test_header_that_pillow_does_not_support_is_refused(tmp_path):
    """Pillow knows the format but not this variant, and raises another kind of error."""
    (tmp_path / "word.dds").write_bytes(DAMAGED_DDS)
    with pytest.raises(NotImplementedError):
        Image.open(tmp_path / "word.dds")
    with pytest.raises(ImageError, match="unknown or damaged format"):
        load_image(tmp_path / "word.dds")


@pytest.mark.parametrize("path", ["http://localhost:9/a b.jpg", "http://[x/a.jpg"])
def test_malformed_address_is_refused(path):
    with pytest.raises(ImageError):
        load_image(path)


class TestDownload:
    @pytest.fixture
    def serve(self):
        """Return a function that serves bytes once, or nothing at all if they are None."""
        with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:

            def answer(content: bytes) -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + content)

            def start(content: bytes | None) -> str:
                if content is not None:
                    pool.submit(answer, content)
                return f"http://127.0.0.1:{server.getsockname()[1]}/word.png"

            yield start

    def test_address_is_read(self, serve):
        content = cv2.imencode(".png", noise())[1].tobytes()
        np.testing.assert_array_equal(load_image(serve(content)), noise())
        url = serve(content).replace("http", "HTTP")
        np.testing.assert_array_equal(load_image(url), noise())

    def test_silent_server_is_given_up(self, serve, monkeypatch):
        monkeypatch.setattr(image_loading, "_TIMEOUT", 0.05)
        with pytest.raises(ImageError, match="timed out"):
            load_image(serve(None))

    def test_large_content_is_refused(self, serve, monkeypatch):
        monkeypatch.setattr(image_loading, "_MAX_DOWNLOAD", 2**20)
        with pytest.raises(ImageError, match="more than 1 MiB, the maximum for downloads"):
            load_image(serve(bytes(2**20 + 1)))


def test_too_large_image_is_not_decoded(tmp_path, monkeypatch):
    (tmp_path / "large.png").write_bytes(png_header(9_000, 9_000))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError):
        load_image(tmp_path / "large.png")
    assert MAX_PIXELS < 9_000**2


def test_limit_can_be_lower(tmp_path):
    cv2.imwrite(str(tmp_path / "word.png"), noise(10, 20))
    assert load_image(tmp_path / "word.png", max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(ImageError, match="too many pixels"):
        load_image(tmp_path / "word.png", max_pixels=199)


def test_path_without_an_image_is_refused(tmp_path):
    with pytest.raises(ImageError, match="there is no such file"):
        load_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="a folder in which no image can be found"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match="null"):
        load_image("a\0b.png")


def test_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(ImageError, match=r"^Permission denied$"):
        load_image(tmp_path)


def test_other_types_are_refused():
    kinds = r"a path, a NumPy array in BGR order or a Pillow image, got "
    with pytest.raises(TypeError, match=kinds + "int: 7"):
        load_image(7)
    with pytest.raises(TypeError, match=kinds + "bytes") as info:
        load_image(bytes(10_000))
    assert len(str(info.value)) < 200


def in_mode(mode: str) -> Image.Image:
    colour = Image.fromarray(noise(channels=4 if mode == "RGBA" else 3))
    if mode == "I;16":
        grey = np.random.default_rng(0).integers(0, 2**16, (20, 60), np.uint16)
        return Image.fromarray(grey)
    return colour.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_pillow_images_equal_their_saved_files(tmp_path, mode):
    image = in_mode(mode)
    image.save(tmp_path / "word.png")
    loaded = load_image(image)
    np.testing.assert_array_equal(loaded, LoadWordImage()(str(tmp_path / "word.png"))["img"])
    assert loaded.dtype == np.uint8 and loaded.flags.c_contiguous


def test_pillow_images_follow_exif_orientation(tmp_path):
    image = Image.fromarray(np.rot90(noise())[..., ::-1])
    image.getexif()[0x0112] = 6
    np.testing.assert_array_equal(load_image(image), noise())


def test_unreadable_pillow_image_is_refused(tmp_path):
    with pytest.raises(ImageError, match="floating-point"):
        load_image(Image.new("F", (5, 4)))
    (tmp_path / "cut.jpg").write_bytes(JPEG[: len(JPEG) // 2])
    with pytest.raises(ImageError, match="a damaged one"):
        load_image(Image.open(tmp_path / "cut.jpg"))
    with pytest.raises(ImageError, match=r"0 million are allowed \(20 by 10\)"):
        load_image(Image.new("L", (20, 10)), max_pixels=199)
