"""``train_synth.sh``, with a stand-in for ``python`` that trains nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "train_synth.sh"
STAND_IN = """\
#!/usr/bin/env bash
# Writes down its arguments; a training is done with its second call.
echo "$*" >>calls
echo "$LPV_POOL" >pool
[[ $1 == */publish_checkpoint.py || $1 == */test.py ]] && exit
while [[ $1 != --work-dir ]]; do shift; done
mkdir -p "$2"
if [[ -f $2/last_checkpoint ]]; then touch "$2/finished"; fi
echo "$2/iter_9.pth" >"$2/last_checkpoint"
"""


@pytest.fixture
def train_synth(run_tool, tmp_path):
    stand_in = tmp_path / "bin" / "python"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)

    def run(*arguments: object):
        path = f"{stand_in.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
        return run_tool("bash", SCRIPT, *arguments, PATH=path)

    return run


def test_every_call_does_the_next_step(train_synth, tmp_path):
    said = []
    for _ in range(5):
        result = train_synth("work", "train_cfg.val_interval=7")
        assert result.returncode == 0, result.stderr
        said.append(result.stdout.splitlines()[-1])
    assert [line.partition(":")[2].partition(".")[0].strip() for line in said[:4]] == [
        "synth goes on",
        "finetune",
        "finetune goes on",
        "publish",
    ]
    assert said[4] == "All is done: work/lpv-tiny.pth and work/lpv-tiny_finetuned.pth"
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    trainings, publishing = calls[:4], calls[4:]
    names = ["lpv-tiny_synth.py"] * 2 + ["lpv-tiny_synth_finetune.py"] * 2
    assert [Path(call[1]).name for call in trainings] == names
    for call in trainings:
        assert call[0].endswith("tools/train.py")
        assert (call[2], *call[4:6]) == ("--work-dir", "--resume", "--cfg-options")
        assert call[-1] == "train_cfg.val_interval=7"
    assert calls[2][6] == "load_from=work/synth/iter_9.pth"
    assert [Path(call[0]).name for call in publishing] == ["publish_checkpoint.py", "test.py"] * 2
    assert publishing[0][1:3] == ["work/synth/iter_9.pth", "work/lpv-tiny.pth"]
    assert publishing[1][2] == "work/lpv-tiny.pth"
    assert publishing[2][1:3] == ["work/finetune/iter_9.pth", "work/lpv-tiny_finetuned.pth"]
    assert publishing[3][-1] == "work/report_finetune"
    assert (tmp_path / "pool").read_text() == "work/pool\n"


def test_no_options(train_synth, tmp_path):
    assert train_synth("work").returncode == 0
    assert (tmp_path / "calls").read_text().endswith("--work-dir work/synth --resume\n")


def test_failing_training_fails_the_call(train_synth, tmp_path):
    (tmp_path / "bin" / "python").write_text("#!/usr/bin/env bash\nexit 3\n")
    assert train_synth("work").returncode == 3


def test_says_how_to_call_it(train_synth):
    result = train_synth()
    assert result.returncode == 2
    assert "bash tools/train_synth.sh WORK_DIR" in result.stderr
