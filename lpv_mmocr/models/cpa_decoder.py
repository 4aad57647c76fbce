"""Cascade position attention (CPA) decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy

import torch
from mmocr.models.common import Dictionary
from mmocr.models.textrecog.decoders import BaseDecoder
from mmocr.models.textrecog.module_losses import CEModuleLoss, CTCModuleLoss
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample
from torch import nn

from .attention_record import attention_records, character_relations
from .character_dictionary import require_start_and_end
from .glrm import GLRM, linguistic_mask

GLRMObserver = Callable[[GLRM, torch.Tensor, "torch.Tensor | None", torch.Tensor], None]


@MODELS.register_module()
class CPADecoder(BaseDecoder):
    """Cascade of position attentions with a GLRM between successive ones (paper section 3.3).

    Its input is a feature map (N, D, h, w) of an encoder or, if there is none, of a backbone; a
    sequence of one map is accepted too. As in the released code, all position attentions start from
    equal weights, and so do all GLRMs and all classifiers, unless ``init_cfg`` initialises them
    separately.

    Args:
        in_channels: Width D of the features.
        dictionary: Dictionary or its config, with a start and an end class.
        module_loss: Config of the loss, usually ``CPAModuleLoss``.
        postprocessor: Config of the postprocessor, usually ``CPAPostprocessor``.
        max_seq_len: Maximum number of characters of a word; there are T = max_seq_len + 2
            positions.
        num_stages: Number S of position attentions.
        attention: Config of the position attentions; width and T are filled in.
        glrm: Config of the GLRMs; the width is filled in. None for no GLRMs; one stage has none.
        with_mask: Whether the GLRMs hide the tokens of one character from one another. Off in
            training stage 1, on in stage 2 and whenever a model trained with it is used.
        mask_threshold: Attention weight above which a token belongs to a character.
        keep_attention: Whether :meth:`predict` also stores the attention. It costs time and does
            not change any prediction.
        init_cfg: MMEngine initialisation config for all modules of the decoder. By default they
            keep PyTorch's initialisation, as in the released code.

    Attributes:
        keep_attention: As above; may be set on a built model. Every data sample then gets a
            ``pred_attention`` with

            - ``attn_maps``: float32 array (S, T, h, w), the attention maps of every stage, each
              summing to 1. All T positions are included, because stages may read words of
              different lengths: map 0 belongs to the start class, map k + 1 to character k, and
              the one after the last character to the end class. The map of a start class read
              between characters, which prints nothing, comes after these.
            - ``stage_texts``: S strings, the text that each stage reads by itself; the last is the
              prediction. A class with several characters, such as ``<UKN>``, which the prediction
              spells out, is one U+FFFD.
            - ``stage_scores``: S lists of the characters' probabilities; for an empty text, that
              of the end class.
            - ``relations``: float32 array (S - 1, T, T), how much the characters attended to one
              another in the GLRM after each stage, rows summing to 1; see
              :func:`~lpv_mmocr.models.attention_record.character_relations`. (0, T, T) without
              GLRMs.

    Raises:
        ValueError: If ``max_seq_len`` or ``num_stages`` is below 1, the dictionary lacks a start or
            an end class or has one class for both, ``with_mask`` is no boolean or true without any
            GLRM, or ``module_loss`` is one for the logits of a single stage.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        dictionary: dict | Dictionary,
        module_loss: dict | None = None,
        postprocessor: dict | None = None,
        max_seq_len: int = 25,
        num_stages: int = 3,
        attention: dict | None = None,
        glrm: dict | None = None,
        with_mask: bool = False,
        mask_threshold: float = 0.05,
        keep_attention: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            # Copies, because the base class writes the dictionary into them.
            dictionary=dictionary,
            module_loss=deepcopy(module_loss),
            postprocessor=deepcopy(postprocessor),
            max_seq_len=max_seq_len,
            init_cfg=init_cfg,
        )
        require_start_and_end(self.dictionary, "CPADecoder")
        if type(self.module_loss) in (CEModuleLoss, CTCModuleLoss):
            raise ValueError(
                "module_loss of a CPADecoder gets the logits of all stages, and "
                f"{type(self.module_loss).__name__} expects those of one: use CPAModuleLoss"
            )
        if max_seq_len < 1:
            raise ValueError(f"max_seq_len must be at least 1, got {max_seq_len}")
        if num_stages < 1:
            raise ValueError(f"num_stages must be at least 1, got {num_stages}")
        if not isinstance(with_mask, bool):  # a text such as "no" would switch it on
            raise ValueError(f"with_mask must be True or False, got {with_mask!r}")
        num_glrms = num_stages - 1 if glrm is not None else 0
        if with_mask and num_glrms == 0:
            raise ValueError(
                "with_mask=True masks the attention of the GLRMs, but there are none: give glrm "
                "and num_stages of at least 2, or set with_mask=False"
            )
        self.in_channels = in_channels
        self.num_positions = max_seq_len + 2
        self.with_mask = with_mask
        self.mask_threshold = mask_threshold
        self.keep_attention = keep_attention

        attention = dict(
            {"type": "PositionAttention", **(attention or {})},
            dim=in_channels,
            num_positions=self.num_positions,
        )
        classifier = nn.Linear(in_channels, self.dictionary.num_classes)
        self.attentions = _equal_copies(MODELS.build(attention), num_stages)
        self.classifiers = _equal_copies(classifier, num_stages)
        self.glrms = nn.ModuleList()
        if num_glrms:
            glrm_module = MODELS.build({"type": "GLRM", **glrm, "dim": in_channels})
            self.glrms = _equal_copies(glrm_module, num_glrms)

    def forward_train(
        self,
        feat: torch.Tensor | None = None,
        out_enc: torch.Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Run the cascade; in training or evaluation mode.

        Args:
            feat: Feature map of the backbone, shape (N, D, h, w); used without an encoder.
            out_enc: Feature map of the encoder, shape (N, D, h, w).
            data_samples: Not used; MMOCR passes them to every decoder.

        Returns:
            ``logits`` of shape (S, N, T, C) and ``attn_maps`` of shape (S, N, T, h, w).

        Raises:
            ValueError: If the features are not a map of ``in_channels`` channels.
        """
        return self._all_stages(feat if out_enc is None else out_enc)

    def _all_stages(
        self, features: torch.Tensor | None, observe: GLRMObserver | None = None
    ) -> dict[str, torch.Tensor]:
        characters, maps = zip(*self.cascade(features, observe), strict=True)
        logits = [c(x) for c, x in zip(self.classifiers, characters, strict=True)]
        return dict(logits=torch.stack(logits), attn_maps=torch.stack(maps))

    def cascade(
        self,
        features: torch.Tensor | Sequence[torch.Tensor] | None,
        observe: GLRMObserver | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Run the stages one after another (paper section 3.3).

        Args:
            features: Feature map of shape (N, D, h, w), or a sequence of one.
            observe: Callback that is called before each GLRM with the module, its input features
                and mask (or None), and the attention maps of the stage before.

        Yields:
            Character vectors of shape (N, T, D) and attention maps of shape (N, T, h, w) of each
            of the S stages.

        Raises:
            ValueError: If the features are not one map of ``in_channels`` channels.
        """
        width = self.in_channels
        if isinstance(features, (list, tuple)):  # as MMDetection's backbones return them
            if len(features) != 1:
                raise ValueError(
                    f"CPADecoder needs one feature map, got {len(features)}: choose one with "
                    "out_indices of the backbone"
                )
            (features,) = features
        shape = tuple(getattr(features, "shape", ()))
        if len(shape) != 4 or shape[1] != width:
            raise ValueError(
                f"CPADecoder needs a feature map of shape (N, {width}, h, w), got "
                f"{shape or type(features).__name__}: set "
                "in_channels to the number of channels of the backbone or encoder, which must keep "
                "the feature map"
            )
        characters, maps = features.new_zeros(1, self.num_positions, width), None
        for stage, attention in enumerate(self.attentions):
            if stage > 0 and self.glrms:
                forbidden = linguistic_mask(maps, self.mask_threshold) if self.with_mask else None
                glrm = self.glrms[stage - 1]
                if observe is not None:
                    observe(glrm, features, forbidden, maps)
                features = glrm(features, forbidden)
            characters, maps = attention(features, characters)
            yield characters, maps

    def last_logits(self, features: torch.Tensor | None) -> torch.Tensor:
        """Return the logits of the last stage, the only ones that inference needs.

        Args:
            features: Feature map of shape (N, D, h, w).

        Returns:
            Logits of shape (N, T, C).
        """
        *_, (characters, _) = self.cascade(features)
        return self.classifiers[-1](characters)

    def forward_test(
        self,
        feat: torch.Tensor | None = None,
        out_enc: torch.Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> torch.Tensor:
        """Return the class probabilities of the last stage.

        Args:
            feat: See :meth:`forward_train`.
            out_enc: See :meth:`forward_train`.
            data_samples: Not used.

        Returns:
            Probabilities of shape (N, T, C), float32 at least.
        """
        return _probabilities(self.last_logits(feat if out_enc is None else out_enc))

    def loss(
        self,
        feat: torch.Tensor | None = None,
        out_enc: torch.Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute the losses of a batch, in training mode as in evaluation mode.

        Args:
            feat: See :meth:`forward_train`.
            out_enc: See :meth:`forward_train`.
            data_samples: N samples with ``gt_text.item``.

        Returns:
            Losses of ``module_loss``.

        Raises:
            ValueError: If the decoder was built without ``module_loss``.
        """
        if self.module_loss is None:
            raise ValueError("CPADecoder was built without module_loss, so it has no loss")
        data_samples = self.module_loss.get_targets(data_samples)
        return self.module_loss(self.forward_train(feat, out_enc), data_samples)

    def forward(
        self,
        feat: torch.Tensor | None = None,
        out_enc: torch.Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> dict[str, torch.Tensor] | torch.Tensor:
        """Run :meth:`forward_train` in training mode and :meth:`forward_test` in evaluation."""
        run = self.forward_train if self.training else self.forward_test
        return run(feat, out_enc, data_samples)

    def predict(
        self,
        feat: torch.Tensor | None = None,
        out_enc: torch.Tensor | None = None,
        data_samples: Sequence[TextRecogDataSample] | None = None,
    ) -> Sequence[TextRecogDataSample]:
        """Predict the texts.

        Args:
            feat: See :meth:`forward_train`.
            out_enc: See :meth:`forward_train`.
            data_samples: N samples to write ``pred_text`` to.

        Returns:
            The same samples; see ``CPAPostprocessor`` for ``pred_text`` and
            :attr:`keep_attention` for ``pred_attention``.

        Raises:
            ValueError: If the decoder was built without ``postprocessor``, or keeps the attention
                and has a postprocessor that does not read as ``CPAPostprocessor`` does.
        """
        if self.postprocessor is None:
            raise ValueError("CPADecoder was built without postprocessor, so it predicts no text")
        if not self.keep_attention:
            return self.postprocessor(self.forward_test(feat, out_enc), data_samples)
        return self._predict_and_keep(feat if out_enc is None else out_enc, data_samples)

    @torch.no_grad()
    def _predict_and_keep(
        self, features: torch.Tensor, data_samples: Sequence[TextRecogDataSample]
    ) -> Sequence[TextRecogDataSample]:
        relations: list[torch.Tensor] = []
        stages = self._all_stages(
            features, lambda *seen: relations.append(character_relations(*seen))
        )
        probs = _probabilities(stages["logits"])
        records = attention_records(probs, stages["attn_maps"], relations, self.postprocessor)
        for data_sample, record in zip(data_samples, records, strict=True):
            data_sample.pred_attention = record
        return self.postprocessor(probs[-1], data_samples)


def _probabilities(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _equal_copies(module: nn.Module, number: int) -> nn.ModuleList:
    return nn.ModuleList([module, *(deepcopy(module) for _ in range(number - 1))])
