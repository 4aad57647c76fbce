"""The reader of ONNX files beside MMOCR's inferencer, and without what it must not need."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lpv_mmocr.datasets import LPVLMDBDataset
from lpv_mmocr.deploy.onnx_export import export_onnx
from lpv_mmocr.deploy.onnx_metadata import Preprocessing
from lpv_mmocr.models.cpa_postprocessor import CPAPostprocessor

import cv2
import numpy as np
import pytest
import torch
from apis.inference_cases import noise, write_toy
from deploy.deploy_cases import settle
from lpv_cases import DICTIONARY, word_sample
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.apis import TextRecInferencer
from PIL import Image

import lpv_onnx

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")
pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
pytest.importorskip("onnxscript", reason="the extra [onnx] is not installed")

ROOT = Path(__file__).resolve().parents[1]
BLOCKED = ("torch", "mmocr", "mmengine", "mmcv", "lpv_mmocr", "cv2", "onnx", "torchvision")
KEEP_RATIO = "lpv_mmocr::textrecog/lpv/lpv-tiny_stage1_10e_st_mj_keep-ratio.py"


@pytest.fixture(scope="module")
def inferencer(tmp_path_factory) -> TextRecInferencer:
    init_default_scope("mmocr")
    _, checkpoint = write_toy(tmp_path_factory.mktemp("toy"))
    inferencer = TextRecInferencer(weights=str(checkpoint), device="cpu")
    vary(settle(inferencer.model))
    return inferencer


@torch.no_grad()
def vary(model: torch.nn.Module) -> None:
    """Makes random weights read different pictures differently.

    Not more than needed: what is made larger here are rounding errors as well.
    """
    batch = torch.rand(16, 3, *model.encoder.img_size, generator=torch.Generator().manual_seed(0))
    logits = model.decoder.last_logits(model.encoder(batch)).flatten(0, 1)
    classifier = model.decoder.classifiers[-1]
    classifier.bias -= logits.mean(0)
    for parameter in (classifier.weight, classifier.bias):
        parameter /= logits.std(0)[(...,) + (None,) * (parameter.dim() - 1)]


@pytest.fixture(scope="module")
def model_file(inferencer, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "toy.onnx"
    return export_onnx(inferencer.model, inferencer.cfg, out, attention=True).path


@pytest.fixture(scope="module")
def reader(model_file) -> lpv_onnx.Reader:
    return lpv_onnx.Reader(model_file, threads=1, batch_size=3)


def encode(picture: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 24, width: int = 70, channels: int = 3) -> np.ndarray:
    """Noise as smooth as photos are, so that a JPEG of it resembles it."""
    coarse = noise(height // 4, width // 4, channels)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(smooth()), "JPEG", exif=exif)


def pictures() -> dict[str, bytes]:
    colour, grey, rgba = smooth(), smooth(channels=0), smooth(channels=4)
    wide = np.random.default_rng(0).integers(0, 2**16, (20, 50, 3), np.uint16)
    return {
        "png": encode(colour),
        "jpeg": encode(colour, ".jpg"),
        "grey jpeg": encode(grey, ".jpg"),
        "grey": encode(grey),
        "alpha": encode(rgba),
        "grey alpha": saved(Image.fromarray(rgba).convert("LA"), "PNG"),
        "16 bits": encode(wide),
        "grey 16 bits": encode(wide[..., 0]),
        "grey 16 bits tiff": encode(wide[..., 0], ".tiff"),
        "palette": saved(Image.fromarray(colour).convert("P"), "PNG"),
        "palette, transparent": saved(Image.fromarray(colour).convert("P"), "PNG", transparency=3),
        "black and white": saved(Image.fromarray(colour).convert("1"), "PNG"),
        "gif": saved(Image.fromarray(colour), "GIF"),
        "webp": encode(colour, ".webp"),
        "bmp": encode(colour, ".bmp"),
        "1 x 1": encode(noise(1, 1)),
        "20 x 5000": encode(noise(20, 5000)),
        "5000 x 20": encode(noise(5000, 20)),
        **{f"orientation {number}": oriented(number) for number in range(1, 9)},
    }


def prepared_by_mmocr(inferencer: TextRecInferencer, path: Path) -> np.ndarray:
    packed = inferencer.pipeline(str(path))
    batch = dict(inputs=[packed["inputs"]], data_samples=[packed["data_samples"]])
    return inferencer.model.data_preprocessor(batch)["inputs"][0].numpy()


@pytest.mark.parametrize("kind", pictures())
def test_pictures_are_prepared_as_in_the_pipeline(inferencer, reader, tmp_path, kind):
    path = tmp_path / "picture"
    path.write_bytes(pictures()[kind])
    expected = prepared_by_mmocr(inferencer, path)
    np.testing.assert_array_equal(reader.prepare(path), expected)
    np.testing.assert_array_equal(reader.prepare(path.read_bytes()), expected)


def test_cmyk_is_prepared_almost_so(inferencer, reader, tmp_path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(saved(Image.fromarray(smooth()).convert("CMYK"), "JPEG"))
    expected = prepared_by_mmocr(inferencer, path)
    np.testing.assert_allclose(reader.prepare(path), expected, atol=3.5 / 255)


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_are_prepared_as_in_the_pipeline(inferencer, reader, channels, dtype):
    array = noise(channels=channels).astype(dtype) * (1 if dtype is np.uint8 else 200)
    packed = inferencer.pipeline(array)["inputs"].flip(0).numpy() / np.float32(255)
    np.testing.assert_array_equal(reader.prepare(array), packed)


def test_pillow_pictures_are_rgb(reader):
    array = noise()
    np.testing.assert_array_equal(
        reader.prepare(Image.fromarray(array[..., ::-1])), reader.prepare(array)
    )


@pytest.mark.parametrize("size", [(20, 30), (20, 61), (32, 100), (48, 200), (9, 1), (64, 2)])
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


def test_readings_are_those_of_the_inferencer(inferencer, reader, tmp_path):
    paths = []
    for number in range(7):
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), noise(seed=number))
    samples = inferencer([str(path) for path in paths], return_datasamples=True)["predictions"]
    readings = reader(paths)
    assert [reading.source for reading in readings] == [str(path) for path in paths]
    assert len({reading.text for reading in readings}) > 2
    for reading, sample in zip(readings, samples, strict=True):
        assert reading.text == sample.pred_text.item
        expected = sample.pred_text.score if reading.text else []
        np.testing.assert_allclose(reading.scores, expected, atol=1e-4)
        assert reading.confidence == pytest.approx(sample.pred_text.word_score, rel=1e-3)
        assert reading.attention.shape[:2] == (3, 27)
        np.testing.assert_allclose(reading.attention.sum((-2, -1)), 1, rtol=1e-4)
    (single,) = reader(str(paths[2]))
    assert single.text == readings[2].text


@pytest.mark.slow
@pytest.mark.skipif("LPV_REAL_DATA" not in os.environ, reason="LPV_REAL_DATA is not set")
def test_a_thousand_real_words(inferencer, reader, tmp_path):
    folder = tmp_path / "words"
    shutil.copytree(Path(os.environ["LPV_REAL_DATA"], "IIIT5K_train"), folder)
    words = LPVLMDBDataset(ann_file=str(folder), test_mode=True)
    encoded = [words.get_data_info(index)["img_bytes"] for index in range(1000)]
    pictures = [cv2.imdecode(np.frombuffer(word, np.uint8), cv2.IMREAD_COLOR) for word in encoded]
    expected = inferencer(pictures, batch_size=50, progress_bar=False)["predictions"]
    texts = [reading.text for reading in reader.iterate(encoded)]
    assert len(set(texts)) > 10
    differing = [
        (text, prediction["text"])
        for text, prediction in zip(texts, expected, strict=True)
        if text != prediction["text"]
    ]
    # Of 26,000 characters that random weights read, one may be a tie but for rounding.
    assert len(differing) <= 1, differing


class TestDecoding:
    @pytest.fixture
    def decode(self, reader, monkeypatch):
        """Decodes logits (N, T, C) with the reader and with the decoder's postprocessor."""

        def both(logits: np.ndarray) -> tuple[list, list]:
            monkeypatch.setattr(reader, "run", lambda images: [logits[: len(images)]])
            monkeypatch.setattr(reader, "batch_size", len(logits))
            ours = reader([noise()] * len(logits))
            postprocessor = CPAPostprocessor(DICTIONARY)
            samples = [word_sample() for _ in logits]
            theirs = postprocessor(torch.from_numpy(logits).softmax(-1), samples)
            return ours, [sample.pred_text for sample in theirs]

        return both

    def logits(self, classes: list[list[int]]) -> np.ndarray:
        found = np.random.default_rng(0).normal(0, 1, (len(classes), 27, 38)).astype(np.float32)
        for word, row in enumerate(classes):
            for position, index in enumerate(row):
                found[word, position, index] = 8
        return found

    @pytest.mark.parametrize(
        ("classes", "text"),
        [
            ([36, 10, 11, 37, 12, 37], "ab"),
            ([36, 37, 10, 10], ""),
            ([36, 10, 36, 11, 37], "ab"),  # a start class prints nothing
            ([36, *[12] * 26], "c" * 26),  # no end
            ([37, 10, 37], "a"),  # position 0 is not read
        ],
    )
    def test_rules(self, decode, classes, text):
        ours, theirs = decode(self.logits([classes]))
        assert ours[0].text == theirs[0].item == text
        # For an empty text MMOCR needs one score, that of the end.
        assert ours[0].scores == pytest.approx(theirs[0].score if text else (), rel=1e-5)
        assert len(ours[0].scores) == len(text)
        assert ours[0].confidence == pytest.approx(theirs[0].word_score, rel=1e-5)

    def test_any_logits(self, decode):
        rng = np.random.default_rng(1)
        ours, theirs = decode(rng.normal(0, 3, (40, 27, 38)).astype(np.float32))
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.text == other.item
            assert mine.scores == pytest.approx(other.score if mine.text else (), rel=1e-5)
            assert mine.confidence == pytest.approx(other.word_score, rel=1e-4)


class TestBadInput:
    @pytest.mark.parametrize(
        ("picture", "error"),
        [
            ("no_such_file.png", "No such file"),
            (b"", "the file is empty"),
            (b"no picture at all", "^it is no picture, or a damaged one$"),
            (Path("/"), r"it is a folder; give the files in it, such as /\*\.png$"),
            (encode(smooth(), ".jpg")[:-200], "damaged one .*truncated"),
            (np.zeros((4, 5, 2), np.uint8), r"shape \(4, 5, 2\) is no picture"),
            (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\) is no picture"),
            (np.zeros(()), r"shape \(\) is no picture"),
            (Image.new("I", (0, 0)), "no pixels"),
            (Image.open(io.BytesIO(encode(smooth(), ".jpg")[:-200])), "damaged one .*truncated"),
            (np.zeros((4, 5, 3)), "type float64 could mean several ranges"),
            (Image.new("F", (5, 4)), "floating-point"),
            (Image.fromarray(np.full((4, 5), 2**20, np.int32)), "more than 16 bits"),
        ],
    )
    def test_unreadable_pictures(self, reader, picture, error):
        bad, good = reader([picture, noise()])
        assert bad.text is None
        assert bad.confidence == 0.0
        with pytest.raises(lpv_onnx.PictureError, match=error):
            lpv_onnx.load_picture(picture)
        assert bad.error
        assert good.text is not None
        assert (good.source, good.error) == (1, None)

    def test_too_many_pixels(self, reader, monkeypatch):
        monkeypatch.setattr(lpv_onnx, "MAX_PIXELS", 1000)
        (reading,) = reader(encode(noise(40, 30)))
        assert reading.error == "it has too many pixels; 0 million are allowed (30 x 40)"

    def test_no_picture_of_any_kind(self, reader):
        with pytest.raises(TypeError, match=r"a picture is a path, bytes, .* got int"):
            reader([3])

    def test_models(self, model_file, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no model file .*none.onnx"):
            lpv_onnx.Reader(tmp_path / "none.onnx")
        (tmp_path / "text.onnx").write_text("no model")
        with pytest.raises(lpv_onnx.ModelError, match=r"text.onnx is no ONNX file"):
            lpv_onnx.Reader(tmp_path / "text.onnx")
        model = onnx.load(model_file)
        metadata = json.loads(model.metadata_props[0].value)
        model.metadata_props[0].value = json.dumps({**metadata, "format": 99})
        onnx.save(model, tmp_path / "later.onnx")
        with pytest.raises(lpv_onnx.ModelError, match="for a later version of lpv_onnx"):
            lpv_onnx.Reader(tmp_path / "later.onnx")
        del model.metadata_props[:]
        onnx.save(model, tmp_path / "bare.onnx")
        with pytest.raises(lpv_onnx.ModelError, match=r"bare.onnx says nothing of how to read"):
            lpv_onnx.Reader(tmp_path / "bare.onnx")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("not json", "is no JSON"),
            ("{}", "has no number of its format"),
            ("[1]", "has no number of its format"),
            ('{"format": "1"}', "has no number of its format"),
            ('{"format": 1}', "there is no classes, start, end, preprocessing"),
            ('{"format": 99}', "lpv-mmocr of an unknown version, for a later version of lpv_onnx"),
            (None, r"there is no preprocessing\.mean, preprocessing\.std"),
        ],
    )
    def test_damaged_metadata(self, model_file, tmp_path, text, message):
        model = onnx.load(model_file)
        (entry,) = model.metadata_props
        if text is None:
            metadata = json.loads(entry.value)
            del metadata["preprocessing"]["mean"], metadata["preprocessing"]["std"]
            text = json.dumps(metadata)
        entry.value = text
        onnx.save(model, tmp_path / "damaged.onnx")
        with pytest.raises(lpv_onnx.ModelError, match=rf"damaged\.onnx .*{message}"):
            lpv_onnx.Reader(tmp_path / "damaged.onnx")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (dict(engine="tensorrt"), "engine must be one of onnxruntime, openvino"),
            (dict(batch_size=0), "must be at least 1"),
            (dict(threads=0), "must be at least 1"),
            (dict(engine="openvino", providers=["CPU"]), "providers belong to .* onnxruntime"),
        ],
    )
    def test_options(self, model_file, options, message):
        with pytest.raises(ValueError, match=message):
            lpv_onnx.Reader(model_file, **options)


@pytest.fixture
def alone(tmp_path):
    """Runs Python with a copy of the module alone, and without what it must not need."""
    shutil.copy(ROOT / "lpv_onnx.py", tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {BLOCKED!r}:\n"
        "            raise ImportError(f'{name} is blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )

    def run(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    return run


class TestAlone:
    def test_what_must_not_be_needed_is_blocked(self, alone):
        for name in ("torch", "lpv_mmocr", "mmocr"):
            assert f"{name} is blocked" in alone("-c", f"import {name}").stderr

    def test_command(self, alone, reader, model_file, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), noise())
        (tmp_path / "b.png").write_text("no picture")
        result = alone("-m", "lpv_onnx", model_file, "a.png", "b.png", "--threads", 1)
        assert result.returncode == 1
        reading = reader(noise())[0]
        assert result.stdout == f"a.png\t{reading.text}\t{reading.confidence:.4f}\n"
        assert result.stderr.startswith("b.png cannot be read: it is no picture, or a damaged one")

    def test_json(self, alone, reader, model_file, tmp_path):
        cv2.imwrite(str(tmp_path / "a.png"), noise())
        result = alone("-m", "lpv_onnx", model_file, "a.png", "--json", "--threads", 1)
        assert result.returncode == 0, result.stderr
        row = json.loads(result.stdout)
        assert row["text"] == reader(noise())[0].text
        assert row["path"] == "a.png"
        assert len(row["scores"]) == len(row["text"])

    def test_names_need_not_be_valid(self, alone, model_file, tmp_path):
        name = os.fsdecode(b"caf\xe9.png")
        (tmp_path / name).write_bytes(encode(noise()))
        for options in ([], ["--json"]):
            result = alone("-m", "lpv_onnx", model_file, name, *options)
            assert result.returncode == 0, result.stderr
            assert "caf\\udce9.png" in result.stdout

    def test_names_do_not_steer_the_terminal(self, alone, model_file, tmp_path):
        names = "good\x1b[31m\n.png", "bad\x1b[31m\n.png"
        (tmp_path / names[0]).write_bytes(encode(noise()))
        (tmp_path / names[1]).write_text("no picture")
        result = alone("-m", "lpv_onnx", model_file, *names)
        assert result.stdout.startswith("good\\x1b[31m\\n.png\t")
        assert result.stderr.startswith("bad\\x1b[31m\\n.png cannot be read: it is no picture")
        assert len(result.stderr.splitlines()) == 1

    def test_reader_of_the_output_may_leave(self, alone, model_file, tmp_path):
        (tmp_path / "a.png").write_bytes(encode(noise()))
        code = (
            "import os, sys, lpv_onnx; end, out = os.pipe(); os.close(end); os.dup2(out, 1); "
            "sys.exit(lpv_onnx.main(sys.argv[1:]))"
        )
        result = alone("-c", code, model_file, "a.png")
        assert (result.returncode, result.stderr) == (141, "")

    def test_errors(self, alone, model_file):
        result = alone("-m", "lpv_onnx", "none.onnx", "a.png")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == "error: there is no model file none.onnx\n"


@pytest.mark.parametrize("engine", ["openvino", "openvino-bf16"])
def test_openvino(reader, model_file, engine):
    pytest.importorskip("openvino", reason="openvino is not installed")
    other = lpv_onnx.Reader(model_file, engine=engine, threads=1, batch_size=2)
    pictures = [noise(seed=number) for number in range(3)]
    for ours, theirs in zip(other(pictures), reader(pictures), strict=True):
        tolerance = 1e-3 if engine == "openvino" else 0.1
        np.testing.assert_allclose(ours.attention, theirs.attention, atol=tolerance)
        assert ours.confidence == pytest.approx(theirs.confidence, rel=100 * tolerance)
        if engine == "openvino":
            assert ours.text == theirs.text


def test_openvino_is_optional(model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match="pip install openvino"):
        lpv_onnx.Reader(model_file, engine="openvino")
