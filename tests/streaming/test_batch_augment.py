"""Tests of the augmentation of batches."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.models.encoded_words import EncodedWords
from lpv_mmocr.streaming import batch_augment
from lpv_mmocr.streaming.batch_augment import PROBABILITIES, BatchTextAugment
from lpv_mmocr.streaming.batch_operations import downsample

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CONFIGS = Path(__file__).parents[2] / "configs" / "textrecog" / "lpv"


def words(count: int, height: int = 32, width: int = 100) -> torch.Tensor:
    """Images of the same word in different colours, (N, 3, H, W), 0..1."""
    ink = np.zeros((height, width), np.uint8)
    cv2.putText(ink, "Lamp", (4, height - 8), cv2.FONT_HERSHEY_DUPLEX, height / 34, 255, 2)
    ink = torch.from_numpy(ink)[None, None] / 255
    generator = torch.Generator().manual_seed(11)
    dark = torch.rand(count, 3, 1, 1, generator=generator) * 0.35
    return dark + 0.5 * ink


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return words(64)


def changed(before: torch.Tensor, after: torch.Tensor, by: float = 1e-3) -> torch.Tensor:
    return (before - after).abs().flatten(1).amax(1) > by


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batch_is_changed_in_place_with_equal_shape_and_dtype(images, dtype):
    torch.manual_seed(0)
    inputs = images.to(dtype, copy=True)
    labels = object()
    result, data_samples = BatchTextAugment(intact_prob=0)(inputs, labels)
    assert result is inputs and data_samples is labels
    assert result.dtype == dtype and result.shape == images.shape
    assert result.isfinite().all() and result.min() >= 0 and result.max() <= 1
    assert not result.requires_grad
    assert changed(images.to(dtype).float(), result.float()).float().mean() > 0.85


@pytest.mark.parametrize("shape", [(1, 3, 32, 100), (5, 3, 48, 160), (2, 3, 9, 4), (0, 3, 32, 100)])
def test_images_of_any_size_are_augmented(shape):
    result, _ = BatchTextAugment(intact_prob=0)(torch.rand(shape))
    assert result.shape == shape and result.isfinite().all()


def test_intact_probability_of_one_changes_nothing(images):
    result, _ = BatchTextAugment(intact_prob=1)(images.clone())
    assert torch.equal(result, images)


def test_magnitude_zero_changes_nothing(images):
    augment = BatchTextAugment(
        intact_prob=0, magnitude=(0, 0), groups=dict.fromkeys(PROBABILITIES, 1)
    )
    result, _ = augment(images.clone())
    torch.testing.assert_close(result, images, atol=1e-3, rtol=0)


def test_exact_fraction_of_the_batch_stays_intact():
    """Exactly half, drawn for each batch; if its size is odd, chance decides on the odd one."""
    torch.manual_seed(0)
    augment = BatchTextAugment(intact_prob=0.5, groups={"warp": 1.0}, magnitude=(0.5, 1))
    inputs = words(5, 8, 12)
    uses = torch.stack([changed(inputs, augment(inputs.clone())[0], 0) for _ in range(600)])
    assert set(uses.sum(1).tolist()) == {2, 3}
    # Four standard deviations of a mean of 600.
    assert (uses.float().mean(0) - 0.5).abs().max() < 4 * 0.5 / 600**0.5


@pytest.mark.parametrize("group", PROBABILITIES)
def test_group_is_used_with_its_probability(group):
    torch.manual_seed(1)
    inputs = words(1000, 16, 48)
    augment = BatchTextAugment(intact_prob=0, groups={group: 0.3}, magnitude=(0.5, 1))
    share = changed(inputs, augment(inputs.clone())[0]).float().mean()
    assert share == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / 1000) ** 0.5)


def test_noise_grows_with_the_magnitude():
    torch.manual_seed(0)
    mild, strong = (
        BatchTextAugment(intact_prob=0, groups={"noise": 1}, magnitude=(value, value))
        for value in (0.1, 1)
    )
    inputs = words(50)
    errors = [(augment(inputs.clone())[0] - inputs).square().mean() for augment in (mild, strong)]
    assert 0 < 9 * errors[0] < errors[1]


def test_each_image_is_augmented_differently(images):
    inputs = images[:1].repeat(20, 1, 1, 1)
    result, _ = BatchTextAugment(intact_prob=0, groups={"warp": 1, "noise": 1})(inputs)
    distances = torch.cdist(result.flatten(1), result.flatten(1)) + torch.eye(20)
    assert distances.min() > 0.1


def test_randomness_follows_from_the_seed(images):
    augment = BatchTextAugment()

    def of_seed(seed):
        torch.manual_seed(seed)
        return augment(images.clone())[0]

    def of_generator(seed):
        return augment(images.clone(), generator=torch.Generator().manual_seed(seed))[0]

    assert torch.equal(of_seed(3), of_seed(3))
    assert not torch.equal(of_seed(3), of_seed(4))
    state = torch.get_rng_state()
    assert torch.equal(of_generator(3), of_generator(3))
    assert not torch.equal(of_generator(3), of_generator(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_text_stays_distinct_from_its_background():
    """No change of colour merges ink and paper, whatever their colours."""
    torch.manual_seed(0)
    ink = torch.zeros(1, 1, 32, 100)
    ink[..., 10:22, ::10] = 1
    ink[..., 10:22, 1::10] = 1
    generator = torch.Generator().manual_seed(1)
    dark, light = torch.rand(2, 400, 3, 1, 1, generator=generator)
    inputs = torch.lerp(dark, light, ink)
    groups = dict(colour=1)
    result, _ = BatchTextAugment(intact_prob=0, groups=groups, magnitude=(1, 1))(inputs.clone())

    def deviation(images):
        return images.flatten(2).var(2, correction=0).mean(1).sqrt()

    assert (deviation(result) > 0.399 * deviation(inputs)).all()
    # Some changes would have merged them, and were not made.
    assert 0.8 < changed(inputs, result).float().mean() < 1


def by_one(group: str, inputs: torch.Tensor, strength: float = 1) -> torch.Tensor:
    """Return all images, augmented by one group."""
    torch.manual_seed(0)
    augment = BatchTextAugment(intact_prob=0, groups={group: 1}, magnitude=(strength, strength))
    return augment(inputs.clone())[0]


def test_plain_images_are_at_most_inverted():
    """Details of low contrast may be faint text."""
    white = torch.ones(200, 3, 16, 48)
    for group in ("pattern", "noise"):
        assert torch.equal(by_one(group, white), white)
    result = by_one("colour", white)
    inverse = result[:, :1, :1, :1].round() == 0
    torch.testing.assert_close(result, (1 - inverse.float()).expand_as(result), atol=1e-4, rtol=0)
    assert 0.05 < inverse.float().mean() < 0.2


def test_grey_stays_grey_and_some_images_become_grey():
    def colourless(images):
        return (images.amax(1) - images.amin(1)).flatten(1).amax(1) < 1e-4

    coloured = words(1000, 8, 24)
    assert colourless(by_one("colour", coloured[:, :1].expand_as(coloured))).all()
    assert not colourless(coloured).any()
    assert 0.08 < colourless(by_one("colour", coloured)).float().mean() < 0.16


def test_patterns_are_lines_or_blocks():
    stripes = torch.arange(96).remainder(2).float().expand(300, 3, 32, 96)
    result = by_one("pattern", stripes)
    assert result.min() >= 0 and result.max() <= 1
    covered = (result - stripes).abs().amax(1).gt(1e-3).float().mean((1, 2))
    assert covered.max() < 0.33  # two sets of lines lie further apart than one
    blocks = covered < 0.08
    assert blocks.float().mean() == pytest.approx(1 / 3, abs=0.08)


def test_some_images_are_sharpened(images):
    edges = [images.diff(dim=3).abs().sum((1, 2, 3)) for images in (images, by_one("blur", images))]
    assert 0.05 < (edges[1] > edges[0]).float().mean() < 0.4


def test_low_resolution_level_follows_the_strength(images):
    for strength, level in ((0.01, 1), (0.5, 2), (1, 3)):
        expected = downsample(images, torch.full((64,), level))
        torch.testing.assert_close(by_one("low_resolution", images, strength), expected)


def test_half_of_the_images_are_not_bent(monkeypatch):
    bends = []
    monkeypatch.setattr(
        batch_augment, "warp", lambda images, matrix, bend, *_: bends.append(bend) or images
    )
    by_one("warp", torch.ones(600, 3, 4, 8))
    assert (bends[0] == 0).float().mean() == pytest.approx(0.5, abs=0.1)


class Watch(TorchDispatchMode):
    """Records the operators that run; boolean indexing as ``nonzero``, which a GPU runs for it."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name.startswith("index"):
            indexes = [index for index in tree_leaves(args[1:]) if isinstance(index, torch.Tensor)]
            name = "nonzero" if any(index.dtype == torch.bool for index in indexes) else name
        self.names.append(name)
        return func(*args, **(kwargs or {}))


WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2"}
"""Operators whose result, or its shape, the host has to wait for."""


def test_host_never_waits(images):
    with Watch() as watch:
        BatchTextAugment()(images.clone())
    assert "grid_sampler_2d" in watch.names
    assert not WAITING & set(watch.names)
    with Watch() as control:
        images[images > 2].sum().item()
    assert set(control.names) & WAITING == {"nonzero", "_local_scalar_dense"}


def test_number_of_kernels_is_fixed(images):
    lengths = set()
    for seed, count in ((0, 64), (1, 64), (2, 10)):
        torch.manual_seed(seed)
        with Watch() as watch:
            BatchTextAugment()(images[:count].clone())
        lengths.add(len(watch.names))
    assert len(lengths) == 1


def test_no_constant_is_copied_from_the_host():
    """The host would have to wait for a GPU to copy a constant to it, too.

    Images on the meta device have no values, and mixing them with CPU tensors is an error.
    """
    images = torch.empty(6, 3, 32, 100, device="meta")
    with torch.no_grad(), Watch() as watch:
        result = BatchTextAugment().augment(images)
    assert result.device == images.device and result.shape == images.shape
    assert "lift_fresh" not in watch.names
    with Watch() as control:
        torch.tensor([1.0, 2.0])
    assert "lift_fresh" in control.names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(intact_prob=1.5), r"intact_prob must lie in \[0, 1\], but is 1.5"),
        (dict(magnitude=(0.5, 0.2)), r"magnitude must be \(least, greatest\) within \[0, 1\]"),
        (dict(magnitude=(0, 2)), r"magnitude must be .* but is \(0, 2\)"),
        (dict(groups=["warp", "weather"]), "unknown group 'weather'; the groups are warp, colour,"),
        (dict(groups=dict(blur=-1)), r"the probability of group 'blur' must lie in \[0, 1\]"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BatchTextAugment(**options)


def test_group_name_without_a_list_is_refused():
    with pytest.raises(TypeError, match=r"groups must be a list of names, e\.g\. \['blur'\]"):
        BatchTextAugment(groups="blur")


@pytest.mark.parametrize(
    "inputs", [torch.zeros(2, 3, 32, 100, dtype=torch.uint8), torch.zeros(2, 1, 32, 100)]
)
def test_inputs_of_wrong_dtype_or_shape_are_refused(inputs):
    with pytest.raises(TypeError, match=r"needs floating-point images \(N, 3, H, W\).*mean"):
        BatchTextAugment()(inputs)


def test_chosen_groups_keep_their_default_probabilities():
    augment = BatchTextAugment(groups=["blur", "warp"])
    assert augment.probabilities == {name: PROBABILITIES[name] for name in ("blur", "warp")}
    assert "groups={'blur'" in repr(augment)


class TestPreprocessor:
    """Augmentation in MMOCR's preprocessor, as configured in the released recipe."""

    @pytest.fixture
    def preprocessor(self):
        init_default_scope("mmocr")
        config = Config.fromfile(CONFIGS / "lpv-tiny_own_data.py")
        settings = config.model.data_preprocessor
        settings.batch_augments = [dict(type="BatchTextAugment", intact_prob=0.5)]
        return MODELS.build(settings)

    @pytest.fixture
    def data(self, images):
        samples = [TextRecogDataSample() for _ in range(8)]
        for sample in samples:
            sample.set_metainfo(dict(img_shape=(32, 100), valid_ratio=1.0))
        inputs = [(image * 255).round().byte() for image in images[:8]]
        return dict(inputs=inputs, data_samples=samples)

    def test_training_batches_are_augmented(self, preprocessor, data):
        expected = torch.stack(data["inputs"])[:, [2, 1, 0]] / 255
        with torch.autocast("cpu", torch.bfloat16):
            result = preprocessor(data, training=True)
        assert result["inputs"].dtype == torch.float32
        assert 2 <= changed(expected, result["inputs"]).sum() <= 4
        assert len(result["data_samples"]) == 8

    def test_streamed_words_are_augmented(self, images):
        streamed = MODELS.build(
            dict(
                type="WordDataPreprocessor",
                mean=[0] * 3,
                std=[255] * 3,
                batch_augments=[dict(type="BatchTextAugment")],
            )
        )
        inputs = (images * 255).round().byte()
        words = EncodedWords(torch.zeros(64, 27, dtype=torch.int64), torch.arange(64))
        result = streamed(dict(inputs=inputs, data_samples=words), training=True)
        assert torch.equal(result["data_samples"].numbers, words.numbers)
        assert 24 <= changed(inputs / 255, result["inputs"]).sum() <= 32

    def test_evaluation_batches_are_not_augmented(self, preprocessor, data):
        expected = torch.stack(data["inputs"])[:, [2, 1, 0]] / 255
        assert torch.equal(preprocessor(data, training=False)["inputs"], expected)

    def test_augmentation_adds_nothing_to_checkpoints(self, preprocessor):
        assert not preprocessor.state_dict() and not list(preprocessor.parameters())


def test_contact_sheet_shows_every_group(load_tool, tmp_path):
    out = tmp_path / "sheet.png"
    browse = load_tool("visualizations/browse_augment.py")
    browse.main(["--batch", "--out", str(out), "--scale", "1"])
    sheet = cv2.imread(str(out))
    # One row for the original, one for each group, and four for all groups together.
    assert sheet.shape == ((1 + len(PROBABILITIES) + 4) * 36, 130 + 8 * 104, 3)
    original, warped = sheet[:32, 130:230], sheet[36:68, 130:230]
    assert original.std() > 20
    assert np.abs(original.astype(float) - warped).mean() > 2


def test_contact_sheet_of_batches_refuses_groups(load_tool, capsys):
    browse = load_tool("visualizations/browse_augment.py")
    with pytest.raises(SystemExit):
        browse.main(["--batch", "--groups", "weather"])
    assert "--groups are those of TextAugment" in capsys.readouterr().err
