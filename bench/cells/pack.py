"""Classes of images as short text: the smallest unsigned integers that hold them, deflated, in base64."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from metanet.data import Ids


def pack(values: Ids) -> dict[str, Any]:
    """Whole numbers of 0 or more, (n,), as plain values: {"dtype": "|u1", "n": 3, "deflated": "eJx…"}."""
    dtype = np.min_scalar_type(int(np.max(values, initial=0))).newbyteorder("<")
    data = zlib.compress(np.asarray(values).astype(dtype).tobytes(), 9)
    return {"dtype": dtype.str, "n": len(values), "deflated": base64.b64encode(data).decode()}


def unpack(packed: Mapping[str, Any]) -> Ids:
    """What `pack` was given.

    Raises:
        ValueError, KeyError, TypeError, zlib.error: the text is not what `pack` gave.
    """
    data = zlib.decompress(base64.b64decode(packed["deflated"], validate=True))
    values = np.frombuffer(data, np.dtype(packed["dtype"]))
    if len(values) != packed["n"]:
        raise ValueError(f"{packed['n']} classes were packed and {len(values)} found")
    return values.astype(np.int64)
