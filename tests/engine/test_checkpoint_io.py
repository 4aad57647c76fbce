"""Tests of reading and writing checkpoints: a Runner's load safely, hostile files run nothing."""

from __future__ import annotations

import functools
import http.server
import io
import os
import pickle
import tarfile
import threading
import zipfile
from collections import OrderedDict
from pathlib import Path

from lpv_mmocr.engine import (
    CheckpointError,
    UnsafeCheckpointError,
    checkpoint_io,
    checkpoint_loaders,
    load_checkpoint,
    save_checkpoint,
)

import mmengine.runner.runner
import numpy as np
import pytest
import torch
from hostile_pickles import (
    Evaluates,
    FetchesMethod,
    LoadsFromBytes,
    OtherBuffer,
    RunsCommand,
)
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.checkpoint import load_from_torchvision
from mmengine.visualization import Visualizer
from torch import nn

BOTH_FORMATS = pytest.mark.parametrize("zip_format", [True, False], ids=["zip", "legacy"])


def torch_save(value, path: Path, zip_format: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zip_format)
    return path


def mmengine_checkpoint() -> dict:
    """Return a checkpoint as MMEngine 0.10.7 passes it to ``torch.save``, with all value types."""
    loss = HistoryBuffer()
    for value in (3.5, 2.25, np.float64(1.125)):
        loss.update(value, 2)
    state_dict = OrderedDict(weight=torch.arange(6.0).view(2, 3), steps=torch.tensor(7))
    state_dict._metadata = OrderedDict({"": {"version": 2}})
    return {
        "meta": {"epoch": 3, "dataset_meta": {"sizes": np.array([[1, 2], [3, 4]]).T}},
        "state_dict": state_dict,
        "message_hub": {
            "log_scalars": OrderedDict({"train/loss": loss}),
            "runtime_info": OrderedDict(
                best=np.float32(0.5), flag=np.bool_(True), name=np.str_("run"), count=np.int64(4)
            ),
            "resumed_keys": OrderedDict({"train/loss": True}),
        },
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2, dtype=torch.bfloat16)}}},
    }


def check_mmengine_checkpoint(checkpoint: dict) -> None:
    assert torch.equal(checkpoint["state_dict"]["weight"], torch.arange(6.0).view(2, 3))
    assert checkpoint["state_dict"]._metadata[""]["version"] == 2
    assert np.array_equal(checkpoint["meta"]["dataset_meta"]["sizes"], [[1, 3], [2, 4]])
    loss = checkpoint["message_hub"]["log_scalars"]["train/loss"]
    assert type(loss) is HistoryBuffer
    assert loss.data[0].tolist() == [3.5, 2.25, 1.125]
    assert loss.data[1].tolist() == [2, 2, 2]
    assert loss.max() == 3.5
    assert loss.statistics("current") == 1.125
    runtime_info = checkpoint["message_hub"]["runtime_info"]
    assert dict(runtime_info) == {"best": 0.5, "flag": True, "name": "run", "count": 4}
    assert not any(isinstance(value, np.generic) for value in runtime_info.values())
    assert checkpoint["optimizer"]["state"][0]["exp_avg"].dtype is torch.bfloat16


class TestExistingCheckpoints:
    @BOTH_FORMATS
    def test_checkpoint_written_by_mmengine_loads(self, tmp_path, zip_format):
        path = torch_save(mmengine_checkpoint(), tmp_path / "epoch_3.pth", zip_format)
        with pytest.raises(pickle.UnpicklingError):  # otherwise this test proves nothing
            torch.load(path, weights_only=True)
        check_mmengine_checkpoint(load_checkpoint(path))

    @BOTH_FORMATS
    def test_bare_weights_load(self, tmp_path, zip_format):
        path = torch_save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pth", zip_format)
        assert set(load_checkpoint(path)) == {"weight", "bias"}


class TestWeightsOnlyIsForced:
    """``TORCH_FORCE_WEIGHTS_ONLY_LOAD``, with which PyTorch accepts no other unpickler."""

    @pytest.mark.parametrize("value", ["1", "Yes"])
    def test_error_names_the_variable(self, tmp_path, monkeypatch, value):
        path = torch_save(mmengine_checkpoint(), tmp_path / "epoch_3.pth")
        monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", value)
        with pytest.raises(CheckpointError, match=r"epoch_3\.pth .* TORCH_FORCE_WEIGHTS_ONLY_LOAD"):
            load_checkpoint(path)

    def test_disabled_variable_has_no_effect(self, tmp_path, monkeypatch):
        path = torch_save(mmengine_checkpoint(), tmp_path / "epoch_3.pth")
        monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
        check_mmengine_checkpoint(load_checkpoint(path))

    def test_plain_files_are_read(self, tmp_path, monkeypatch):
        save_checkpoint(dict(state_dict={"a": torch.ones(1)}), str(tmp_path / "a.pth"))
        monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
        assert load_checkpoint(tmp_path / "a.pth")["state_dict"]["a"] == 1


def test_saving_builds_no_file_client(tmp_path, monkeypatch):
    # MMEngine's FileClient warns about itself, twice, at every start.
    def refuse(*_, **__):
        raise AssertionError("a FileClient was built")

    monkeypatch.setattr(mmengine.runner.checkpoint.FileClient, "infer_client", refuse)
    save_checkpoint(dict(a=1), str(tmp_path / "new" / "a.pth"))
    assert torch.load(tmp_path / "new" / "a.pth", weights_only=True) == dict(a=1)


class TestHostileFiles:
    @pytest.fixture
    def marker(self, tmp_path):
        return tmp_path / "code-was-run"

    def refuse(self, value, named: str, path: Path, zip_format: bool, marker: Path) -> None:
        torch_save({"state_dict": {}, "extra": value}, path, zip_format)
        with pytest.raises(UnsafeCheckpointError, match=named) as error:
            load_checkpoint(path)
        assert str(path) in str(error.value)
        with pytest.raises(UnsafeCheckpointError, match=named):
            CheckpointLoader.load_checkpoint(str(path), map_location="cpu")
        assert not marker.exists()

    @BOTH_FORMATS
    def test_command_is_refused(self, tmp_path, marker, zip_format):
        hostile = RunsCommand(f"touch {marker}")
        self.refuse(hostile, r"(posix|nt)\.system", tmp_path / "a.pth", zip_format, marker)

    @BOTH_FORMATS
    def test_eval_is_refused(self, tmp_path, marker, zip_format):
        self.refuse(Evaluates(marker), r"eval", tmp_path / "a.pth", zip_format, marker)

    @BOTH_FORMATS
    def test_nested_pickle_is_refused(self, tmp_path, marker, zip_format):
        self.refuse(
            LoadsFromBytes(marker), "_load_from_bytes", tmp_path / "a.pth", zip_format, marker
        )

    @pytest.mark.parametrize(
        ("hostile", "named"),
        [
            (FetchesMethod(), r"getattr\(…, '__init__'\)"),
            (np.array([RunsCommand("true")], dtype=object), "NumPy data type 'O8'"),
            (np.zeros(2, dtype=[("a", "f8")]), "NumPy data type 'V8'"),
            (np.dtype([("a", "f8")]), "NumPy data type 'V8'"),
            (np.ma.array([1.0]), "numpy.*ma"),
            (functools.partial(print), "functools.partial"),
            (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
            (OtherBuffer(), "OtherBuffer"),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
    )
    def test_objects_that_no_checkpoint_needs_are_refused(self, tmp_path, marker, hostile, named):
        self.refuse(hostile, named, tmp_path / "a.pth", True, marker)

    def test_torchscript_archive_is_refused(self, tmp_path):
        path = tmp_path / "script.pth"
        torch.jit.save(torch.jit.script(nn.Linear(1, 1)), str(path))
        with pytest.raises(CheckpointError, match=r"script\.pth is a TorchScript program"):
            load_checkpoint(path)

    def test_tar_archive_is_refused(self, tmp_path):
        path = tmp_path / "old.pth"
        with tarfile.open(path, "w") as archive:
            archive.add(__file__, "pickle")
        with pytest.raises(CheckpointError, match=r"old\.pth is a tar archive"):
            load_checkpoint(path)


class TestDamagedFiles:
    def test_missing_file_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
            load_checkpoint(tmp_path / "absent.pth")

    @BOTH_FORMATS
    @pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
    def test_truncated_file_is_refused(self, tmp_path, zip_format, kept):
        path = torch_save(mmengine_checkpoint(), tmp_path / "cut.pth", zip_format)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(CheckpointError, match=r"cut\.pth cannot be read; it is damaged"):
            load_checkpoint(path)

    @pytest.mark.parametrize("content", [b"just some text\n", b"\x89PNG\r\n\x1a\n", b"\x00" * 4096])
    def test_file_of_another_format_is_refused(self, tmp_path, content):
        path = tmp_path / "foreign.pth"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"foreign\.pth cannot be read"):
            load_checkpoint(path)

    def test_file_without_a_dictionary_is_refused(self, tmp_path):
        path = torch_save(torch.ones(3), tmp_path / "tensor.pth")
        with pytest.raises(CheckpointError, match=r"tensor\.pth holds a Tensor"):
            load_checkpoint(path)

    @pytest.mark.parametrize(
        "scalars", [dict(a=dict(log_history=1, count_history=1, max_length=1)), ["a"]]
    )
    def test_malformed_histories_are_refused(self, tmp_path, scalars):
        content = dict(state_dict={}, meta={}, message_hub=dict(log_scalars=scalars))
        path = torch_save(content, tmp_path / "odd.pth")
        with pytest.raises(CheckpointError, match=r"odd\.pth is damaged: its message_hub"):
            load_checkpoint(path)


class TestSaving:
    def test_round_trip_of_everything_mmengine_saves(self, tmp_path):
        original = mmengine_checkpoint()
        path = tmp_path / "ours.pth"
        save_checkpoint(original, str(path))
        torch.load(path, weights_only=True)
        check_mmengine_checkpoint(load_checkpoint(path))
        # Saving does not modify its argument.
        assert type(original["message_hub"]["log_scalars"]["train/loss"]) is HistoryBuffer

    def test_loaded_checkpoint_can_be_saved_again(self, tmp_path):
        first, second = tmp_path / "first.pth", tmp_path / "second.pth"
        save_checkpoint(mmengine_checkpoint(), str(first))
        save_checkpoint(load_checkpoint(first), str(second))
        check_mmengine_checkpoint(load_checkpoint(second))

    def test_values_are_saved_as_plain_types(self, tmp_path):
        class Text(str):
            pass

        value = {
            "config": ConfigDict(a=[ConfigDict(b=1)]),
            "pair": (np.int64(1), Text("x")),
            "labels": {"a", "b"},
            "path": Path("somewhere", "else"),
            np.int64(5): None,
            "dtype": torch.float16,
            "infinite": float("inf"),
            "flag": np.True_,
        }
        path = tmp_path / "kinds.pth"
        save_checkpoint(value, str(path))
        loaded = torch.load(path, weights_only=True)
        assert loaded == {
            "config": {"a": [{"b": 1}]},
            "pair": (1, "x"),
            "labels": {"a", "b"},
            "path": os.path.join("somewhere", "else"),
            5: None,
            "dtype": torch.float16,
            "infinite": float("inf"),
            "flag": True,
        }
        assert type(loaded["pair"][1]) is str and loaded["flag"] is True

    def test_values_that_are_not_data_are_omitted_and_named(self, tmp_path, monkeypatch):
        said = []
        monkeypatch.setattr(checkpoint_io, "print_log", lambda text, **_: said.append(text))
        path = tmp_path / "with_function.pth"
        value = {"schedulers": [{"last_step": 3, "anneal": len}, {"nested": [[print]]}]}
        save_checkpoint(value, str(path))
        assert torch.load(path, weights_only=True) == {"schedulers": [{"last_step": 3}, {}]}
        assert "checkpoint['schedulers'][0]['anneal']" in said[0]
        assert "checkpoint['schedulers'][1]['nested'][0][0]" in said[1]

    def test_empty_history_can_be_saved(self, tmp_path):
        path = tmp_path / "empty.pth"
        hub = {"log_scalars": {"loss": HistoryBuffer(max_length=9)}}
        save_checkpoint({"message_hub": hub}, str(path))
        loaded = load_checkpoint(path)["message_hub"]["log_scalars"]["loss"]
        assert loaded.data[0].size == 0
        assert loaded.max_length == 9


class TinyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, inputs, mode="tensor"):
        output = self.norm(self.linear(torch.stack(inputs)))
        return {"loss": output.square().mean() + output.sum()} if mode == "loss" else output


# A scheduler whose state contains a function, and one whose state does not.
ONE_CYCLE = dict(type="OneCycleLR", eta_max=0.01, total_steps=8, by_epoch=False, end=8)
COSINE = dict(type="CosineAnnealingLR", T_max=8, by_epoch=False, end=8)


def make_runner(work_dir: Path, max_epochs: int, scheduler: dict, **kwargs) -> Runner:
    dataset = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    return Runner(
        model=TinyModel(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=[{"inputs": item} for item in dataset],
            sampler=dict(type="DefaultSampler", shuffle=True),
            batch_size=4,
            collate_fn=dict(type="pseudo_collate"),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=1e-3), clip_grad=dict(max_norm=1)),
        param_scheduler=scheduler,
        custom_hooks=[dict(type="EMAHook")],
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=1), checkpoint=dict(type="CheckpointHook")
        ),
        default_scope="mmengine",
        experiment_name=work_dir.name,
        **kwargs,
    )


class TestRunner:
    @pytest.fixture(autouse=True)
    def own_globals(self, monkeypatch):
        """Isolate other tests from process-wide state that a Runner sets, such as its scope."""
        for manager in (DefaultScope, MessageHub, MMLogger, Visualizer):
            monkeypatch.setattr(manager, "_instance_dict", OrderedDict())

    @pytest.fixture
    def trained(self, tmp_path) -> Path:
        make_runner(tmp_path / "run", max_epochs=2, scheduler=ONE_CYCLE).train()
        return tmp_path / "run" / "epoch_2.pth"

    def test_checkpoint_loads_with_weights_only(self, trained):
        checkpoint = torch.load(trained, weights_only=True)
        assert {"param_schedulers", "optimizer", "ema_state_dict"} < set(checkpoint)
        assert checkpoint["message_hub"]["log_scalars"]["train/loss"]["log_history"].shape == (4,)

    def check_resume(self, checkpoint: Path, work_dir: Path, scheduler: dict) -> None:
        runner = make_runner(
            work_dir, max_epochs=4, scheduler=scheduler, load_from=str(checkpoint), resume=True
        )
        runner.train()
        assert runner.iter == 8
        assert runner.param_schedulers[0]._global_step == 8
        assert runner.optim_wrapper.optimizer.state_dict()["state"][0]["step"] == 8
        history = runner.message_hub.get_scalar("train/loss")
        before = load_checkpoint(checkpoint)["message_hub"]["log_scalars"]["train/loss"]
        assert history.data[0][:4].tolist() == before.data[0].tolist()
        assert len(history.data[0]) == 8
        torch.load(work_dir / "epoch_4.pth", weights_only=True)

    def test_resumed_run_continues_training(self, trained, tmp_path):
        self.check_resume(trained, tmp_path / "resumed", ONE_CYCLE)

    def test_resume_from_a_checkpoint_written_by_mmengine(self, tmp_path, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(
                mmengine.runner.runner, "save_checkpoint", checkpoint_io._write_checkpoint
            )
            make_runner(tmp_path / "theirs", max_epochs=2, scheduler=COSINE).train()
        path = tmp_path / "theirs" / "epoch_2.pth"
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path, weights_only=True)
        self.check_resume(path, tmp_path / "resumed", COSINE)


class TestAddresses:
    @pytest.fixture
    def server(self, tmp_path, monkeypatch):
        """Serve a directory by HTTP on this machine, with an empty download cache."""

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

        root = tmp_path / "www"
        root.mkdir()
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
        handler = functools.partial(Handler, directory=str(root))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield root, f"http://127.0.0.1:{server.server_port}"
            server.shutdown()

    def test_http_address_is_loaded(self, server):
        root, address = server
        torch_save(mmengine_checkpoint(), root / "good.pth")
        check_mmengine_checkpoint(CheckpointLoader.load_checkpoint(f"{address}/good.pth"))

    def test_http_address_is_loaded_on_another_machine(self, server, monkeypatch):
        root, address = server
        monkeypatch.setattr(checkpoint_loaders, "get_rank", lambda: 1)
        torch_save(mmengine_checkpoint(), root / "good.pth")
        check_mmengine_checkpoint(CheckpointLoader.load_checkpoint(f"{address}/good.pth"))

    def test_http_error_keeps_files_that_were_cached_before(self, server):
        _, address = server
        cached = Path(torch.hub.get_dir(), "checkpoints", "model-0123456789.pth")
        cached.parent.mkdir(parents=True)
        cached.write_bytes(b"of another program")
        with pytest.raises(CheckpointError):
            CheckpointLoader.load_checkpoint(f"{address}/model-0123456789.pth")
        assert cached.exists()

    def test_http_refuses_hostile_files(self, server, tmp_path):
        root, address = server
        torch_save(RunsCommand(f"touch {tmp_path}/code-was-run"), root / "bad.pth")
        with pytest.raises(UnsafeCheckpointError, match=r"system"):
            CheckpointLoader.load_checkpoint(f"{address}/bad.pth")
        assert not (tmp_path / "code-was-run").exists()
        # Nor may it stay in the cache, where PyTorch would look for a file of that name.
        assert not [*Path(torch.hub.get_dir(), "checkpoints").iterdir()]

    def test_addresses_with_equal_file_names_are_distinguished(self, server):
        root, address = server
        for number, folder in enumerate(("a", "b")):
            (root / folder).mkdir()
            for name in ("iter_4.pth", "model-0123456789.pth"):
                torch_save(dict(state_dict=dict(w=torch.tensor(number))), root / folder / name)
        for name, expected in (("iter_4.pth", [0, 1]), ("model-0123456789.pth", [0, 0])):
            loaded = [
                CheckpointLoader.load_checkpoint(f"{address}/{folder}/{name}") for folder in "ab"
            ]
            # Files with a checksum in their name are the same everywhere.
            assert [int(checkpoint["state_dict"]["w"]) for checkpoint in loaded] == expected

    def test_torchvision_names_use_the_same_loader(self, server, monkeypatch):
        root, address = server
        torch_save(mmengine_checkpoint(), root / "resnet.pth")
        monkeypatch.setattr(
            mmengine.runner.checkpoint,
            "get_torchvision_models",
            lambda: {"resnet": f"{address}/resnet.pth"},
        )
        check_mmengine_checkpoint(load_from_torchvision("torchvision://resnet"))

    def test_openmmlab_names_are_resolved(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MMENGINE_HOME", str(tmp_path))
        (tmp_path / "open_mmlab.json").write_text('{"mine": "mine.pth"}')
        torch_save(mmengine_checkpoint(), tmp_path / "mine.pth")
        check_mmengine_checkpoint(CheckpointLoader.load_checkpoint("open-mmlab://mine"))
        with pytest.raises(CheckpointError, match="no 'other'"):
            CheckpointLoader.load_checkpoint("openmmlab://other")

    def test_object_storage_is_read(self, monkeypatch):
        buffer = io.BytesIO()
        torch.save(mmengine_checkpoint(), buffer)

        class Storage:
            def get(self, filename):
                return buffer.getvalue()

        monkeypatch.setattr(checkpoint_loaders, "get_file_backend", lambda *_, **__: Storage())
        check_mmengine_checkpoint(CheckpointLoader.load_checkpoint("s3://bucket/a.pth"))

    def test_internal_service_is_refused(self):
        with pytest.raises(CheckpointError, match="pavi:// addresses are not supported"):
            CheckpointLoader.load_checkpoint("pavi://somewhere")


@pytest.mark.parametrize("place", ["mps", "mps:0", torch.device("mps")])
def test_training_state_is_loaded_for_apple_gpus(tmp_path, place):
    """They have no float64, the type of log scalars; whoever uses the tensors moves them."""
    save_checkpoint(mmengine_checkpoint(), str(tmp_path / "iter_1.pth"))
    loaded = load_checkpoint(tmp_path / "iter_1.pth", map_location=place)
    assert loaded["state_dict"]["weight"].device.type == "cpu"


def test_interrupted_saving_keeps_the_earlier_file(tmp_path, monkeypatch):
    """Also without ``backend_args``, as in MMEngine's own hook."""
    file = tmp_path / "a.pth"
    save_checkpoint(dict(iteration=1), str(file))
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save_checkpoint(dict(iteration=2), str(file))
    assert load_checkpoint(file) == dict(iteration=1)
    assert list(tmp_path.iterdir()) == [file]


def flip_a_bit(path: Path, entry: str) -> None:
    """Change one bit of an entry's content, and nothing else of the archive."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read(entry)
    whole = bytearray(path.read_bytes())
    whole[whole.index(content) + len(content) // 2] ^= 0x40
    path.write_bytes(whole)


class TestDamageWithin:
    @pytest.fixture
    def path(self, tmp_path) -> Path:
        torch.save(dict(state_dict=dict(weight=torch.arange(1000.0))), tmp_path / "a.pth")
        load_checkpoint(tmp_path / "a.pth")
        return tmp_path / "a.pth"

    @pytest.mark.parametrize("entry", ["a/data/0", "a/data.pkl"])
    def test_changed_bit_is_noticed(self, path, entry):
        flip_a_bit(path, entry)
        with pytest.raises(CheckpointError, match=rf"a\.pth is damaged: {entry} in it does not"):
            load_checkpoint(path)

    def test_file_written_without_checksums_is_accepted(self, tmp_path):
        before = torch.serialization.get_crc32_options()
        torch.serialization.set_crc32_options(False)
        try:
            torch.save(dict(weight=torch.arange(1000.0)), tmp_path / "a.pth")
        finally:
            torch.serialization.set_crc32_options(before)
        assert load_checkpoint(tmp_path / "a.pth")["weight"][-1] == 999
