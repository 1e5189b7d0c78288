"""Safetensors files, read straight into place and written straight from it: no second copy in memory.

The format (https://huggingface.co/docs/safetensors): eight bytes of length, a JSON header (name -> dtype, shape,
data_offsets; "__metadata__" -> texts), the numbers.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Size, Tensor

from metanet.errors import MetanetError

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a file from byte `start` on."""

    path: Path
    dtype: torch.dtype
    shape: Size
    start: int

    def read_into(self, value: Tensor) -> None:
        """Fills a tensor of the same shape; of the same dtype on the CPU without a copy in between."""
        straight = value.dtype == self.dtype and value.device.type == "cpu" and value.is_contiguous()
        target = value if straight else torch.empty(self.shape, dtype=self.dtype)
        if target.numel():
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.start)
                room = _bytes(target)
                while len(room):  # one read returns two gigabytes at most
                    got = file.readinto(room)
                    if not got:
                        raise MetanetError(
                            f"cannot read weights from {str(self.path)!r}: it ends before its tensors do"
                        )
                    room = room[got:]
        if not straight:
            value.copy_(target)


def read(path: Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors of a file, unread, and its metadata. Raises MetanetError where it is no sound safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:  # checks the header against the file's length
            metadata = dict(file.metadata() or {})
        with open(path, "rb") as raw:
            size = int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(size))
    except (OSError, SafetensorError) as error:
        raise MetanetError(f"cannot read weights from {str(path)!r}: {error}") from None
    header.pop("__metadata__", None)
    return {name: _stored(path, entry, 8 + size) for name, entry in header.items()}, metadata


def _stored(path: Path, entry: Mapping[str, Any], base: int) -> StoredTensor:
    if entry["dtype"] not in DTYPES:
        raise MetanetError(
            f"cannot read weights from {str(path)!r}: it holds numbers of type {entry['dtype']}, known are "
            f"{', '.join(DTYPES)}"
        )
    return StoredTensor(path, DTYPES[entry["dtype"]], Size(entry["shape"]), base + entry["data_offsets"][0])


def write(tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str]) -> None:
    """Writes tensors and metadata to a file, in one step: what stood there is replaced only by a whole file."""
    from metanet.runs import replacing

    names = {dtype: name for name, dtype in DTYPES.items()}
    # Numbers of the largest type first, so that each lies at a multiple of its size.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        value = tensors[name]
        start, end = end, end + value.numel() * value.element_size()
        header[name] = {"dtype": names[value.dtype], "shape": list(value.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            value = tensors[name].detach().cpu().contiguous()
            if value.numel():
                file.write(_bytes(value))


def _bytes(value: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the CPU, to read from or to write into."""
    numbers: Any = value.detach().reshape(-1).view(torch.uint8).numpy()
    return memoryview(numbers)
