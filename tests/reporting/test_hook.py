"""Tests of the hook that writes the report of a test, in one process and in two."""

from __future__ import annotations

import base64
import io
import json
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace

from lpv_mmocr.cli import InputError
from lpv_mmocr.evaluation import BenchmarkMetric, PredictionWriterHook
from lpv_mmocr.reporting import ReportPageHook
from lpv_mmocr.reporting.hook import _once

import cv2
import numpy as np
import pytest
from apis.inference_cases import noise
from evaluation.benchmark_cases import write_set
from forked_programs import Program, run_script
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import LabelData
from mmocr.structures import TextRecogDataSample
from PIL import Image

ROOT = Path(__file__).parents[2]


def run_test(bench: Path, work_dir: Path, **changes) -> Runner:
    """Test in this process, and write ``report.html`` and ``predictions.jsonl``."""
    config = Config.fromfile(bench / "bench.py")
    config.merge_from_dict(changes)
    config.work_dir, config.load_from = str(work_dir), str(bench / "toy.pth")
    config.custom_hooks = [
        dict(type=ReportPageHook.__name__, out_dir=str(work_dir)),
        dict(type=PredictionWriterHook.__name__, out_file=str(work_dir / "predictions.jsonl")),
    ]
    runner = Runner.from_cfg(config)
    runner.test()
    return runner


def text_of(page: Path) -> str:
    """Return the text of a page, without charts, images and time."""
    html = page.read_text(encoding="utf-8")
    html = re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", html, flags=re.DOTALL)
    html = re.sub(r"<[^>]*>", " ", html)
    return re.sub(r"Written\s+\d+ \w+ \d+, \d+:\d+ UTC", "", " ".join(unescape(html).split()))


@pytest.fixture(scope="module")
def alone(bench) -> tuple[Runner, Path]:
    """The runner of a test in this process, and its folder."""
    folder = bench / "alone"
    return run_test(bench, folder), folder


def test_report_lists_present_and_absent_sets(alone):
    text = text_of(alone[1] / "report.html")
    assert "Test of toy.pth" in text
    assert "Model LPV, float32, mask off" in text
    assert re.search(r"Data \S+", text)
    assert "7 words" in text
    assert re.search(r"SVT 5 \d \d+\.\d\d \d+\.\d\d COUNT: should be 647", text)
    assert re.search(r"SVTP( \u2013){4} ABSENT: LMDB folder \S+nowhere does not exist", text)
    assert "Samples that could not be loaded: 1." in text
    assert "cute:image-000000002" in text
    assert "recog/word_acc" in text


def test_worst_errors_are_those_of_the_predictions(alone):
    rows = [json.loads(line) for line in (alone[1] / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 7
    reduce = BenchmarkMetric().protocol.reduce
    wrong = [row for row in rows[:-1] if reduce(row["label"]) != reduce(row["text"])]
    wrong.sort(key=lambda row: -row["word_score"])
    html = (alone[1] / "report.html").read_text()
    assert wrong
    shown = re.findall(r"<dt>Sample</dt><dd>\w+, (\S+)</dd>", html)
    assert shown == [row["key"] for row in wrong]
    confidences = re.findall(r"<dt>Confidence</dt><dd>([\d.]+)&nbsp;%", html)
    assert confidences == [f"{100 * row['word_score']:.2f}" for row in wrong]


def test_images_are_the_inputs_of_the_model(alone):
    runner, folder = alone
    html = (folder / "report.html").read_text()
    keys = re.findall(r"<dt>Sample</dt><dd>\w+, (\S+)</dd>", html)
    words = re.findall(r'class="word" src="data:image/webp;base64,([^"]+)"', html)
    attention = re.findall(r'class="attention" src="data:image/webp;base64,([^"]+)"', html)
    assert len(words) == len(attention) == len(keys) > 0
    dataset = runner.test_dataloader.dataset
    inputs = {packed["data_samples"].sample_key: packed["inputs"] for packed in dataset}
    for key, data in zip(keys, words, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        assert np.array_equal(shown, inputs[key].flip(0).permute(1, 2, 0).numpy())


def test_attention_is_not_kept_beyond_the_report(alone):
    assert alone[0].model.decoder.keep_attention is False


def test_nothing_but_the_page_is_left_behind(alone):
    left = {path.name for path in alone[1].iterdir() if path.name.startswith("report")}
    assert left == {"report.html"}


def test_own_data_may_have_its_own_evaluator(bench, tmp_path):
    dataset = dict(type="LPVLMDBDataset", data_root=str(bench), ann_file="svt", test_mode=True)
    changes = {
        "test_dataloader.dataset": {
            **dataset,
            "_delete_": True,
            "pipeline": Config.fromfile(bench / "bench.py").test_dataloader.dataset.pipeline,
        },
        "test_evaluator": dict(type="WordMetric", mode="exact", _delete_=True),
    }
    run_test(bench, tmp_path, **changes)
    text = text_of(tmp_path / "report.html")
    assert "Protocol exact: all characters are compared." in text
    assert re.search(r"all words 5 \d", text)
    assert re.search(r"recog/word_acc \d", text)
    assert "<b>0</b>" in text


def test_set_without_comparable_labels_is_left_out(bench, tmp_path):
    """Its accuracy is not computed, and it must not lower that of all words."""
    image = cv2.imencode(".png", noise(seed=9))[1].tobytes()
    write_set(tmp_path / "cjk", ["中文", "字符", "日本"], [image] * 3)
    sets = dict(SVT="svt", CJK=str(tmp_path / "cjk"))
    key = "test_dataloader.dataset.sets"
    run_test(bench, tmp_path / "a", **{key: dict(sets, _delete_=True)})
    run_test(bench, tmp_path / "b", **{key: dict(SVT="svt", _delete_=True)})
    both, one = (text_of(tmp_path / name / "report.html") for name in "ab")
    assert "Words of sets in which no label has a compared character: 3." in both
    figures = re.compile(r"\d words \d+\.\d\d % word accuracy .*? calibration error")
    assert figures.search(both)[0] == figures.search(one)[0]
    run_test(bench, tmp_path / "c", **{key: dict(CJK=sets["CJK"], _delete_=True)})
    none = text_of(tmp_path / "c" / "report.html")
    assert "0 words" in none and "nan" not in none


@pytest.mark.slow
def test_two_processes_write_the_same_report(bench, alone):
    # Seven words for two processes: one of them is repeated.
    arguments = bench / "bench.py", bench / "toy.pth", "--launcher", "pytorch"
    arguments += "--report", bench / "both", "--work-dir", bench / "both"
    test = ROOT / "tools" / "test.py"
    Program(run_script, test, ROOT, *arguments, log=bench / "log", processes=2).finish()
    assert text_of(bench / "both/report.html") == text_of(alone[1] / "report.html")


class TestCounting:
    """Tests of the hook alone, with words that a sampler repeats."""

    @staticmethod
    def sample(label: str | None) -> TextRecogDataSample:
        sample = TextRecogDataSample(pred_text=LabelData(item="x", score=[0.5], word_score=0.5))
        if label is not None:
            sample.gt_text = LabelData(item=label)
        return sample

    @pytest.fixture
    def runner(self):
        return SimpleNamespace(
            test_dataloader=SimpleNamespace(batch_sampler=[[2, 0], [1, 2]]),
            test_evaluator=SimpleNamespace(metrics=[]),
        )

    def test_repeated_words_count_once(self, runner, tmp_path):
        hook = ReportPageHook(out_dir=str(tmp_path))
        for _ in range(2):  # a second test starts from scratch
            hook.before_test_epoch(runner)
            hook.after_test_iter(runner, 0, outputs=[self.sample("c"), self.sample("a")])
            hook.after_test_iter(runner, 1, outputs=[self.sample("b"), self.sample("c")])
            assert [word.label for word in _once(hook._words)] == ["a", "b", "c"]

    def test_words_without_labels_are_refused(self, runner, tmp_path):
        hook = ReportPageHook(out_dir=str(tmp_path))
        hook.before_test_epoch(runner)
        with pytest.raises(ValueError, match=r"has no label .*LoadOCRAnnotations"):
            hook.after_test_iter(runner, 0, outputs=[self.sample(None)])


class TestFolder:
    def test_folder_is_created_at_once(self, tmp_path):
        ReportPageHook(out_dir=str(tmp_path / "a" / "b"))
        assert (tmp_path / "a" / "b").is_dir()

    def test_file_instead_of_a_folder_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=r"needs a folder, and .*file is a file"):
            ReportPageHook(out_dir=str(tmp_path / "file"))

    def test_negative_number_of_errors_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="num_worst must not be negative, got -1"):
            ReportPageHook(out_dir=str(tmp_path), num_worst=-1)
