"""Small word data sets, made as other tools make them: with plain LMDB calls."""

from __future__ import annotations

from pathlib import Path

from lpv_mmocr.datasets import close_environments

import cv2
import lmdb
import numpy as np


def make_picture(value: int = 100, width: int = 24, height: int = 8) -> bytes:
    picture = np.full((height, width, 3), value, np.uint8)
    picture[:, : width // 2] //= 2
    return cv2.imencode(".png", picture)[1].tobytes()


def write_words(path: Path, labels: list[str | bytes], pictures: list[bytes] | None = None) -> Path:
    """Write an LMDB; picture i has the grey value i modulo 200."""
    path.mkdir(parents=True)
    environment = lmdb.open(str(path), map_size=2**26, lock=False)
    with environment.begin(write=True) as transaction:
        for index, label in enumerate(labels):
            picture = make_picture(index % 200) if pictures is None else pictures[index]
            label = label if isinstance(label, bytes) else label.encode()
            transaction.put(b"image-%09d" % (index + 1), picture)
            transaction.put(b"label-%09d" % (index + 1), label)
        transaction.put(b"num-samples", b"%d" % len(labels))
    environment.close()
    return path


def edit(path: Path, changes: dict[bytes, bytes | None]) -> Path:
    """Put or, with ``None``, delete keys of an LMDB."""
    close_environments()
    environment = lmdb.open(str(path), map_size=2**26, lock=False)
    with environment.begin(write=True) as transaction:
        for key, value in changes.items():
            if value is None:
                assert transaction.delete(key)
            else:
                transaction.put(key, value)
    environment.close()
    return path
