"""Settings of the word renderer, and the difficulty presets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """Settings for the text and appearance of rendered words.

    Probabilities are in [0, 1]; ranges are ``(low, high)`` and are sampled uniformly unless the
    field says otherwise. Lengths are relative to the text height (the height of a capital letter
    with its usual surroundings, about 0.75 em), so that nothing depends on the resolution.

    Attributes:
        text_height: Height of the text in the finished image, in pixels; log-uniform. Above about
            50, letters are enlarged and less sharp.
        dense_text_height: Minimum text height of words with non-ASCII characters; Chinese needs
            more pixels than Latin to be legible.
        min_char_width: Mean character width in the finished image, in pixels, below which the
            image is enlarged, at most to the size at which it was drawn.
        stretch: Horizontal scale of the text; log-uniform.
        spacing_prob: Probability of unusual letter spacing.
        spacing: Extra space between letters, relative to the text height; at least -0.3.
        jitter_prob: Probability of shifting letters individually off the baseline.
        curve_prob: Probability of text on a circular arc, from three characters on.
        curve_angle: Angle spanned by the arc, in degrees.
        rotation_std: Standard deviation of the rotation, in degrees; clipped to 12 either way.
        rotation_max: Maximum rotation, in degrees.
        steep_prob: Probability of a rotation drawn uniformly up to ``rotation_max``.
        quarter_turn_prob: Probability of turning the image by 90 degrees.
        shear: Maximum horizontal shear (tangent), in either direction.
        perspective_prob: Probability of perspective distortion.
        perspective: Maximum shift of a corner, relative to the text height.
        margin_x: Space left and right of the text in the crop, relative to the text height; all
            margins of a crop are multiplied by one random factor of 0.1 to 1.
        margin_y: Space above and below the text in the crop, in the same way.
        cut_prob: Probability of a crop that cuts off a sliver of the text.
        neighbour_prob: Probability of other text at the edges of the crop.
        plain_prob: Probability of a single-colour background (possibly with a slight gradient).
        photo_prob: Probability of a cluttered background, as in a photograph. All other
            backgrounds are textured.
        plate_prob: Probability of a sign plate, frame or line around text that is not curved.
        contrast: Difference in luminance between text and background, in grey levels.
        faint_prob: Probability of drawing the contrast from ``faint_contrast``.
        faint_contrast: The same difference for faint text.
        grey_prob: Probability of a colour with little or no saturation.
        gradient_prob: Probability of text filled with a gradient.
        texture_prob: Probability of text filled with a texture.
        outline_prob: Probability of an outline.
        hollow_prob: Probability of letters drawn as outlines only.
        shadow_prob: Probability of a drop shadow.
        extrude_prob: Probability of letters with depth.
        emboss_prob: Probability of embossed letters.
        glow_prob: Probability of glowing letters, as in neon signs.
        blend_prob: Probability of semi-transparent text.
        lighting_prob: Probability of uneven lighting.
        lighting: Strength of uneven lighting.
        exposure_prob: Probability of wrong exposure (dim, washed out, low contrast).
        reflection_prob: Probability of a reflection or glare.
        shade_prob: Probability of a hard shadow cast by another object.
        occlusion_prob: Probability of thin objects in front of the text (wires, scratches).
        clean_prob: Probability of an image without wrong exposure, blur, motion blur, low
            resolution, noise and over-sharpening; JPEG compression still applies.
        blur_prob: Probability of defocus blur.
        blur: Standard deviation of the blur, relative to the text height; low values are likelier.
        motion_prob: Probability of motion blur.
        motion: Length of the motion blur, relative to the text height.
        lowres_prob: Probability of an image upsampled from a lower resolution.
        lowres_height: Text height at that lower resolution, in pixels; at most the final one.
        noise_prob: Probability of sensor noise.
        noise: Standard deviation of the noise, in grey levels; low values are likelier.
        sharpen_prob: Probability of over-sharpening, as by phone cameras.
        jpeg_quality: JPEG quality of the finished image.
        min_contrast: Minimum colour distance between text and surroundings, in grey levels, in
            nearly every part of the text, in the image before JPEG compression.
        kinds: Relative frequencies of the kinds of text: ``word``, ``number``, ``price``, ``date``,
            ``time``, ``code``, ``phone``, ``web``, ``random``.
        cases: Relative frequencies of ``upper``, ``lower``, ``title``, ``mixed`` words, and of
            words as they are in the list (``listed``).
        punctuation_prob: Probability of adding punctuation to a word.
        compound_prob: Probability of joining two words into one: directly or with a hyphen, ``&``
            or ``/``.
        frequency_power: Exponent that flattens the word frequencies (1: as in running text,
            0: all words equally likely).
    """

    text_height: Range = (10.0, 44.0)
    dense_text_height: float = 20.0
    min_char_width: float = 5.0
    stretch: Range = (0.72, 1.35)
    spacing_prob: float = 0.2
    spacing: Range = (-0.05, 0.45)
    jitter_prob: float = 0.04
    curve_prob: float = 0.12
    curve_angle: Range = (20.0, 110.0)
    rotation_std: float = 4.0
    rotation_max: float = 32.0
    steep_prob: float = 0.08
    quarter_turn_prob: float = 0.005
    shear: float = 0.18
    perspective_prob: float = 0.4
    perspective: float = 0.28
    margin_x: Range = (0.0, 0.35)
    margin_y: Range = (0.0, 0.28)
    cut_prob: float = 0.1
    neighbour_prob: float = 0.25
    plain_prob: float = 0.45
    photo_prob: float = 0.25
    plate_prob: float = 0.12
    contrast: Range = (60.0, 220.0)
    faint_prob: float = 0.18
    faint_contrast: Range = (28.0, 60.0)
    grey_prob: float = 0.45
    gradient_prob: float = 0.12
    texture_prob: float = 0.12
    outline_prob: float = 0.12
    hollow_prob: float = 0.015
    shadow_prob: float = 0.16
    extrude_prob: float = 0.07
    emboss_prob: float = 0.06
    glow_prob: float = 0.06
    blend_prob: float = 0.25
    lighting_prob: float = 0.5
    lighting: Range = (0.05, 0.45)
    exposure_prob: float = 0.45
    reflection_prob: float = 0.08
    shade_prob: float = 0.06
    occlusion_prob: float = 0.03
    clean_prob: float = 0.25
    blur_prob: float = 0.5
    blur: Range = (0.01, 0.09)
    motion_prob: float = 0.14
    motion: Range = (0.08, 0.3)
    lowres_prob: float = 0.25
    lowres_height: Range = (8.5, 16.0)
    noise_prob: float = 0.55
    noise: Range = (1.0, 14.0)
    sharpen_prob: float = 0.1
    jpeg_quality: tuple[int, int] = (35, 96)
    min_contrast: float = 20.0
    kinds: Mapping[str, float] = field(
        default_factory=lambda: dict(
            word=0.76,
            number=0.06,
            price=0.02,
            date=0.015,
            time=0.015,
            code=0.03,
            phone=0.015,
            web=0.015,
            random=0.07,
        )
    )
    cases: Mapping[str, float] = field(
        default_factory=lambda: dict(upper=0.5, lower=0.2, title=0.26, mixed=0.04)
    )
    punctuation_prob: float = 0.07
    compound_prob: float = 0.03
    frequency_power: float = 0.45

    def __post_init__(self) -> None:
        """Validate all fields."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if item.default is dataclasses.MISSING:
                _check_weights(item.name, value)
            elif isinstance(item.default, tuple):
                object.__setattr__(self, item.name, _checked_range(item.name, value))
            elif not _is_number(value):
                raise ValueError(f"{item.name} must be one number, got {value!r}")
            elif item.name.endswith("_prob") and not 0 <= value <= 1:
                raise ValueError(f"{item.name} must be in [0, 1], got {value}")
            elif value < 0 and item.name not in MAY_BE_NEGATIVE:
                raise ValueError(f"{item.name} must not be negative, got {value}")
        for name in ("text_height", "stretch", "lowres_height"):
            if not getattr(self, name)[0] > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.spacing[0] < -0.3:
            raise ValueError(
                f"spacing must be at least -0.3, below which letters change places, got "
                f"{self.spacing}"
            )
        if not self.min_contrast > 0:
            raise ValueError(f"min_contrast must be positive, got {self.min_contrast}")
        if not 0 < self.curve_angle[0] <= self.curve_angle[1] < 360:
            raise ValueError(f"curve_angle must be above 0 and below 360, got {self.curve_angle}")
        low, high = self.jpeg_quality
        if not (low >= 1 and high <= 100):
            raise ValueError(f"jpeg_quality must be in 1 to 100, got {self.jpeg_quality}")
        if self.plain_prob + self.photo_prob > 1:
            raise ValueError("plain_prob + photo_prob must not exceed 1")
        for name, known in _TABLES.items():
            table = getattr(self, name)
            unknown = sorted(set(table) - set(known))
            if unknown or not table or not sum(table.values()) > 0 or min(table.values()) < 0:
                raise ValueError(
                    f"{name} must give non-negative weights, not all zero, to some of "
                    f"{', '.join(known)}; got {dict(table)}"
                )
            object.__setattr__(self, name, dict(table))

    def replace(self, **changes: object) -> RenderConfig:
        """Return a copy with some fields changed.

        Raises:
            ValueError: If a field does not exist or its new value is out of range.
        """
        known = {item.name for item in dataclasses.fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise ValueError(f"RenderConfig has no field {', '.join(unknown)}")
        return dataclasses.replace(self, **changes)

    def for_dense_text(self) -> RenderConfig:
        """Return the settings for characters with many strokes: larger and less blurred."""
        low, high = self.text_height
        least = self.dense_text_height
        return self.replace(
            text_height=(max(low, least), max(high, least)),
            lowres_prob=0.0,
            blur=(self.blur[0] / 2, self.blur[1] / 2),
            motion=(self.motion[0] / 2, self.motion[1] / 2),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain, JSON-compatible data."""
        return dataclasses.asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _checked_range(name: str, value: object) -> Range:
    """Validate a range and return it as a tuple; configs may give it as a list."""
    if not (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(map(_is_number, value))
        and value[0] <= value[1]
    ):
        raise ValueError(f"{name} must be a range (low, high), got {value!r}")
    if value[0] < 0 and name not in MAY_BE_NEGATIVE:
        raise ValueError(f"{name} must not be negative, got {value!r}")
    return tuple(value)


def _check_weights(name: str, value: object) -> None:
    if not isinstance(value, Mapping) or not all(map(_is_number, value.values())):
        example = f"dict({_TABLES[name][0]}=1.0)"
        raise ValueError(
            f"{name} must give a weight to each name, such as {example}, got {value!r}"
        )


MAY_BE_NEGATIVE = ("spacing", "frequency_power")
TEXT_KINDS = ("word", "number", "price", "date", "time", "code", "phone", "web", "random")
WORD_CASES = ("upper", "lower", "title", "mixed", "listed")
_TABLES = {"kinds": TEXT_KINDS, "cases": WORD_CASES}

_EFFECTS = (
    *("jitter", "curve", "steep", "perspective", "cut", "neighbour", "photo", "plate", "faint"),
    *("gradient", "texture", "outline", "hollow", "shadow", "extrude", "emboss", "glow", "blend"),
    *("exposure", "reflection", "shade", "occlusion", "motion", "lowres", "sharpen", "clean"),
)

PRESETS: Mapping[str, RenderConfig] = MappingProxyType(
    {
        "easy": RenderConfig(
            **dict.fromkeys((f"{name}_prob" for name in _EFFECTS), 0.0),
            text_height=(20.0, 32.0),
            min_char_width=8.0,
            stretch=(0.9, 1.15),
            spacing_prob=0.2,
            spacing=(0.0, 0.2),
            rotation_std=1.5,
            rotation_max=5.0,
            quarter_turn_prob=0.0,
            shear=0.05,
            margin_x=(0.1, 0.3),
            margin_y=(0.1, 0.25),
            plain_prob=0.8,
            contrast=(110.0, 230.0),
            lighting_prob=0.3,
            blur_prob=0.3,
            blur=(0.01, 0.04),
            noise_prob=0.5,
            noise=(1.0, 6.0),
            jpeg_quality=(80, 96),
            min_contrast=40.0,
        ),
        "full": RenderConfig(),
    }
)
"""Ready-made settings: ``easy`` for quick trials, ``full`` for models that read real words."""


def preset(name: str) -> RenderConfig:
    """Return a preset by name.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown difficulty {name!r}; choose from {', '.join(PRESETS)}")
    return PRESETS[name]
