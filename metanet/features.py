"""What a network shows of itself: the backbone protocol, and its taps in timm's terms."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from torch import Tensor

from metanet.errors import MetanetError
from metanet.spec import ArchSpec


class Backbone(Protocol):
    """What probes, heads and trainers need of a network; timm's networks satisfy it as they are."""

    @property
    def feature_info(self) -> Any:
        """Channels, reduction (total stride) and module name of each tap, as timm lists them."""

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> the last map."""

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map -> class logits, or the pooled feature vector before the classifier."""


class FeatureInfo(Sequence[dict[str, Any]]):
    """The taps of a network: timm's accessors over a list of {num_chs, reduction, module}."""

    def __init__(self, taps: Sequence[dict[str, Any]]) -> None:
        self._taps = list(taps)

    def __getitem__(self, index: Any) -> Any:
        return self._taps[index]

    def __len__(self) -> int:
        return len(self._taps)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._taps)

    def channels(self) -> list[int]:
        """Channels of each tap."""
        return [tap["num_chs"] for tap in self._taps]

    def reduction(self) -> list[int]:
        """Total stride of each tap."""
        return [tap["reduction"] for tap in self._taps]

    def module_name(self) -> list[str]:
        """Name of the module whose output each tap is."""
        return [tap["module"] for tap in self._taps]


def taps(spec: ArchSpec) -> FeatureInfo:
    """The last stage at each total stride of 4 or more: strides 4, 8, 16, 32 for the released networks."""
    found: dict[int, dict[str, Any]] = {}
    reduction = 2
    for i, stage in enumerate(spec.stages):
        reduction *= stage.stride
        found[reduction] = {"num_chs": stage.width, "reduction": reduction, "module": f"stages.{i}"}
    return FeatureInfo([tap for stride, tap in found.items() if stride >= 4])


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
    """timm's description of how a network is fed: ImageNet statistics, the spec's resolution, bicubic resizing.

    Crop share 0.875 below 320 px and the whole image from there on, as UniNet was tested.
    """
    side = spec.resolution
    stride = 2
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
