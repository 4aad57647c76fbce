from __future__ import annotations

from pathlib import Path

from lpv_mmocr.evaluation.text_protocol import ExactText
from lpv_mmocr.visualization.canvas import WRONG

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.structures import LabelData
from mmocr.apis import TextRecInferencer
from mmocr.registry import VISUALIZERS
from mmocr.structures import TextRecogDataSample
from PIL import ImageColor

WRONG_RGB = ImageColor.getrgb(WRONG)
CONFIG = Path(__file__).parents[2] / "configs/textrecog/lpv/lpv-toy_digits.py"


@pytest.fixture
def visualizer():
    return VISUALIZERS.build(dict(type="AttentionTextRecogVisualizer", name="attention_test"))


@pytest.fixture
def sample(make_attention):
    sample = TextRecogDataSample()
    sample.pred_text = LabelData(item="cat", score=[0.9, 0.8, 0.7])
    sample.gt_text = LabelData(item="cut")
    sample.pred_attention = make_attention("cat", "cat")
    return sample


def test_attention_is_drawn_if_kept(visualizer, sample, word, tmp_path):
    file = tmp_path / "new" / "word.png"
    image = visualizer.add_datasample("x", word, sample, out_file=str(file))
    assert image.shape[0] > 300
    np.testing.assert_array_equal(cv2.imread(str(file))[..., ::-1], image)
    without_truth = visualizer.add_datasample("x", word, sample, draw_gt=False)
    assert (without_truth != image[: len(without_truth), : without_truth.shape[1]]).any()


def test_maps_cover_the_padding(visualizer, sample, word):
    """The result equals that for an image padded beforehand."""
    padded = np.concatenate([word, np.zeros_like(word)], axis=1)
    expected = visualizer.add_datasample("x", padded, sample)
    sample.set_metainfo(dict(valid_ratio=0.5))
    np.testing.assert_array_equal(visualizer.add_datasample("x", word, sample), expected)


def test_protocol_determines_what_is_wrong(visualizer, sample, word):
    sample.gt_text = LabelData(item="Cat")
    lenient = visualizer.add_datasample("x", word, sample)
    sample.gt_text = LabelData(item="cat")
    equal = visualizer.add_datasample("x", word, sample)
    sample.gt_text = LabelData(item="Cat")
    visualizer.protocol = ExactText()
    exact = visualizer.add_datasample("x", word, sample)
    red = [(figure == WRONG_RGB).all(-1).sum() for figure in (equal, lenient, exact)]
    assert red[0] == red[1] == 0 < red[2]


def test_grey_words_are_drawn_as_rgb(visualizer, sample, word):
    assert visualizer.add_datasample("x", word[..., 0], sample).shape[2] == 3
    assert visualizer.add_datasample("x", word[..., :1], sample).shape[2] == 3


@pytest.mark.parametrize("case", ["none kept", "no prediction wanted", "bad image"])
def test_mmocr_figure_is_drawn_otherwise(visualizer, sample, word, case):
    if case == "none kept":
        del sample.pred_attention
    if case == "bad image":
        sample.set_metainfo(dict(bad_sample=True))
    image = visualizer.add_datasample("x", word, sample, draw_pred=case != "no prediction wanted")
    lines = 2 if case == "no prediction wanted" else 3
    assert image.shape == (lines * 64, 256, 3)


@pytest.mark.parametrize("keep", [True, False])
def test_inferencer_draws_attention_if_kept(word, tmp_path, keep):
    """Only the config has to be changed, as documented."""
    config = Config.fromfile(CONFIG)
    config.model.decoder.keep_attention = keep
    reader = TextRecInferencer(config, device="cpu")
    cv2.imwrite(str(tmp_path / "word.png"), word)
    reader(str(tmp_path / "word.png"), out_dir=str(tmp_path), save_vis=True, progress_bar=False)
    height = cv2.imread(str(tmp_path / "vis" / "word.jpg")).shape[0]
    assert height > 400 if keep else height == 2 * 64
