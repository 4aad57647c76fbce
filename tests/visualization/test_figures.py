"""Tests of the attention figure, the relations and the strip of the cascade."""

from __future__ import annotations

from lpv_mmocr.evaluation import TextProtocol
from lpv_mmocr.visualization import (
    attention_figure,
    canvas,
    cascade_strip,
    draw_attention,
    draw_cascade_strip,
    draw_relations,
)
from lpv_mmocr.visualization.heat_maps import HeatScale, heat_over_word, letters_of
from lpv_mmocr.visualization.relation_figure import shown_relations

import numpy as np
import pytest
from PIL import Image

RED = np.array([0xC1, 0x12, 0x1F])


def red_pixels(figure: np.ndarray) -> int:
    return int((figure == RED).all(-1).sum())


@pytest.fixture
def drawn_text(monkeypatch):
    """Return the list of all texts drawn on the attention figure."""
    texts = []

    def note(pen, place, text, *args, **kwargs):
        texts.append(text)
        return 10.0

    def note_pieces(pen, pieces, *args):
        texts.append("".join(piece.text for piece in pieces))

    monkeypatch.setattr(attention_figure, "draw_text", note)
    monkeypatch.setattr(attention_figure, "draw_pieces", note_pieces)
    return texts


@pytest.mark.parametrize("length", [0, 1, 6, 25])
@pytest.mark.parametrize("size", [(30, 120), (120, 30), (20, 400), (8, 8)])
@pytest.mark.parametrize("gt_text", [None, "truth"])
def test_any_word_gives_a_figure_of_moderate_size(make_attention, length, size, gt_text):
    attention = make_attention(*["a" * length] * 3)
    image = np.full((*size, 3), 128, np.uint8)
    for figure in (
        draw_attention(image, attention, gt_text=gt_text),
        draw_cascade_strip(image, attention, gt_text=gt_text),
    ):
        assert figure.dtype == np.uint8
        assert figure.shape[2] == 3
        assert figure.shape[0] < 1100
        assert 500 < figure.shape[1] < 1600
    relations = draw_relations(attention)
    assert relations.dtype == np.uint8


def test_label_of_hundreds_of_characters_is_drawn(make_attention):
    """Data may contain such labels; their columns are narrower than a pixel."""
    image = np.full((32, 100, 3), 128, np.uint8)
    for draw in (draw_attention, draw_cascade_strip):
        assert draw(image, make_attention("a", "ab", "abc"), gt_text="x" * 500).shape[0] < 1100


def test_every_stage_and_character_has_its_caption(make_attention, word, drawn_text):
    draw_attention(word, make_attention("abd", "abc", ""), gt_text="axc")
    captions = [text for text in drawn_text if "%" in text]
    assert captions == [
        *("a 50%", "✗b 74% not x", "✗d 99% not c"),
        *("a 50%", "✗b 74% not x", "c 99%"),
        "end 50%",
    ]
    assert [text for text in drawn_text if text.startswith("Stage")] == [
        "Stage 1",
        "Stage 2",
        "Stage 3",
    ]
    assert "axc" in drawn_text


def test_strip_says_where_nothing_was_read(make_attention, word, monkeypatch):
    texts = []
    monkeypatch.setattr(cascade_strip, "draw_text", lambda *args, **kwargs: texts.append(args[2]))
    draw_cascade_strip(word, make_attention("ab", "", "ab"))
    assert texts.count("nothing read") == 1  # over the relations of the second GLRM


def test_only_wrong_characters_are_marked(make_attention, word):
    attention = make_attention("cat")
    right = red_pixels(draw_attention(word, attention, gt_text="Cat"))
    one = red_pixels(draw_attention(word, attention, gt_text="car"))
    all_wrong = red_pixels(draw_attention(word, attention, gt_text="dog"))
    assert right == red_pixels(draw_attention(word, attention)) == 0
    assert 500 < one < all_wrong


@pytest.mark.parametrize(
    ("top", "shown"),
    [(0.5, ["0.00", "0.12", "≥ 0.50"]), (0.0125, ["0", "0.0031", "≥ 0.013"])],
)
def test_small_weights_are_told_apart_on_the_scale(monkeypatch, top, shown):
    texts = []
    monkeypatch.setattr(canvas, "draw_text", lambda *args, **kwargs: texts.append(args[2]))
    canvas.draw_scales(Image.new("RGB", (500, 60)), None, (0, 0), {"one": HeatScale(top)})
    assert texts[1:4] == shown


def test_protocol_determines_the_verdict(make_attention, word, drawn_text):
    for protocol in (None, TextProtocol(case_sensitive=True)):
        draw_attention(word, make_attention("cat"), gt_text="Cat", protocol=protocol)
    verdicts = [text for text in drawn_text if text.startswith("cat  ")]
    assert verdicts == ["cat  ✓ right", "cat  ✗ wrong"]


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_heat_is_where_the_attention_is(place):
    weights = np.zeros((2, 20))
    weights[:, int(20 * place)] = 1.0
    letters = letters_of(np.zeros((30, 120, 3), np.uint8), (200, 50))
    heat = heat_over_word(letters, weights, HeatScale(1.0))
    columns = heat.astype(int).sum((0, 2))
    assert columns.argmax() == pytest.approx(200 * (int(20 * place) + 0.5) / 20, abs=6)


def test_heat_scale_grows_and_saturates():
    colours, shares = HeatScale(0.5).colour(np.array([0.0, 0.1, 0.3, 0.5, 0.9]))
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(luminance[:4]) > 0)
    assert shares[-2:].tolist() == [1.0, 1.0]
    assert (colours[-1] == colours[-2]).all()


def test_attention_that_is_not_a_number_is_dark():
    """A model that has diverged must not end a report."""
    maps = [np.full((2, 2), np.nan), np.array([[0.0, np.nan], [0.5, 0.1]])]
    scale = HeatScale.of(maps)
    assert 0 < scale.top <= 0.5
    assert scale.colour(maps[0])[1].max() == 0
    assert HeatScale.of(maps[:1]).colour(maps[0])[1].max() == 0


@pytest.mark.parametrize("ground", [0, 60, 255])
@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5, 1.0])
def test_colours_match_the_colour_bar_on_any_background(ground, weight):
    image = np.full((32, 100, 3), ground, np.uint8)
    image[8:24, 45:49] = 255 if ground < 128 else 0  # a stroke
    scale = HeatScale(1.0)
    heat = heat_over_word(letters_of(image, (200, 64)), np.full((2, 25), weight), scale).astype(int)
    colour = scale.colour(np.array(weight))[0]
    assert np.abs(heat[:, :60] - colour).max() <= 1
    stroke = heat[32, 94]
    luminance = [0.2126, 0.7152, 0.0722]
    assert abs((stroke - colour) @ luminance) > 25 or np.abs(stroke - colour).max() > 60


def test_light_and_dark_letters_look_alike():
    image = np.full((32, 100, 3), 255, np.uint8)
    image[8:24, 40:60] = 30
    drawn = [
        heat_over_word(letters_of(shown, (150, 48)), np.eye(4), HeatScale(0.8)).astype(int)
        for shown in (image, 255 - image)
    ]
    assert np.abs(drawn[0] - drawn[1]).max() <= 1


def test_uniform_image_has_no_letters():
    assert letters_of(np.full((20, 60, 3), 90, np.uint8), (120, 40)).max() == 0


def test_maps_of_a_very_wide_word_stay_visible(make_attention):
    layout = attention_figure._Layout.of((10, 3000), 25, False)
    assert layout.tile[1] == 20
    draw_attention(np.zeros((10, 3000, 3), np.uint8), make_attention("a" * 25))


def test_image_is_scaled_once_per_map_size(make_attention, word, monkeypatch):
    sizes = []

    def note(image, size):
        sizes.append(size)
        return letters_of(image, size)

    monkeypatch.setattr(attention_figure, "letters_of", note)
    draw_attention(word, make_attention(*["a" * 25] * 3))
    assert len(sizes) == 2


@pytest.mark.parametrize(
    ("text", "verdict", "title"),
    [("", "nothing  ✓ right", "end of the word"), ("a", "a  ✗ wrong", "sum of the characters")],
)
def test_empty_label_has_a_verdict_and_map_title(
    make_attention, word, drawn_text, text, verdict, title
):
    draw_attention(word, make_attention(text), gt_text="")
    assert {verdict, title} < set(drawn_text)
    assert ("sum of the characters" in drawn_text) == bool(text)


@pytest.mark.filterwarnings("error")  # NumPy only warns of a division by zero
def test_zero_maps_can_be_drawn(make_attention, word):
    attention = make_attention("ab")
    attention.attn_maps = np.zeros_like(attention.attn_maps)
    attention.relations = np.zeros((1, 27, 27), np.float32)
    attention.attn_maps, attention.stage_texts = attention.attn_maps.repeat(2, 0), ["ab"] * 2
    attention.stage_scores *= 2
    draw_attention(word, attention)
    draw_cascade_strip(word, attention)
    draw_relations(attention)


class TestRelations:
    def test_rows_are_normalised_over_shown_characters(self):
        relations = np.arange(16, dtype=np.float32).reshape(4, 4)
        relations[2, 1:3] = 0
        np.testing.assert_allclose(shown_relations(relations, 2), [[5 / 11, 6 / 11], [0, 0]])

    def test_brightest_cell_is_the_strongest_relation(self, make_attention):
        attention = make_attention("abcd", "abcd")
        attention.relations[:] = 0.01
        attention.relations[0, 2, 4] = 1.0  # the second row, the last column
        attention.relations[0, 1, 1:5] = attention.relations[0, 3:5, 1:5] = 0.01
        figure = draw_relations(attention).astype(int)
        yellow = np.argwhere(
            (figure[..., 0] > 240) & (figure[..., 1] > 240) & (figure[..., 2] < 190)
        )
        x, y = yellow[:, 1].mean(), yellow[:, 0].mean()
        side, left, top = 380, 46, 92
        assert (x - left) / side == pytest.approx(3.5 / 4, abs=0.05)
        assert (y - top) / side == pytest.approx(1.5 / 4, abs=0.05)

    def test_relations_need_a_glrm_but_the_strip_does_not(self, make_attention, word):
        attention = make_attention("abc")
        with pytest.raises(ValueError, match="no relations to draw: the model has no GLRM"):
            draw_relations(attention)
        assert draw_cascade_strip(word, attention).shape[1] > 300


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), np.zeros((0, 5, 3), np.uint8)],
)
@pytest.mark.parametrize("draw", [draw_attention, draw_cascade_strip])
def test_bad_images_are_refused(make_attention, draw, image):
    with pytest.raises(ValueError, match=r"image must be RGB uint8 of shape \(H, W, 3\), got"):
        draw(image, make_attention("a"))
