"""Tests of growing a model: deeper is the same function, wider nearly, and every weight learns."""

from __future__ import annotations

import math
from pathlib import Path

import lpv_mmocr
from lpv_mmocr.converters.growth import GrowthError, grow, matching_channels
from lpv_mmocr.models.sinusoid import sinusoidal_table

import cv2
import numpy as np
import pytest
import torch
from lpv_cases import DICTIONARY
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmocr.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
SMALL = dict(
    embed_dims=(16, 24, 48),
    depths=(1, 2, 1),
    num_heads=(2, 3, 6),
    num_local_blocks=2,
    layers=1,
    ffn_dim=32,
    key_dim=6,
)
DEEPER = dict(SMALL, depths=(2, 4, 3), num_local_blocks=4, layers=3)
WIDER = dict(SMALL, embed_dims=(24, 32, 64), num_heads=(3, 4, 8), ffn_dim=64, key_dim=8)
LARGE = dict(DEEPER, **{key: WIDER[key] for key in ("embed_dims", "num_heads")}, ffn_dim=40)


def build(
    *,
    layers: int,
    ffn_dim: int,
    key_dim: int,
    img_size: tuple[int, int] = (16, 40),
    max_seq_len: int = 6,
    num_stages: int = 3,
    characters: str = DICTIONARY["characters"],
    glrm: bool = True,
    in_channels: int = 3,
    preprocessor: str | None = "WordDataPreprocessor",
    **encoder,
):
    """Return an initialised model in evaluation mode."""
    init_default_scope("mmocr")
    width = encoder["embed_dims"][-1]
    options = dict(
        type="GLRM", num_layers=layers, num_heads=encoder["num_heads"][-1], ffn_dim=ffn_dim
    )
    model = MODELS.build(
        dict(
            type="LPV",
            encoder=dict(
                type="LPVSVTREncoder",
                img_size=img_size,
                in_channels=in_channels,
                window_size=(3, 5),
                merge_strides=((2, 1),) * (len(encoder["embed_dims"]) - 1),
                **encoder,
            ),
            decoder=dict(
                type="CPADecoder",
                in_channels=width,
                max_seq_len=max_seq_len,
                num_stages=num_stages,
                attention=dict(key_dim=key_dim),
                glrm=options if glrm else None,
                with_mask=glrm,
                dictionary=dict(DICTIONARY, characters=characters),
                module_loss=dict(type="CPAModuleLoss"),
                postprocessor=dict(type="CPAPostprocessor"),
            ),
            data_preprocessor=preprocessor and dict(type=preprocessor),
        )
    )
    model.init_weights()
    return model.eval()


@torch.no_grad()
def trained(model):
    """Add noise to every weight, since initialisation makes many equal, and return the model."""
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand_like(value) * 0.2
            value += noise if name.endswith("running_var") else noise - 0.1
    return model


@pytest.fixture(autouse=True)
def scope():
    init_default_scope("mmocr")


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 16, 40)


@torch.no_grad()
def logits(model, images: torch.Tensor) -> torch.Tensor:
    return model.decoder.forward_train(out_enc=model.encoder(images))["logits"]


def test_same_size_is_a_copy():
    small, large = trained(build(**SMALL)), build(**SMALL)
    grow(small, large)
    for name, value in small.state_dict().items():
        torch.testing.assert_close(large.state_dict()[name], value, msg=name)


def test_deeper_model_is_the_same_function(images):
    small, large = trained(build(**SMALL)), build(**DEEPER)
    assert not torch.allclose(logits(large, images), logits(small, images), atol=0.1)
    grow(small, large)
    torch.testing.assert_close(logits(large, images), logits(small, images))


def test_small_model_is_left_unchanged():
    small = trained(build(**SMALL))
    before = {name: value.clone() for name, value in small.state_dict().items()}
    grow(small, build(**LARGE))
    for name, value in small.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("size", [WIDER, LARGE])
def test_wider_encoder_is_nearly_the_same(size, images):
    """The outputs differ only because layer norms subtract the mean of the channels."""
    small, large = trained(build(**SMALL)), build(**size)
    grow(small, large)
    places = matching_channels(48, 64)
    with torch.no_grad():
        wanted, got = small.encoder(images), large.encoder(images)[:, places]
    assert (got - wanted).norm() < 0.1 * wanted.norm()


def spread(narrow: torch.Tensor) -> torch.Tensor:
    """Return features of the last width in the channels of the wide model, zero elsewhere."""
    wide = torch.zeros(*narrow.shape[:-1], 64)
    wide[..., matching_channels(48, 64)] = narrow
    return wide


def far(got: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the relative distance."""
    return ((got - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize("size", [WIDER, LARGE])
@pytest.mark.parametrize("stage", [0, 1, 2])
@torch.no_grad()
def test_wider_attention_reads_the_same(size, stage):
    """The position table differs, and scores are divided by the root of the width."""
    small, large = trained(build(**SMALL)), build(**size)
    grow(small, large)
    features = torch.rand(2, 4, 10, 48)
    characters = torch.zeros(1, 8, 48) if stage == 0 else torch.rand(1, 8, 48)
    attention, wide = small.decoder.attentions[stage], large.decoder.attentions[stage]
    read, maps = attention(features.permute(0, 3, 1, 2), characters)
    wide_read, wide_maps = wide(spread(features).permute(0, 3, 1, 2), spread(characters))
    assert far(wide_maps, maps) < 0.001
    assert far(wide_read[..., matching_channels(48, 64)], read) < 0.05
    classifier, wide_classifier = small.decoder.classifiers[stage], large.decoder.classifiers[stage]
    torch.testing.assert_close(wide_classifier(spread(read)), classifier(read))


@pytest.mark.parametrize("size", [WIDER, LARGE])
@torch.no_grad()
def test_wider_glrm_is_nearly_the_same(size):
    small, large = trained(build(**SMALL)), build(**size)
    grow(small, large)
    features = torch.randn(2, 4, 10, 48)
    wanted = small.decoder.glrms[1](features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    got = large.decoder.glrms[1](spread(features).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    places = matching_channels(48, 64)
    assert far(got[..., places], wanted) < 0.25
    assert far(got.index_select(-1, places), wanted[..., torch.randperm(48)]) > 0.5
    new = torch.ones(64, dtype=torch.bool)
    new[places] = False
    assert got[..., new].square().mean() < 0.05 * got[..., places].square().mean()


@torch.no_grad()
def test_encoder_of_one_stage_can_be_widened(images):
    one = dict(SMALL, embed_dims=(48,), depths=(2,), num_heads=(6,))
    small = trained(build(**one))
    large = build(**dict(one, embed_dims=(64,), num_heads=(8,)))
    grow(small, large)
    got = large.encoder(images)[:, matching_channels(48, 64)]
    assert far(got, small.encoder(images)) < 0.1


@pytest.mark.parametrize(("small", "large"), [(192, 256), (48, 64), (6, 6), (4, 10)])
def test_matching_channels_have_the_nearest_frequencies(small, large):
    places = matching_channels(small, large)
    assert places.shape == (small,)
    assert (places.diff() > 0).all() and places[-1] < large
    # The angle of the second position is the frequency, in logarithmic steps.
    narrow, wide = (sinusoidal_table(2, width)[1, ::2].asin().log() for width in (small, large))
    step = math.log(10000) * 2 / large
    assert ((narrow - wide[places[::2] // 2]).abs() <= 0.501 * step).all()
    assert torch.equal(places[1::2], places[::2] + 1)  # cosines match cosines


def test_every_weight_learns(images):
    small, large = trained(build(**SMALL)), build(**LARGE)
    grow(small, large)
    large.decoder.with_mask = False  # on such a small feature map, it masks every key
    before = {name: value.detach().clone() for name, value in large.named_parameters()}
    optimizer = torch.optim.AdamW(large.parameters(), 1e-3, weight_decay=0.0)
    for _ in range(3):  # weights behind zeros get gradients once these change
        large.zero_grad()
        out = large.decoder.forward_train(out_enc=large.encoder(images))["logits"]
        out.log_softmax(-1)[..., 3].mean().backward()
        optimizer.step()
    still = [name for name, value in large.named_parameters() if torch.equal(value, before[name])]
    assert still == []


@torch.no_grad()
def test_lpv_mini_grown_to_lpv_tiny_reads_the_same(tmp_path):
    """Grow the bundled weights, the main use of growing."""
    checkpoint = torch.load(ROOT / "checkpoints" / "lpv-mini.pth", weights_only=True)
    mini = MODELS.build(Config.fromstring(checkpoint["meta"]["cfg"], file_format=".py").model)
    mini.load_state_dict(checkpoint["state_dict"])
    configs = ROOT / "configs" / "textrecog" / "lpv"
    config = Config.fromfile(configs / "lpv-tiny_stage2_10e_st_mj.py")
    config.model.encoder.merge_strides = ((2, 1), (2, 1))  # a feature map as low as LPV-Mini's
    tiny = MODELS.build(config.model)
    tiny.init_weights()
    grow(mini, tiny)

    meta = dict(cfg=config.pretty_text)
    torch.save(dict(meta=meta, state_dict=tiny.state_dict()), tmp_path / "tiny.pth")
    examples = Path(lpv_mmocr.__file__).parent / "demo" / "examples"
    readings = lpv_mmocr.read([examples], weights=tmp_path / "tiny.pth", device="cpu")
    assert readings and all(reading.text == Path(reading.source).stem for reading in readings)

    files = sorted(examples.glob("*.jpg"))
    words = np.stack([cv2.resize(cv2.imread(str(file)), (100, 32)) for file in files])
    words = torch.from_numpy(words).permute(0, 3, 1, 2) / 255
    got = tiny.eval().encoder(words)[:, matching_channels(192, 256)]
    assert far(got, mini.eval().encoder(words)) < 0.03


class TestBadSizes:
    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            (dict(img_size=(32, 40)), "the image size must be the same, got (16, 40) and (32, 40)"),
            (dict(embed_dims=(8, 24, 48)), "the width of a stage of the encoder must not be"),
            (dict(num_heads=(2, 3, 3)), "the width of a head must be the same, got 8 and 16"),
            (dict(depths=(1, 1, 2)), "fewer global blocks in stage 2"),
            (dict(num_local_blocks=1), "fewer local blocks in stage 2"),
            (dict(mlp_ratio=2), "the hidden width of a block must not be smaller, got 64 and"),
            (dict(ffn_dim=16), "the hidden width of a block must not be smaller, got 32 and"),
            (dict(key_dim=4), "key_dim must not be smaller, got 6 and then 4"),
            (dict(max_seq_len=7), "the number of positions must be the same, got 8 and 9"),
            (dict(num_stages=2), "num_stages must be the same, got 3 and 2"),
            (dict(characters="abc"), "the dictionary must be the same"),
            (dict(characters=DICTIONARY["characters"][::-1]), "the dictionary must be the same"),
            (dict(glrm=False), "the number of GLRMs must be the same, got 2 and 0"),
            (dict(in_channels=1), "in_channels of the encoder must be the same, got 3 and 1"),
            (dict(depths=(1, 0, 3)), "every stage of the encoder needs a block"),
            (dict(layers=0), "every GLRM needs a layer"),
        ],
    )
    def test_mismatch_is_reported(self, change, complaint):
        with pytest.raises(GrowthError) as error:
            grow(build(**SMALL), build(**dict(SMALL, **change)))
        assert complaint in str(error.value)

    def test_odd_width_is_refused(self):
        odd = dict(SMALL, embed_dims=(16, 24, 49), num_heads=(2, 3, 7))
        with pytest.raises(GrowthError, match="width of the last stage must be even"):
            grow(build(**SMALL), build(**odd))

    @pytest.mark.parametrize("part", ["encoder", "decoder"])
    def test_other_encoders_and_decoders_are_refused(self, part):
        model = build(**SMALL)
        setattr(model, part, torch.nn.Identity())
        with pytest.raises(GrowthError, match=f"the {part} must be .*, got Identity"):
            grow(model, build(**SMALL))

    def test_other_attention_modules_are_refused(self):
        model = build(**SMALL)
        model.decoder.attentions[1] = torch.nn.Identity()
        with pytest.raises(GrowthError, match="decoder must be PositionAttention, got Identity"):
            grow(build(**SMALL), model)

    def test_fewer_layers_are_refused(self):
        with pytest.raises(GrowthError, match="num_layers must not be smaller, got 3 and then 1"):
            grow(build(**dict(SMALL, layers=3)), build(**SMALL))

    def test_fewer_stages_are_refused(self):
        two = dict(SMALL, embed_dims=(16, 48), depths=(1, 2), num_heads=(2, 6))
        with pytest.raises(GrowthError, match="number of stages of the encoder must be the same"):
            grow(build(**SMALL), build(**two))


def test_models_without_a_preprocessor_of_images_can_be_grown():
    grow(build(**SMALL, preprocessor=None), build(**DEEPER, preprocessor=None))
