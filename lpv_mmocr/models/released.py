"""The authors' released checkpoints: their layout, their names and their class order."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch

from .sinusoid import sinusoidal_table
from .svtr_block import local_window

#: Characters of the released models, by their number.
RELEASED_CHARACTERS = {
    36: string.digits + string.ascii_lowercase,
    94: string.printable[:94],
}
#: The released models put [GO] and [s] first; MMOCR's dictionaries put them last.
NUM_SPECIAL = 2
#: Every attention head of the released encoders is this wide; heads leave no trace in shapes.
ENCODER_HEAD_DIM = 32
#: Height and width of the window of local mixing, in tokens.
WINDOW_SIZE = (7, 11)

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
    """Take the wrappers' ``module.`` and ``str_model.`` off the names of a released state dict."""
    return {re.sub(r"^(module\.)?(str_model\.)?", "", name): v for name, v in state_dict.items()}


def is_constant(name: str) -> bool:
    """Whether an entry is a local-window mask or a sinusoidal table, both computed by our model."""
    return name.endswith((".mask", ".pe"))


def rename(name: str) -> str:
    """Name in our model of a released entry.

    Args:
        name: Released name without wrappers' prefixes.

    Raises:
        KeyError: If the released model has no such entry.
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
        classes: Anything with one row per class, (C, ...).
    """
    return torch.cat([classes[NUM_SPECIAL:], classes[:NUM_SPECIAL]])


def convert_state_dict(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Turn a released state dict into one of our model.

    Args:
        state_dict: Released names, with or without wrappers' prefixes, to tensors.

    Returns:
        Our names to tensors, with the classifiers' rows in MMOCR's order.

    Raises:
        KeyError: If an entry is none of a released model; its argument is the entry's name.
    """
    converted = {}
    for name, value in strip_prefixes(state_dict).items():
        if not is_constant(name):
            is_classifier = name.startswith("cls.")
            converted[rename(name)] = reorder_classes(value) if is_classifier else value
    return converted


@dataclass(frozen=True)
class ReleasedLayout:
    """What the shapes of a released checkpoint say about the model.

    Attributes:
        img_size: Height and width of the input image in pixels.
        embed_dims: Feature width of each encoder stage.
        depths: Blocks of each encoder stage.
        num_local_blocks: Number of blocks, counted over all stages, that mix locally.
        merge_strides: (vertical, horizontal) stride between encoder stages.
        num_stages: Number of position attentions.
        num_positions: Number of positions T.
        glrm_layers: Transformer layers of each GLRM.
        glrm_ffn_dim: Hidden width of their feed-forward layers.
        num_characters: Number of characters, special classes not counted.
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

    def model_config(self, characters: str, with_mask: bool) -> dict:
        """Settings of the model, to be merged into the ``model`` of an LPV config.

        Args:
            characters: The model's characters in the order of its classes.
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
    """Read the model's layout off a released state dict.

    Args:
        state_dict: Released names, with or without wrappers' prefixes, to tensors.

    Raises:
        KeyError: If an entry that tells the layout is missing; its argument is the entry's name.
        ValueError: If the entries contradict one another.
    """
    state = strip_prefixes(state_dict)
    embed_dims, depths = [], []
    while f"backbone.blocks{len(depths) + 1}.0.norm1.weight" in state:
        stage = f"backbone.blocks{len(depths) + 1}"
        embed_dims.append(state[f"{stage}.0.norm1.weight"].numel())
        depths.append(_count(state, stage + r"\.(\d+)\.norm1\.weight"))

    # Token counts of the stages: from the position embedding, the masks and the GLRM's table.
    first_mask = state["backbone.blocks1.0.mixer.mask"]
    grid = _grid_of_local_mask(first_mask.reshape(first_mask.shape[-2:]))
    if grid[0] * grid[1] != state["backbone.pos_embed"].shape[1]:
        raise ValueError(
            f"backbone.pos_embed holds {state['backbone.pos_embed'].shape[1]} places, but the "
            f"local mask belongs to a grid of {grid[0]}x{grid[1]}"
        )
    tokens = [grid[0] * grid[1]]
    for stage in range(2, len(depths) + 1):
        mask = state.get(f"backbone.blocks{stage}.0.mixer.mask")
        source = state["trans.0.pos_encoder.pe"].shape[0] if mask is None else mask.shape[-1]
        tokens.append(source)
    strides = []
    for before, after in pairwise(tokens):
        if before % after:
            raise ValueError(f"no vertical stride leads from {before} to {after} tokens")
        strides.append((before // after, 1))

    return ReleasedLayout(
        img_size=(grid[0] * 4, grid[1] * 4),
        embed_dims=tuple(embed_dims),
        depths=tuple(depths),
        num_local_blocks=sum(name.endswith(".mixer.mask") for name in state),
        merge_strides=tuple(strides),
        num_stages=_count(state, r"attention\.(\d+)\.project\.weight"),
        num_positions=state["attention.0.pos_encoder.pe"].shape[0],
        glrm_layers=_count(state, r"trans\.0\.transformer\.layers\.(\d+)\.norm1\.weight"),
        glrm_ffn_dim=state["trans.0.transformer.layers.0.linear1.weight"].shape[0],
        num_characters=state["cls.0.weight"].shape[0] - NUM_SPECIAL,
    )


def check_constants(state_dict: Mapping[str, torch.Tensor], layout: ReleasedLayout) -> None:
    """Make sure that the tables and masks in a file are the ones that our model computes.

    Args:
        state_dict: Released names, with or without wrappers' prefixes, to tensors.
        layout: What :func:`recognise_layout` said of it.

    Raises:
        ValueError: If one differs, so that the model would compute something else.
    """
    width = layout.img_size[1] // 4
    for name, value in strip_prefixes(state_dict).items():
        if name.endswith(".pe"):
            same = torch.allclose(
                value[:, 0].float(), sinusoidal_table(*value[:, 0].shape), atol=1e-4
            )
        elif name.endswith(".mask"):
            grid = (value.shape[-1] // width, width)
            same = torch.equal(value[0, 0] == 0, local_window(grid, WINDOW_SIZE))
        else:
            continue
        if not same:
            raise ValueError(f"{name} is not what a released LPV computes")


def _count(state: Mapping[str, torch.Tensor], pattern: str) -> int:
    """How many different indexes the pattern's group takes among the names."""
    matches = (re.fullmatch(pattern, name) for name in state)
    return len({match[1] for match in matches if match})


def _grid_of_local_mask(mask: torch.Tensor) -> tuple[int, int]:
    """Height and width of the token grid that a local-window mask (L, L) was made for.

    The corner token sees the first few places of its own row and of the next ones, so the second
    run of visible places starts where the second row does.
    """
    visible = (mask[0] == 0).nonzero().flatten().tolist()
    starts = [place for place in visible if place - 1 not in visible]
    if len(starts) < 2 or mask.shape[0] % starts[1]:
        raise ValueError("the mask of backbone.blocks1.0.mixer is not that of a local window")
    return mask.shape[0] // starts[1], starts[1]
