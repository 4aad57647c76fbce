"""Tests of ``train_synth.sh``, mostly with a stand-in for ``python`` that trains nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "train_synth.sh"
STAND_IN = """\
#!/usr/bin/env bash
# Writes down its arguments; a training is done with its second call.
echo "$*" >>calls
echo "$LPV_POOL" >pool
[[ $1 == */train.py ]] || exit 0
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

    def run(*arguments: object, **variables: str):
        path = f"{stand_in.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
        pack = dict(LPV_FONTS="none", LPV_WORDS="words.tsv")
        return run_tool("bash", SCRIPT, *arguments, PATH=path, **{**pack, **variables})

    return run


def calls_in(tmp_path: Path) -> list[list[str]]:
    """Return the arguments of each call so far; only the checkout's path may have blanks."""
    root = str(SCRIPT.parents[1])
    text = (tmp_path / "calls").read_text().replace(root, "\0")
    return [[part.replace("\0", root) for part in line.split()] for line in text.splitlines()]


def test_every_call_does_the_next_step(train_synth, tmp_path):
    said = []
    for _ in range(5):
        result = train_synth("work", "train_cfg.val_interval=7")
        assert result.returncode == 0, result.stderr
        said.append(result.stdout.splitlines()[-1])
    assert [line.partition(":")[2].partition(".")[0].strip() for line in said[:4]] == [
        "synth continues",
        "finetune",
        "finetune continues",
        "publish",
    ]
    assert said[4] == "All is done: work/lpv-tiny.pth and work/lpv-tiny_finetuned.pth"
    calls = calls_in(tmp_path)
    trainings, publishing = calls[:4], calls[4:]
    names = ["lpv-tiny_synth.py"] * 2 + ["lpv-tiny_synth_finetune.py"] * 2
    assert [Path(call[1]).name for call in trainings] == names
    for call in trainings:
        assert call[0].endswith("tools/train.py")
        assert (call[2], *call[4:6]) == ("--work-dir", "--resume", "--cfg-options")
        assert call[6] == "train_cfg.val_interval=7"
    assert calls[2][7:] == ["load_from=work/synth/iter_9.pth"]
    steps = ["publish_checkpoint.py", "test.py", "plot_curves.py"]
    assert [Path(call[0]).name for call in publishing] == steps * 2
    assert publishing[0][1:3] == ["work/synth/iter_9.pth", "work/lpv-tiny.pth"]
    assert publishing[1][2] == "work/lpv-tiny.pth"
    assert publishing[2][1:] == ["work/synth", "--out", "work/curves_synth.png"]
    assert publishing[3][1:3] == ["work/finetune/iter_9.pth", "work/lpv-tiny_finetuned.pth"]
    assert publishing[4][-1] == "work/report_finetune"
    assert (tmp_path / "pool").read_text() == "work/pool\n"


def test_mini_begins_with_a_separate_start_run(train_synth, tmp_path):
    said = []
    for _ in range(7):
        result = train_synth("work", "start:a=1", "b=2", LPV_SIZE="mini")
        assert result.returncode == 0, result.stderr
        said.append(result.stdout.splitlines()[-1])
    assert said[0].startswith("Next: start continues.") and said[1].startswith("Next: synth.")
    assert said[5].startswith("Next: publish.")
    assert said[6] == "All is done: work/lpv-mini.pth and work/lpv-mini_finetuned.pth"
    calls = calls_in(tmp_path)
    names = ["lpv-mini_synth_start", "lpv-mini_synth", "lpv-mini_synth_finetune"]
    assert [Path(call[1]).stem for call in calls[:6:2]] == names
    assert [call[6:] for call in calls[:6:2]] == [
        ["a=1", "b=2"],
        ["b=2", "load_from=work/start/iter_9.pth"],
        ["b=2", "load_from=work/synth/iter_9.pth"],
    ]
    publishing, testing = calls[6:8]
    assert publishing[1:3] == ["work/synth/iter_9.pth", "work/lpv-mini.pth"]
    assert Path(publishing[4]).name == "lpv-mini_own_data.py"
    assert Path(testing[1]).name == "lpv-mini_synth.py"


def test_tiny_cpu_grows_from_the_bundled_mini(train_synth, tmp_path):
    for _ in range(2):
        assert train_synth("work", "low:a=1", LPV_SIZE="tiny_cpu").returncode == 0
    calls = calls_in(tmp_path)
    tools = ["grow_checkpoint.py", "train.py", "train.py"]  # the second call continues
    assert [Path(call[0]).name for call in calls] == tools
    mini, config, grown = calls[0][1:]
    assert Path(mini) == SCRIPT.parents[1] / "checkpoints" / "lpv-mini.pth"
    assert (Path(config).name, grown) == ("lpv-tiny_cpu_synth_low.py", "work/grown.pth")
    assert calls[1][6:] == ["a=1", "load_from=work/grown.pth"]
    for _ in range(5):
        result = train_synth("work", LPV_SIZE="tiny_cpu")
        assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == (
        "All is done: work/lpv-tiny.pth and work/lpv-tiny_finetuned.pth"
    )
    calls = calls_in(tmp_path)[3:]
    names = ["lpv-tiny_cpu_synth", "lpv-tiny_cpu_synth_finetune"]
    assert [Path(call[1]).stem for call in calls[:4]] == [names[0]] * 2 + [names[1]] * 2
    publishing = calls[4]
    assert publishing[1:3] == ["work/synth/iter_9.pth", "work/lpv-tiny.pth"]
    assert Path(publishing[4]).name == "lpv-tiny_stage2_10e_st_mj.py"


def test_tiny_cpu_starts_from_given_weights(train_synth, tmp_path):
    (tmp_path / "back.pth").touch()
    assert train_synth("work", LPV_SIZE="tiny_cpu", LPV_START="back.pth").returncode == 0
    assert trainings(tmp_path) == [["load_from=back.pth"]]
    assert "grow_checkpoint" not in (tmp_path / "calls").read_text()


def test_sizes_do_not_use_each_others_state(train_synth, tmp_path):
    assert train_synth("work", LPV_CARRY="carried").returncode == 0
    (tmp_path / "carried" / "tiny" / "synth").mkdir(parents=True)
    result = train_synth("work", LPV_SIZE="mini", LPV_CARRY="carried")
    assert result.returncode == 2
    assert "work holds a training run of LPV-tiny: choose another folder, or set LPV_SIZE" in (
        result.stderr
    )
    assert train_synth("other", LPV_SIZE="mini", LPV_CARRY="carried").returncode == 0
    assert "unpack" not in (tmp_path / "calls").read_text()


def test_option_for_a_run_that_the_size_lacks_is_rejected(train_synth, tmp_path):
    result = train_synth("work", "start:a=1")
    assert (result.returncode, result.stderr) == (
        2,
        "error: start:a=1 is for training run start, but LPV_SIZE=tiny has: synth finetune\n",
    )
    assert not (tmp_path / "calls").exists()


def test_unknown_size_is_rejected(train_synth, tmp_path):
    result = train_synth("work", LPV_SIZE="huge")
    assert (result.returncode, result.stderr) == (
        2,
        "error: LPV_SIZE is tiny, mini or tiny_cpu, not huge\n",
    )
    assert not (tmp_path / "calls").exists()


def test_options_are_optional(train_synth, tmp_path):
    assert train_synth("work").returncode == 0
    assert (tmp_path / "calls").read_text().endswith("--work-dir work/synth --resume\n")


def trainings(tmp_path: Path) -> list[list[str]]:
    """Return the options of the training runs so far."""
    return [call[6:] for call in calls_in(tmp_path) if call[0].endswith("/train.py")]


def test_options_and_start_weights_reach_their_run(train_synth, tmp_path):
    (tmp_path / "back.pth").touch()
    options = ["synth:a=1", "finetune:a=2", "b=x:3", "load_from=other.pth"]
    for _ in range(3):
        assert train_synth("work", *options, LPV_START="back.pth").returncode == 0
    both = ["b=x:3", "load_from=other.pth"]
    first = ["a=1", *both, "load_from=back.pth"]
    assert trainings(tmp_path) == [
        first,
        first,
        ["a=2", *both, "load_from=work/synth/iter_9.pth"],
    ]


def test_start_weights_may_have_commas_and_blanks_in_their_name(train_synth, tmp_path):
    (tmp_path / "my, back.pth").touch()
    assert train_synth("work", LPV_START="my, back.pth").returncode == 0
    assert trainings(tmp_path) == [["load_from='my,", "back.pth'"]]  # divided by the test


def test_missing_start_weights_are_reported(train_synth, tmp_path):
    result = train_synth("work", LPV_START="gone.pth")
    assert result.returncode == 2
    assert result.stderr == "error: there is no checkpoint gone.pth, which LPV_START names\n"


@pytest.mark.parametrize("name", ["LPV_FONTS", "LPV_WORDS"])
def test_fonts_and_words_must_be_chosen(train_synth, tmp_path, name):
    result = train_synth("work", **{name: ""})
    assert result.returncode == 2
    for part in (f"of which {name} is missing", "pack_fonts.py", '"none"'):
        assert part in result.stderr
    assert not (tmp_path / "calls").exists()


def write_part(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "part_1_of_1.pth").touch()


def test_empty_folder_for_the_state_is_ignored(train_synth, tmp_path):
    (tmp_path / "carried" / "tiny" / "synth").mkdir(parents=True)
    result = train_synth("work", LPV_CARRY="carried")
    assert result.returncode == 0 and "resumes" not in result.stdout
    assert trainings(tmp_path) == [[]]


def test_state_is_found_in_a_folder_with_special_characters(train_synth, tmp_path):
    write_part(tmp_path / "carry [1]*" / "tiny" / "synth")
    result = train_synth("work", LPV_CARRY="carry [1]*")
    assert result.stdout.startswith("synth: resumes from carry [1]*/tiny/synth\n")


def test_state_is_carried(train_synth, tmp_path):
    for _ in range(3):
        assert train_synth("here", LPV_CARRY="carried").returncode == 0
    # The stand-in does not write the carried state.
    for name in ("synth", "finetune"):
        write_part(tmp_path / "carried" / "tiny" / name)
    result = train_synth("there", LPV_CARRY="carried")
    assert result.stdout.startswith("synth: resumes from carried/tiny/synth\nfinetune: resumes")
    assert train_synth("there", LPV_CARRY="carried").returncode == 0
    lines = (tmp_path / "calls").read_text().splitlines()
    calls = (line.partition("carry_checkpoint.py ")[2] for line in lines)
    assert [call for call in calls if call] == [
        *["pack here/synth/iter_9.pth carried/tiny/synth"] * 2,
        "pack here/finetune/iter_9.pth carried/tiny/finetune",
        "unpack carried/tiny/synth there/synth",
        "unpack carried/tiny/finetune there/finetune",
        "pack there/synth/iter_9.pth carried/tiny/synth",
        "unpack carried/tiny/finetune there/finetune",
        "pack there/synth/iter_9.pth carried/tiny/synth",
    ]


def test_carried_run_is_not_grown_again(train_synth, tmp_path):
    """The first machine has already grown LPV-Mini to LPV-Tiny."""
    stand_in = tmp_path / "bin" / "python"
    unpack = (
        'if [[ $2 == unpack ]]; then mkdir -p "$4"; echo "$4/iter_9.pth" >"$4/last_checkpoint"; fi'
    )
    stand_in.write_text(STAND_IN.replace("[[ $1 ==", f"{unpack}\n[[ $1 ==", 1))
    write_part(tmp_path / "carried" / "tiny_cpu" / "low")
    result = train_synth("there", LPV_SIZE="tiny_cpu", LPV_CARRY="carried")
    assert result.stdout.startswith("low: resumes from carried/tiny_cpu/low\n")
    tools = [Path(call[0]).name for call in calls_in(tmp_path)]
    assert tools == ["carry_checkpoint.py", "train.py", "carry_checkpoint.py"]
    assert trainings(tmp_path) == [[]]


def test_moved_folder_continues_from_its_own_weights(train_synth, tmp_path):
    stand_in = tmp_path / "bin" / "python"
    stand_in.write_text(f'{STAND_IN}touch "$2/iter_9.pth"\n')
    work = tmp_path / "work"
    for _ in range(2):
        assert train_synth(work).returncode == 0
    assert (work / "synth" / "last_checkpoint").read_text() == f"{work}/synth/iter_9.pth\n"
    shutil.copytree(work, tmp_path / "copy")
    assert train_synth("copy").returncode == 0
    assert trainings(tmp_path)[-1] == ["load_from=copy/synth/iter_9.pth"]


@pytest.fixture
def nvidia_smi(train_synth, tmp_path):
    """Function that defines what ``nvidia-smi`` does; the training ends after it has done that."""

    def define(behaviour: str, then: str) -> None:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.write_text(f"#!/usr/bin/env bash\n{behaviour}\ntouch sampled\n{then}\n")
        tool.chmod(0o755)
        wait = "until [[ -e sampled ]]; do sleep 0.05; done; rm sampled"
        stand_in = tmp_path / "bin" / "python"
        lines = stand_in.read_text().splitlines()
        lines.insert(1, f"if [[ $1 == */train.py ]]; then {wait}; fi")
        stand_in.write_text("\n".join([*lines, ""]))

    return define


def test_gpu_utilisation_is_measured(train_synth, nvidia_smi, tmp_path):
    nvidia_smi("echo $USE; echo 40", "exec sleep 100")
    for use, mean in (("80", 60), ("20", 30)):
        result = train_synth("work", USE=use)
        assert f"synth: the GPU was busy for {mean} % of this call" in result.stdout.splitlines()
        assert not result.stderr
    assert (tmp_path / "work/synth/gpu_utilisation.csv").read_text().split() == [
        *("80", "40"),
        *("20", "40"),
    ]


@pytest.mark.parametrize(("visible", "gpu"), [("", "0"), ("3", "3"), ("GPU-b2,GPU-a1", "GPU-b2")])
def test_utilisation_is_that_of_the_gpu_that_trains(
    train_synth, nvidia_smi, tmp_path, visible, gpu
):
    nvidia_smi('echo "$1 $2" >asked', "exec sleep 100")
    assert train_synth("work", CUDA_VISIBLE_DEVICES=visible).returncode == 0
    assert (tmp_path / "asked").read_text() == f"-i {gpu}\n"


@pytest.mark.parametrize(
    "behaviour",
    [("echo failed >&2", "exit 9"), ("echo '[N/A]'; echo '[N/A]'", "exec sleep 100")],
)
def test_unavailable_gpu_utilisation_is_ignored(train_synth, nvidia_smi, tmp_path, behaviour):
    nvidia_smi(*behaviour)
    result = train_synth("work", LPV_CARRY="carried")
    assert result.returncode == 0
    assert "busy" not in result.stdout and "Next: " in result.stdout
    assert "carry_checkpoint.py pack" in (tmp_path / "calls").read_text()


def test_gpu_sampler_ends_when_training_fails(train_synth, nvidia_smi, tmp_path):
    (tmp_path / "bin" / "python").write_text("#!/usr/bin/env bash\nexit 3\n")
    nvidia_smi("echo $$ >sampler", "exec sleep 100")
    assert train_synth("work").returncode == 3
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # it may take a moment
            os.kill(int((tmp_path / "sampler").read_text()), 0)
            time.sleep(0.1)


def test_interrupted_run_is_carried(train_synth, tmp_path):
    assert train_synth("work", LPV_CARRY="carried").returncode == 0
    stand_in = tmp_path / "bin" / "python"
    stand_in.write_text(stand_in.read_text() + "exit 143\n")
    result = train_synth("work", LPV_CARRY="carried")
    assert result.returncode == 143 and "Next" not in result.stdout
    last = (tmp_path / "calls").read_text().splitlines()[-1]
    assert last.endswith("carry_checkpoint.py pack work/synth/iter_9.pth carried/tiny/synth")


@pytest.mark.parametrize("to_group", [False, True], ids=["to the script", "to its group"])
def test_signal_ends_the_training_and_its_state_is_carried(train_synth, tmp_path, to_group):
    assert train_synth("work", LPV_CARRY="carried").returncode == 0
    stand_in = tmp_path / "bin" / "python"
    train = tmp_path / "bin" / "train"
    stand_in.rename(train)
    # As training does: it ends a second later, and with the status of a signal. Another signal
    # comes during the packing.
    stand_in.write_text(
        f"""#!/usr/bin/env bash
if [[ $2 == pack ]]; then kill -TERM $PPID; fi
[[ $1 == */train.py ]] || exec {train} "$@"
trap 'sleep 1; {train} "$@"; exit 143' TERM
touch training
while true; do sleep 0.1; done
"""
    )
    stand_in.chmod(0o755)
    environment = dict(
        os.environ,
        PATH=f"{stand_in.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        LPV_FONTS="none",
        LPV_WORDS="none",
        LPV_CARRY="carried",
    )
    process = subprocess.Popen(
        ["bash", SCRIPT, "work"], env=environment, cwd=tmp_path, start_new_session=True
    )
    try:
        while not (tmp_path / "training").exists():
            time.sleep(0.1)
            assert process.poll() is None
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        with contextlib.suppress(ProcessLookupError):  # whatever is left of it
            os.killpg(process.pid, signal.SIGKILL)
    *_, training, packing = (tmp_path / "calls").read_text().splitlines()
    assert training.partition("tools/")[2].startswith("train.py")
    assert packing.endswith("carry_checkpoint.py pack work/synth/iter_9.pth carried/tiny/synth")


def test_failing_training_fails_the_call(train_synth, tmp_path):
    (tmp_path / "bin" / "python").write_text("#!/usr/bin/env bash\nexit 3\n")
    assert train_synth("work").returncode == 3


def test_help_shows_the_usage(train_synth, tmp_path):
    for option in ("-h", "--help"):
        result = train_synth(option)
        assert result.returncode == 0
        assert "bash tools/train_synth.sh WORK_DIR" in result.stdout
    assert not (tmp_path / "calls").exists()


def test_missing_arguments_show_the_usage(train_synth):
    result = train_synth()
    assert result.returncode == 2
    assert "bash tools/train_synth.sh WORK_DIR" in result.stderr


@pytest.fixture
def in_miniature(digits, tmp_path) -> tuple[list[str], dict[str, str]]:
    """Options and variables of short training runs: digits for real words, seconds for minutes."""
    for seed, name in enumerate(("IIIT5K_train", "IC15_train")):
        digits(tmp_path / "real" / name, 260, seed)
    options = [
        "train_dataloader.dataset.batch_size=4",
        *small_source(0),
        "custom_hooks.0.minutes=0.02",
        "default_hooks.logger.interval=1",
        # Reading all held-out words would take most of the time.
        *(f"val_dataloader.dataset.datasets.{number}.indices=-16" for number in range(2)),
        *(f"test_dataloader.dataset.datasets.{number}.indices=-16" for number in range(2)),
    ]
    return options, dict(LPV_REAL_DATA=str(tmp_path / "real"), LPV_FONTS="none", LPV_WORDS="none")


def small_source(number: int) -> list[str]:
    settings = dict(capacity=64, chunk_size=16, min_images=16, workers=1)
    source = f"train_dataloader.dataset.sources.{number}"
    return [f"{source}.{key}={value}" for key, value in settings.items()]


@pytest.mark.slow
def test_tiny_configs_train(run_tool, in_miniature, tmp_path):
    """LPV-Tiny moves to another machine between its two training runs."""
    options, variables = in_miniature
    variables["LPV_CARRY"] = str(tmp_path / "carried")
    for work, said in (("here", "Next: finetune."), ("there", "Next: publish.")):
        result = run_tool("bash", SCRIPT, work, *options, **variables)
        assert result.returncode == 0, result.stderr
        assert said in result.stdout
        assert "Rendering with" in result.stdout
    (log,) = (tmp_path / "there" / "finetune").glob("*/*.log")
    assert "Load checkpoint from there/synth/iter_" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "names"),
    [
        ("mini", ["mini_synth_start", "mini_synth", "mini_synth_finetune"]),
        ("tiny_cpu", ["tiny_cpu_synth_low", "tiny_cpu_synth", "tiny_cpu_synth_finetune"]),
    ],
)
def test_cpu_configs_train(tool_in_process, in_miniature, tmp_path, monkeypatch, size, names):
    options, variables = in_miniature
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LPV_POOL", "pool")
    train = tool_in_process("train.py")
    configs = SCRIPT.parents[1] / "configs" / "textrecog" / "lpv"
    weights = None
    if size == "tiny_cpu":
        weights = tmp_path / "grown.pth"
        mini = SCRIPT.parents[1] / "checkpoints" / "lpv-mini.pth"
        grow = tool_in_process("model_converters/grow_checkpoint.py")
        assert not grow(mini, configs / f"lpv-{names[0]}.py", weights)
    for name in names:
        given = [*options, *([f"load_from={weights}"] if weights else [])]
        if name == "mini_synth":  # easy words have a separate pool
            given += small_source(1)
        config = configs / f"lpv-{name}.py"
        assert train(config, "--work-dir", name, "--cfg-options", *given) == 0
        assert (tmp_path / name / "finished").is_file()
        (log,) = (tmp_path / name).glob("*/*.log")
        assert weights is None or f"Load checkpoint from {weights}" in log.read_text()
        weights = (tmp_path / name / "last_checkpoint").read_text()
