from __future__ import annotations

import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lpv_mmocr
from lpv_mmocr.datasets.transforms import WordLook
from lpv_mmocr.datasets.transforms.word_look import LOOKS
from lpv_mmocr.engine import save_checkpoint
from lpv_mmocr.models.best_look_tta import SURE
from lpv_mmocr.reading import Reading, WordReader, read
from lpv_mmocr.reading.inferencer import _silent_on_loading
from lpv_mmocr.visualization import character_boxes

import cv2
import numpy as np
import pytest
import torch
from apis.inference_cases import ROOT, noise, padding_config
from fresh_python import output_of
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import LabelData
from mmocr.apis import TextRecInferencer
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from PIL import Image


@pytest.fixture(scope="module")
def plain(toy) -> TextRecInferencer:
    return TextRecInferencer(weights=str(toy[1]), device="cpu")


def samples(plain, images) -> list:
    options = dict(return_datasamples=True, progress_bar=False)
    return [plain(image, **options)["predictions"][0] for image in images]


def test_agrees_with_the_inferencer_without_tta(toy, plain, words):
    once = WordReader(toy[1], device="cpu", batch_size=2, tta=False)
    for reading, sample in zip(once.read(words), samples(plain, words), strict=True):
        prediction = sample.pred_text
        assert reading.source == sample.img_path
        assert reading.text == prediction.item
        assert reading.confidence == pytest.approx(prediction.word_score, rel=1e-4)
        if reading.text:
            assert reading.scores == pytest.approx(prediction.score, rel=1e-4)
        assert len(reading.scores) == len(reading.text)
        assert (reading.error, reading.boxes, reading.attention) == (None, None, None)


def test_paths_arrays_folders_and_lists_are_accepted(reader, words):
    by_path = [reading.text for reading in reader.read(words)]
    assert [reader.read(word)[0].text for word in words] == by_path
    assert [r.text for r in reader.read(Path(words[0]).parent)] == by_path
    mixed = reader.read([Path(words[0]), cv2.imread(words[1]), words[2]])
    assert [reading.text for reading in mixed] == by_path
    assert [reading.source for reading in mixed] == [words[0], 1, words[2]]
    assert reader.read([]) == []


def test_unreadable_images_keep_their_place_with_a_reason(reader, words, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    empty = np.zeros((0, 5, 3), np.uint8)
    images = [str(tmp_path / "bad.png"), words[0], empty, "gone.png", "", words[1], words[2]]
    readings = reader.read(images)
    gone = "there is no such file"
    errors = ["it is not an image", None, "shape (0, 5, 3)", gone, gone, None, None]
    for reading, error in zip(readings, errors, strict=True):
        if error is None:
            assert reading.error is None and isinstance(reading.text, str)
        else:
            assert error in reading.error
            assert (reading.text, reading.confidence, reading.scores) == (None, 0.0, ())
    assert [r.text for r in readings if r.error is None] == [r.text for r in reader.read(words)]


def test_all_images_may_be_unreadable(reader):
    assert [r.error for r in reader.read(["a.png", "b.png", "c.png"])] == [
        "there is no such file"
    ] * 3


def test_batches_are_yielded_as_they_are_done(reader):
    taken = []

    def images():
        while True:
            taken.append(noise())
            yield taken[-1]

    readings = reader.iterate(images())
    assert [next(readings).source for _ in range(3)] == [0, 1, 2]
    assert len(taken) == 4, "two batches of two"


def test_batches_of_large_images_are_smaller(reader, monkeypatch):
    """Decoded photos take much memory; a batch has at most as many pixels as one may have."""
    pixels = noise().shape[0] * noise().shape[1]
    monkeypatch.setattr("lpv_mmocr.reading.word_reader.MAX_PIXELS", pixels)
    taken = []
    readings = reader.iterate(taken.append(number) or noise(seed=number) for number in range(3))
    assert next(readings).source == 0 and len(taken) == 1
    assert next(readings).source == 1 and len(taken) == 2


@pytest.mark.parametrize("images", [3, None, b"word.png", [noise(), None]])
def test_other_types_are_refused(reader, images):
    with pytest.raises(TypeError, match="a NumPy array in BGR order or a Pillow image, got"):
        reader.read(images)


def test_pillow_images_are_accepted_alone_and_in_lists(reader, words):
    opened = [Image.open(word) for word in words]
    by_path = [reading.text for reading in reader.read(words)]
    assert [reader.read(image)[0].text for image in opened] == by_path
    mixed = reader.read([words[0], opened[1], cv2.imread(words[2])])
    assert [(r.source, r.text) for r in mixed] == list(zip([words[0], 1, 2], by_path, strict=True))


def test_loading_hides_only_the_message_about_the_checkpoint(toy, capsys, monkeypatch):
    WordReader(toy[1], device="cpu")
    assert capsys.readouterr().out == ""

    def load(model, *_, **__):
        print("something else")

    monkeypatch.setattr("mmengine.infer.infer._load_checkpoint_to_model", load)
    WordReader(toy[1], device="cpu")
    assert capsys.readouterr().out == "something else\n"


def test_empty_text_has_a_confidence(reader, monkeypatch):
    decoder = reader._inferencer.model.decoder
    probabilities = torch.full((1, 26, decoder.dictionary.num_classes), 0.01)
    probabilities[..., decoder.dictionary.end_idx] = 0.8
    monkeypatch.setattr(decoder, "forward_test", lambda *args: probabilities)
    (reading,) = reader.read(noise())
    assert (reading.text, reading.scores) == ("", ())
    assert reading.confidence == pytest.approx(0.8)


def test_nan_is_no_confidence(reader, monkeypatch):
    decoder = reader._inferencer.model.decoder
    probabilities = torch.full((1, 26, decoder.dictionary.num_classes), torch.nan)
    monkeypatch.setattr(decoder, "forward_test", lambda *args: probabilities)
    (reading,) = reader.read(noise())
    assert reading.text and set(reading.scores) == {0.0}
    assert reading.confidence == 0


def test_without_word_score_confidence_is_the_product(reader, monkeypatch):
    postprocessor = reader._inferencer.model.decoder.postprocessor
    monkeypatch.setattr(
        type(postprocessor),
        "__call__",
        lambda self, probs, samples: super(type(self), self).__call__(probs, samples),
    )
    (reading,) = reader.read(noise())
    assert len(reading.scores) > 1
    assert reading.confidence == pytest.approx(math.prod(reading.scores))


def test_attention_and_boxes_belong_to_the_text(toy, words, reader):
    looking = WordReader(toy[1], device="cpu", attention=True, boxes=True)
    for reading, blind in zip(looking.read(words), reader.read(words), strict=True):
        assert reading.text == blind.text
        assert reading.attention.stage_texts[-1] == reading.text
        assert reading.boxes.shape == (len(reading.text), 4)
        assert (reading.boxes >= 0).all() and (reading.boxes <= (60, 20, 60, 20)).all()
    only_boxes = WordReader(toy[1], device="cpu", boxes=True).read(words[0])[0]
    assert only_boxes.attention is only_boxes.image is None and only_boxes.boxes is not None


def test_boxes_are_those_of_the_last_stage(toy, monkeypatch):
    """Stages may read words of different lengths."""
    sample = TextRecogDataSample()
    sample.pred_text = LabelData(item="abc", score=[1.0] * 3, word_score=1.0)
    sample.pred_attention = LabelData(
        attn_maps=np.full((3, 6, 4, 10), 1 / 40, np.float32), stage_texts=["a", "ab", "abc"]
    )
    looking = WordReader(toy[1], device="cpu", boxes=True)
    monkeypatch.setattr(looking, "_samples", lambda images: [sample])
    assert looking.read(noise())[0].boxes.shape == (3, 4)


@pytest.mark.parametrize(("tta", "text"), [(True, "flat"), (False, "high")])
def test_low_confidence_words_are_read_with_tta(toy, monkeypatch, tta, text):
    def samples(images):
        found = []
        for high in (image.shape[0] > image.shape[1] for image in images):
            found.append(TextRecogDataSample())
            found[-1].pred_text = LabelData(
                item="high" if high else "flat", score=[1.0] * 4, word_score=0.1 if high else 0.9
            )
        return found

    looking = WordReader(toy[1], device="cpu", tta=tta)
    monkeypatch.setattr(looking, "_samples", samples)
    readings = looking.read([noise(60, 20), "gone.png", noise(20, 60)])
    assert [reading.text for reading in readings] == [text, None, "flat"]
    assert readings[0].confidence == (0.9 if tta else 0.1)


def centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_attention_and_boxes_belong_to_the_view_that_was_read(toy):
    """With random weights, some view is read more confidently than the given image."""
    looking = WordReader(toy[1], device="cpu", attention=True, boxes=True)
    once = WordReader(toy[1], device="cpu", tta=False)
    images = [noise(20, 60, seed=seed) for seed in range(4)]
    readings = looking.read(images)
    assert any(reading.image.shape != (20, 60, 3) for reading in readings)
    for reading, image in zip(readings, images, strict=True):
        assert reading.attention.stage_texts[-1] == reading.text
        taken = (look.look(image) for look in (WordLook(), *LOOKS))
        matrix = next(m for seen, m in taken if np.array_equal(seen, reading.image))
        shown = character_boxes(
            reading.attention.attn_maps, len(reading.text), reading.image.shape[:2]
        )
        expected = (centres(shown) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        whole = ((expected > 8) & (expected < (52, 12))).all(axis=1)  # boxes that are not clipped
        assert centres(reading.boxes)[whole] == pytest.approx(expected[whole], abs=0.51)
        assert (reading.boxes >= 0).all() and (reading.boxes <= (60, 20, 60, 20)).all()
        (again,) = once.read(reading.image)
        assert again.text == reading.text
        assert again.confidence == pytest.approx(reading.confidence, rel=1e-4)


def test_attention_covers_padding_but_boxes_do_not(toy):
    """They are those of an image that was padded beforehand."""
    config = Config.fromfile(toy[0])
    plain = WordReader(toy[1], config, device="cpu", attention=True, boxes=True, tta=False)
    height, width = config.model.encoder.img_size
    padded_config = padding_config(config)
    padding = WordReader(toy[1], padded_config, device="cpu", attention=True, boxes=True, tta=False)
    word = noise(height, width // 2)
    padded = np.concatenate([word, np.zeros_like(word)], axis=1)
    (found,), (expected,) = padding.read(word), plain.read(padded)
    assert found.text == expected.text and len(found.text) > 2
    np.testing.assert_array_equal(found.image, padded)
    np.testing.assert_allclose(
        found.boxes, np.minimum(expected.boxes, (width // 2, height) * 2), atol=1e-3
    )


def test_very_long_images_are_read_with_the_others(toy):
    once = WordReader(toy[1], device="cpu", tta=False)
    long = noise(1, 200_000)
    assert once.read(long)[0].confidence < SURE, "so there are other looks"
    readings = WordReader(toy[1], device="cpu").read(
        [long, noise(), long[:, :30000].swapaxes(0, 1)]
    )
    assert [reading.error for reading in readings] == [None] * 3


def test_deployed_model_reads_the_same(toy, words, reader):
    deployed = WordReader(toy[1], device="cpu", deploy="fp32")
    assert type(deployed._inferencer.model).__name__ == "DeployedLPV"
    texts = [r.text for r in reader.read(words)]
    assert [r.text for r in deployed.read(words)] == texts
    read = lpv_mmocr.read(words, weights=toy[1], device="cpu", deploy="fp32")
    assert [r.text for r in read] == texts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(batch_size=0), "batch_size must be at least 1, got 0"),
        (dict(deploy="int4"), "deploy must be one of fp32, bf16, fp16, got 'int4'"),
        (dict(deploy="fp32", boxes=True), "keeps no attention"),
        (dict(deploy="fp32", attention=True), "keeps no attention"),
        (dict(device="gpu"), "the device 'gpu' cannot be used"),
        (dict(device="meta"), "the device 'meta' cannot be used"),
        (dict(device="cuda:99"), "the device 'cuda:99' cannot be used"),
    ],
)
def test_invalid_options_are_refused(toy, options, message):
    with pytest.raises(ValueError, match=message):
        WordReader(toy[1], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, None),
        (dict(attention=True), "CRNNDecoder has no attention to show .* CPADecoder has"),
        (dict(boxes=True), "CRNNDecoder has no attention .* to take boxes from"),
        (
            dict(deploy="fp32"),
            r"only an LPV with a CPADecoder .* got CRNN with CRNNDecoder",
        ),
    ],
)
def test_mmocr_models_only_read(tmp_path, options, message):
    config = Config.fromfile("mmocr::textrecog/crnn/crnn_mini-vgg_5e_mj.py")
    init_default_scope("mmocr")
    weights = tmp_path / "crnn.pth"
    state = MODELS.build(config.model).state_dict()
    torch.save(dict(state_dict=state, meta=dict(cfg=config.pretty_text)), weights)
    if message is None:
        assert isinstance(WordReader(weights, device="cpu").read(noise())[0].text, str)
    else:
        with pytest.raises(ValueError, match=message):
            WordReader(weights, device="cpu", **options)


def test_boxes_are_refused_with_a_rectifier(toy):
    config = Config.fromfile(toy[0])
    stn = dict(resized_image_size=(32, 64), output_image_size=config.model.encoder.img_size)
    config.model.preprocessor = dict(type="STN", in_channels=3, num_control_points=20, **stn)
    weights = MODELS.build(config.model).state_dict()
    checkpoint = toy[1].with_name("rectified.pth")
    torch.save(dict(state_dict=weights, meta=dict(cfg=config.pretty_text)), checkpoint)
    with pytest.raises(ValueError, match="STN warps images before they are read"):
        WordReader(checkpoint, config, device="cpu", boxes=True)
    assert WordReader(checkpoint, config, device="cpu").read(noise())[0].error is None


def test_config_may_be_given_with_the_weights(toy, words, reader):
    config, checkpoint = toy
    for given in (config, str(config)):
        readings = WordReader(checkpoint, given, device="cpu").read(words)
        assert [r.text for r in readings] == [r.text for r in reader.read(words)]
    with pytest.raises(FileNotFoundError, match=r"there is no config file gone\.py"):
        WordReader(checkpoint, "gone.py")
    with pytest.raises(ValueError, match=r"the config .*word0\.png cannot be read"):
        WordReader(checkpoint, words[0])
    with pytest.raises(ValueError, match=r"the config .* is a folder; give the file \(\.py\)"):
        WordReader(checkpoint, config.parent)
    with pytest.raises(ValueError, match=r"the config nowhere::gone\.py cannot be read"):
        WordReader(checkpoint, "nowhere::gone.py")
    scope_path = "lpv_mmocr::textrecog/lpv/lpv-toy_digits.py"
    assert WordReader(checkpoint, scope_path, device="cpu").read(words)[0].error is None


def test_weights_without_a_config_say_what_to_do(toy, tmp_path):
    weights = tmp_path / "bare.pth"
    save_checkpoint(dict(state_dict=torch.load(toy[1])["state_dict"]), str(weights))
    with pytest.raises(ValueError, match=r"bare\.pth has no config inside, .*: name one with"):
        WordReader(weights)
    assert WordReader(weights, toy[0], device="cpu").read(noise())[0].error is None


def test_weights_of_another_model_are_refused(toy):
    tiny = ROOT / "configs/textrecog/lpv/lpv-tiny_own_data.py"
    with pytest.raises(ValueError, match=r"toy\.pth do not fit the config .*tiny_own_data") as info:
        WordReader(toy[1], tiny, device="cpu")
    assert "\n" not in str(info.value) and len(str(info.value)) < 700


def test_weights_of_other_shapes_are_refused(toy, tmp_path):
    config = tmp_path / "other.py"
    config.write_text(
        f"_base_ = {str(toy[0])!r}\n"
        'model = dict(decoder=dict(dictionary=dict(characters="01234567")))\n'
    )
    with pytest.raises(ValueError, match=r"toy\.pth do not fit the config .* has the shape \("):
        WordReader(toy[1], config, device="cpu")


def test_read_function_uses_weights_and_options(toy, words, reader, monkeypatch):
    assert lpv_mmocr.read is read
    expected = [r.text for r in reader.read(words)]
    assert [r.text for r in read(words, weights=toy[1], device="cpu")] == expected
    monkeypatch.setenv("LPV_WEIGHTS", str(toy[1]))
    (reading,) = read(words[0], device="cpu", boxes=True, attention=True, batch_size=1)
    assert (reading.text, reading.source) == (expected[0], words[0])
    assert reading.boxes is not None and reading.attention is not None


def test_importing_the_package_does_not_import_reading():
    code = (
        "import sys, lpv_mmocr; assert 'lpv_mmocr.reading' not in sys.modules;"
        "lpv_mmocr.read; assert not hasattr(lpv_mmocr, 'raed')"
    )
    output_of(code)


def test_concurrent_loading_restores_standard_output(capsys):
    before = sys.stdout

    def load(seconds: float) -> None:
        with _silent_on_loading():
            print("Loads checkpoint by local backend")
            time.sleep(seconds)

    with ThreadPoolExecutor() as threads:
        list(threads.map(load, (0.05, 0.1)))
    assert sys.stdout is before
    assert capsys.readouterr().out == ""


def test_reading_is_converted_to_plain_data():
    boxes = np.array([[0.04, 1, 2.26, 3], [4, 5, 6, 7]], np.float32)
    reading = Reading("a.png", "ab", 1.23456789e-9, (0.98765432, 1.0), boxes)
    assert reading.to_dict() == {
        "path": "a.png",
        "text": "ab",
        "confidence": 1.23457e-9,
        "scores": [0.987654, 1.0],
        "boxes": [[0.0, 1.0, 2.3, 3.0], [4.0, 5.0, 6.0, 7.0]],
        "error": None,
    }
    assert "boxes" not in Reading("a.png", error="why").to_dict()
