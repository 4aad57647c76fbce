"""Tests of the CPA decoder."""

from __future__ import annotations

from lpv_mmocr.models import CPADecoder
from lpv_mmocr.models.attention_record import character_relations
from lpv_mmocr.models.glrm import TokenMask

import numpy as np
import pytest
import torch
from lpv_cases import DICTIONARY, build_toy, decoder_config, word_sample
from mmocr.models.textrecog.module_losses import CEModuleLoss
from mmocr.registry import MODELS


def _decoder(in_channels: int = 16, **overrides) -> CPADecoder:
    return MODELS.build(decoder_config(in_channels, **overrides))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_mask", [True, False])
def test_forward_train_returns_logits_and_maps(training, with_mask):
    decoder = _decoder(with_mask=with_mask).train(training)
    out = decoder.forward_train(torch.rand(2, 16, 3, 9), None)
    assert out.keys() == {"logits", "attn_maps"}
    assert out["logits"].shape == (3, 2, 27, 38)
    assert out["attn_maps"].shape == (3, 2, 27, 3, 9)


@pytest.mark.parametrize(
    ("overrides", "grid", "stages", "classes", "positions"),
    [
        (dict(num_stages=1, glrm=None), (1, 26), 1, 38, 27),
        (dict(num_stages=2, glrm=dict(num_layers=2, ffn_dim=8)), (4, 7), 2, 38, 27),
        (dict(num_stages=5, max_seq_len=3), (2, 2), 5, 38, 5),
        (
            dict(dictionary=dict(type="CharacterDictionary", characters="天地人"), num_stages=2),
            (3, 3),
            2,
            5,
            27,
        ),
    ],
)
def test_output_shapes_follow_stages_grid_and_dictionary(
    overrides, grid, stages, classes, positions
):
    decoder = _decoder(**overrides).eval()
    out = decoder.forward_train(torch.rand(2, 16, *grid))
    assert out["logits"].shape == (stages, 2, positions, classes)
    assert out["attn_maps"].shape == (stages, 2, positions, *grid)


def test_encoder_output_takes_precedence_over_features():
    decoder = _decoder().eval()
    features = torch.rand(2, 16, 3, 9)
    direct = decoder.forward_train(features)["logits"]
    through = decoder.forward_train(torch.rand(2, 4, 1, 1), features)["logits"]
    assert torch.equal(direct, through)


def test_modules_of_all_stages_start_equal():
    decoder = _decoder(num_stages=4)
    decoder.init_weights()
    for modules in (decoder.attentions, decoder.glrms, decoder.classifiers):
        assert len(modules) >= 3
        first = modules[0].state_dict()
        for module in modules[1:]:
            assert all(torch.equal(first[k], v) for k, v in module.state_dict().items())
    # Equal values, but separate tensors.
    assert decoder.classifiers[0].weight is not decoder.classifiers[1].weight


def test_decoder_keeps_pytorchs_initialisation():
    decoder = _decoder(in_channels=64)
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    decoder.init_weights()
    after = decoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    # PyTorch's Linear is uniform within 1/sqrt(fan in).
    weight = decoder.attentions[0].query.weight
    assert weight.abs().max().item() == pytest.approx(1 / 8, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("with_mask", [True, False])
def test_autocast_trains_and_predicts(dtype, with_mask):
    torch.manual_seed(0)
    model = build_toy(with_mask=with_mask)
    model.init_weights()
    images, samples = torch.rand(2, 3, 16, 40), [word_sample("a1"), word_sample("xyz")]
    with torch.autocast("cpu", dtype):
        loss = model(images, samples, mode="loss")["loss_cpa"]
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters())

    model.eval()
    plain = model(images, mode="tensor")
    with torch.autocast("cpu", dtype), torch.no_grad():
        mixed = model(images, mode="tensor")
    torch.testing.assert_close(mixed, plain, rtol=0, atol=0.02)


def test_loss_in_evaluation_mode_is_mean_cross_entropy():
    decoder = _decoder(glrm=dict(num_layers=1, ffn_dim=8, dropout=0.0)).eval()
    features, samples = torch.rand(2, 16, 3, 9), [word_sample("ab"), word_sample("c")]
    losses = decoder.loss(features, None, samples)
    out = decoder.forward_train(features)
    targets = torch.stack([sample.gt_text.padded_indexes for sample in samples])
    counted = targets != 36
    log_probs = out["logits"].log_softmax(-1)
    picked = log_probs.gather(-1, targets.expand(3, -1, -1)[..., None])[..., 0]
    torch.testing.assert_close(losses["loss_cpa"], -picked[:, counted].mean())
    per_stage = [losses[f"ce_stage{stage}"] for stage in (1, 2, 3)]
    torch.testing.assert_close(torch.stack(per_stage), -picked[:, counted].mean(1))


def test_only_loss_cpa_enters_the_total_loss():
    model = build_toy()
    losses = model(torch.rand(2, 3, 16, 40), [word_sample("a"), word_sample("b")], mode="loss")
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, losses["loss_cpa"])


def test_forward_test_returns_last_stage_probabilities():
    decoder = _decoder().eval()
    features = torch.rand(2, 16, 3, 9)
    probs = decoder.forward_test(features)
    torch.testing.assert_close(probs, decoder.forward_train(features)["logits"][-1].softmax(-1))


def test_predict_writes_text_and_scores():
    samples = build_toy().eval()(
        torch.rand(2, 3, 16, 40), [word_sample(), word_sample()], mode="predict"
    )
    for sample in samples:
        assert isinstance(sample.pred_text.item, str)
        assert len(sample.pred_text.score) == max(1, len(sample.pred_text.item))
        assert 0 <= sample.pred_text.word_score <= min(sample.pred_text.score)


class TestKeepAttention:
    @pytest.fixture(params=[True, False], ids=["mask", "no-mask"])
    def model(self, request):
        torch.manual_seed(1)
        model = build_toy(
            with_mask=request.param, mask_threshold=0.02, glrm=dict(num_layers=2, ffn_dim=32)
        ).eval()
        for attention in model.decoder.attentions:  # makes the maps peaked
            attention.query.weight.data *= 60
        return model

    @staticmethod
    def read(model, keep: bool):
        model.decoder.keep_attention = keep
        torch.manual_seed(2)
        with torch.no_grad():
            return model(
                torch.rand(2, 3, 16, 40), [word_sample("a"), word_sample("b")], mode="predict"
            )

    def test_readings_are_exactly_the_same(self, model):
        plain, kept = self.read(model, False), self.read(model, True)
        for one, other in zip(plain, kept, strict=True):
            assert "pred_attention" not in one
            assert one.pred_text.item == other.pred_text.item
            assert one.pred_text.score == other.pred_text.score
            assert one.pred_text.word_score == other.pred_text.word_score

    def test_maps_and_texts_of_every_stage_are_kept(self, model):
        samples = self.read(model, True)
        torch.manual_seed(2)
        with torch.no_grad():
            images = torch.rand(2, 3, 16, 40)
            expected = model.decoder.forward_train(model.encoder(images))
        for word, sample in enumerate(samples):
            kept = sample.pred_attention
            assert kept.attn_maps.dtype == kept.relations.dtype == np.float32
            np.testing.assert_array_equal(kept.attn_maps, expected["attn_maps"][:, word].numpy())
            assert kept.stage_texts[-1] == sample.pred_text.item
            assert kept.stage_scores[-1] == pytest.approx(sample.pred_text.score)
            for stage in range(3):
                single = [word_sample()]
                probs = expected["logits"][stage, word : word + 1].softmax(-1)
                model.decoder.postprocessor(probs, single)
                assert kept.stage_texts[stage] == single[0].pred_text.item
                assert kept.stage_scores[stage] == pytest.approx(single[0].pred_text.score)

    def test_relations_follow_the_formula(self, model):
        """Compare with PyTorch's attention modules, given the input features of each GLRM."""
        inputs = []
        hooks = [
            glrm.register_forward_pre_hook(lambda module, args: inputs.append(args))
            for glrm in model.decoder.glrms
        ]
        samples = self.read(model, True)
        for hook in hooks:
            hook.remove()
        maps = torch.from_numpy(np.stack([s.pred_attention.attn_maps for s in samples]))
        for stage, (glrm, (features, forbidden)) in enumerate(
            zip(model.decoder.glrms, inputs, strict=True)
        ):
            tokens = glrm.position(features.flatten(2).transpose(1, 2))
            mean = 0
            for layer in glrm.layers:
                hide = None if forbidden is None else forbidden.repeat_interleave(8, dim=0)
                with torch.no_grad():
                    weights = layer.self_attn(tokens, tokens, tokens, attn_mask=hide)[1]
                    mask = None if forbidden is None else TokenMask.from_forbidden(forbidden)
                    tokens = layer(tokens, mask)
                mean = mean + weights.nan_to_num() / len(glrm.layers)
            pooled = maps[:, stage].flatten(2)
            expected = torch.einsum("nia,nab,njb->nij", pooled, mean, pooled)
            expected = expected / expected.sum(-1, keepdim=True)
            kept = torch.from_numpy(np.stack([s.pred_attention.relations[stage] for s in samples]))
            torch.testing.assert_close(kept, expected, rtol=1e-4, atol=1e-6)

    def test_relations_are_empty_without_glrm(self):
        model = build_toy(glrm=None, keep_attention=True).eval()
        samples = self.read(model, True)
        assert samples[0].pred_attention.relations.shape == (0, 27, 27)

    def test_kept_arrays_keep_no_autograd_graph(self, model):
        model.decoder.keep_attention = True
        samples = model(torch.rand(1, 3, 16, 40), [word_sample()], mode="predict")
        assert isinstance(samples[0].pred_attention.attn_maps, np.ndarray)


def test_relations_are_zero_when_every_key_is_masked():
    """The rows are zeros, not NaN."""
    glrm = MODELS.build(dict(type="GLRM", dim=16, num_layers=1, ffn_dim=8)).eval()
    hidden = torch.ones(1, 6, 6, dtype=torch.bool)
    maps = torch.rand(1, 4, 2, 3).flatten(2).softmax(-1).unflatten(2, (2, 3))
    with torch.no_grad():
        relations = character_relations(glrm, torch.rand(1, 16, 2, 3), hidden, maps)
    assert torch.equal(relations, torch.zeros(1, 4, 4))


def test_save_and_strict_load(tmp_path):
    model, other = build_toy(with_mask=True).eval(), build_toy(with_mask=True).eval()
    torch.save(model.state_dict(), tmp_path / "model.pth")
    other.load_state_dict(torch.load(tmp_path / "model.pth", weights_only=True), strict=True)
    images = torch.rand(2, 3, 16, 40)
    assert torch.equal(model(images, mode="tensor"), other(images, mode="tensor"))


def test_building_leaves_the_config_unchanged():
    config = decoder_config(16)
    before = {
        key: dict(value) if isinstance(value, dict) else value for key, value in config.items()
    }
    MODELS.build(config)
    assert config == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (dict(num_stages=0), "num_stages must be at least 1, got 0"),
        (dict(num_stages=1, with_mask=True), "with_mask=True masks the attention of the GLRMs"),
        (dict(glrm=None, with_mask=True), "with_mask=True masks the attention of the GLRMs"),
        (
            dict(dictionary=dict(DICTIONARY, with_start=False)),
            "needs a dictionary with_start=True and with_end=True",
        ),
        (
            dict(
                dictionary=dict(DICTIONARY, same_start_end=True),
                module_loss=None,
                postprocessor=None,
            ),
            "CPADecoder needs a start and an end class that differ",
        ),
    ],
)
def test_bad_arguments(overrides, message):
    with pytest.raises(ValueError, match=message):
        _decoder(**overrides)


@pytest.mark.parametrize("shape", [(2, 15, 3, 9), (2, 26, 16)])
def test_wrong_feature_shape_is_reported(shape):
    with pytest.raises(ValueError, match=r"needs a feature map of shape \(N, 16, h, w\), got"):
        _decoder().forward_train(torch.rand(shape))


def test_loss_without_module_loss_is_an_error():
    with pytest.raises(ValueError, match="without module_loss"):
        _decoder(module_loss=None).loss(torch.rand(1, 16, 3, 9), None, [word_sample("a")])


def test_length_must_be_positive():
    with pytest.raises(ValueError, match="max_seq_len must be at least 1, got 0"):
        _decoder(max_seq_len=0)


def test_prediction_without_postprocessor_is_refused():
    with pytest.raises(ValueError, match="was built without postprocessor"):
        _decoder(postprocessor=None).predict(None, torch.rand(1, 16, 3, 9), [word_sample()])


def test_attention_needs_a_postprocessor_that_reads_alike():
    decoder = _decoder(postprocessor=dict(type="AttentionPostprocessor"), keep_attention=True)
    decoder.eval()
    torch.nn.init.zeros_(decoder.classifiers[-1].weight)
    decoder.classifiers[-1].bias.data = torch.arange(38.0).roll(10)
    with pytest.raises(ValueError, match="as CPAPostprocessor does"):
        decoder.predict(None, torch.rand(1, 16, 3, 9), [word_sample()])


def test_features_that_are_no_map_are_refused():
    with pytest.raises(ValueError, match=r"needs a feature map .* got dict"):
        _decoder().forward_train(None, dict(map=torch.rand(1, 16, 3, 9)))


def test_only_map_of_a_sequence_is_used():
    decoder, features = _decoder().eval(), torch.rand(1, 16, 3, 9)
    expected = decoder.forward_test(features)
    for given in ((features,), [features]):
        torch.testing.assert_close(decoder.forward_test(given), expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"one feature map, got 2: choose one with out_indices"):
        decoder.forward_test((features, features))


@pytest.mark.parametrize("kind", ["CEModuleLoss", "CTCModuleLoss"])
def test_loss_of_one_stage_is_refused(kind):
    with pytest.raises(ValueError, match=f"{kind} expects those of one: use CPAModuleLoss"):
        _decoder(module_loss=dict(type=kind))


def test_loss_derived_from_one_of_a_stage_is_accepted():
    @MODELS.register_module(force=True)
    class StagesLoss(CEModuleLoss):
        pass

    assert isinstance(_decoder(module_loss=dict(type="StagesLoss")).module_loss, StagesLoss)


@pytest.mark.parametrize("value", ["no", 1, None])
def test_mask_is_on_or_off(value):
    with pytest.raises(ValueError, match=f"with_mask must be True or False, got {value!r}"):
        MODELS.build(
            dict(
                type="CPADecoder",
                in_channels=16,
                dictionary=dict(type="CharacterDictionary", characters="ab"),
                with_mask=value,
            )
        )
