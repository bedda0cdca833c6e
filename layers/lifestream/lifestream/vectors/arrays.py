"""Named arrays in one file that is read by mapping it into memory: opened at once, and paged in as it is used.

A line of JSON says of each array its name, type, shape and place; then come the arrays, each aligned to 64 bytes.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_ALIGNMENT = 64


def write_arrays(path: Path, arrays: Mapping[str, Sequence[Array]]) -> None:
    """Each array from its pieces, one after the other along the first axis, so that none must be in memory whole.

    Little-endian, in C order.
    """
    header, at = {}, 0
    for name, pieces in arrays.items():
        shape = (sum(len(piece) for piece in pieces), *pieces[0].shape[1:])
        header[name] = {"dtype": pieces[0].dtype.newbyteorder("<").str, "shape": shape, "at": at}
        at += _aligned(sum(piece.nbytes for piece in pieces))
    line = json.dumps(header, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(line + b" " * (_aligned(len(line) + 1) - len(line) - 1) + b"\n")
        for pieces in arrays.values():
            for piece in pieces:
                file.write(np.ascontiguousarray(piece, dtype=piece.dtype.newbyteorder("<")).data)
            size = sum(piece.nbytes for piece in pieces)
            file.write(bytes(_aligned(size) - size))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def read_arrays(path: Path) -> dict[str, Array]:
    """Read-only. They stay readable when the file is removed. The file must be one that `write_arrays` wrote."""
    with path.open("rb") as file:
        line = file.readline()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays = {}
    for name, entry in json.loads(line).items():
        count = int(np.prod(entry["shape"], dtype=np.int64))
        found = np.frombuffer(mapped, entry["dtype"], count, len(line) + entry["at"])
        arrays[name] = found.reshape(entry["shape"])
    return arrays
