"""Browser page for trying a model on one's own images (``lpv-mmocr demo``).

:mod:`~lpv_mmocr.demo.server` needs Gradio, which the extra ``demo`` of this package installs.
"""
