"""Networks by name, by spec or from a file; and their costs."""

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import nn

from metanet.cost import Cost, price
from metanet.errors import MetanetError, unknown
from metanet.model import FeatureNet, MetaNet
from metanet.spec import ArchSpec
from metanet.weights import load, load_into
from metanet.zoo import Member, read_zoo

MODELS: dict[str, Member] = read_zoo()

Model = str | os.PathLike[str] | ArchSpec


def list_models(pattern: str = "*") -> list[str]:
    """The names that `create` knows and that match a shell pattern, as "MN-*"."""
    return [name for name in MODELS if fnmatchcase(name, pattern)]


def timm_name(name: str) -> str:
    """A name as timm spells names: "MN-B4" -> "metanet_b4", "UniNet-B1" -> "uninet_b1"."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"^mn-", "metanet-", name.lower()))


def register(name: str, spec: ArchSpec, *, provenance: str = "registered by the user", num_classes: int = 0) -> None:
    """Makes a spec known by name, for this process. Raises MetanetError where the name is taken."""
    if name in MODELS:
        raise MetanetError(f"the name {name!r} is taken ({MODELS[name].provenance}): register under another one")
    MODELS[name] = Member(spec, provenance, num_classes)


def find(model: Model) -> Member:
    """The member that a name, a spec, its one-line text, or the path of a spec file (.json) or saved network means."""
    if isinstance(model, ArchSpec):
        return Member(model, "given as a spec")
    name = os.fspath(model)
    if name in MODELS:
        return MODELS[name]
    if name.startswith("mn1/"):
        return Member(ArchSpec.from_text(name), "given as text")
    if name.endswith(".json"):
        return Member(ArchSpec.load(name), f"read from {name}")
    if is_saved(name):
        net = load(name, device="meta")
        return Member(net.spec, f"read from {name}", net.num_classes)
    raise unknown("model", name, MODELS)


def is_saved(model: Model) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this is a path of a network with its weights: a .safetensors file, or a folder of the Hugging Face
    layout."""
    if isinstance(model, ArchSpec) or model in MODELS:
        return False
    return os.fspath(model).endswith(".safetensors") or Path(model).is_dir()


def create(
    model: Model,
    *,
    num_classes: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    features_only: bool = False,
    device: str | torch.device | None = None,
    **options: Any,
) -> Any:
    """Builds a network: a MetaNet, or with features_only its FeatureNet (list of maps at strides 4, 8, 16, 32).

    model          a name (`list_models()`), an ArchSpec, or a path: a spec (.json) or a saved network (.safetensors, or
                   a folder that `metanet.hub` wrote)
    num_classes    width of the classifier; by default that of the released form, 0 (none) for MetaNet
    weights        a path: our .safetensors or its folder, or a released .pth; such a network is in eval mode
    device         "meta" builds at once, without memory
    options        of MetaNet: init, drop_path, seed

    Raises MetanetError for an unknown name and for weights that do not fit to the last key.
    """
    if is_saved(model) and weights is None:
        net = load(model, device=device)
        if num_classes is not None and num_classes != net.num_classes:
            net.reset_classifier(num_classes)
    else:
        member = find(model)
        classes = member.num_classes if num_classes is None else num_classes
        net = MetaNet(member.spec, classes, device=device, **options)
        if weights is not None:
            load_into(net, weights)
            net.eval()
    built: nn.Module = FeatureNet(net).train(net.training) if features_only else net
    return built


def cost(model: Model, *, resolution: int | tuple[int, int] | None = None, num_classes: int = 0) -> Cost:
    """The exact cost of a network by name, spec or file: `metanet.cost.price` with names. Without classifier unless
    num_classes is given."""
    return price(find(model).spec, resolution=resolution, num_classes=num_classes)
