"""Growing: a deeper model is the same function, a wider one nearly, and all of it learns."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.models.growth import GrowthError, grow, matching_channels
from lpv_mmocr.models.sinusoid import sinusoidal_table

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
    **encoder,
):
    """A model in evaluation mode whose weights are all random, unlike at the start of training."""
    init_default_scope("mmocr")
    width = encoder["embed_dims"][-1]
    options = dict(type="GLRM", num_layers=layers, num_heads=width // 8, ffn_dim=ffn_dim)
    model = MODELS.build(
        dict(
            type="LPV",
            encoder=dict(
                type="LPVSVTREncoder",
                img_size=img_size,
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
            data_preprocessor=dict(type="WordDataPreprocessor"),
        )
    )
    model.init_weights()
    return model.eval()


@torch.no_grad()
def trained(model):
    """Give every weight a value of its own, as training does."""
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand_like(value) * 0.2
            value += noise if name.endswith("running_var") else noise - 0.1
    return model


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(4, 3, 16, 40)


@torch.no_grad()
def logits(model, pictures: torch.Tensor) -> torch.Tensor:
    return model.decoder.forward_train(out_enc=model.encoder(pictures))["logits"]


def test_same_size_is_a_copy():
    small, large = trained(build(**SMALL)), build(**SMALL)
    grow(small, large)
    for name, value in small.state_dict().items():
        torch.testing.assert_close(large.state_dict()[name], value, msg=name)


def test_deeper_model_is_the_same_function(pictures):
    small, large = trained(build(**SMALL)), build(**DEEPER)
    assert not torch.allclose(logits(large, pictures), logits(small, pictures), atol=0.1)
    grow(small, large)
    torch.testing.assert_close(logits(large, pictures), logits(small, pictures))


def test_small_model_stays_as_it_is():
    small = trained(build(**SMALL))
    before = {name: value.clone() for name, value in small.state_dict().items()}
    grow(small, build(**LARGE))
    for name, value in small.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("size", [WIDER, LARGE])
def test_wider_encoder_is_nearly_the_same(size, pictures):
    """Exactly so but for the means of the channels, which layer norms take off."""
    small, large = trained(build(**SMALL)), build(**size)
    grow(small, large)
    places = matching_channels(48, 64)
    with torch.no_grad():
        wanted, got = small.encoder(pictures), large.encoder(pictures)[:, places]
    assert (got - wanted).norm() < 0.1 * wanted.norm()


@pytest.mark.parametrize("stage", [0, 1])
def test_wider_queries_ask_the_same(stage):
    """In spite of another position table; the score is divided by the root of the width."""
    small, large = trained(build(**SMALL)), build(**WIDER)
    grow(small, large)
    places = matching_channels(48, 64)
    attention, wide = small.decoder.attentions[stage], large.decoder.attentions[stage]
    characters = torch.zeros(1, 8, 48) if stage == 0 else torch.rand(1, 8, 48)
    spread = torch.zeros(1, 8, 64)
    spread[..., places] = characters
    with torch.no_grad():
        wanted = attention.query(attention.position(characters)) * attention.scale
        queries = wide.query(wide.position(spread)) * wide.scale
    got = queries[..., places]
    assert (got - wanted).norm() < 0.05 * wanted.norm()
    queries[..., places] = 0
    assert queries.count_nonzero() == 0


@pytest.mark.parametrize(("small", "large"), [(192, 256), (48, 64), (6, 6), (4, 10)])
def test_channels_have_the_nearest_frequencies(small, large):
    places = matching_channels(small, large)
    assert places.shape == (small,)
    assert (places.diff() > 0).all() and places[-1] < large
    # The angle of the second position is the frequency.
    narrow, wide = (sinusoidal_table(2, width)[1] for width in (small, large))
    for kind in (0, 1):  # sine, cosine
        away = (narrow[kind::2, None] - wide[None, kind::2]).abs()
        assert (away[range(small // 2), places[kind::2] // 2] <= away.min(1).values + 0.12).all()


def test_every_weight_learns(pictures):
    small, large = trained(build(**SMALL)), build(**LARGE)
    grow(small, large)
    large.decoder.with_mask = False  # on so small a map it makes all tokens blind
    before = {name: value.detach().clone() for name, value in large.named_parameters()}
    optimizer = torch.optim.AdamW(large.parameters(), 1e-3, weight_decay=0.0)
    for _ in range(3):  # what is behind zeros waits for them to move
        large.zero_grad()
        out = large.decoder.forward_train(out_enc=large.encoder(pictures))["logits"]
        out.log_softmax(-1)[..., 3].mean().backward()
        optimizer.step()
    still = [name for name, value in large.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_grown_lpv_tiny_starts_from_what_lpv_mini_sees():
    """The shipped weights: what growing is for."""
    checkpoint = torch.load(ROOT / "checkpoints" / "lpv-mini.pth", weights_only=True)
    mini = MODELS.build(Config.fromstring(checkpoint["meta"]["cfg"], file_format=".py").model)
    mini.load_state_dict(checkpoint["state_dict"])
    configs = ROOT / "configs" / "textrecog" / "lpv"
    config = Config.fromfile(configs / "lpv-tiny_stage2_10e_st_mj.py").model
    config.encoder.merge_strides = ((2, 1), (2, 1))  # a map as low as LPV-Mini's
    tiny = MODELS.build(config)
    tiny.init_weights()
    grow(mini, tiny)
    words = torch.rand(8, 3, 32, 100)
    with torch.no_grad():
        wanted = mini.eval().encoder(words)
        got = tiny.eval().encoder(words)[:, matching_channels(192, 256)]
    assert (got - wanted).norm() < 0.05 * wanted.norm()


class TestBadSizes:
    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            (dict(img_size=(32, 40)), "the image size must be the same, got (16, 40) and (32, 40)"),
            (dict(embed_dims=(8, 24, 48)), "the width of a stage of the encoder must not be"),
            (dict(num_heads=(2, 3, 3)), "the width of a head must be the same, got 8 and 16"),
            (dict(depths=(1, 1, 2)), "fewer local or global blocks in a stage"),
            (dict(num_local_blocks=1), "fewer local or global blocks in a stage"),
            (dict(mlp_ratio=2), "the hidden width of a block must not be smaller, got 64 and"),
            (dict(ffn_dim=16), "the hidden width of a block must not be smaller, got 32 and"),
            (dict(key_dim=4), "key_dim must not be smaller, got 6 and then 4"),
            (dict(max_seq_len=7), "the number of positions must be the same, got 8 and 9"),
            (dict(num_stages=2), "num_stages must be the same, got 3 and 2"),
            (dict(characters="abc"), "the number of classes must be the same"),
            (dict(glrm=False), "the number of GLRMs must be the same, got 2 and 0"),
        ],
    )
    def test_named(self, change, complaint):
        with pytest.raises(GrowthError) as error:
            grow(build(**SMALL), build(**dict(SMALL, **change)))
        assert complaint in str(error.value)

    def test_fewer_layers(self):
        with pytest.raises(GrowthError, match="num_layers must not be smaller, got 3 and then 1"):
            grow(build(**dict(SMALL, layers=3)), build(**SMALL))

    def test_fewer_stages(self):
        two = dict(SMALL, embed_dims=(16, 48), depths=(1, 2), num_heads=(2, 6))
        with pytest.raises(GrowthError, match="number of stages of the encoder must be the same"):
            grow(build(**SMALL), build(**two))
