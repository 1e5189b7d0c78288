"""Stub."""

from collections.abc import Sequence
from typing import Any

from metanet.errors import MetanetError
from metanet.spec import ArchSpec


def chosen_taps(count: int, indices: int | Sequence[int] | None) -> list[int]:
    """The taps of `count` that timm's `indices` mean: all (None), the last n (n), or a list, negative from the end."""
    if indices is None:
        return list(range(count))
    wanted = range(count - indices, count) if isinstance(indices, int) else indices
    picked = [i + count if i < 0 and not isinstance(indices, int) else i for i in wanted]
    if not picked or min(picked) < 0 or max(picked) >= count:
        raise MetanetError(f"`indices` must name taps of this network's {count} (0 … {count - 1}), got {indices!r}")
    return picked


def default_cfg(spec: ArchSpec, num_classes: int) -> dict[str, Any]:
    """timm's description of how a network is fed (stub)."""
    side, stride = spec.resolution, 2
    for stage in spec.stages:
        stride *= stage.stride
    return {
        "num_classes": num_classes,
        "input_size": (3, side, side),
        "pool_size": (-(-side // stride),) * 2,
        "crop_pct": 0.875 if side < 320 else 1.0,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "stem.conv",
        "classifier": "classifier",
        "fixed_input_size": False,
    }
