"""MMOCR visualizer that draws attention if it was kept."""

from __future__ import annotations

import mmcv
import numpy as np
from mmocr.registry import VISUALIZERS
from mmocr.structures import TextRecogDataSample
from mmocr.visualization import TextRecogLocalVisualizer

from ..evaluation import TextProtocol
from .attention_figure import draw_attention
from .canvas import with_padding
from .fault_tolerant_scalars import FaultTolerantScalars


@VISUALIZERS.register_module()
class AttentionTextRecogVisualizer(TextRecogLocalVisualizer, FaultTolerantScalars):
    """MMOCR's recognition visualizer, with an attention figure for words with ``pred_attention``.

    The decoder keeps attention on request, see :attr:`lpv_mmocr.models.CPADecoder.keep_attention`.
    For all other words, the figure is MMOCR's. A curve that cannot be written does not stop a
    training run, see :mod:`lpv_mmocr.visualization.fault_tolerant_scalars`.

    Attributes:
        protocol: Protocol that determines which differences from the ground truth are marked as
            wrong, see :func:`draw_attention`; ``RecogVisualizationHook`` sets that of the test.
    """

    protocol: TextProtocol | None = None

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: TextRecogDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: int = 0,
        pred_score_thr: float | None = None,
        out_file: str | None = None,
        step: int = 0,
    ) -> np.ndarray:
        """Draw a word and pass the figure to all backends.

        Args:
            name: Title of the figure.
            image: The word, RGB uint8 (H, W, 3), or grey, (H, W) or (H, W, 1).
            data_sample: Prediction and ground truth.
            draw_gt: Whether to compare with the ground truth, if there is one.
            draw_pred: Whether to draw what was read, and with it the attention.
            show: Whether to open a window instead of writing to backends.
            wait_time: Seconds that the window stays open.
            pred_score_thr: Not used, as in MMOCR.
            out_file: File to write.
            step: Step that backends record.

        Returns:
            The figure, RGB uint8.
        """
        # A stand-in for an image that could not be decoded was not read.
        bad = data_sample is None or data_sample.get("bad_sample")
        if bad or not draw_pred or "pred_attention" not in data_sample:
            return super().add_datasample(
                name,
                image,
                data_sample,
                draw_gt=draw_gt,
                draw_pred=draw_pred,
                show=show,
                wait_time=wait_time,
                pred_score_thr=pred_score_thr,
                out_file=out_file,
                step=step,
            )
        if image.ndim == 2 or image.shape[2] == 1:
            image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
        image = with_padding(image, data_sample.get("valid_ratio", 1.0))
        truth = data_sample.gt_text.item if draw_gt and "gt_text" in data_sample else None
        figure = draw_attention(
            image, data_sample.pred_attention, gt_text=truth, protocol=self.protocol
        )
        if show:
            self.show(figure, win_name=name, wait_time=wait_time)
        else:
            self.add_image(name, figure, step)
        if out_file is not None:
            mmcv.imwrite(figure[..., ::-1], out_file)
        self.set_image(figure)
        # get_image() returns a figure that has gone through matplotlib, which before 3.11
        # resamples it.
        return figure
