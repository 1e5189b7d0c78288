"""Weights on disk: our safetensors files (with spec and provenance) and the released checkpoints.

Nothing is ever unpickled beyond tensors, and a key that is missing, unexpected or misshapen raises.
"""

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.released import released_name
from metanet.spec import ArchSpec
from metanet.tensorfile import StoredTensor, read, write

Source = Tensor | StoredTensor
S = TypeVar("S", bound=Source)

METADATA = "metanet"  # the key of a .safetensors file's metadata that holds spec, classes and provenance
IN_FOLDER = "model.safetensors"  # what such a file is called in a folder of the Hugging Face layout


def save(net: MetaNet, path: str | os.PathLike[str], provenance: Mapping[str, str] | None = None) -> Path:
    """Writes weights, spec, number of classes and provenance to one .safetensors file, in one step."""
    about = header(net, provenance or {})
    write(net.state_dict(), path, {METADATA: json.dumps(about, sort_keys=True)})
    return Path(path)


def header(net: MetaNet, provenance: Mapping[str, str]) -> dict[str, Any]:
    """What a file holds besides tensors: spec, number of classes, provenance; channels of the images where not 3."""
    values = {"spec": net.spec.to_dict(), "num_classes": net.num_classes, "provenance": dict(provenance)}
    return values if net.in_chans == 3 else {**values, "in_chans": net.in_chans}


def load(path: str | os.PathLike[str], *, device: str | torch.device | None = None) -> MetaNet:
    """The network that `save` wrote, in eval mode; a folder is searched for model.safetensors.

    Raises MetanetError for any other file.
    """
    tensors, about = _read_safetensors(Path(path))
    if about is None:
        raise MetanetError(
            f"{str(path)!r} holds tensors but no architecture: name one, as in create('MN-B4', weights=…)"
        )
    spec, channels = ArchSpec.from_dict(about["spec"]), about.get("in_chans", 3)
    net = MetaNet(spec, about["num_classes"], in_chans=channels, device="meta")
    net.to_empty(device=device or "cpu")
    _assign(net, tensors, str(path))
    return net.eval()


def provenance(path: str | os.PathLike[str]) -> dict[str, str]:
    """Where the weights of a file that `save` wrote come from."""
    about = _read_safetensors(Path(path))[1]
    return dict(about["provenance"]) if about else {}


def load_into(net: MetaNet, path: str | os.PathLike[str]) -> None:
    """Fills a network from our .safetensors or from a released .pth (bare, or under "state_dict", with or without
    "backbone." or "module." before each key). Where a released file holds no classifier, or one for another number of
    classes, the network's classifier keeps its values.

    Raises MetanetError where a key is missing, unexpected or misshapen; the network is then unchanged.
    """
    path = Path(path)
    tensors: Mapping[str, Source]
    if path.suffix == ".safetensors" or path.is_dir():
        tensors, about = _read_safetensors(path)
        if about is not None and (found := ArchSpec.from_dict(about["spec"])) != net.spec:
            raise MetanetError(
                f"{str(path)!r} holds architecture {found.id}, asked for was {net.spec.id}: "
                "metanet.create(path) builds the one in the file"
            )
    else:
        tensors = _read_pickle(path)
    ours = our_names(tensors, net)
    if any("blocks." in key for key in tensors):  # a released file
        ours = _with_own_classifier(net, ours)
    _assign(net, ours, str(path))


def our_names(tensors: Mapping[str, S], net: MetaNet) -> dict[str, S]:
    """Tensors of a checkpoint of this architecture under our names: without "module." and "backbone.", and with the
    released keys translated. Keys that are neither stay as they are."""
    tensors = _strip_prefix(dict(tensors))
    if not any(key.startswith("blocks.") for key in tensors):
        return tensors
    own = [name for name in net.state_dict() if not name.startswith("classifier.")]
    names = {released_name(name, net.spec): name for name in own}
    return {names.get(key, key): value for key, value in tensors.items()}


def _read_safetensors(path: Path) -> tuple[dict[str, StoredTensor], dict[str, Any] | None]:
    """The tensors, unread, and what `save` wrote about them; None in a file of another origin."""
    tensors, metadata = read(path / IN_FOLDER if path.is_dir() else path)
    about = metadata.get(METADATA)
    return tensors, json.loads(about) if about else None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().split("\n")[0][:160]
        raise MetanetError(
            f"cannot read weights from {str(path)!r}: it is damaged, or holds more than tensors, which is never "
            f"unpickled ({type(error).__name__}: {reason})"
        ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise MetanetError(
            f"{str(path)!r} is no state dict: expected tensors by name, bare or under 'state_dict', "
            f"got {type(content).__name__}"
        )
    return dict(content)


def _strip_prefix(tensors: dict[str, S]) -> dict[str, S]:
    for prefix in ("module.", "backbone.", "module."):
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key[len(prefix) :]: value for key, value in tensors.items()}
    return tensors


def _with_own_classifier(net: MetaNet, tensors: Mapping[str, Source]) -> dict[str, Source]:
    """Released tensors with the network's classifier, unless they hold one for as many classes."""
    own = {k: v for k, v in net.state_dict().items() if k.startswith("classifier.")}
    if own and all(k in tensors and tensors[k].shape == v.shape for k, v in own.items()):
        return dict(tensors)
    return {k: v for k, v in tensors.items() if not k.startswith("classifier.")} | own


def _assign(net: MetaNet, tensors: Mapping[str, Source], path: str) -> None:
    """Copies tensors into the network, all or none."""
    own = net.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{k} is {tuple(tensors[k].shape)} instead of {tuple(v.shape)}"
        for k, v in own.items()
        if k in tensors and tensors[k].shape != v.shape
    ]
    faults = [
        f"{len(found)} {what} ({', '.join(found[:3])}{', …' if len(found) > 3 else ''})"
        for what, found in (("missing", missing), ("unexpected", extra), ("misshapen", shapes))
        if found
    ]
    if faults:
        raise MetanetError(f"{path!r} does not fit architecture {net.spec.id}: {'; '.join(faults)}; nothing was loaded")
    with torch.no_grad():
        for name, value in own.items():
            source = tensors[name]
            if value.is_meta:
                continue
            if isinstance(source, Tensor):
                value.copy_(source)
            else:
                source.read_into(value)
