"""The pooled features of a frozen backbone, with proof that it stayed frozen."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from metanet.data import Ids, ImageSource, View, as_view
from metanet.errors import MetanetError
from metanet.model import Backbone
from metanet.training import state_sha256

Features: TypeAlias = npt.NDArray[np.float32]


def extract(
    backbone: Backbone,
    images: ImageSource,
    ids: Ids,
    view: View | int,
    *,
    batch_size: int = 250,
    device: str | torch.device | None = None,
) -> Features:
    """The features before the classifier, float32 (n, d), in evaluation mode.

    view     how the images are shown; a resolution alone is a `View` of it
    device   where to run: the backbone is moved there; None leaves it where it is

    Raises:
        MetanetError: there are no ids, the backbone lacks a method, its features are not finite vectors, or running it
            changed it.
    """
    module = as_module(backbone)
    if len(ids) == 0:
        raise MetanetError("features are those of at least one image, got no ids: give some")
    if device is not None:
        module.to(device)
    here = next((p.device for p in module.parameters()), torch.device("cpu"))
    before = state_sha256(module)
    rows: list[Features] = []
    with _evaluating(module), torch.no_grad():
        for start in range(0, len(ids), batch_size):
            x = images.batch(ids[start : start + batch_size], view)
            x = x.to(here, memory_format=torch.channels_last)  # 1.5 x as fast on CPUs, small depthwise networks most
            pooled = backbone.forward_head(backbone.forward_features(x), pre_logits=True)
            if pooled.ndim != 2:
                raise MetanetError(f"pooled features must have the shape (images, channels), got {tuple(pooled.shape)}")
            rows.append(pooled.float().cpu().numpy())
    if state_sha256(module) != before:
        raise MetanetError("a frozen backbone must keep its parameters and buffers, but running it changed them")
    features = np.concatenate(rows)
    if bad := int((~np.isfinite(features)).any(axis=1).sum()):
        raise MetanetError(f"features must be finite, got NaN or infinity for {bad} of {len(ids)} images")
    return features


class FeatureCache:
    """`extract` that runs an image through a backbone once: asked again, it answers from memory.

    A changed weight, other data or another view make a new entry.

    forwards, hits   images that were run through a backbone and images that were known, so far
    """

    def __init__(self) -> None:
        self.forwards = self.hits = 0
        self._known: dict[tuple[Backbone, str, str, View], tuple[Ids, Features]] = {}

    def __call__(self, backbone: Backbone, images: ImageSource, ids: Ids, view: View | int) -> Features:
        """As `extract`."""
        key = (backbone, state_sha256(as_module(backbone)), images.fingerprint, as_view(view))
        known, rows = self._known.get(key, (np.empty(0, np.int64), np.empty((0, 0), np.float32)))
        wanted = np.unique(ids)
        if len(wanted) == 0:
            return extract(backbone, images, ids, view)  # says what is wrong
        if len(new := np.setdiff1d(wanted, known)):
            fresh = extract(backbone, images, new, view)
            known, rows = np.concatenate([known, new]), np.concatenate([rows.reshape(-1, fresh.shape[1]), fresh])
            order = np.argsort(known)
            known, rows = self._known[key] = known[order], rows[order]
        self.forwards, self.hits = self.forwards + len(new), self.hits + len(wanted) - len(new)
        return rows[np.searchsorted(known, ids)]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def as_module(backbone: Backbone) -> nn.Module:
    """The backbone as what it also must be. Raises MetanetError where it is no module or lacks a method."""
    for method in ("forward_features", "forward_head"):
        if not callable(getattr(backbone, method, None)):
            raise MetanetError(
                f"a backbone must have forward_features(x) and forward_head(x, pre_logits), "
                f"{type(backbone).__name__} lacks {method}: wrap it in a module that has both"
            )
    if not isinstance(backbone, nn.Module):
        raise MetanetError(f"a backbone must be a torch.nn.Module, got {type(backbone).__name__}")
    return backbone
