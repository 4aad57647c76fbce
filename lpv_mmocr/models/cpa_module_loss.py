"""Loss of the cascade position attention decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from mmocr.models.common import Dictionary
from mmocr.models.textrecog.module_losses import BaseTextRecogModuleLoss
from mmocr.registry import MODELS
from mmocr.structures import TextRecogDataSample

from ..sample_names import sample_name
from .character_dictionary import require_start_and_end
from .encoded_words import EncodedWords, LabelEncoding
from .transfer import to_device

# Compiled, the handling of labels would be recompiled for each word. torch.compiler.disable imports
# the compiler at once; what PyTorch's optimisers use does so with the first call.
_not_compiled = getattr(torch._compile, "_disable_dynamo", torch.compiler.disable)


@MODELS.register_module()
class CPAModuleLoss(BaseTextRecogModuleLoss):
    """Cross-entropy averaged over all stages with equal weights (paper section 3.5).

    The target of a word is [start], its characters, [end], then [start] up to T = max_seq_len + 2
    positions. The start class is ignored, so neither position 0 nor anything after [end] counts.

    Labels are processed as in the released code: a word whose raw text is longer than
    ``max_seq_len`` is ignored; then the case is changed; then characters outside the dictionary
    are dropped (or become the unknown class if the dictionary has one).

    Args:
        dictionary: Dictionary or its config, with a start and an end class.
        max_seq_len: Maximum number of characters of a word.
        letter_case: "lower", "upper" or "unchanged".

    Raises:
        ValueError: If the dictionary lacks a start or an end class, or has one class for both, or
            ``letter_case`` is unknown.
    """

    def __init__(
        self,
        dictionary: dict | Dictionary,
        max_seq_len: int = 25,
        letter_case: str = "lower",
    ) -> None:
        if letter_case not in ("lower", "upper", "unchanged"):
            raise ValueError(f"letter_case must be lower, upper or unchanged, got {letter_case!r}")
        super().__init__(
            dictionary, max_seq_len=max_seq_len, letter_case=letter_case, pad_with="none"
        )
        require_start_and_end(self.dictionary, "CPAModuleLoss")
        # MMOCR's options for the padding class do not include the start class.
        self.pad_idx = self.dictionary.start_idx
        self._encoding = LabelEncoding.of(self)
        self._warned_long = self._warned_unknown = False

    @_not_compiled
    def get_targets(
        self, data_samples: Sequence[TextRecogDataSample] | EncodedWords
    ) -> Sequence[TextRecogDataSample] | EncodedWords:
        """Add the target indexes to the samples.

        Args:
            data_samples: Samples with ``gt_text.item``, or words that are already encoded.

        Returns:
            The same samples, with ``gt_text.indexes`` (characters only) and
            ``gt_text.padded_indexes`` (T,), both int64 on the CPU; encoded words unchanged.

        Raises:
            ValueError: If the words were encoded for another dictionary, length or case.
        """
        if isinstance(data_samples, EncodedWords):
            if data_samples.encoding not in (None, self._encoding):
                raise ValueError(
                    f"the labels of the batch were encoded as {data_samples.encoding}, the model's "
                    f"loss encodes as {self._encoding}: in the config, give dataset.loss of the "
                    "train_dataloader the dictionary, max_seq_len and letter_case of the decoder"
                )
            return data_samples
        for data_sample in data_samples:
            encoding = data_sample.get("target_encoding")
            # Another loss may have encoded the label differently.
            if data_sample.get("have_target", False) and encoding == self._encoding:
                continue
            indexes = self._encode(data_sample.gt_text.item, data_sample)
            padded = torch.full((self.max_seq_len + 2,), self.pad_idx, dtype=torch.int64)
            if indexes is not None:
                padded[1 : len(indexes) + 2] = torch.tensor([*indexes, self.dictionary.end_idx])
            data_sample.gt_text.indexes = torch.tensor(indexes or [], dtype=torch.int64)
            data_sample.gt_text.padded_indexes = padded
            data_sample.set_metainfo(dict(have_target=True, target_encoding=self._encoding))
        return data_samples

    def _encode(self, text: str, data_sample: TextRecogDataSample) -> list[int] | None:
        """Return the character indexes of a label, or None if it is too long."""
        if len(text) > self.max_seq_len:
            if not self._warned_long:
                MMLogger.get_current_instance().warning(
                    f"{sample_name(data_sample) or 'a sample'}: "
                    f"the label {text!r} has more than max_seq_len={self.max_seq_len} characters. "
                    "Such words are ignored in the loss; this is reported once."
                )
                self._warned_long = True
            return None
        if self.letter_case != "unchanged":
            text = getattr(text, self.letter_case)()
        indexes = [self.dictionary.char2idx(char, strict=False) for char in text]
        if None in indexes and not self._warned_unknown:
            unknown = text[indexes.index(None)]
            MMLogger.get_current_instance().warning(
                f"the label {text!r} has the character {unknown!r}, which the dictionary lacks. "
                "Such characters are dropped from the targets; this is reported once."
            )
            self._warned_unknown = True
        # Changing the case can make a text longer: "İ".lower() has two characters.
        return [index for index in indexes if index is not None][: self.max_seq_len]

    def forward(
        self,
        outputs: dict[str, torch.Tensor],
        data_samples: Sequence[TextRecogDataSample] | EncodedWords,
    ) -> dict[str, torch.Tensor]:
        """Compute the loss.

        Args:
            outputs: Output of ``CPADecoder.forward_train``, with ``logits`` of shape
                (S, N, T, C).
            data_samples: N samples processed by :meth:`get_targets`.

        Returns:
            ``loss_cpa``, the mean over the counted positions of all stages, and for the log
            ``ce_stage1`` ... ``ce_stageS``, the same mean per stage, detached.

        Raises:
            ValueError: If samples and logits differ in number or length.
        """
        logits = outputs["logits"]
        targets = _stacked_targets(data_samples, logits.shape[2], logits.device)
        if targets.shape != logits.shape[1:3]:
            raise ValueError(
                f"targets of {tuple(targets.shape)} words and positions do not fit logits of "
                f"{tuple(logits.shape[1:3])}: decoder and loss need the same max_seq_len, and "
                "every image needs one sample"
            )
        num_stages, num_classes = logits.shape[0], logits.shape[-1]
        cross_entropy = F.cross_entropy(
            logits.to(torch.promote_types(logits.dtype, torch.float32)).reshape(-1, num_classes),
            targets.expand(num_stages, *targets.shape).reshape(-1),
            ignore_index=self.pad_idx,
            reduction="none",
        )
        # A batch without any counted position gives 0 instead of NaN.
        counted = (targets != self.pad_idx).sum().clamp(min=1)
        per_stage = cross_entropy.view(num_stages, -1).sum(1) / counted
        losses = dict(loss_cpa=per_stage.mean())
        for stage, value in enumerate(per_stage.detach(), start=1):
            losses[f"ce_stage{stage}"] = value
        return losses


@_not_compiled
def _stacked_targets(
    data_samples: Sequence[TextRecogDataSample] | EncodedWords, length: int, device: torch.device
) -> torch.Tensor:
    """Return the targets of a batch, shape (N, T); ``length`` is the T of an empty one."""
    if isinstance(data_samples, EncodedWords):
        targets = data_samples.targets
    elif data_samples:
        targets = torch.stack([sample.gt_text.padded_indexes for sample in data_samples])
    else:
        targets = torch.empty(0, length, dtype=torch.int64)
    return to_device(targets, device)
