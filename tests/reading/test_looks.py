"""Tests of test-time augmentation, and of mapping boxes back to the given image."""

from __future__ import annotations

from lpv_mmocr.datasets.transforms.word_look import LOOKS, WordLook
from lpv_mmocr.reading.looks import SeenWord, read_with_tta

import cv2
import numpy as np
import pytest
from apis.inference_cases import ROOT
from lpv_cases import word_sample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import LabelData
from mmocr.registry import TRANSFORMS

TALL, WIDE = np.zeros((30, 10, 3), np.uint8), np.zeros((10, 30, 3), np.uint8)
TURNED = WordLook(90, tall_only=True)


def reader(confidences: dict[tuple[int, int], float]):
    """Return a function that reads the size of images as text, and the list of its calls.

    Args:
        confidences: Confidence of a reading by height and width of the image.
    """

    def read(images):
        given.append([image.shape[:2] for image in images])
        samples = []
        for image in images:
            size = image.shape[:2]
            sample = word_sample()
            sample.pred_text = LabelData(
                item="{}x{}".format(*size), score=[1.0], word_score=confidences[size]
            )
            samples.append(sample)
        return samples

    given = []
    return read, given


def test_confident_word_is_read_once():
    read, given = reader({(10, 30): 0.9, (30, 10): 0.9})
    seen = read_with_tta(read, [TALL, WIDE])
    assert [word.sample.pred_text.item for word in seen] == ["30x10", "10x30"]
    assert given == [[(30, 10), (10, 30)]]


def test_low_confidence_word_is_turned_if_tall():
    read, given = reader({(10, 30): 0.5, (30, 10): 0.2})
    seen = read_with_tta(read, [WIDE, TALL], looks=[TURNED])
    assert [word.sample.pred_text.item for word in seen] == ["10x30", "10x30"]
    assert given == [[(10, 30), (30, 10)], [(10, 30)]]
    assert seen[0].image is WIDE and seen[1].image.shape == WIDE.shape


def test_earlier_of_two_equally_confident_looks_wins():
    read, given = reader({(10, 30): 0.5, (10, 36): 0.5})
    (word,) = read_with_tta(read, [WIDE], looks=[WordLook(margin=(0.1, 0))])
    assert word.image is WIDE and len(given) == 2


def test_sufficiently_confident_look_ends_the_search():
    cut = [WordLook(margin=(margin, 0)) for margin in (0.1, 0.2, 0.3)]
    read, given = reader({(10, 30): 0.5, (10, 36): 0.4, (10, 42): 0.85, (10, 48): 0.99})
    (word,) = read_with_tta(read, [WIDE], looks=cut)
    assert word.sample.pred_text.item == "10x42"
    assert given == [[(10, 30)], [(10, 36)], [(10, 42)]]


def test_without_looks_the_given_image_is_read_once():
    read, given = reader({(10, 30): 0.1})
    (word,) = read_with_tta(read, [WIDE], looks=())
    assert word.image is WIDE and len(given) == 1
    assert np.array_equal(word.matrix, np.eye(2, 3))


def test_no_images_give_no_readings():
    read, _ = reader({})
    assert read_with_tta(read, []) == []


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"look{LOOKS.index(look)}")
def test_boxes_are_mapped_back_to_the_given_image(look):
    image = np.zeros((200, 150, 3), np.uint8)
    seen, matrix = look.look(image)
    # A box around a point near the middle, in coordinates of the view.
    spot = matrix @ (70, 90, 1)
    box = np.array([[*(spot - 6), *(spot + 6)]])
    (back,) = SeenWord(word_sample(), seen, matrix).boxes_in_given(box, image.shape[:2])
    assert back.dtype == np.float32
    assert (back[:2] + back[2:]) / 2 == pytest.approx([70, 90], abs=1e-3)
    assert (back[2:] - back[:2] > 11.8).all() and (back[2:] - back[:2] < 13.5).all()


def test_boxes_of_a_quarter_turn_are_exact():
    seen, matrix = WordLook(90).look(TALL)
    boxes = np.array([[2, 1, 7, 9], [10, 0, 20, 10]])
    back = SeenWord(word_sample(), seen, matrix).boxes_in_given(boxes, TALL.shape[:2])
    # Text that is read from left to right runs downwards in the given image.
    assert back == pytest.approx(np.array([[1, 2, 9, 7], [0, 10, 10, 20]], float), abs=1e-4)


def test_boxes_are_clipped_to_the_given_image():
    seen, matrix = WordLook(10, margin=(0.2, 0.02)).look(WIDE)
    whole = np.array([[0, 0, seen.shape[1], seen.shape[0]]])
    boxes = SeenWord(word_sample(), seen, matrix).boxes_in_given(whole, (10, 30))
    assert boxes.tolist() == [[0, 0, 30, 10]]
    none = SeenWord(word_sample(), seen, matrix).boxes_in_given(np.zeros((0, 4)), (10, 30))
    assert none.shape == (0, 4)


@pytest.mark.parametrize(
    "name",
    [
        "lpv-tiny_synth",
        "lpv-base_stage2_10e_st_mj",
        "lpv-toy_digits",
        "lpv-mini_own_data",
        "lpv-tiny_stage1_10e_st_mj_keep-ratio",
    ],
)
def test_configs_use_the_looks_of_the_reader(name):
    """``tools/test.py --tta`` and the reader use the same views in the same order."""
    config = Config.fromfile(ROOT / f"configs/textrecog/lpv/{name}.py")
    augment = config.tta_pipeline[-1]
    assert augment.type == "TestTimeAug" and config.tta_model.type == "BestLookTTAModel"
    init_default_scope("mmocr")
    image = cv2.resize(np.random.default_rng(1).integers(0, 256, (9, 5, 3), np.uint8), (50, 90))
    first, *others = (TRANSFORMS.build(step) for step in augment.transforms[0])
    assert np.array_equal(first.look(image)[0], image)
    for ours, theirs in zip(LOOKS, others, strict=True):
        assert np.array_equal(ours.look(image)[0], theirs.look(image)[0])
        assert ours.tall_only == theirs.tall_only
