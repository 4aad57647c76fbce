"""Every number of the word renderer in one place, and the difficulty presets."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType

Range = tuple[float, float]


def _frozen(**items: float) -> Mapping[str, float]:
    return MappingProxyType(items)


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """What rendered words look like.

    Probabilities are in [0, 1]; a range is ``(low, high)`` and is drawn from uniformly unless the
    field says otherwise. Lengths are relative to the text height (the height of a capital letter
    with its usual surroundings, about 0.75 em), so that nothing depends on the resolution.

    Attributes:
        text_height: Height of the text in the finished picture, in pixels; log-uniform.
        dense_text_height: Least text height of words with characters beyond ASCII; Chinese takes
            more pixels than Latin to be read.
        min_char_width: Mean width of a character in the finished picture, in pixels, below which
            the picture is made larger.
        stretch: Horizontal scale of the text; log-uniform.
        spacing_prob: Probability of unusual letter spacing.
        spacing: Extra space between letters, relative to the text height.
        jitter_prob: Probability that letters leave the base line one by one.
        curve_prob: Probability of text on a circular arc.
        curve_angle: Angle that the arc spans, in degrees.
        rotation_std: Standard deviation of the rotation, in degrees.
        rotation_max: Largest rotation, in degrees.
        steep_prob: Probability of a rotation drawn uniformly up to ``rotation_max``.
        quarter_turn_prob: Probability of a picture turned by 90 degrees.
        shear: Largest horizontal shear (tangent), drawn from both signs.
        perspective_prob: Probability of perspective.
        perspective: Largest shift of a corner, relative to the text height.
        margin_x: Space left and right of the text in the crop, relative to the text height.
        margin_y: Space above and below the text in the crop, relative to the text height.
        cut_prob: Probability of a crop that cuts a sliver of the text away.
        neighbour_prob: Probability of other text at the edges of the crop.
        plain_prob: Probability of a background in one colour (with a slight gradient).
        photo_prob: Probability of a cluttered background, as in a photograph. The rest is
            textured.
        plate_prob: Probability of a sign plate or frame line around the text.
        contrast: Difference of luminance between text and background, in grey levels.
        faint_prob: Probability of drawing the contrast from ``faint_contrast``.
        faint_contrast: The same difference for faint text.
        grey_prob: Probability of a colour without saturation.
        gradient_prob: Probability of text filled with a gradient.
        texture_prob: Probability of text filled with a texture.
        outline_prob: Probability of an outline.
        hollow_prob: Probability of letters drawn by their outline only.
        shadow_prob: Probability of a drop shadow.
        extrude_prob: Probability of letters with depth.
        emboss_prob: Probability of embossed letters.
        glow_prob: Probability of glowing letters, as in neon signs.
        blend_prob: Probability of text that lets the background through.
        lighting_prob: Probability of uneven light.
        lighting: Strength of uneven light.
        exposure_prob: Probability of wrong exposure (dim, washed out, low contrast).
        reflection_prob: Probability of a reflection or glare.
        shade_prob: Probability of the hard shadow of another object.
        occlusion_prob: Probability of thin things in front of the text (wires, scratches).
        clean_prob: Probability of a picture without any of the defects that follow.
        blur_prob: Probability of defocus blur.
        blur: Standard deviation of the blur, relative to the text height.
        motion_prob: Probability of motion blur.
        motion: Length of the motion, relative to the text height.
        lowres_prob: Probability of a picture enlarged from a smaller one.
        lowres_height: Text height of that smaller picture, in pixels.
        noise_prob: Probability of sensor noise.
        noise: Standard deviation of the noise, in grey levels.
        sharpen_prob: Probability of the over-sharpening of phone cameras.
        jpeg_quality: JPEG quality of the finished picture.
        min_contrast: Colour distance between text and surroundings, in grey levels, that the
            finished picture must keep in nearly every part of the text.
        kinds: Relative frequency of the kinds of text: ``word``, ``number``, ``price``, ``date``,
            ``time``, ``code``, ``phone``, ``web``, ``random``.
        cases: Relative frequency of ``upper``, ``lower``, ``title``, ``mixed`` words.
        punctuation_prob: Probability of punctuation beside a word.
        compound_prob: Probability of two words joined (with or without hyphen) into one.
        frequency_power: Exponent that flattens the word frequencies (1: as in running text,
            0: all words alike).
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
        default_factory=lambda: _frozen(
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
        default_factory=lambda: _frozen(upper=0.5, lower=0.2, title=0.26, mixed=0.04)
    )
    punctuation_prob: float = 0.07
    compound_prob: float = 0.03
    frequency_power: float = 0.45

    def __post_init__(self) -> None:
        """Checks all fields."""
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
            object.__setattr__(self, name, MappingProxyType(dict(table)))

    def replace(self, **changes: object) -> RenderConfig:
        """Returns a copy with some fields changed.

        Raises:
            ValueError: If a field does not exist or its new value is out of range.
        """
        known = {item.name for item in dataclasses.fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise ValueError(f"RenderConfig has no field {', '.join(unknown)}")
        return dataclasses.replace(self, **changes)

    def for_dense_text(self) -> RenderConfig:
        """Returns the settings for characters with many strokes: larger and less blurred."""
        low, high = self.text_height
        least = self.dense_text_height
        return self.replace(
            text_height=(max(low, least), max(high, least)),
            lowres_prob=0.0,
            blur=(self.blur[0] / 2, self.blur[1] / 2),
            motion=(self.motion[0] / 2, self.motion[1] / 2),
        )

    def __reduce__(self) -> tuple:
        """Pickle by fields, so that processes that are not forked can have it."""
        return functools.partial(RenderConfig, **self.to_dict()), ()

    def to_dict(self) -> dict[str, object]:
        """Returns the fields as plain data, ready for JSON."""
        plain = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in plain.items()
        }


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _checked_range(name: str, value: object) -> Range:
    """A range as a tuple, from the tuple or list that a config can hold."""
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
WORD_CASES = ("upper", "lower", "title", "mixed")
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
"""Ready-made settings: ``easy`` for quick trials, ``full`` for training on real words."""


def preset(name: str) -> RenderConfig:
    """Returns a preset by name.

    Raises:
        ValueError: If there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown difficulty {name!r}; choose from {', '.join(PRESETS)}")
    return PRESETS[name]
