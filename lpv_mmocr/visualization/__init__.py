"""Figures of a model's attention, and character boxes derived from it."""

from .attention_figure import draw_attention
from .boxes import character_boxes
from .cascade_strip import draw_cascade_strip
from .relation_figure import draw_relations
from .visualizer import AttentionTextRecogVisualizer

__all__ = [
    "AttentionTextRecogVisualizer",
    "character_boxes",
    "draw_attention",
    "draw_cascade_strip",
    "draw_relations",
]
