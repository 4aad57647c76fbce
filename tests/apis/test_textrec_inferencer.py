"""Tests of MMOCR's inferencer, used as in its documentation, with an LPV model."""

from __future__ import annotations

import json
from pathlib import Path

from lpv_mmocr.reading.inferencer import StrictInferencer

import cv2
import numpy as np
import pytest
import torch
from inference_cases import ROOT, noise
from mmengine.config import Config
from mmocr.apis import MMOCRInferencer, TextRecInferencer
from PIL import Image

QUIET = dict(progress_bar=False)


def predictions(reader, inputs, **options) -> list[dict]:
    return reader(inputs, **QUIET, **options)["predictions"]


def same(first: list[dict], second: list[dict]) -> bool:
    return [p["text"] for p in first] == [p["text"] for p in second] and np.allclose(
        [p["scores"] for p in first], [p["scores"] for p in second], atol=1e-5
    )


@pytest.fixture
def folder(tmp_path):
    """Folder of three images, which the toy must read differently."""
    for number in range(3):
        image = np.full((20, 60, 3), 40, np.uint8)
        image[:, 10 * number : 20 + 15 * number] = (250, 40 * number, 9)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    return tmp_path


def paths(folder: Path) -> list[str]:
    return [str(folder / f"{number}.png") for number in range(3)]


def test_checkpoint_contains_its_config(toy, reader, folder):
    config, checkpoint = map(str, toy)
    by_both = TextRecInferencer(config, checkpoint, device="cpu")
    answers = predictions(reader, paths(folder))
    assert same(answers, predictions(by_both, paths(folder)))
    assert len({round(answer["scores"], 6) for answer in answers}) == 3
    assert all(0 < answer["scores"] <= 1 for answer in answers)


def test_deployed_model_reads_the_same(reader, folder, monkeypatch):
    plain = predictions(reader, paths(folder))
    monkeypatch.setattr(reader, "model", reader.model.to_deploy(dtype=torch.float32))
    assert same(plain, predictions(reader, paths(folder)))


def test_weights_of_another_model_are_refused(toy, capfd):
    config = ROOT / "configs" / "textrecog" / "lpv" / "lpv-tiny_stage2_10e_st_mj.py"
    with pytest.raises(ValueError, match="Use the config that it was trained with") as error:
        TextRecInferencer(str(config), str(toy[1]), device="cpu")
    assert str(error.value).startswith("The checkpoint is not of this model: ")
    assert "size mismatch" not in capfd.readouterr().out


@pytest.mark.parametrize("kind", [TextRecInferencer, StrictInferencer])
@pytest.mark.parametrize("recogniser", ["LPV", "EncoderDecoderRecognizer"])
def test_mask_of_another_config_is_reported(toy, tmp_path, recwarn, kind, recogniser):
    config = tmp_path / "toy.py"
    config.write_text(f"_base_ = {str(toy[0])!r}\nmodel = dict(type={recogniser!r})\n")
    checkpoint = torch.load(toy[1], weights_only=True)
    mask = Config.fromfile(toy[0]).model.decoder.get("with_mask", False)
    checkpoint["meta"]["cfg"] = f"model = dict(decoder=dict(with_mask={not mask}))"
    torch.save(checkpoint, tmp_path / "other.pth")
    for weights, expected in ((toy[1], 0), (tmp_path / "other.pth", 1)):
        kind(str(config), str(weights), device="cpu")
        told = [str(warning.message) for warning in recwarn.list]
        advice = f"To match it, set model.decoder.with_mask={not mask}"
        assert sum(advice in message for message in told) == expected


def test_config_alone_warns_of_random_weights(toy):
    with pytest.warns(UserWarning, match="randomly initialized"):
        TextRecInferencer(str(toy[0]), device="cpu")


def test_config_is_found_by_its_scope():
    if not (ROOT / "lpv_mmocr" / ".mim").exists():
        pytest.skip("the package is not installed: pip install -e .")
    name = "lpv_mmocr::textrecog/lpv/lpv-toy_digits.py"
    reader = TextRecInferencer(name, device="cpu")
    assert type(reader.model).__name__ == "LPV"
    assert len(predictions(reader, noise())) == 1
    with pytest.raises(FileNotFoundError, match="no-such"):
        TextRecInferencer("lpv_mmocr::textrecog/lpv/no-such.py", device="cpu")


def test_names_of_mmocrs_zoo_still_work(monkeypatch):
    loaded = []
    monkeypatch.setattr(
        TextRecInferencer, "_init_model", lambda *a, **k: loaded.append(a[2]) or torch.nn.Identity()
    )
    TextRecInferencer("svtr-small", device="cpu")
    assert loaded[0].endswith("svtr-small_20e_st_mj-35d800d6.pth")
    with pytest.raises(ValueError, match="Cannot find model: lpv-huge"):
        TextRecInferencer("lpv-huge", device="cpu")


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_all_kinds_of_input_are_read_the_same(reader, folder, batch_size):
    by_path = [predictions(reader, path)[0] for path in paths(folder)]
    arrays = [cv2.imread(path) for path in paths(folder)]
    options = dict(batch_size=batch_size)
    assert same(by_path, predictions(reader, paths(folder), **options))
    assert same(by_path, predictions(reader, arrays, **options))
    mixed = [paths(folder)[0], arrays[1], paths(folder)[2]]
    assert same(by_path, predictions(reader, mixed, **options))
    found = predictions(reader, str(folder), **options)
    assert sorted(p["scores"] for p in found) == pytest.approx(
        sorted(p["scores"] for p in by_path), abs=1e-5
    )


def test_predictions_and_visualisations_are_written(reader, folder, tmp_path):
    out = tmp_path / "out"
    options = dict(out_dir=str(out), save_vis=True, save_pred=True, return_vis=True)
    results = reader([*paths(folder), noise()], **options, **QUIET)
    first = reader.num_unnamed_imgs - 1  # MMOCR counts arrays over all calls
    for name, answer in zip(["0", "1", "2", f"{first}"], results["predictions"], strict=True):
        assert json.loads((out / "preds" / f"{name}.json").read_text()) == answer
        # The word, with the reading below it.
        assert cv2.imread(str(out / "vis" / f"{name}.jpg")).shape == (128, 192, 3)
    assert [image.shape for image in results["visualization"]] == [(128, 192, 3)] * 4


def test_data_samples_have_scores_and_path(reader, folder):
    (sample,) = reader(paths(folder)[0], return_datasamples=True, **QUIET)["predictions"]
    assert len(sample.pred_text.score) == max(len(sample.pred_text.item), 1)
    assert 0 < sample.pred_text.word_score <= 1
    assert sample.img_path == paths(folder)[0]


def test_empty_text_has_a_score(reader, monkeypatch):
    """MMOCR averages the scores of the characters, of which there are none."""
    decoder = reader.model.decoder
    probabilities = torch.full((1, 26, decoder.dictionary.num_classes), 0.01)
    probabilities[..., decoder.dictionary.end_idx] = 0.8
    monkeypatch.setattr(decoder, "forward_test", lambda *args: probabilities)
    assert predictions(reader, noise()) == [dict(text="", scores=pytest.approx(0.8))]


# Unusual inputs.

GREY = noise(channels=0)
ODD_ARRAYS = {
    "grey": (GREY, cv2.merge([GREY] * 3)),
    "grey with an axis": (GREY[..., None], cv2.merge([GREY] * 3)),
    "alpha": (noise(channels=4), noise(channels=4)[..., :3]),
    "16 bits": (noise().astype(np.uint16) * 257, noise()),
    "not contiguous": (noise()[::-1, ::-1], noise()[::-1, ::-1].copy()),
    "read-only": (np.broadcast_to(np.uint8(7), (9, 30, 3)), np.full((9, 30, 3), 7, np.uint8)),
}


@pytest.mark.parametrize("name", ODD_ARRAYS)
def test_odd_array_is_read_like_a_plain_one(reader, name):
    odd, plain = ODD_ARRAYS[name]
    assert same(predictions(reader, odd), predictions(reader, plain))


@pytest.mark.parametrize("name", [*ODD_ARRAYS, "16 bits, grey"])
def test_odd_array_is_drawn_like_a_plain_one(reader, name):
    deep_grey = (GREY.astype(np.uint16) * 257, cv2.merge([GREY] * 3))
    odd, plain = ODD_ARRAYS.get(name, deep_grey)
    drawn, expected = reader([odd, plain], return_vis=True, **QUIET)["visualization"]
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("size", [(1, 1), (20, 5000), (5000, 20), (1, 300), (300, 1)])
def test_file_and_array_of_odd_size_are_read_the_same(reader, size, tmp_path):
    image = noise(*size)
    cv2.imwrite(str(tmp_path / "odd.png"), image)
    answers = predictions(reader, [str(tmp_path / "odd.png"), image])
    assert same(answers[:1], answers[1:])


@pytest.mark.parametrize(
    ("image", "plain"),
    [
        (GREY, cv2.merge([GREY] * 3)),
        (noise(channels=4), noise(channels=4)[..., :3]),
        (noise().astype(np.uint16) * 257, noise()),
        (GREY.astype(np.uint16) * 257, cv2.merge([GREY] * 3)),
    ],
    ids=["grey", "alpha", "16 bits", "16 bits grey"],
)
def test_odd_file_is_read_like_a_plain_one(reader, image, plain, tmp_path):
    cv2.imwrite(str(tmp_path / "odd.png"), image)
    answers = predictions(reader, [str(tmp_path / "odd.png"), plain])
    assert same(answers[:1], answers[1:])


def test_exif_orientation_is_followed(reader, tmp_path):
    upright = noise(20, 60)
    image = Image.fromarray(np.rot90(upright)[..., ::-1])
    tags = image.getexif()
    tags[0x0112] = 6  # stored rotated; viewers turn it clockwise
    image.save(tmp_path / "turned.tiff")
    image.save(tmp_path / "turned.png", exif=tags)
    turned, as_stored = predictions(
        reader, [str(tmp_path / f"turned.{e}") for e in ("png", "tiff")]
    )
    assert same([turned], predictions(reader, upright))
    assert not same([as_stored], predictions(reader, upright))


def test_unreadable_files_do_not_stop_the_others(reader, folder):
    (folder / "noise.png").write_bytes(b"not an image")
    (folder / "nothing.png").write_bytes(b"")
    first, second, third = paths(folder)
    inputs = [first, str(folder / "noise.png"), second, str(folder / "nothing.png"), third]
    answers = predictions(reader, inputs, batch_size=2)
    assert len(answers) == 5
    assert same(answers[::2], predictions(reader, paths(folder)))
    assert answers[1] == answers[3] == dict(text="", scores=0.0)


def test_unreadable_files_are_drawn_blank(reader, folder, tmp_path):
    (folder / "noise.png").write_bytes(b"not an image")
    inputs = [*paths(folder), str(folder / "noise.png")]
    options = dict(batch_size=2, return_vis=True, save_vis=True, out_dir=str(tmp_path / "out"))
    results = reader(inputs, **options, **QUIET)
    assert [p["text"] for p in results["predictions"]][-1] == ""
    blank = results["visualization"][-1]
    assert (blank[:32, :100] == blank[0, 0]).all()
    drawn = sorted(path.name for path in (tmp_path / "out/vis").iterdir())
    assert drawn == ["0.jpg", "1.jpg", "2.jpg", "noise.jpg"]


def test_missing_file_is_named(reader, folder):
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        reader([*paths(folder), str(folder / "no-such-file.png")], **QUIET)


def test_mmocrinferencer_draws_all_kinds_of_images(toy, folder):
    config, checkpoint = map(str, toy)
    ocr = MMOCRInferencer(rec=config, rec_weights=checkpoint, device="cpu")
    inputs = [paths(folder)[0], GREY, noise(channels=4)]
    images = ocr(inputs, return_vis=True)["visualization"]
    assert [image.shape for image in images] == [(128, 192, 3)] * 3


def test_mmocrinferencer_reads_the_same(toy, reader, folder):
    config, checkpoint = map(str, toy)
    ocr = MMOCRInferencer(rec=config, rec_weights=checkpoint, device="cpu")
    answers = ocr(paths(folder), batch_size=3)["predictions"]
    assert [a["rec_texts"] for a in answers] == [
        [p["text"]] for p in predictions(reader, paths(folder))
    ]
