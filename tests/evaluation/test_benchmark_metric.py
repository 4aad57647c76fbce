from __future__ import annotations

import math
import random
import re
from pathlib import Path

from lpv_mmocr.evaluation import BenchmarkMetric

import pytest
from benchmark_cases import sample
from mmengine.evaluator import Evaluator


def evaluate(samples: list[dict], size: int | None = None, meta: dict | None = None, **options):
    metric = BenchmarkMetric(**options)
    metric.dataset_meta = meta
    metric.process(None, samples)
    return metric.evaluate(len(samples) if size is None else size), metric


def test_accuracies_match_slow_reference():
    generator = random.Random(3)
    samples, right, total = [], {"SVT": 0, "CUTE80": 0}, {"SVT": 0, "CUTE80": 0}
    for number in range(400):
        name = generator.choice(["SVT", "CUTE80"])
        label = "".join(generator.choices("aAbB1^ -", k=generator.randrange(4)))
        reading = generator.choice([label, label.upper(), label + "^", label[1:], "a"])
        bad = generator.random() < 0.1
        samples.append(
            sample(label, reading, f"{name}:{number}", benchmark_set=name, bad_sample=bad)
        )
        total[name] += 1
        same = re.sub("[^0-9a-z]", "", label.lower()) == re.sub("[^0-9a-z]", "", reading.lower())
        right[name] += same and not bad
    meta = dict(benchmark_sets=["SVT", "CUTE80"], absent_benchmark_sets={"SVTP": "no folder"})
    metrics, metric = evaluate(samples, meta=meta)
    for name in right:
        assert metrics[f"recog/{name}/accuracy"] == right[name] / total[name]
    assert list(metric.report.scores) == ["SVT", "CUTE80"]
    assert metric.report.absent == {"SVTP": "no folder"}


def test_results_are_collected_in_files_only_with_collect_dir(tmp_path):
    assert BenchmarkMetric().collect_device == "gpu"
    assert BenchmarkMetric(collect_dir=str(tmp_path)).collect_device == "cpu"


def test_folder_for_collecting_keeps_its_files(tmp_path, monkeypatch):
    """MMEngine deletes the folder that it is given, with all that is in it."""
    given = []
    monkeypatch.setattr(
        "mmengine.evaluator.metric.collect_results",
        lambda results, *_, tmpdir, **__: given.append(Path(tmpdir)) or results,
    )
    metric = BenchmarkMetric(collect_dir=str(tmp_path))
    metric.process(None, [sample("a", "a", "key")])
    metric.evaluate(1)
    assert [folder.parent for folder in given] == [tmp_path]


def test_machines_may_store_the_data_in_different_places():
    """One sample was repeated; the other machine has it under another path."""
    words = [sample("a", "a", f"key{number}", img_path=f"/one/{number}") for number in range(3)]
    repeated = sample("a", "a", "key0", img_path="/two/0")
    assert evaluate([*words, repeated], size=3)[0]["recog/accuracy"] == 1
    with pytest.raises(ValueError, match="The dataset has 2 samples, but 3 different ones"):
        evaluate([*words, repeated], size=2)


@pytest.mark.parametrize(
    ("label", "reading", "insensitive", "sensitive"),
    [
        ("x^2", "x2", 1, 0),
        ("Word", "wORD", 1, 0),
        ("it's", "it's", 1, 1),
        ("^", "", 1, 0),
        ("", "", 1, 1),
        ("", "a", 0, 0),
        ("a", "", 0, 0),
        ("two words", "twowords", 1, 1),
    ],
)
def test_accuracy_of_single_words(label, reading, insensitive, sensitive):
    words = [sample(label, reading, "key"), sample("other", "wrong", "other")]
    assert evaluate(words)[0]["recog/accuracy"] == insensitive / 2
    assert evaluate(words, case_sensitive=True)[0]["recog/accuracy"] == sensitive / 2


def test_bad_sample_is_wrong_whatever_is_read():
    words = [sample("", "", "one", bad_sample=True), sample("a", "a", "two", bad_sample=True)]
    metrics, _ = evaluate(words)
    assert metrics == {"recog/accuracy": 0.0, "recog/one_minus_ned": 0.0}


def test_folders_of_the_same_name_are_distinguished():
    words = [sample("a", "a", "val:1"), sample("a", "b", "val:1")]
    for word, path in zip(words, ("one/val", "two/val"), strict=True):
        word["img_path"] = path
    assert evaluate(words)[0]["recog/accuracy"] == 0.5


def test_accuracy_is_not_rounded():
    words = [sample("a", "a" if number < 2 else "b", str(number)) for number in range(3)]
    assert evaluate(words)[0]["recog/accuracy"] == 2 / 3


def test_repeated_samples_count_once():
    words = [sample("a", "b", "one"), sample("a", "a", "two"), sample("a", "a", "three")]
    # Repeats in the middle as well: truncating the list would keep them.
    repeated = [words[0], words[1], words[1], words[2], words[0]]
    assert evaluate(repeated, size=3)[0]["recog/accuracy"] == 2 / 3


def test_sets_may_share_sample_names():
    meta = dict(benchmark_sets=["SVT", "SVTP"], absent_benchmark_sets={})
    words = [
        sample("a", "a", "image-1", benchmark_set="SVT"),
        sample("a", "b", "image-1", benchmark_set="SVTP"),
    ]
    metrics, _ = evaluate(words, meta=meta)
    assert metrics["recog/SVT/accuracy"] == 1
    assert metrics["recog/SVTP/accuracy"] == 0
    assert "recog/accuracy" not in metrics, "no mean over sets without its name"


@pytest.mark.parametrize("keys", [["one"], ["one", "one", "one"]])
def test_missing_samples_and_shared_names_are_an_error(keys):
    with pytest.raises(ValueError, match=r"has 3 samples, but 1 different ones .* not unique"):
        evaluate([sample("a", "a", key) for key in keys], size=3)


def test_sample_without_any_name_is_an_error():
    with pytest.raises(ValueError, match="neither sample_key nor img_path"):
        BenchmarkMetric().process(None, [sample("a", "a", "", img_path=None)])


def test_sample_without_label_is_an_error():
    word = sample("a", "a", "SVT:7")
    del word["gt_text"]
    with pytest.raises(ValueError, match=r"SVT:7 has no label .*LoadOCRAnnotations"):
        BenchmarkMetric().process(None, [word])


def test_works_next_to_mmocr_metrics():
    evaluator = Evaluator([dict(type="WordMetric"), dict(type="BenchmarkMetric")])
    evaluator.process([sample("x^2", "X2", "one"), sample("ab", "ab", "two")])
    metrics = evaluator.evaluate(2)
    assert metrics["recog/word_acc_ignore_case_symbol"] == 0.5
    assert metrics["recog/accuracy"] == 1


def test_words_of_another_script_give_nan():
    words = [sample("банк", "", "one"), sample("数据", "你好", "two")]
    metrics, _ = evaluate(words)
    assert all(map(math.isnan, metrics.values())) and len(metrics) == 2


def test_labels_without_counted_characters_are_warned_of_once(monkeypatch):
    said = []
    log = "lpv_mmocr.evaluation.benchmark_metric.print_log"
    monkeypatch.setattr(log, lambda message, **options: said.append(message))
    _, metric = evaluate([sample("банк", "", "one"), sample("bank", "bank", "two")])
    metric.process(None, [sample("банк", "", "one"), sample("bank", "bank", "two")])
    assert metric.evaluate(2)["recog/accuracy"] == 1
    assert len(said) == 1
    assert re.match(r"1 of 2 labels have none .*case-insensitive-36.*WordMetric", said[0])


def test_second_evaluation_starts_from_scratch():
    metric = BenchmarkMetric()
    for reading, expected in (("a", 1.0), ("b", 0.0)):
        metric.process(None, [sample("a", reading, "one")])
        assert metric.evaluate(1)["recog/accuracy"] == expected


def test_unreadable_samples_are_no_labels_without_characters(monkeypatch):
    """Their labels may be unreadable, too; they are reported as such."""
    said = []
    log = "lpv_mmocr.evaluation.benchmark_metric.print_log"
    monkeypatch.setattr(log, lambda message, **options: said.append(message))
    bad = sample("", "", "one")
    bad["bad_sample"] = True
    evaluate([bad, sample("bank", "bank", "two")])
    assert not said
