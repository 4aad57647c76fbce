from __future__ import annotations

from dataclasses import replace

from lpv_mmocr.demo import answer as module
from lpv_mmocr.demo.answer import Answer, answer
from lpv_mmocr.reading import WordReader
from lpv_mmocr.visualization import draw_attention

import cv2
import numpy as np
import pytest
from apis.inference_cases import noise, padding_config, write_toy
from mmengine.config import Config
from reading.test_load_image import png_header


def test_answer_has_text_and_scores_of_the_reading(reader, tmp_path):
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    said = answer(reader, str(tmp_path / "word.png"))
    (reading,) = reader.read(noise())
    assert said.text == reading.text
    assert said.confidence == f"{100 * reading.confidence:.1f}%"
    assert "".join(row[1] for row in said.characters) == reading.text
    assert [row[2] for row in said.characters] == [f"{100 * s:.1f}%" for s in reading.scores]
    assert said.attention.dtype == np.uint8 and said.attention.shape[2] == 3


@pytest.mark.parametrize("seed", range(6))
def test_attention_is_drawn_on_the_view_that_was_read(reader, tmp_path, seed):
    """With random weights, some images are read most confidently in another view."""
    given = noise(seed=seed)
    cv2.imwrite(str(tmp_path / "word.png"), given)
    said = answer(reader, str(tmp_path / "word.png"))
    (reading,) = reader.read(given)
    drawn = draw_attention(reading.image[..., ::-1], reading.attention)
    assert np.array_equal(said.attention, drawn)
    if not reading.text:
        assert said.message == "The model reads no character in this image."
    elif reading.image.shape == given.shape:
        assert said.message == ""
    else:
        assert "most confidently when rotated, sheared or cropped" in said.message


def test_padding_is_not_reported_as_another_view(tmp_path):
    config_path, checkpoint = write_toy(tmp_path)
    config = padding_config(Config.fromfile(config_path))
    padding = WordReader(checkpoint, config, device="cpu", attention=True, tta=False)
    height, width = config.model.encoder.img_size
    cv2.imwrite(str(tmp_path / "word.png"), noise(height, width // 2))
    said = answer(padding, str(tmp_path / "word.png"))
    assert said.text and said.message == ""


def test_noise_images_are_read_in_both_kinds_of_views(reader):
    readings = [reader.read(noise(seed=seed))[0] for seed in range(6)]
    as_given = [reading.image.shape == noise().shape for reading in readings if reading.text]
    assert {True, False} == set(as_given)


def test_no_image_gives_an_empty_answer(reader):
    assert answer(reader, None) == Answer()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "it is not an image, or one of unknown or damaged format"),
        (b"", "the file is empty"),
        (png_header(40_000, 40_000), "it has too many pixels; 25 million are allowed"),
        (png_header(6_000, 6_000), "it has too many pixels; 25 million are allowed"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n", "it is not an image"),
    ],
)
def test_unreadable_file_gets_only_a_message(reader, tmp_path, content, reason):
    (tmp_path / "word.png").write_bytes(content)
    said = answer(reader, str(tmp_path / "word.png"))
    assert said.message.startswith(f"This file cannot be read: {reason}")
    assert str(tmp_path) not in said.message
    assert said == Answer(message=said.message)


def test_empty_text_says_so(reader, tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    (reading,) = reader.read(noise())
    attention = reading.attention.clone()
    attention.stage_texts = [*attention.stage_texts[:-1], ""]
    empty = replace(reading, text="", confidence=0.5, scores=(), attention=attention)
    monkeypatch.setattr(reader, "read", lambda image: [empty])
    said = answer(reader, str(tmp_path / "word.png"))
    assert said.message == "The model reads no character in this image."
    assert (said.text, said.confidence, said.characters) == ("", "50.0%", [])


def test_class_of_several_letters_is_one_character(reader, tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "word.png"), noise())
    (reading,) = reader.read(noise())
    attention = reading.attention.clone()
    attention.stage_texts = [*attention.stage_texts[:-1], "a\ufffd"]
    unknown = replace(reading, text="a<UKN>", scores=(0.5, 0.25), attention=attention)
    monkeypatch.setattr(reader, "read", lambda image: [unknown])
    said = answer(reader, str(tmp_path / "word.png"))
    assert said.text == "a<UKN>"
    assert said.characters == [["1", "a", "50.0%"], ["2", "\ufffd", "25.0%"]]


def test_pixel_limit_allows_photos_of_phones():
    assert 4000 * 6000 <= module.MAX_PIXELS <= 5000 * 6000
