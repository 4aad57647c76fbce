"""Modules of LPV, one concept per file; importing them registers them in MMOCR's registries."""

from .best_look_tta import BestLookTTAModel
from .character_dictionary import CharacterDictionary
from .cpa_decoder import CPADecoder
from .cpa_module_loss import CPAModuleLoss
from .cpa_postprocessor import CPAPostprocessor
from .data_preprocessor import WordDataPreprocessor
from .glrm import GLRM, linguistic_mask
from .lpv import LPV
from .position_attention import PositionAttention
from .svtr_encoder import LPVSVTREncoder

__all__ = [
    "GLRM",
    "LPV",
    "BestLookTTAModel",
    "CPADecoder",
    "CPAModuleLoss",
    "CPAPostprocessor",
    "CharacterDictionary",
    "LPVSVTREncoder",
    "PositionAttention",
    "WordDataPreprocessor",
    "linguistic_mask",
]
