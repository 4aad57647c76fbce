"""Tests of the TextAugment transform: draws, options, presets, randomness and tools."""

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

from lpv_mmocr.datasets.transforms.text_augment import GROUPS, OPERATIONS, PRESETS, TextAugment

import cv2
import mmengine
import numpy as np
import pytest
import torch
from mmengine.dataset import worker_init_fn
from mmengine.runner import set_random_seed
from torch.utils.data import DataLoader, Dataset

from mmocr.registry import TRANSFORMS  # isort: skip

ROOT = Path(__file__).parents[2]


@pytest.fixture()
def word():
    img = np.full((32, 100, 3), (180, 200, 210), np.uint8)
    cv2.putText(img, "Harbour", (4, 23), cv2.FONT_HERSHEY_DUPLEX, 0.75, (60, 30, 10), 1)
    return img


def plans(transform, count, seed=0):
    rng = Random(seed)
    return [transform.plan(rng) for _ in range(count)]


class TestPlan:
    def test_three_different_groups_in_any_order(self):
        drawn = plans(TextAugment(intact_prob=0), 6000)
        groups = [tuple(op.group for op, _ in plan) for plan in drawn]
        assert all(len(set(triple)) == 3 for triple in groups)
        assert len(set(groups)) == 8 * 7 * 6
        counts = Counter(group for triple in groups for group in triple)
        assert set(counts) == set(GROUPS)
        assert all(count == pytest.approx(2250, rel=0.06) for count in counts.values())

    def test_operations_and_magnitudes_are_equally_likely(self):
        drawn = [pair for plan in plans(TextAugment(intact_prob=0), 6000) for pair in plan]
        counts = Counter(op.name for op, _ in drawn)
        assert set(counts) == set(OPERATIONS)
        assert counts["rain"] == pytest.approx(18000 / 8 / 5, rel=0.2)
        assert counts["curve"] == pytest.approx(18000 / 8 / 3, rel=0.2)
        magnitudes = Counter(magnitude for _, magnitude in drawn)
        assert set(magnitudes) == {0, 1, 2}
        assert all(count == pytest.approx(6000, rel=0.05) for count in magnitudes.values())

    @pytest.mark.parametrize("magnitude", [0, 1, 2])
    def test_fixed_magnitude_is_used(self, magnitude):
        drawn = plans(TextAugment(intact_prob=0, magnitude=magnitude), 100)
        assert {m for plan in drawn for _, m in plan} == {magnitude}

    @pytest.mark.parametrize("intact_prob", [0.0, 0.3, 0.5, 1.0])
    def test_intact_prob_is_the_fraction_of_intact_images(self, intact_prob):
        drawn = plans(TextAugment(intact_prob=intact_prob), 4000)
        share = sum(not plan for plan in drawn) / 4000
        assert share == pytest.approx(intact_prob, abs=0.03)
        if intact_prob in (0, 1):
            assert share == intact_prob

    @pytest.mark.parametrize("num_groups", [1, 5, 8])
    def test_num_groups_groups_are_drawn(self, num_groups):
        drawn = plans(TextAugment(intact_prob=0, num_groups=num_groups), 100)
        assert {len({op.group for op, _ in plan}) for plan in drawn} == {num_groups}

    def test_only_chosen_groups_are_drawn(self):
        drawn = plans(TextAugment(intact_prob=0, groups=["blur", "warp"]), 100)
        assert {op.group for plan in drawn for op, _ in plan} == {"blur", "warp"}
        assert {len(plan) for plan in drawn} == {2}

    def test_groups_are_drawn_with_their_probabilities(self):
        transform = TextAugment(
            intact_prob=0, num_groups=8, groups=dict(blur=1.0, noise=0.25, weather=0.0)
        )
        counts = Counter(op.group for plan in plans(transform, 4000) for op, _ in plan)
        assert counts["blur"] == 4000
        assert counts["noise"] == pytest.approx(1000, abs=110)
        assert "weather" not in counts

    def test_only_chosen_operations_are_drawn(self):
        names = {"invert", "rain", "snow"}
        drawn = plans(TextAugment(intact_prob=0, operations=sorted(names)), 200)
        assert {op.name for plan in drawn for op, _ in plan} == names


class TestPresets:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_builds_from_config_and_draws_only_its_operations(self, preset, tmp_path, word):
        path = tmp_path / "config.py"
        path.write_text(
            f"pipeline = [dict(type='TextAugment', preset={preset!r}, intact_prob=0.0)]\n"
        )
        config = mmengine.Config.fromfile(path)
        transform = TRANSFORMS.build(config.pipeline[0])
        assert type(transform) is TextAugment
        drawn = plans(transform, 3000)
        assert {op.name for plan in drawn for op, _ in plan} == set(PRESETS[preset])
        groups = {OPERATIONS[name].group for name in PRESETS[preset]}
        assert {len(plan) for plan in drawn} == {min(3, len(groups))}
        assert transform({"img": word})["img"].shape == word.shape

    def test_straug_has_all_operations_and_rotation_one(self):
        assert PRESETS["straug"] == tuple(OPERATIONS)
        assert PRESETS["rotation"] == ("rotate",)

    def test_groups_restrict_a_preset(self):
        transform = TextAugment(preset="ppocr", groups=["geometry"], intact_prob=0)
        drawn = plans(transform, 50)
        assert {op.name for plan in drawn for op, _ in plan} == {"rotate", "perspective"}


class TestTransform:
    def test_changes_only_the_image(self, word):
        before = word.copy()
        results = dict(img=word, img_shape=(32, 100), gt_texts=["Harbour"])
        after = TextAugment(intact_prob=0).transform(results)
        assert set(after) == {"img", "img_shape", "gt_texts"}
        assert after["img_shape"] == (32, 100)
        assert after["img"].shape == word.shape
        assert not np.array_equal(after["img"], before)
        np.testing.assert_array_equal(word, before)

    def test_intact_image_is_the_same_object(self, word):
        assert TextAugment(intact_prob=1)(dict(img=word))["img"] is word

    def test_global_generator_is_used_once_per_image(self, word):
        """The rest of the pipeline does not depend on what was drawn for this image."""
        following = set()
        for transform in (TextAugment(intact_prob=1), TextAugment(intact_prob=0, num_groups=8)):
            set_random_seed(7)
            transform(dict(img=word))
            following.add(np.random.randint(2**31))  # noqa: NPY002
        assert len(following) == 1

    def test_reproducible_under_mmengine_seeds(self, word):
        def run(seed):
            transform = TextAugment()
            set_random_seed(seed)
            return np.stack([transform(dict(img=word))["img"] for _ in range(40)])

        first = run(3)
        other = run(4)
        np.testing.assert_array_equal(run(3), first)
        assert not np.array_equal(other, first)
        assert len({img.tobytes() for img in first}) > 15

    @pytest.mark.parametrize(
        "img",
        [
            np.zeros((32, 100), np.uint8),
            np.zeros((32, 100, 1), np.uint8),
            np.zeros((32, 100, 3), np.float32),
            [[1, 2], [3, 4]],
        ],
    )
    def test_unsupported_images_are_refused(self, img):
        with pytest.raises(TypeError, match=r"needs a uint8 image of shape \(H, W, 3\).*word-7"):
            TextAugment()(dict(img=img, img_path="word-7.png"))

    def test_repr_names_what_is_drawn(self):
        text = repr(TextAugment(preset="scatter", groups=dict(warp=0.5), magnitude=1))
        assert "warp (0.5): distort" in text
        assert "magnitude=1" in text


class Words(Dataset):
    """Sixteen augmentations of the same image."""

    def __init__(self):
        self.transform = TextAugment(intact_prob=0)

    def __len__(self):
        return 16

    def __getitem__(self, index):
        img = np.full((32, 100, 3), 128, np.uint8)
        img[8:24, 10:90:7] = (10, 60, 200)
        return torch.from_numpy(self.transform(dict(img=img))["img"].copy())


def test_data_loader_workers_differ_and_are_reproducible():
    def run(seed):
        # Workers inherit the state of the main process, which must not matter.
        np.random.seed(99)  # noqa: NPY002
        init = partial(worker_init_fn, num_workers=2, rank=0, seed=seed)
        loader = DataLoader(Words(), batch_size=4, num_workers=2, worker_init_fn=init)
        return torch.stack(list(loader)).numpy()

    first = run(5)
    np.testing.assert_array_equal(run(5), first)
    assert not np.array_equal(run(50), first)
    # Batches come from the two workers in turn: no image appears twice.
    assert len({img.tobytes() for batch in first for img in batch}) == 16


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(num_groups=0), "num_groups must be 1 to 8, but is 0"),
        (dict(num_groups=9), "num_groups must be 1 to 8, but is 9"),
        (dict(num_groups=2.0), "num_groups must be 1 to 8, but is 2.0"),
        (dict(intact_prob=1.5), r"intact_prob must lie in \[0, 1\], but is 1.5"),
        (dict(magnitude=3), "magnitude must be None, 0, 1 or 2, but is 3"),
        (dict(magnitude="high"), "magnitude must be None, 0, 1 or 2, but is 'high'"),
        (dict(groups=["blurr"]), "unknown group 'blurr'; the groups are warp, geometry"),
        (dict(groups=[]), "groups is empty"),
        (dict(groups=dict(blur=2)), r"probability of group 'blur' must lie in \[0, 1\], not 2"),
        (dict(operations=["rains"]), r"unknown operation\(s\) 'rains'; the operations are curve"),
        (dict(operations=[]), "operations is empty"),
        (dict(operations=["rain"], groups=["blur"]), "'blur' has none of the chosen operations"),
        (dict(preset="strong"), "unknown preset 'strong'; the presets are straug, semantic"),
        (dict(preset="straug", operations=["rain"]), "either preset or operations, not both"),
    ],
)
def test_bad_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TextAugment(**options)


@pytest.mark.parametrize("option", ["groups", "operations"])
def test_string_instead_of_a_list_is_refused(option):
    with pytest.raises(TypeError, match=f"{option} must be a list of names.*\\['blur'\\]"):
        TextAugment(**{option: "blur"})


def load_tool(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / "tools" / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestTools:
    def test_browse_writes_a_sheet(self, tmp_path, word):
        cv2.imwrite(str(tmp_path / "word.png"), word)
        out = tmp_path / "sheets" / "sheet.png"
        command = [
            sys.executable, "tools/visualizations/browse_augment.py", tmp_path / "word.png",
            "--out", out, "--groups", "noise", "blur", "--scale", "1",
        ]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        sheet = cv2.imread(str(out))
        # A row for the original and for each of nine operations; three magnitudes and a label.
        assert sheet.shape[0] == 10 * 36
        assert sheet.shape[1] > 3 * 100
        np.testing.assert_array_equal(sheet[:32, -104:-4], word)
        assert not np.array_equal(sheet[36:68, -104:-4], word)

    def test_browse_without_input_renders_a_word(self, tmp_path):
        out = tmp_path / "sheet.png"
        load_tool("visualizations/browse_augment.py").main(["--out", str(out), "--scale", "1"])
        sheet = cv2.imread(str(out))
        assert sheet.shape[0] == (1 + len(OPERATIONS)) * 36
        assert sheet[:32, 140:240].std() > 20

    def test_browse_refuses_bad_input_and_output_files(self, tmp_path, capsys):
        (tmp_path / "notes.png").write_text("no image")
        browse = load_tool("visualizations/browse_augment.py")
        for arguments, error in (
            ([str(tmp_path / "notes.png")], "notes.png: not an image"),
            (["--out", "sheet.xyz"], "--out sheet.xyz: the file's name must end in .png"),
        ):
            with pytest.raises(SystemExit) as raised:
                browse.main(arguments)
            assert raised.value.code == 2
            assert error in capsys.readouterr().err

    def test_benchmark_lists_every_operation(self, capsys):
        options = "--rounds 1 --images 5 --seeds 0 --size 40 16 --operations"
        load_tool("analysis_tools/benchmark_augment.py").main(options.split())
        output = capsys.readouterr().out
        assert "all seeds: TextAugment" in output
        assert all(f"\n{name} " in output for name in OPERATIONS)
