"""Small word datasets written with plain LMDB calls, as other tools write them."""

from __future__ import annotations

import struct
from pathlib import Path

from lpv_mmocr.datasets import close_environments

import cv2
import lmdb
import numpy as np


def make_image(value: int = 100, width: int = 24, height: int = 8) -> bytes:
    image = np.full((height, width, 3), value, np.uint8)
    image[:, : width // 2] //= 2
    return cv2.imencode(".png", image)[1].tobytes()


def write_words(path: Path, labels: list[str | bytes], images: list[bytes] | None = None) -> Path:
    """Write an LMDB; image i has the grey value i modulo 200."""
    path.mkdir(parents=True)
    environment = lmdb.open(str(path), map_size=2**26, lock=False)
    with environment.begin(write=True) as transaction:
        for index, label in enumerate(labels):
            image = make_image(index % 200) if images is None else images[index]
            label = label if isinstance(label, bytes) else label.encode()
            transaction.put(b"image-%09d" % (index + 1), image)
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


def zero_page(path: Path, key: bytes) -> Path:
    """Overwrite the page that holds a key with zeros, as a failing disk may."""
    close_environments()
    size = 4096
    data = bytearray((path / "data.mdb").read_bytes())
    (page,) = (
        start
        for start in range(2 * size, len(data), size)
        if key in _leaf_keys(data[start : start + size])
    )
    data[page : page + size] = bytes(size)
    (path / "data.mdb").write_bytes(data)
    return path


def _leaf_keys(page: bytes) -> list[bytes]:
    """Return the keys of a page in LMDB's file format; none unless it is a leaf."""
    header, leaf = 16, 0x02
    flags, end = struct.unpack_from("<HH", page, 10)
    keys = []
    for place in range(header, end if flags & leaf else header, 2):
        (node,) = struct.unpack_from("<H", page, place)
        (length,) = struct.unpack_from("<H", page, node + 6)
        keys.append(bytes(page[node + 8 : node + 8 + length]))
    return keys
