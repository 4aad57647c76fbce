"""Layout, parameter names and class order of the authors' released checkpoints."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch

from ..models.sinusoid import sinusoidal_table
from ..models.svtr_block import local_window

#: Characters of the released models, by number of characters.
RELEASED_CHARACTERS = {
    36: string.digits + string.ascii_lowercase,
    94: string.printable[:94],
}
#: Number of special classes, [GO] and [s]: first in the released models, last in MMOCR's
#: dictionaries.
NUM_SPECIAL = 2
#: Width of every attention head of the released encoders; shapes do not reveal it.
ENCODER_HEAD_DIM = 32
#: Height and width of the local mixing window, in tokens.
WINDOW_SIZE = (7, 11)
#: Side of the square of pixels covered by one token of the first stage.
PATCH_SIDE = 4
#: Mask values at or below this hide a token completely: its softmax weight is 0.
HIDING = -1e4
#: Allowed dtypes of weights.
FLOAT_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
#: Allowed difference of a sinusoidal table: processors disagree in the last bits of a sine.
TABLE_TOLERANCE = 1e-4

_RENAMES = [
    (r"backbone\.pos_embed", r"encoder.pos_embed"),
    (r"backbone\.patch_embed\.proj\.(\d+)\.conv\.(.+)", r"encoder.patch_embed.\1.0.\2"),
    (r"backbone\.patch_embed\.proj\.(\d+)\.norm\.(.+)", r"encoder.patch_embed.\1.1.\2"),
    (r"backbone\.blocks(\d+)\.(\d+)\.mlp\.fc1\.(.+)", r"encoder.stages.<\1>.\2.mlp.0.\3"),
    (r"backbone\.blocks(\d+)\.(\d+)\.mlp\.fc2\.(.+)", r"encoder.stages.<\1>.\2.mlp.2.\3"),
    (r"backbone\.blocks(\d+)\.(\d+)\.(.+)", r"encoder.stages.<\1>.\2.\3"),
    (r"backbone\.sub_sample(\d+)\.(.+)", r"encoder.merges.<\1>.\2"),
    (r"backbone\.norm\.(.+)", r"encoder.norm.\1"),
    (r"attention\.(\d+)\.k_encoder\.(.+)", r"decoder.attentions.\1.key_unet.down.\2"),
    # In the released code the upsampling is entry 0 of each layer.
    (r"attention\.(\d+)\.k_decoder\.(\d+)\.1\.(.+)", r"decoder.attentions.\1.key_unet.up.\2.0.\3"),
    (r"attention\.(\d+)\.k_decoder\.(\d+)\.2\.(.+)", r"decoder.attentions.\1.key_unet.up.\2.1.\3"),
    (r"attention\.(\d+)\.project\.(.+)", r"decoder.attentions.\1.query.\2"),
    (r"trans\.(\d+)\.transformer\.layers\.(.+)", r"decoder.glrms.\1.layers.\2"),
    (r"cls\.(\d+)\.(.+)", r"decoder.classifiers.\1.\2"),
]


def strip_prefixes(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Remove the wrappers' ``module.`` and ``str_model.`` from the names of a state dict."""
    return {re.sub(r"^(module\.)?(str_model\.)?", "", name): v for name, v in state_dict.items()}


def is_constant(name: str) -> bool:
    """Return whether an entry is a local-window mask or a sinusoidal table, which we compute."""
    return name.endswith((".mask", ".pe"))


def rename(name: str) -> str:
    """Return our model's name of a released entry.

    Args:
        name: Released name without the wrappers' prefixes.

    Raises:
        KeyError: If released models have no entry of this name.
    """
    for pattern, replacement in _RENAMES:
        match = re.fullmatch(pattern, name)
        if match:
            # The released encoder counts its stages from 1.
            return re.sub(r"<(\d+)>", lambda m: str(int(m[1]) - 1), match.expand(replacement))
    raise KeyError(name)


def reorder_classes(classes: torch.Tensor) -> torch.Tensor:
    """Put the special classes last: [GO], [s], characters -> characters, start, end.

    Args:
        classes: Tensor with one row per class, shape (C, ...).
    """
    return torch.cat([classes[NUM_SPECIAL:], classes[:NUM_SPECIAL]])


def convert_state_dict(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert a released state dict to one of our model.

    Args:
        state_dict: Tensors by released name, with or without the wrappers' prefixes.

    Returns:
        Tensors by our name, with the classifiers' rows in MMOCR's order.

    Raises:
        KeyError: If an entry is not one of a released model; its argument is the entry's name.
    """
    converted = {}
    for name, value in strip_prefixes(state_dict).items():
        if not is_constant(name):
            is_classifier = name.startswith("cls.")
            converted[rename(name)] = reorder_classes(value) if is_classifier else value
    return converted


@dataclass(frozen=True)
class ReleasedLayout:
    """Settings of a released model that follow from the shapes in its checkpoint.

    Attributes:
        img_size: Height and width of the input image in pixels.
        embed_dims: Feature width of each encoder stage.
        depths: Number of blocks of each encoder stage.
        num_local_blocks: Number of blocks, counted over all stages, that mix locally.
        merge_strides: (vertical, horizontal) stride between encoder stages.
        num_stages: Number of position attentions.
        num_positions: Number of positions T.
        glrm_layers: Number of transformer layers of each GLRM.
        glrm_ffn_dim: Hidden width of their feed-forward layers.
        num_characters: Number of characters, without special classes.
    """

    img_size: tuple[int, int]
    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    num_local_blocks: int
    merge_strides: tuple[tuple[int, int], ...]
    num_stages: int
    num_positions: int
    glrm_layers: int
    glrm_ffn_dim: int
    num_characters: int

    @property
    def grids(self) -> list[tuple[int, int]]:
        """Height and width of the token grid of each encoder stage."""
        grids = [(self.img_size[0] // PATCH_SIDE, self.img_size[1] // PATCH_SIDE)]
        for down, right in self.merge_strides:
            grids.append((grids[-1][0] // down, grids[-1][1] // right))
        return grids

    def constants(self) -> dict[str, torch.Tensor]:
        """Return the masks and tables that a released checkpoint of this layout contains.

        Returns:
            By released name, masks (1, 1, L, L), which are 0 where a token sees another one and
            -inf elsewhere, and tables (length, 1, D), all float32.
        """
        blocks = [(stage, i) for stage, depth in enumerate(self.depths) for i in range(depth)]
        masks = {}
        for stage, block in blocks[: self.num_local_blocks]:
            visible = local_window(self.grids[stage], WINDOW_SIZE)
            mask = torch.zeros(visible.shape).masked_fill(~visible, -torch.inf)
            masks[f"backbone.blocks{stage + 1}.{block}.mixer.mask"] = mask[None, None]
        height, width = self.grids[-1]
        lengths = {f"attention.{i}": self.num_positions for i in range(self.num_stages)}
        # There is a GLRM between two successive attentions.
        lengths |= {f"trans.{i}": height * width for i in range(self.num_stages - 1)}
        tables = {
            f"{module}.pos_encoder.pe": sinusoidal_table(length, self.embed_dims[-1])[:, None]
            for module, length in lengths.items()
        }
        return masks | tables

    def model_config(self, characters: str, with_mask: bool) -> dict:
        """Return settings to merge into ``model`` of an LPV config.

        Args:
            characters: Characters of the model, in the order of its classes.
            with_mask: Whether the model was trained with the GLRM mask (training stage 2).
        """
        return dict(
            encoder=dict(
                img_size=self.img_size,
                embed_dims=self.embed_dims,
                depths=self.depths,
                num_heads=tuple(dim // ENCODER_HEAD_DIM for dim in self.embed_dims),
                num_local_blocks=self.num_local_blocks,
                merge_strides=self.merge_strides,
            ),
            decoder=dict(
                in_channels=self.embed_dims[-1],
                num_stages=self.num_stages,
                max_seq_len=self.num_positions - 2,
                glrm=dict(num_layers=self.glrm_layers, ffn_dim=self.glrm_ffn_dim),
                with_mask=with_mask,
                dictionary=dict(characters=characters),
            ),
        )


def recognise_layout(state_dict: Mapping[str, torch.Tensor]) -> ReleasedLayout:
    """Infer the model's layout from a released state dict.

    Args:
        state_dict: Tensors by released name, with or without the wrappers' prefixes.

    Raises:
        KeyError: If an entry that the layout follows from is missing; its argument is the entry's
            name.
        ValueError: If the entries contradict one another, or one has a shape that no LPV has.
    """
    state = strip_prefixes(state_dict)
    first_mask = "backbone.blocks1.0.mixer.mask"
    _shape(state, first_mask, 1, 1, None, None)
    grid = _grid_of_local_mask(state[first_mask][0, 0])
    embed_dims, depths = _widths_and_depths(state)
    merge_strides = _merge_strides(state, grid, len(depths))
    num_positions = _shape(state, "attention.0.pos_encoder.pe", None, 1, None)[0]
    if num_positions <= NUM_SPECIAL:
        raise ValueError(
            f"attention.0.pos_encoder.pe has {num_positions} rows, which leaves no position for a "
            "character between the first and the last"
        )
    num_classes = _shape(state, "cls.0.weight", None, None)[0]
    if num_classes <= NUM_SPECIAL:
        raise ValueError(
            f"cls.0.weight has too few rows ({num_classes}): a model has {NUM_SPECIAL} special "
            "classes and at least one character"
        )
    return ReleasedLayout(
        img_size=(grid[0] * PATCH_SIDE, grid[1] * PATCH_SIDE),
        embed_dims=embed_dims,
        depths=depths,
        num_local_blocks=sum(name.endswith(".mixer.mask") for name in state),
        merge_strides=merge_strides,
        num_stages=_count(state, "cls.{}.weight"),
        num_positions=num_positions,
        glrm_layers=_count(state, "trans.0.transformer.layers.{}.norm1.weight"),
        glrm_ffn_dim=_shape(state, "trans.0.transformer.layers.0.linear1.weight", None, None)[0],
        num_characters=num_classes - NUM_SPECIAL,
    )


def _widths_and_depths(
    state: Mapping[str, torch.Tensor],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the width of each encoder stage and its number of blocks."""
    embed_dims, depths = [], []
    while not depths or f"backbone.blocks{len(depths) + 1}.0.norm1.weight" in state:
        stage = f"backbone.blocks{len(depths) + 1}"
        embed_dims.append(_shape(state, f"{stage}.0.norm1.weight", None)[0])
        depths.append(_count(state, f"{stage}.{{}}.norm1.weight"))
        if embed_dims[-1] % ENCODER_HEAD_DIM:
            raise ValueError(
                f"{stage}.0.norm1.weight has {embed_dims[-1]} numbers, which is not a multiple of "
                f"{ENCODER_HEAD_DIM}, the width of an attention head"
            )
    return tuple(embed_dims), tuple(depths)


def _merge_strides(
    state: Mapping[str, torch.Tensor], grid: tuple[int, int], num_stages: int
) -> tuple[tuple[int, int], ...]:
    """Return the strides between encoder stages, the first of which has a grid of tokens."""
    # Token counts of the stages, from the position embedding, the masks and the GLRM's table.
    places = _shape(state, "backbone.pos_embed", 1, None, None)[1]
    if grid[0] * grid[1] != places:
        raise ValueError(
            f"backbone.pos_embed holds {places} places, but the "
            f"local mask belongs to a grid of {grid[0]}x{grid[1]}"
        )
    tokens = [places]
    for stage in range(2, num_stages + 1):
        mask = f"backbone.blocks{stage}.0.mixer.mask"
        if mask in state:
            tokens.append(_shape(state, mask, 1, 1, None, None)[-1])
        else:
            tokens.append(_shape(state, "trans.0.pos_encoder.pe", None, 1, None)[0])
    strides, rows = [], grid[0]
    for before, after in pairwise(tokens):
        stride = before // after
        if before % after or rows % stride:
            raise ValueError(f"no vertical stride leads from {before} to {after} tokens")
        strides.append((stride, 1))
        rows //= stride
    return tuple(strides)


def check_constants(state_dict: Mapping[str, torch.Tensor], layout: ReleasedLayout) -> None:
    """Check that the tables and masks in a file are those that our model computes.

    Args:
        state_dict: Tensors by released name, with or without the wrappers' prefixes, accepted by
            :func:`check_numbers`.
        layout: Layout from :func:`recognise_layout`.

    Raises:
        KeyError: If one is missing or unexpected; its argument is the entry's name.
        ValueError: If one differs, so that our model would compute something else.
    """
    state = strip_prefixes(state_dict)
    wanted = layout.constants()
    for name, value in wanted.items():
        _shape(state, name, *value.shape)
        given = state[name].float()
        given = given.masked_fill(given <= HIDING, -torch.inf)
        # A file in half precision has rounded tables.
        tolerance = max(TABLE_TOLERANCE, torch.finfo(state[name].dtype).eps)
        if not torch.allclose(given, value, rtol=0, atol=tolerance):
            raise ValueError(f"{name} is not what a released LPV computes")
    for name in state:
        if is_constant(name) and name not in wanted:
            raise KeyError(name)


def check_numbers(state_dict: Mapping[str, torch.Tensor]) -> None:
    """Check that the weights are dense, finite floating-point tensors.

    Args:
        state_dict: Tensors by released name, with or without the wrappers' prefixes.

    Raises:
        ValueError: If an entry is of another kind (counters of batch norms may be integers) or has
            values that are not finite (masks may).
    """
    for name, value in strip_prefixes(state_dict).items():
        # Batch norms count their batches as integers.
        is_counter = name.endswith("num_batches_tracked")
        ordinary = value.layout is torch.strided and not value.is_meta
        if not ordinary or not (value.dtype in FLOAT_TYPES or is_counter):
            kind = value.dtype if ordinary else "not a dense tensor with data"
            raise ValueError(f"{name} is {kind}; a released LPV has floating-point numbers there")
        # The masks hide tokens with infinities.
        if not name.endswith(".mask") and not torch.isfinite(value).all():
            raise ValueError(f"{name} holds values that are not finite: the file is damaged")


def _shape(state: Mapping[str, torch.Tensor], name: str, *expected: int | None) -> tuple[int, ...]:
    """Return the shape of an entry after checking it.

    Args:
        state: Tensors by released name.
        name: Name of the entry.
        expected: Length of each dimension; None allows any but 0.

    Raises:
        KeyError: If there is no such entry.
        ValueError: If it has another shape.
    """
    shape = tuple(state[name].shape)
    fits = len(shape) == len(expected) and all(
        length == wanted if wanted is not None else length > 0
        for length, wanted in zip(shape, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in expected)
        raise ValueError(f"{name} has the shape {shape} instead of ({wanted})")
    return shape


def _count(state: Mapping[str, torch.Tensor], template: str) -> int:
    """Return how many entries match a name in which ``{}`` stands for a number.

    Raises:
        KeyError: If none matches.
    """
    pattern = re.escape(template).replace(r"\{\}", r"(\d+)")
    count = sum(re.fullmatch(pattern, name) is not None for name in state)
    if not count:
        raise KeyError(template.format(0))
    return count


def _grid_of_local_mask(mask: torch.Tensor) -> tuple[int, int]:
    """Return height and width of the token grid that a local-window mask (L, L) belongs to.

    The corner token sees the first few tokens of its own row and of the next rows, so the second
    run of visible tokens starts where the second row does.
    """
    visible = (mask[0] == 0).nonzero().flatten().tolist()
    starts = [place for place in visible if place - 1 not in visible]
    if len(starts) < 2 or mask.shape[0] % starts[1]:
        raise ValueError("the mask of backbone.blocks1.0.mixer is not that of a local window")
    return mask.shape[0] // starts[1], starts[1]
