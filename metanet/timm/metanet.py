"""The entry points. The file is called metanet because timm lists a module of models by the last part of its name.

No weights are published, so that `pretrained=True` asks for a source: `pretrained_cfg_overlay={"file": …}`, or a folder
that `metanet.hub` wrote, as `timm.create_model("local-dir:FOLDER", pretrained=True)`.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from timm.models import build_model_with_cfg, is_model, is_model_in_modules, register_model
from timm.models import resolve_pretrained_cfg as resolve_cfg
from torch import Tensor, nn

from metanet.errors import MetanetError, unknown
from metanet.factory import MODELS, timm_name
from metanet.features import chosen_taps, default_cfg
from metanet.model import MetaNet, taps
from metanet.spec import ArchSpec
from metanet.weights import our_names

# timm's convention: name -> how the network is fed. `register_model` looks here.
default_cfgs: dict[str, dict[str, Any]] = {}
__all__ = ["register", "timm_name"]

MODULE = __name__.rpartition(".")[2]
Spec = ArchSpec | Mapping[str, Any] | str | os.PathLike[str]


def register() -> list[str]:
    """Tells timm about the networks of `metanet.factory.MODELS` that it does not know yet, and returns their names.

    Runs at import; call it again after `metanet.register`. Raises MetanetError where timm has another network of that
    name.
    """
    added = []
    for own, member in MODELS.items():
        name = timm_name(own)
        if is_model_in_modules(name, MODULE):
            continue
        if is_model(name):
            raise MetanetError(f"timm has a network {name!r} of its own: register {own!r} under another name")
        default_cfgs[name] = default_cfg(member.spec, member.num_classes)
        _enter(name, partial(_build, name, member.spec), f"{own}: {member.provenance}.")
        added.append(name)
    return added


def _enter(name: str, build: Callable[..., nn.Module], says: str) -> None:
    """Gives timm an entry point: a function of that name in this module."""

    def entry(pretrained: bool = False, **options: Any) -> nn.Module:
        return build(pretrained, **options)

    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = says
    globals()[name] = register_model(entry)


def metanet(pretrained: bool = False, *, spec: Spec | None = None, **options: Any) -> nn.Module:
    """The network of any spec: an ArchSpec, what its `to_dict` gives, or the path of a spec file."""
    if spec is None:
        raise MetanetError(
            "timm.create_model('metanet') needs spec=: an ArchSpec, its to_dict() or a spec file; "
            "timm.list_models(module='metanet') lists the networks with names"
        )
    if not isinstance(spec, ArchSpec):
        spec = ArchSpec.from_dict(spec) if isinstance(spec, Mapping) else ArchSpec.load(spec)
    if not options.get("pretrained_cfg"):
        fed = default_cfg(spec, options.get("num_classes", 0))
        options["pretrained_cfg_overlay"] = {**fed, **(options.get("pretrained_cfg_overlay") or {})}
    return _build("metanet", spec, pretrained, **options)


def _build(
    variant: str,
    spec: ArchSpec,
    pretrained: bool = False,
    pretrained_cfg: Any = None,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """A MetaNet, or timm's feature wrapper around it, by timm's own builder."""
    cfg = resolve_cfg(variant, pretrained_cfg, pretrained_cfg_overlay)
    if pretrained and not (cfg.has_weights or cfg.state_dict):
        raise MetanetError(
            f"no weights of {variant} are published: give checkpoint_path=FILE, or pretrained=True with "
            "pretrained_cfg_overlay={'file': FILE}, or load by metanet.create(…, weights=FILE)"
        )
    count = len(taps(spec))
    chosen_taps(count, options.get("out_indices"))  # a sentence in place of timm's IndexError
    built: nn.Module = build_model_with_cfg(
        partial(_network, spec=spec),
        variant,
        pretrained,
        pretrained_cfg=pretrained_cfg,
        pretrained_cfg_overlay=pretrained_cfg_overlay,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": tuple(range(count)), "flatten_sequential": True},
        **options,
    )
    return built


def _network(
    *,
    spec: ArchSpec,
    num_classes: int = 0,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    global_pool: str = "avg",
    device: str | torch.device | None = None,
    seed: int | None = None,
    **others: Any,
) -> MetaNet:
    """A MetaNet from timm's arguments; others than these raise."""
    for name in others:
        known = ("num_classes", "in_chans", "drop_rate", "drop_path_rate", "global_pool", "device", "seed")
        raise unknown("argument of a MetaNet in timm", name, known)
    if global_pool != "avg":
        raise MetanetError(f"a MetaNet has average pooling only, got {global_pool=}: leave it out or give 'avg'")
    return MetaNet(
        spec,
        num_classes,
        drop_path=drop_path_rate,
        drop_rate=drop_rate,
        in_chans=in_chans,
        seed=seed,
        device=device,
    )


def checkpoint_filter_fn(state_dict: Mapping[str, Tensor], model: MetaNet) -> dict[str, Tensor]:
    """A checkpoint under our names: ours or the released layout, with or without "module." or "backbone.".

    Raises MetanetError where anything but the classifier is missing or too much: timm itself looks for neither where
    the number of classes differs.
    """
    tensors = our_names(state_dict, model)
    own = {name for name in model.state_dict() if not name.startswith("classifier.")}
    if faults := sorted(own ^ {name for name in tensors if not name.startswith("classifier.")}):
        raise MetanetError(
            f"the checkpoint does not fit architecture {model.spec.id}: {len(faults)} names are missing or unexpected "
            f"({', '.join(faults[:3])}{', …' if len(faults) > 3 else ''})"
        )
    return tensors


default_cfgs["metanet"] = {"num_classes": 0, "first_conv": "stem.conv", "classifier": "classifier"}
register_model(metanet)
register()
