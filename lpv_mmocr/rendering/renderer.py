"""Word renderer: one seeded call makes one image and its label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from .backgrounds import make_background, texture_bank
from .colours import draw_palette
from .config import RenderConfig
from .degradation import add_light, decode_jpeg, degrade, encode_jpeg
from .effects import hollow_out, paint_plate, paint_text
from .fonts import Face, FontLibrary
from .geometry import corners_of, log_uniform, place_text
from .letter_positions import LetterPositions
from .text_layer import FONT_SIZES, lay_out
from .visibility import is_visible
from .words import TextSampler

MAX_ATTEMPTS = 100
MAX_DRAWS = 200
"""Maximum number of texts drawn for one attempt, until a font shows one."""
SHOTS = 3
MIN_WORKING_HEIGHT = 26.0


@dataclass(frozen=True)
class RenderedWord:
    """Image of a word.

    Attributes:
        jpeg: The image as a JPEG file.
        label: Text in the image.
        mask: Ink of the word, uint8 (h, w), aligned with the image.
        font: Path of the font file.
        letters: Positions of the letters.
    """

    jpeg: bytes
    label: str
    mask: np.ndarray
    font: str
    letters: LetterPositions

    @property
    def image(self) -> np.ndarray:
        """The image, uint8 (h, w, 3), RGB, with compression artefacts."""
        return decode_jpeg(self.jpeg)


class WordRenderer:
    """Renderer of words.

    Args:
        fonts: Typefaces to draw from.
        texts: Texts to draw from.
        config: Appearance of the images; None for the defaults.

    Raises:
        ValueError: If the charset has a character that no font shows, or if only words are
            requested and none can be drawn.
    """

    def __init__(
        self, fonts: FontLibrary, texts: TextSampler, config: RenderConfig | None = None
    ) -> None:
        self.fonts = fonts.for_charset(texts.charset)
        self.texts = texts
        self.config = config or RenderConfig()
        self._dense_config = self.config.for_dense_text()
        uncovered = self.fonts.uncovered(texts.charset)
        if uncovered:
            shown = "".join(uncovered[:30])
            raise ValueError(
                f"no font shows {len(uncovered)} of the {len(texts.charset)} characters of the "
                f"charset: {shown!r}; add a font that has them or remove them"
            )
        words = texts.words.words
        if words and set(texts.config.kinds) == {"word"} and not any(map(self._has_font, words)):
            raise ValueError(
                f"no single font shows all characters of any word, such as {words[0]!r}"
            )
        self._bank = texture_bank()

    def __call__(self, seed: int, index: int) -> RenderedWord:
        """Render one word.

        The image depends only on the configuration, the fonts, the words, ``seed`` and
        ``index``, not on the order of calls or the process.

        Args:
            seed: Seed of the whole set.
            index: Number of the image in the set.

        Returns:
            The image and its label.

        Raises:
            ValueError: If no attempt produced an image with visible text.
        """
        rng = np.random.default_rng((seed, index))
        for _ in range(MAX_ATTEMPTS):
            word = self._attempt(rng)
            if word is not None:
                return word
        raise ValueError(
            f"no readable image in {MAX_ATTEMPTS} attempts (seed {seed}, image {index}): "
            "min_contrast is too high for the other settings, the fonts have only one case and "
            "the charset only the other, or hardly any text has a font with all its characters"
        )

    def _has_font(self, word: str) -> bool:
        # ASCII words only have characters of the charset, which any Latin font has.
        return word.isascii() or self.fonts.shows(word)

    @cached_property
    def undrawable(self) -> list[str]:
        """Words that no single font shows completely; other words are drawn instead."""
        return [word for word in self.texts.words.words if not self._has_font(word)]

    def describe_words(self) -> str:
        """Return how many words there are to draw, and how many of the list are left out."""
        words, given = self.texts.words, self.texts.given
        text = f"{len(words) - len(self.undrawable)} words ({words.source})"
        reasons = {
            "beyond the charset or the lengths": len(given) - len(words),
            "without a font that has all of their characters": len(self.undrawable),
        }
        left_out = [f"{number} {reason}" for reason, number in reasons.items() if number]
        return f"{text}, left out {', '.join(left_out)}" if left_out else text

    def _choose_text(self, rng: np.random.Generator) -> tuple[str, Face] | None:
        """Choose a text and a font that shows it."""
        for _ in range(MAX_DRAWS):
            text = self.texts(rng)
            face = self.fonts.pick(rng, text)
            if face is None or not _is_unambiguous(text, face.verdict.twins):
                continue
            if face.verdict.only_case:
                text = text.upper() if face.verdict.only_case == "upper" else text.lower()
                if not (self.texts.accepts(text) and face.shows(text)):
                    continue
            return text, face
        return None

    def _attempt(self, rng: np.random.Generator) -> RenderedWord | None:
        drawn = self._choose_text(rng)
        if drawn is None:
            return None
        text, face = drawn
        config = self.config if text.isascii() else self._dense_config
        final_height = log_uniform(rng, config.text_height)
        working_height = max(final_height, MIN_WORKING_HEIGHT)
        scale = final_height / working_height
        font = face.at(FONT_SIZES[0] if working_height <= 32 else FONT_SIZES[1])
        layer = lay_out(rng, font, text, config, self._neighbours(rng, face))
        if layer is None:
            return None
        # Words like "..." are low: their height says nothing about the size of the text.
        ink_height = max(layer.height, 0.45 * font.size)
        working_height *= layer.height / ink_height
        warp = place_text(rng, layer, working_height, len(text), config)
        width = warp.size[1] * scale / len(text)
        if width < config.min_char_width:
            scale = min(1.0, scale * config.min_char_width / width)
        mask = warp.apply(layer.mask)
        ink = mask if layer.around is None else cv2.max(mask, warp.apply(layer.around))
        if rng.random() < config.hollow_prob:
            mask, ink = (hollow_out(item, working_height) for item in (mask, ink))
        plate = None
        if rng.random() < config.plate_prob and warp.radius == 0:
            plate = cv2.perspectiveTransform(corners_of(layer.box)[None], warp.matrix)[0]
        text_height = max(working_height, 8.0)
        # Setting and bending text is the slowest step: first try other colours and another shot.
        for _ in range(SHOTS):
            scene = self._paint(rng, ink, plate, text_height, config)
            image = degrade(rng, scene, text_height, text_height * scale, config, self._bank)
            small = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_AREA)
            if is_visible(image, small, len(text), config.min_contrast):
                letters = LetterPositions(
                    font, text, layer.spacing, layer.lifts, layer.box[:2], warp, small.shape, None
                )
                return self._finished(rng, image, small, letters, face)
        return None

    def _paint(
        self,
        rng: np.random.Generator,
        ink: np.ndarray,
        plate: np.ndarray | None,
        text_height: float,
        config: RenderConfig,
    ) -> np.ndarray:
        """Paint a scene, float32 (3, h, w), from its mask of letters."""
        palette = draw_palette(rng, config)
        scene = make_background(rng, ink.shape, palette, config, self._bank)
        if plate is not None:
            scene = paint_plate(rng, scene, plate, text_height, palette)
        scene = paint_text(rng, scene, ink, text_height, palette, config, self._bank)
        return add_light(rng, scene, config, self._bank)

    def _finished(
        self,
        rng: np.random.Generator,
        image: np.ndarray,
        mask: np.ndarray,
        letters: LetterPositions,
        face: Face,
    ) -> RenderedWord:
        """Occasionally turn the image by 90 degrees, and encode it."""
        config = self.config
        if rng.random() < config.quarter_turn_prob:
            turn = cv2.ROTATE_90_CLOCKWISE if rng.random() < 0.5 else cv2.ROTATE_90_COUNTERCLOCKWISE
            image, mask = cv2.rotate(image, turn), cv2.rotate(mask, turn)
            letters = replace(letters, turn=turn)
        low, high = config.jpeg_quality
        quality = int(rng.integers(int(low), int(high) + 1))
        data = encode_jpeg(image, quality)
        return RenderedWord(data, letters.text, mask, face.verdict.path, letters)

    def _neighbours(self, rng: np.random.Generator, face: Face) -> list[str | None]:
        if rng.random() >= self.config.neighbour_prob:
            return [None] * 4
        wanted = rng.random(4) < 0.5
        texts = [self.texts(rng) if want else None for want in wanted]
        return [text if text and face.shows(text) else None for text in texts]


def _is_unambiguous(text: str, twins: str) -> bool:
    """Return whether twins such as O and 0 can be told apart in a text by their context.

    Among letters an O is no zero, and in 105 the zero is no O; only mixed text is ambiguous.
    """
    mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return not mixed or set(twins).isdisjoint(text)
