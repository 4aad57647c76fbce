"""Tests of the preprocessor against MMOCR's, which works image by image."""

from __future__ import annotations

from unittest.mock import MagicMock

from lpv_mmocr.models.encoded_words import EncodedWords

import pytest
import torch
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch.utils._python_dispatch import TorchDispatchMode

NORMALISE = dict(mean=[120, 110, 100], std=[60, 50, 40])


class Darker(torch.nn.Module):
    """Augmentation that returns new inputs and leaves the given ones unchanged."""

    def forward(self, inputs, data_samples):
        return inputs / 2, data_samples


class OperatorNames(TorchDispatchMode):
    """Dispatch mode that records the names of the operators called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def build(kind: str = "WordDataPreprocessor", **options):
    return MODELS.build(dict(type=kind, **options))


def words(*widths: int, height: int = 32, channels: int = 3) -> dict:
    """Return a batch as a data loader collates it."""
    inputs, samples = [], []
    for width in widths:
        inputs.append(torch.randint(0, 256, (channels, height, width), dtype=torch.uint8))
        samples.append(TextRecogDataSample())
        samples[-1].set_metainfo(dict(img_shape=(height, width), valid_ratio=0.5))
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        dict(bgr_to_rgb=True, **NORMALISE),
        dict(mean=[127.5], std=[127.5]),
        dict(bgr_to_rgb=True),
        dict(pad_size_divisor=16, pad_value=7, bgr_to_rgb=True, **NORMALISE),
    ],
    ids=["colours", "one mean", "not normalised", "divisor"],
)
@pytest.mark.parametrize("widths", [(100, 100, 100), (100,), (40, 100, 72)])
def test_output_equals_mmocr(widths, options, training):
    data = words(*widths)
    # MMOCR's gets clones: in training, ours modifies the given samples in place.
    expected = build("TextRecogDataPreprocessor", **options)(
        dict(
            inputs=data["inputs"], data_samples=[sample.clone() for sample in data["data_samples"]]
        )
    )
    actual = build(**options)(data, training)
    assert torch.equal(actual["inputs"], expected["inputs"])
    for mine, theirs in zip(actual["data_samples"], expected["data_samples"], strict=True):
        assert mine.metainfo == theirs.metainfo


def test_grey_images_are_normalised():
    data = words(20, 20, channels=1)
    del data["data_samples"]
    options = dict(mean=[127.5], std=[127.5])
    actual = build(**options)(data)
    assert actual["data_samples"] is None
    assert torch.equal(actual["inputs"], (torch.stack(data["inputs"]) - 127.5) / 127.5)


def test_samples_are_copied_for_predictions():
    """Two models may read the same batch one after the other."""
    data = words(100, 100)
    prepared = build(bgr_to_rgb=True, **NORMALISE)(data, training=False)
    for given, copied in zip(data["data_samples"], prepared["data_samples"], strict=True):
        assert copied is not given
        assert "batch_input_shape" not in given


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
def test_augmentation_is_applied_in_training_only(streamed, training):
    preprocessor = build(mean=[0] * 3, std=[255] * 3, bgr_to_rgb=True)
    preprocessor.batch_augments = torch.nn.ModuleList([Darker()])
    data = words(100, 100)
    expected = torch.stack(data["inputs"]).flip(1) / 255 / (2 if training else 1)
    if streamed:
        encoded = EncodedWords(torch.zeros(2, 27, dtype=torch.int64), torch.arange(2))
        data = dict(inputs=torch.stack(data["inputs"]), data_samples=encoded)
    prepared = preprocessor(data, training)
    torch.testing.assert_close(prepared["inputs"], expected)
    if streamed:
        assert torch.equal(prepared["data_samples"].targets, encoded.targets)
        assert torch.equal(prepared["data_samples"].numbers, encoded.numbers)


def test_batches_are_not_augmented_by_default():
    preprocessor = build()
    preprocessor.batch_augments = torch.nn.ModuleList([Darker()])
    data = words(100, 100)
    assert torch.equal(preprocessor(data)["inputs"], torch.stack(data["inputs"]).float())


def test_wrong_number_of_channels_is_an_error():
    with pytest.raises(AssertionError, match="with shape"):
        build(**NORMALISE)(words(20, 20, channels=1))


def test_batch_takes_one_transfer_and_no_list_index():
    """On a GPU, indexing with a list makes the host wait; ``meta`` stands in for the device."""
    preprocessor = build(bgr_to_rgb=True, **NORMALISE).to("meta")
    data = words(*[100] * 8)
    with OperatorNames() as used:
        prepared = preprocessor(data, training=True)
    assert prepared["inputs"].device.type == "meta"
    # One copy to the device, one to float.
    assert used.names.count("aten._to_copy.default") == 2
    assert not [name for name in used.names if "index" in name]


@pytest.mark.parametrize(("place", "pinned"), [("cpu", True), ("cuda:0", False), ("cuda:1", False)])
def test_only_host_batches_are_pinned(place, pinned):
    """Streamed words are on "cuda:0", which MMEngine calls "cuda"; no GPU is needed."""
    preprocessor = build()
    preprocessor._device = torch.device("cuda")
    batch = MagicMock(spec=torch.Tensor, shape=torch.Size((2, 3, 32, 100)))
    batch.device = torch.device(place)
    batch.is_pinned.return_value = False
    batch.pin_memory.return_value.to.return_value = batch.to.return_value
    inputs = preprocessor(dict(inputs=batch, data_samples=None))["inputs"]
    assert inputs is batch.to.return_value.float.return_value
    assert batch.pin_memory.called is pinned
    mover = batch.pin_memory.return_value if pinned else batch
    mover.to.assert_called_once_with(torch.device("cuda"), non_blocking=True)
