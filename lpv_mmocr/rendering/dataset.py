"""Dataset that renders its words during training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmocr.registry import DATASETS
from torch.utils.data import Dataset

from ..datasets.transforms.loading import decode_image
from .config import RenderConfig, preset
from .fonts import FontLibrary
from .renderer import WordRenderer
from .word_list import default_words, read_words
from .words import TextSampler, resolve_charset

_MIN_POOL = 100


@DATASETS.register_module()
class RenderedWordDataset(Dataset):
    """Dataset of words rendered on demand, with a pool of images for reuse.

    With ``reuse=1`` a sample depends only on its index. With larger values, every ``reuse``-th
    index renders its image and puts it into the pool of its process; all other indices take one
    from the pool, once it holds 100 (or ``pool_size``, if smaller). Rendering then costs
    ``1 / reuse`` of what it would without a pool, but the sample at an index depends on what the
    process has rendered before: runs differ with the number of worker processes, and a resumed run
    starts with empty pools. In both cases, a shuffling sampler that is fast-forwarded on resume
    continues with images not seen before. Choose a length greater than the number of samples that
    a training run draws.

    The log shows the number of fonts and words; with few of either, a model learns little.

    Samples are dicts as expected by MMOCR's recognition pipelines: ``img`` (uint8 (h, w, 3), BGR),
    ``img_shape``, ``ori_shape``, ``instances`` (``[dict(text=...)]``), ``img_path``.

    Args:
        length: Number of samples.
        pipeline: Transforms to apply to the loaded image, as configs or callables.
        seed: Seed of the images.
        difficulty: Name of a preset.
        render: Fields of :class:`RenderConfig` that override the preset.
        charset: Key of :data:`~lpv_mmocr.rendering.words.CHARSETS`, or the characters themselves.
        min_length: Minimum number of characters of a word.
        max_length: Maximum number of characters of a word.
        words: Word list file, or None for the default list.
        fonts: Folders of fonts, or font files.
        system_fonts: Whether to also use the system's fonts and those bundled with matplotlib.
        reuse: Average number of uses of an image; 1 renders every sample.
        pool_size: Maximum number of images that a process keeps for reuse.

    Raises:
        ValueError: If ``length``, ``reuse`` or ``pool_size`` is not positive, ``seed`` is negative,
            or a setting of the texts, fonts or appearance is wrong.
        FileNotFoundError: If the word list or a folder of fonts does not exist.
    """

    def __init__(
        self,
        *,
        length: int = 10_000_000,
        pipeline: Sequence[dict | Callable] = (),
        seed: int = 0,
        difficulty: str = "full",
        render: dict | None = None,
        charset: str = "printable",
        min_length: int = 1,
        max_length: int = 25,
        words: str | None = None,
        fonts: str | os.PathLike | Sequence[str | os.PathLike] = (),
        system_fonts: bool = True,
        reuse: int = 1,
        pool_size: int = 20_000,
    ) -> None:
        for name, value in (("length", length), ("reuse", reuse), ("pool_size", pool_size)):
            if value < 1:
                raise ValueError(f"{name} must be positive, got {value}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self.length = length
        self.seed = seed
        self.reuse = reuse
        self.pool_size = pool_size
        self.metainfo = dict(dataset_type="rendered_words", task_name="textrecog")
        self.pipeline = Compose(list(pipeline))
        config: RenderConfig = preset(difficulty).replace(**(render or {}))
        word_list = read_words(words) if words else default_words()
        texts = TextSampler(
            config,
            word_list,
            charset=resolve_charset(charset),
            min_length=min_length,
            max_length=max_length,
        )
        fonts = [fonts] if isinstance(fonts, str | os.PathLike) else fonts
        library = FontLibrary.from_folders(fonts, system=system_fonts)
        self.renderer = WordRenderer(library, texts, config)
        folders = [*map(str, fonts), *(["this machine"] if system_fonts else [])]
        print_log(
            f"Rendering with {len(library)} fonts ({', '.join(folders)}) "
            f"and {self.renderer.describe_words()}",
            logger="current",
        )
        self._words = word_list
        self._pool: list[tuple[int, bytes, str]] = []

    @property
    def fingerprint(self) -> dict[str, str]:
        """Hashes of the words and of the fonts, independent of file names."""
        return dict(words=self._words.digest(), fonts=self.renderer.fonts.digest())

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.length

    def __getitem__(self, index: int) -> dict:
        """Return the sample at an index, after the pipeline.

        Raises:
            IndexError: If the index is not in ``range(len(self))``.
        """
        if not 0 <= index < self.length:
            raise IndexError(f"index out of range: sample {index} of {self.length}")
        return self.pipeline(self.get_data_info(index))

    def full_init(self) -> None:
        """Do nothing: everything is ready after construction (MMEngine's interface)."""

    def get_data_info(self, index: int) -> dict:
        """Return the sample at an index, before the pipeline."""
        number, jpeg, text = self._image(index)
        image = decode_image(jpeg)
        return dict(
            img=image,
            img_shape=image.shape[:2],
            ori_shape=image.shape[:2],
            img_path=f"rendered/{self.seed}/{number}",
            sample_idx=index,
            instances=[dict(text=text)],
        )

    def _image(self, index: int) -> tuple[int, bytes, str]:
        pool = self._pool
        # A small pool would return the same images again and again.
        if index % self.reuse and len(pool) >= min(self.pool_size, _MIN_POOL):
            rng = np.random.default_rng((self.seed, index, 1))
            return pool[rng.integers(len(pool))]
        word = self.renderer(self.seed, index)
        entry = index, word.jpeg, word.label
        if self.reuse > 1:
            if len(pool) < self.pool_size:
                pool.append(entry)
            else:  # Replace an arbitrary image, so that the pool has no order.
                pool[index // self.reuse % self.pool_size] = entry
        return entry
