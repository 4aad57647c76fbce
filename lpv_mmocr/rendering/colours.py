"""Colours that set text apart from its background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .config import RenderConfig

LUMA = (0.299, 0.587, 0.114)


def luminance(tone: np.ndarray) -> float:
    """Return the luma of an RGB colour."""
    return float(tone[0] * LUMA[0] + tone[1] * LUMA[1] + tone[2] * LUMA[2])


def random_colour(rng: np.random.Generator, target: float, grey_prob: float) -> np.ndarray:
    """Draw a random colour of a given luminance (ITU-R BT.601 luma).

    Args:
        rng: Source of randomness.
        target: Luminance, 0 to 255.
        grey_prob: Probability of (nearly) no saturation.

    Returns:
        float32 (3,), RGB, 0 to 255.
    """
    target = min(max(float(target), 0.0), 255.0)
    hue, low, high = rng.random() * 6, 0.15, 1.0
    if rng.random() < grey_prob:
        low, high = 0.0, 0.12
    saturation = low + (high - low) * rng.random()
    wheel = [min(max(abs((hue + turn) % 6 - 3) - 1, 0.0), 1.0) for turn in (0.0, 4.0, 2.0)]
    middle = sum(value * weight for value, weight in zip(wheel, LUMA, strict=True))
    chroma = [value - middle for value in wheel]
    # Maximum distance from grey before a channel leaves its range.
    room = min((255 - target if value > 0 else target) / max(abs(value), 1e-6) for value in chroma)
    return np.array([target + saturation * room * value for value in chroma], np.float32)


@dataclass
class Palette:
    """Colours of one image, RGB, float32 (3,).

    Attributes:
        text: Colour of the letters.
        background: Main colour behind them.
        contrast: Difference between their luminances, in grey levels.
        grey_prob: Probability of grey for further colours.
    """

    text: np.ndarray
    background: np.ndarray
    contrast: float
    grey_prob: float

    @property
    def texture_reach(self) -> float:
        """Maximum luminance change by textures: 0.75 of the contrast, to keep the text visible."""
        return 0.75 * self.contrast

    def near_background(self, rng: np.random.Generator, reach: float) -> np.ndarray:
        """Draw a colour whose luminance is within ``reach`` of the background's."""
        here = luminance(self.background)
        away = 1.0 if here >= luminance(self.text) else -1.0
        # Preferably away from the text's luminance.
        step = reach * (rng.uniform(0, 1) if rng.random() < 0.6 else -rng.uniform(0, 0.7)) * away
        if rng.random() < 0.5:
            return np.clip(self.background + step, 0, 255).astype(np.float32)
        return random_colour(rng, here + step, self.grey_prob)

    def beyond_text(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a colour for outlines, well apart from the text's."""
        here = luminance(self.text)
        if rng.random() < 0.6:  # On the background's side, and further out.
            side = 1.0 if luminance(self.background) >= here else -1.0
            target = here + side * rng.uniform(0.8, 1.6) * max(self.contrast, 60)
        else:
            target = rng.uniform(0, 60) if here > 128 else rng.uniform(195, 255)
        return random_colour(rng, target, 0.6)


def draw_palette(rng: np.random.Generator, config: RenderConfig) -> Palette:
    """Draw the colours of an image: polarity, contrast and hues.

    Args:
        rng: Source of randomness.
        config: Contrast ranges and probability of grey.

    Returns:
        The palette.
    """
    faint = rng.random() < config.faint_prob
    low, high = config.faint_contrast if faint else config.contrast
    contrast = rng.uniform(low, high)
    darker = rng.uniform(0, 255 - contrast)
    lighter = darker + contrast
    text, background = (darker, lighter) if rng.random() < 0.5 else (lighter, darker)
    grey_prob = config.grey_prob
    return Palette(
        random_colour(rng, text, grey_prob),
        random_colour(rng, background, grey_prob),
        contrast,
        grey_prob,
    )
