"""Tests of preparing images as MMOCR's pipeline does, and of refusing bad input."""

from __future__ import annotations

import io
import subprocess
import warnings
from pathlib import Path

from lpv_mmocr.deploy.onnx_metadata import Preprocessing

import numpy as np
import pytest
from apis.inference_cases import noise
from mmcv.transforms import Compose
from mmengine.config import Config
from mmocr.apis import TextRecInferencer
from onnx_reader.encoded_images import XMP, encode, images, saved, smooth
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

import lpv_onnx
from lpv_onnx.preprocessing import prepare, shown

KEEP_RATIO = "lpv_mmocr::textrecog/lpv/lpv-tiny_stage1_10e_st_mj_keep-ratio.py"


def prepared_by_mmocr(inferencer: TextRecInferencer, path: Path) -> np.ndarray:
    packed = inferencer.pipeline(str(path))
    batch = dict(inputs=[packed["inputs"]], data_samples=[packed["data_samples"]])
    return inferencer.model.data_preprocessor(batch)["inputs"][0].numpy()


@pytest.mark.parametrize("kind", images())
def test_images_are_prepared_as_in_the_pipeline(inferencer, reader, tmp_path, kind):
    path = tmp_path / "image"
    path.write_bytes(images()[kind])
    expected = prepared_by_mmocr(inferencer, path)
    np.testing.assert_array_equal(reader.prepare(path), expected)
    np.testing.assert_array_equal(reader.prepare(path.read_bytes()), expected)


def test_cmyk_is_prepared_nearly_as_in_the_pipeline(inferencer, reader, tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(saved(Image.fromarray(smooth()).convert("CMYK"), "JPEG"))
    expected = prepared_by_mmocr(inferencer, path)
    np.testing.assert_allclose(reader.prepare(path), expected, atol=3.5 / 255)


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_are_prepared_as_in_the_pipeline(inferencer, reader, channels, dtype):
    array = noise(channels=channels).astype(dtype) * (1 if dtype is np.uint8 else 200)
    packed = inferencer.pipeline(array)["inputs"].flip(0).numpy() / np.float32(255)
    np.testing.assert_array_equal(reader.prepare(array), packed)
    swapped = array.astype(array.dtype.newbyteorder())
    np.testing.assert_array_equal(reader.prepare(swapped), packed)


def test_pillow_images_are_rgb(reader):
    array = noise()
    np.testing.assert_array_equal(
        reader.prepare(Image.fromarray(array[..., ::-1])), reader.prepare(array)
    )


def test_pillow_images_keep_their_metadata():
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    image = Image.open(io.BytesIO(saved(Image.fromarray(smooth()), "PNG", pnginfo=info)))
    before = dict(image.info)
    lpv_onnx.load_image(image)
    assert image.info == before and "XML:com.adobe.xmp" in before


@pytest.mark.parametrize(
    "size", [(20, 30), (20, 57), (20, 61), (32, 100), (48, 200), (9, 1), (64, 2)]
)
def test_proportions_are_kept_as_in_the_pipeline(reader, monkeypatch, size):
    cfg = Config.fromfile(KEEP_RATIO)
    pipeline = Compose(
        [step for step in cfg.test_pipeline if step["type"] in ("RescaleToHeight", "PadToWidth")]
    )
    array = noise(*size)
    expected = pipeline(dict(img=array, img_shape=size))["img"][..., ::-1].transpose(2, 0, 1)
    settings = {**vars(Preprocessing.of(cfg)), "mean": (0,) * 3, "std": (1,) * 3}
    monkeypatch.setattr(reader, "_preprocessing", settings)
    np.testing.assert_array_equal(reader.prepare(array), expected.astype(np.float32))


def test_channel_order_follows_the_metadata(reader, monkeypatch):
    red_first = reader.prepare(noise())
    monkeypatch.setattr(reader, "_preprocessing", {**reader._preprocessing, "channels": "bgr"})
    np.testing.assert_array_equal(reader.prepare(noise()), red_first[::-1])


@pytest.mark.parametrize("size", [(20, 30), (20, 61), (9, 1)])
def test_width_divisor_is_applied_as_in_the_pipeline(size):
    rescale = dict(height=32, min_width=16, max_width=100, width_divisor=16, backend="pillow")
    pad = dict(width=112, pad_cfg=dict(type="Pad", pad_val=7))
    steps = [dict(rescale, type="RescaleToHeight"), dict(pad, type="PadToWidth")]
    array = noise(*size)
    expected = Compose(list(map(dict, steps)))(dict(img=array, img_shape=size))["img"]
    cfg = Config(dict(model=dict(data_preprocessor=dict(bgr_to_rgb=True)), test_pipeline=steps))
    prepared = prepare(Image.fromarray(array), vars(Preprocessing.of(cfg)))
    np.testing.assert_array_equal(prepared, expected.transpose(2, 0, 1).astype(np.float32))


def test_narrow_image_keeps_one_width_divisor():
    ratio = dict(min_width=1, max_width=96, divisor=16, fill=7)
    settings = dict(height=32, width=96, interpolation="bicubic", channels="rgb")
    settings |= dict(mean=(0,) * 3, std=(1,) * 3, keep_ratio=ratio)
    prepared = prepare(Image.new("RGB", (1, 9)), settings)
    assert (prepared[..., :16] == 0).all()
    assert (prepared[..., 16:] == 7).all()


def test_shown_image_includes_the_padding():
    ratio = dict(min_width=4, max_width=100, divisor=1, fill=7)
    settings = dict(height=32, width=100, interpolation="bicubic", channels="rgb")
    settings |= dict(mean=(0,) * 3, std=(1,) * 3)
    word = Image.fromarray(noise(32, 40))
    seen = shown(word, dict(settings, keep_ratio=ratio))
    np.testing.assert_array_equal(
        prepare(seen, dict(settings, keep_ratio=None)),
        prepare(word, dict(settings, keep_ratio=ratio)),
    )
    assert shown(Image.fromarray(noise(16, 20)), dict(settings, keep_ratio=ratio)).size == (50, 16)


def test_warning_filters_are_not_replaced(monkeypatch):
    """Other threads would lose their filters if these were replaced meanwhile."""
    filters, seen = warnings.filters, []
    transpose = ImageOps.exif_transpose
    monkeypatch.setattr(
        ImageOps,
        "exif_transpose",
        lambda *args: seen.append(warnings.filters is filters) or transpose(*args),
    )
    lpv_onnx.load_image(encode(noise()))
    assert seen == [True]


class TestBadInput:
    @pytest.mark.parametrize(
        ("image", "error"),
        [
            ("no_such_file.png", "No such file"),
            (b"", "the file is empty"),
            ("a\0b.png", "null"),
            (b"no image at all", "^it is not an image, or a damaged one$"),
            (Path("/"), r"it is a folder; give the files in it, such as /\*\.png$"),
            (encode(smooth(), ".jpg")[:-200], "damaged one .*truncated"),
            (np.zeros((4, 5, 2), np.uint8), r"shape \(4, 5, 2\) is not an image"),
            (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\) is not an image"),
            (np.zeros(()), r"shape \(\) is not an image"),
            (Image.new("I", (0, 0)), "no pixels"),
            (Image.open(io.BytesIO(encode(smooth(), ".jpg")[:-200])), "damaged one .*truncated"),
            (np.zeros((4, 5, 3)), "type float64 could mean several ranges"),
            (Image.new("F", (5, 4)), "floating-point"),
            (Image.fromarray(np.full((4, 5), 2**20, np.int32)), "more than 16 bits"),
            (Image.fromarray(np.array([[-1, 300]], np.int32)), "more than 16 bits"),
            (Image.fromarray(noise()).convert("I"), "integers up to 255"),
            (saved(Image.fromarray(noise()).convert("I"), "TIFF"), "integers up to 255"),
        ],
    )
    def test_bad_images_get_an_error(self, reader, image, error):
        bad, good = reader([image, noise()])
        assert bad.text is None
        assert bad.confidence == 0.0
        with pytest.raises(lpv_onnx.ImageError, match=error):
            lpv_onnx.load_image(image)
        assert bad.error
        assert good.text is not None
        assert (good.source, good.error) == (1, None)

    def test_postscript_starts_no_program(self, reader, monkeypatch):
        """Pillow would pass PostScript to Ghostscript."""
        monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("started"))
        monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", "gs")
        program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 32\n%%EndComments\n{} loop\n"
        with pytest.raises(lpv_onnx.ImageError, match="it is not an image"):
            lpv_onnx.load_image(program)

    def test_too_many_pixels_are_refused(self, reader, monkeypatch):
        monkeypatch.setattr(lpv_onnx.image_loading, "MAX_PIXELS", 1000)
        (reading,) = reader(encode(noise(40, 30)))
        assert reading.error == "it has too many pixels; 0 million are allowed (30 x 40)"

    def test_limit_of_pillow_is_named(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
        with pytest.raises(lpv_onnx.ImageError, match="too many pixels; 2 million are allowed"):
            lpv_onnx.load_image(encode(noise(2000, 2000)), max_pixels=10**8)

    def test_input_of_another_type_is_a_type_error(self, reader):
        with pytest.raises(TypeError, match=r"an image is a path, bytes, .* got int"):
            reader([3])
