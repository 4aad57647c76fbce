"""A page in the browser to try a model on one's own pictures (``lpv-mmocr demo``).

:mod:`~lpv_mmocr.demo.server` needs Gradio, the extra ``demo`` of this package.
"""
