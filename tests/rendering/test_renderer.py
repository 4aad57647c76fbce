from __future__ import annotations

import io
import string
from dataclasses import replace

from lpv_mmocr.rendering import FontLibrary, RenderConfig, TextSampler, WordList, WordRenderer
from lpv_mmocr.rendering.degradation import _as_bytes, decode_jpeg, encode_jpeg
from lpv_mmocr.rendering.font_discovery import matplotlib_font_folder
from lpv_mmocr.rendering.visibility import text_visibility

import cv2
import numpy as np
import pytest
from PIL import Image

COUNT = 120


@pytest.fixture(scope="module")
def words(make_renderer):
    renderer = make_renderer()
    return [renderer(3, index) for index in range(COUNT)]


def test_images_are_rgb_and_aligned_with_their_masks(words):
    for word in words:
        image = word.image
        assert image.dtype == np.uint8
        assert image.shape == (*word.mask.shape, 3)
        assert min(image.shape[:2]) >= 6
        assert 1 <= len(word.label) <= 25


def test_capitals_of_a_font_without_small_letters_must_be_in_the_charset(
    make_renderer, monkeypatch
):
    renderer = make_renderer(charset=string.ascii_lowercase)
    pick = renderer.fonts.pick

    def pick_capitals(rng, text):
        face = pick(rng, text)
        return replace(face, verdict=replace(face.verdict, only_case="upper"))

    monkeypatch.setattr(renderer.fonts, "pick", pick_capitals)
    assert renderer._choose_text(np.random.default_rng(0)) is None


def test_overshoot_below_black_is_black():
    assert _as_bytes(np.full((2, 2, 3), -50, np.float32)).max() == 0


def test_jpeg_has_the_colours_of_the_image():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 255  # red in RGB
    data = encode_jpeg(image, 95)
    red, green, blue = np.asarray(Image.open(io.BytesIO(data))).mean((0, 1))
    assert red > 250 and green < 5 and blue < 5
    np.testing.assert_allclose(decode_jpeg(data), image, atol=5)


def test_every_label_can_be_seen_in_the_finished_image(words):
    """Measured on the decoded JPEG; the renderer itself checks before compression."""
    for word in words:
        assert word.mask.max() > 60
        contrast, likeness = text_visibility(word.image, word.mask, len(word.label))
        assert np.median(contrast) > 0.7 * RenderConfig().min_contrast, word.label
        assert np.median(likeness) > 0.25, word.label


def test_images_differ_in_size_colour_and_sharpness(words):
    heights = {word.mask.shape[0] for word in words}
    means = np.array([word.image.mean() for word in words])
    sharpness = [cv2.Laplacian(word.image, cv2.CV_32F).std() for word in words]
    assert len(heights) > 20
    assert means.std() > 25
    assert max(sharpness) > 5 * min(sharpness)
    darker_text = [
        word.image[word.mask > 128].mean() < word.image[word.mask < 32].mean()
        for word in words
        if (word.mask > 128).any() and (word.mask < 32).any()
    ]
    assert 0.25 < np.mean(darker_text) < 0.75


def test_an_image_depends_on_seed_and_number_alone(make_renderer, words):
    again = make_renderer()
    for index in (40, 7, 111):  # Another renderer, in another order.
        word = again(3, index)
        assert (word.jpeg, word.label) == (words[index].jpeg, words[index].label)
    assert again(4, 7).jpeg != words[7].jpeg


@pytest.mark.parametrize(
    "effect",
    [
        *("spacing", "jitter", "curve", "steep", "perspective", "cut", "neighbour", "photo"),
        *("plate", "faint", "gradient", "texture", "outline", "hollow", "shadow", "extrude"),
        *("emboss", "glow", "blend", "lighting", "exposure", "reflection", "shade", "occlusion"),
        *("blur", "motion", "lowres", "noise", "sharpen", "quarter_turn"),
    ],
)
def test_every_effect_changes_images_and_leaves_labels(make_renderer, effect):
    same = dict(low=4, high=8, min_contrast=1.0, text_height=(24.0, 32.0))
    same |= dict(clean_prob=0.0, plain_prob=0.0)
    plain = make_renderer("easy", **same, **{f"{effect}_prob": 0.0})
    changed = make_renderer("easy", **same, **{f"{effect}_prob": 1.0})
    assert any(plain(0, index).jpeg != changed(0, index).jpeg for index in range(4))
    assert [plain(0, index).label for index in range(4)] == [
        changed(0, index).label for index in range(4)
    ]


def test_charset_and_lengths_hold_for_labels(make_renderer):
    renderer = make_renderer("easy", charset=string.digits, high=4)
    labels = [renderer(0, index).label for index in range(60)]
    assert all(label.isdigit() and len(label) <= 4 for label in labels)


def test_only_fonts_that_show_the_text_are_used(make_renderer):
    renderer = make_renderer()
    coverage = {face.verdict.path: face for face in renderer.fonts.faces}
    for index in range(40):
        word = renderer(9, index)
        assert coverage[word.font].shows(word.label)


def test_characters_without_a_font_are_refused(fonts):
    texts = TextSampler(RenderConfig(), WordList(("出口",), (1.0,)), charset="ABC出口")
    with pytest.raises(ValueError, match="no font shows 2 of the 5 characters of the charset"):
        WordRenderer(fonts, texts)


def test_texts_that_no_single_font_shows_are_drawn_again(make_renderer, monkeypatch):
    renderer = make_renderer("easy", charset="ABQ", high=4)
    pick = FontLibrary.pick

    def split(library, rng, text):
        return None if {"A", "Q"} <= {*text} else pick(library, rng, text)

    monkeypatch.setattr(FontLibrary, "pick", split)
    labels = [renderer(0, index).label for index in range(40)]
    assert "A" in "".join(labels) and "Q" in "".join(labels)
    assert not any({"A", "Q"} <= {*label} for label in labels)


def test_few_drawable_words_are_enough(make_renderer, monkeypatch):
    renderer = make_renderer("easy", kinds={"word": 1.0}, charset=string.ascii_lowercase)
    pick = FontLibrary.pick

    def rarely(library, rng, text):
        return pick(library, rng, text) if "w" in text.lower() else None

    monkeypatch.setattr(FontLibrary, "pick", rarely)
    assert all("w" in renderer(0, index).label for index in range(100))


def test_words_that_no_single_font_shows_are_counted(fonts, monkeypatch):
    words = WordList(("café", "naïve", "exit", "привет"), (1.0,) * 4)
    monkeypatch.setattr(FontLibrary, "shows", lambda library, text: text != "café")
    texts = TextSampler(RenderConfig(), words, charset="abcdefghijklmnopqrstuvwxyzéï")
    renderer = WordRenderer(fonts, texts)
    assert renderer.undrawable == ["café"]
    assert renderer.describe_words() == (
        "2 words (words), left out 1 beyond the charset or the lengths, "
        "1 without a font that has all of their characters"
    )
    only = RenderConfig().replace(kinds={"word": 1.0})
    texts = TextSampler(only, WordList(("café",), (1.0,)), charset="acefé")
    with pytest.raises(ValueError, match="no single font shows all characters of any word"):
        WordRenderer(fonts, texts)


def test_ambiguous_labels_are_drawn_in_another_font(make_renderer, fonts):
    texts = make_renderer("easy", kinds={"code": 1.0, "number": 1.0}).texts
    verdicts = [
        replace(face.verdict, twins="0OIl1" * (number % 2))
        for number, face in enumerate(fonts.faces)
    ]
    renderer = WordRenderer(FontLibrary(verdicts), texts)
    twins = {face.verdict.path: face.verdict.twins for face in renderer.fonts.faces}
    words = [renderer(4, index) for index in range(200)]
    with_twins = [word.label for word in words if {*twins[word.font]} & {*word.label}]
    assert with_twins, "numbers can be told"
    assert not [label for label in with_twins if any(map(str.isalpha, label))]


def test_settings_that_hide_the_text_are_reported(make_renderer):
    renderer = make_renderer(min_contrast=250.0)
    with pytest.raises(ValueError, match=r"no readable image .*seed 0, image 0.*min_contrast"):
        renderer(0, 0)


@pytest.mark.parametrize("case", ["upper", "lower"])
def test_labels_have_the_case_that_the_font_draws(tmp_path, monkeypatch, case):
    from fontTools.ttLib import TTFont

    monkeypatch.setenv("LPV_CACHE", str(tmp_path / "cache"))
    font = TTFont(matplotlib_font_folder() / "DejaVuSans.ttf")
    glyphs = {code: name for code, name in font.getBestCmap().items() if code < 0x250}
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap = {
                code: glyphs[ord(getattr(chr(code), case)())] if chr(code).isascii() else glyph
                for code, glyph in glyphs.items()
            }
    font.save(tmp_path / "case.ttf")
    library = FontLibrary.from_folders([tmp_path / "case.ttf"], system=False)
    texts = TextSampler(
        RenderConfig(), WordList(("open", "Closed"), (1.0, 1.0)), charset=string.ascii_letters
    )
    renderer = WordRenderer(library, texts)
    labels = [renderer(0, index).label for index in range(20)]
    assert labels == [getattr(label, case)() for label in labels]
