"""Tests of ``tools/visualizations/draw_attention.py``."""

from __future__ import annotations

from types import SimpleNamespace

from lpv_mmocr.reading import Reading

import cv2
import numpy as np
import pytest
from apis.inference_cases import noise, padding_config
from mmengine.config import Config
from mmengine.structures import LabelData
from PIL import Image


@pytest.fixture
def tool(load_tool):
    return load_tool("visualizations/draw_attention.py")


@pytest.fixture
def word(tmp_path):
    cv2.imwrite(str(tmp_path / "word.png"), np.full((30, 90, 3), 200, np.uint8))
    return tmp_path / "word.png"


@pytest.mark.parametrize("what", ["attention", "relations", "strip"])
def test_each_kind_of_figure_is_written(tool, toy_run, word, tmp_path, capsys, what):
    out = tmp_path / "new" / f"{what}.png"
    arguments = [toy_run / "iter_4.pth", word, "--what", what, "--truth", "12", "--out", out]
    assert tool.main([*map(str, arguments), "--device", "cpu"]) == 0
    assert cv2.imread(str(out)).shape[0] > 100
    assert f"{out}: stages read '" in capsys.readouterr().out


def test_attention_is_drawn_over_the_padded_word(
    tool, toy_run, toy_config, toy_data, tmp_path, monkeypatch
):
    monkeypatch.setenv("LPV_TOY_DATA", str(toy_data))
    config = padding_config(Config.fromfile(toy_config))
    config.dump(tmp_path / "padding.py")
    height, width = config.model.encoder.img_size
    word = noise(height, width // 2)
    cv2.imwrite(str(tmp_path / "word.png"), word)
    drawn = []
    monkeypatch.setattr(tool, "draw_attention", lambda image, *_, **__: drawn.append(image) or word)
    arguments = [toy_run / "iter_4.pth", tmp_path / "word.png", "--config", tmp_path / "padding.py"]
    assert tool.main([*map(str, arguments), "--out", str(tmp_path / "out.png")]) == 0
    padded = np.concatenate([word, np.zeros_like(word)], axis=1)
    np.testing.assert_array_equal(drawn[0], padded[..., ::-1])


def test_word_is_loaded_upright_and_with_8_bits(tool, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be rotated by 90 degrees
    Image.new("RGB", (40, 20), "red").save(tmp_path / "turned.png", exif=exif)
    turned = tool.load_word(str(tmp_path / "turned.png"))
    assert turned.shape == (40, 20, 3)
    assert turned[0, 0].tolist() == [0, 0, 255]
    values = np.full((20, 40), 0x80FF, np.uint16)
    cv2.imwrite(str(tmp_path / "wide.png"), values)
    assert (tool.load_word(str(tmp_path / "wide.png")) == 0x80).all()


def test_rendered_word_is_one_that_later_stages_correct(tool, monkeypatch):
    """Pick the first word that only later stages read, or else the first that is read."""
    readings = [["x", "y", "z"], ["one", "one", "one"], ["oen", "one", "one"]]
    args = SimpleNamespace(seed=0, count=3, charset="lower", min_length=3, max_length=3)
    texts = []

    def read(images):
        return [
            Reading(
                int(image[0, 0, 0]),
                attention=LabelData(stage_texts=[text.replace("one", label) for text in stages]),
            )
            for image, stages, label in zip(images, readings, texts, strict=False)
        ]

    def renderer(seed, number):
        texts.append("abc"[number] * 3)
        return SimpleNamespace(image=np.full((1, 1, 3), number), label=texts[-1])

    def rendered_word():
        reading, label = tool.rendered_word(SimpleNamespace(read=read), args)
        return reading.source, label

    monkeypatch.setattr(
        tool, "RenderedWordDataset", lambda **options: SimpleNamespace(renderer=renderer)
    )
    assert rendered_word() == (2, "ccc")
    texts.clear()
    readings[:] = [["x"], ["one"]]  # of a model with one stage
    args.count = 2
    assert rendered_word() == (1, "bbb")
    texts.clear()
    args.count = 1
    with pytest.raises(ValueError, match="the model reads none of 1 rendered words"):
        rendered_word()


def test_bad_input_is_rejected(tool, toy_run, tmp_path, capsys):
    (tmp_path / "bad.png").write_text("no image")
    Image.new("1", (20000, 20000)).save(tmp_path / "huge.png")
    checkpoint = str(toy_run / "iter_4.pth")
    for arguments, message in (
        (["gone.pth"], "error: there is no checkpoint gone.pth"),
        ([checkpoint, "gone.png"], "error: there is no image gone.png"),
        ([checkpoint, str(tmp_path / "bad.png")], "bad.png is not an image that can be read"),
        (
            [checkpoint, str(tmp_path / "huge.png")],
            "huge.png is not an image that can be read: it ha",
        ),
        ([checkpoint, "word.png", "--exact"], "--exact goes with --truth"),
        ([checkpoint, "--truth", "abc"], "--truth is the text of an image: name one"),
    ):
        with pytest.raises(SystemExit, match="2"):
            tool.main(arguments)
        assert message in capsys.readouterr().err
