"""Speed benchmarks: models side by side, training steps, data loaders.

The command line is ``tools/analysis_tools/benchmark.py``. Importing ``lpv_mmocr`` does not import
this package.
"""
