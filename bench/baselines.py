"""Backbones to compare with: what any score must beat, and timm's networks."""

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metanet.data.view import INTERPOLATIONS, View
from metanet.errors import MetanetError, unknown
from metanet.model import Backbone, MetaNet
from metanet.spec import ArchSpec
from metanet.training import state_sha256


class Constant(nn.Module):
    """A backbone that sees nothing: whatever is learnt from it predicts the most frequent class."""

    feature_info: tuple[dict[str, Any], ...] = ()

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> zeros (b, 1, 1, 1)."""
        return x.new_zeros(len(x), 1, 1, 1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(b, c, h, w) -> (b, c * h * w)."""
        return x.flatten(1)


class RawPixels(nn.Module):
    """A backbone whose features are the pixels, averaged to at most 32 x 32."""

    feature_info: tuple[dict[str, Any], ...] = ()

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, 3, min(h, 32), min(w, 32))."""
        return F.adaptive_avg_pool2d(x, (min(x.shape[2], 32), min(x.shape[3], 32)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(b, c, h, w) -> (b, c * h * w)."""
        return x.flatten(1)


def imagenet_view(cfg: Mapping[str, Any], *, interpolation: str | None = None) -> View:
    """How a pretrained network of timm is shown images: with the constants and interpolation that it was trained with.

    Its crop is left out: ImageNet's photos have margins that other images lack, and all backbones must see the same.

    interpolation   in place of that of `cfg`, timm's description of the network
    """
    kind = interpolation or cfg["interpolation"]
    return View(
        cfg["input_size"][-1],
        mean=tuple(cfg["mean"]),
        std=tuple(cfg["std"]),
        interpolation=kind if kind in INTERPOLATIONS else "bicubic",
    )


def timm_backbone(name: str, *, pretrained: bool = False, seed: int = 0) -> Backbone:
    """One of timm's networks without its classifier; without `pretrained` its weights are a function of the seed.

    A pretrained one has a `view`, see `imagenet_view`.

    Raises:
        MetanetError: timm does not know the name, or the pretrained weights cannot be had.
    """
    import timm

    if not timm.is_model(name.split(".")[0]):
        raise unknown("timm model", name, timm.list_models())
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: Any = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:  # a missing network, file or tag: each hub client raises its own kind
        raise MetanetError(
            f"timm cannot build {name!r} with pretrained={pretrained} ({error}): "
            "put its weights into the hub's cache, or take pretrained=False"
        ) from error
    if pretrained:
        network.view = imagenet_view(network.pretrained_cfg)
    return cast(Backbone, network)


def random_twin(backbone: Backbone, *, seed: int = 0) -> Backbone:
    """A newly initialised network of the same architecture, with its view: a MetaNet, one of timm's networks, one that
    has a method `rebuild(seed)`, or a copy of any other of whose layers each can initialise itself.

    Raises:
        MetanetError: the backbone does not say what its architecture is, and has parameters outside such layers.
    """
    spec = getattr(backbone, "spec", None)
    if isinstance(spec, ArchSpec):
        return MetaNet(spec, seed=seed)
    if name := getattr(backbone, "pretrained_cfg", {}).get("architecture"):
        twin = timm_backbone(name, seed=seed)
        if _shapes(twin) == _shapes(backbone):
            if view := getattr(backbone, "view", None):
                cast(Any, twin).view = view
            return twin
    if callable(rebuild := getattr(backbone, "rebuild", None)):
        return cast(Backbone, rebuild(seed))
    return _initialised_again(backbone, seed)


def _initialised_again(backbone: Backbone, seed: int) -> Backbone:
    """A copy whose layers have drawn their values anew, by torch's own way for each."""
    twin = copy.deepcopy(cast(nn.Module, backbone))
    drawn = [part for part in twin.modules() if callable(getattr(part, "reset_parameters", None))]
    known = {id(value) for part in drawn for value in part.parameters()}
    if any(id(value) not in known for value in twin.parameters()):
        raise MetanetError(
            f"the architecture of a {type(backbone).__name__} is not known: pass `baselines` "
            "with a randomly initialised one among them, or give it a method rebuild(seed)"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in drawn:
            cast(Any, part).reset_parameters()
    return cast(Backbone, twin)


def default_baselines(backbones: Mapping[str, Backbone]) -> dict[str, Backbone]:
    """What every table holds besides the backbones: majority class, raw pixels, a random twin of each architecture.

    Networks of one architecture share a twin, which has the name of the first; there is none where one of them is
    itself that random initialisation.

    Raises:
        MetanetError: as `random_twin`, with the name of the backbone.
    """
    baselines: dict[str, Backbone] = {"majority class": Constant(), "raw pixels": RawPixels()}
    alike: dict[Any, list[str]] = {}
    for name, backbone in backbones.items():
        alike.setdefault(getattr(backbone, "spec", None) or _shapes(backbone), []).append(name)
    for names in alike.values():
        try:
            twin = random_twin(backbones[names[0]])
        except MetanetError as error:
            raise MetanetError(f"backbone {names[0]!r}: {error}") from None
        own = state_sha256(cast(nn.Module, twin))
        if all(state_sha256(cast(nn.Module, backbones[name])) != own for name in names):
            baselines[f"random initialisation of {names[0]}"] = twin
    return baselines


def _shapes(backbone: Backbone) -> frozenset[tuple[str, torch.Size]]:
    """Names and shapes of the parameters, those of a classifier aside."""
    module = cast(nn.Module, backbone)
    classifier = module.get_classifier() if hasattr(module, "get_classifier") else None  # type: ignore[operator]
    own = {id(p) for p in classifier.parameters()} if isinstance(classifier, nn.Module) else set()
    return frozenset((name, p.shape) for name, p in module.named_parameters() if id(p) not in own)
