"""Measuring speed: models side by side, training steps, data loaders.

``tools/analysis_tools/benchmark.py`` is its command line. Importing ``lpv_mmocr`` does not import
this package.
"""
