"""Named arrays in one file that is read by mapping it into memory: opened at once, and paged in as it is used.

A line of JSON says of each array its name, type, shape and place; then come the arrays, each aligned to 64 bytes.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_ALIGNMENT = 64


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Little-endian, in C order."""
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": array.dtype.newbyteorder("<").str, "shape": array.shape, "at": at}
        at += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    line = json.dumps(header, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(line + b" " * (-(len(line) + 1) % _ALIGNMENT) + b"\n")
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
            file.write(bytes(-array.nbytes % _ALIGNMENT))


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
