"""Tests of writing scalars on a full disk, and of the default name of the visualiser."""

from __future__ import annotations

import errno
import json

import pytest
from mmengine.visualization import vis_backend
from mmocr.registry import VISUALIZERS
from tensorboard.summary.writer.record_writer import RecordWriter


@pytest.fixture
def full(monkeypatch):
    """Return a function that switches a simulated full disk on and off."""

    def refuse(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    def switch(on: bool) -> None:
        monkeypatch.setattr(vis_backend, "open", refuse if on else open, raising=False)

    return switch


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(
        "lpv_mmocr.visualization.fault_tolerant_scalars.print_log",
        lambda text, **_: lines.append(text),
    )
    return lines


def visualizer(folder, *backends: str):
    return VISUALIZERS.build(
        dict(
            type="AttentionTextRecogVisualizer",
            name=f"scalars_{folder.name}",
            save_dir=str(folder),
            vis_backends=[dict(type=name) for name in backends],
        )
    )


def test_full_disk_is_reported_once_and_survived(tmp_path, full, said):
    curves = visualizer(tmp_path, "LocalVisBackend")
    for step in range(8):
        full(step in (1, 2, 3, 6))
        curves.add_scalars(dict(loss=0.5), step=step, file_path="log.json")
        curves.add_scalar("eta_hours", 1.0, step=step)
    curves.close()
    for name, lines in (("log.json", 4), ("scalars.json", 8)):
        text = (tmp_path / "vis_data" / name).read_text()
        rows = [json.loads(line) for line in text.splitlines()]
        assert len(rows) == lines
        assert [row["step"] for row in rows if "loss" in row] == [0, 4, 5, 7]
    failed = (
        "LocalVisBackend cannot write scalars ([Errno 28] No space left on device); "
        "training continues without them."
    )
    assert said == [failed, "LocalVisBackend writes scalars again."] * 2


def test_closing_does_not_report_recovery(tmp_path, full, said):
    curves = visualizer(tmp_path, "LocalVisBackend")
    full(True)
    curves.add_scalar("loss", 0.5)
    curves.close()
    assert len(said) == 1 and "cannot write scalars" in said[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_other_backends_still_get_their_values(tmp_path, monkeypatch, said):
    def refuse(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    curves = visualizer(tmp_path, "TensorboardVisBackend", "LocalVisBackend")
    board = curves.get_backend("TensorboardVisBackend").experiment
    board.flush()
    monkeypatch.setattr(RecordWriter, "write", refuse)
    for step in range(3):
        curves.add_scalars(dict(loss=0.5), step=step)
        board.file_writer.event_writer._async_writer._worker.join(10)
    curves.close()
    rows = (tmp_path / "vis_data" / "scalars.json").read_text().splitlines()
    assert len(rows) == 3
    assert [line.split()[0] for line in said] == ["TensorboardVisBackend"]


def test_other_errors_are_raised(tmp_path):
    curves = visualizer(tmp_path, "LocalVisBackend")
    with pytest.raises(TypeError):
        curves.add_scalars(dict(loss=object()))


def test_building_twice_without_a_name_gives_one_visualizer():
    built = VISUALIZERS.build(dict(type="AttentionTextRecogVisualizer"))
    assert built.instance_name == "visualizer"
    assert VISUALIZERS.build(dict(type="AttentionTextRecogVisualizer")) is built
