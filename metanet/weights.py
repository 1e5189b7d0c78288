"""Weights on disk: our safetensors files (with spec and provenance) and the released checkpoints.

Nothing is ever unpickled beyond tensors, and a key that is missing, unexpected or misshapen raises.
"""

import json
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.spec import ArchSpec

METADATA = "metanet"  # the key of a .safetensors file's metadata that holds spec, classes and provenance

# Our names -> the released ones, inside a block.
_TRANSFORMER = {
    "position": "pos_embed", "norm_mixer": "norm1", "mixer": "attn", "norm_mlp": "norm2",
    "mlp.expand": "mlp.fc1", "mlp.project": "mlp.fc2", "scale_mixer": "gamma_1", "scale_mlp": "gamma_2",
}  # fmt: skip
_RELEASED: dict[str, dict[str, str]] = {
    "mbconv": {
        "norm_in": "b1.0", "expand": "b1.1", "norm_expand": "b1.2", "depthwise": "b2.0", "norm_depthwise": "b2.1",
        "se.squeeze": "b2.3.fc1", "se.excite": "b2.3.fc2", "project": "b2.4", "norm_project": "b2.5",
    },
    "fused_mbconv": {
        "norm_in": "b1.0", "expand": "b1.1", "norm_expand": "b1.2", "se.squeeze": "b2.0.fc1", "se.excite": "b2.0.fc2",
        "project": "b2.1", "single": "b2.1", "norm_project": "b2.2",
    },
    "self_attention": _TRANSFORMER,
    "channel_attention": _TRANSFORMER,
    "local": {"depthwise": "downsample.0", "norm_depthwise": "downsample.1", "project": "downsample.2"},
    "local_global": {
        "query.depthwise": "q.0", "norm_query_in": "q.1", "project_query": "q.2", "norm_query": "q_norm",
        "norm_key": "kv_norm", "kv": "kv", "proj": "proj",
    },
}  # fmt: skip


def released_name(name: str, spec: ArchSpec) -> str:
    """The key that a released checkpoint uses for one of our parameters or buffers (gv-benchmark's metanet.py, UniNet's
    code). Raises MetanetError for operators that no released network has."""
    part, _, rest = name.partition(".")
    if part != "stages":
        return re.sub(r"^(stem|head)\.conv\b", r"\1.0", re.sub(r"^(stem|head)\.norm\b", r"\1.1", name))
    stage, block, inner = rest.split(".", 2)
    here = spec.stages[int(stage)]
    index = sum(s.depth + bool(s.down) for s in spec.stages[: int(stage)])
    index += 0 if block == "down" else int(block) + bool(here.down)
    kind = str(here.down) if block == "down" else here.op
    if kind not in _RELEASED:
        raise MetanetError(f"no released network has {kind} (stage {stage}): its weights have no released names")
    pooled = block != "down" or here.stride != 1
    table = {"shortcut.project": "residual.1" if pooled else "residual.0", **_RELEASED[kind]}
    old = next(old for old in table if inner == old or inner.startswith(f"{old}."))
    return f"blocks.{index}.{table[old]}{inner[len(old) :]}"


def save(net: MetaNet, path: str | os.PathLike[str], provenance: Mapping[str, str] | None = None) -> Path:
    """Writes weights, spec, number of classes and provenance to one .safetensors file, in one step."""
    from safetensors.torch import save as to_bytes

    from metanet.runs import atomic_write

    about = {"spec": net.spec.to_dict(), "num_classes": net.num_classes, "provenance": dict(provenance or {})}
    metadata = {METADATA: json.dumps(about, sort_keys=True)}  # one key: safetensors writes several in random order
    tensors = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    atomic_write(Path(path), to_bytes(tensors, metadata))
    return Path(path)


def load(path: str | os.PathLike[str], *, device: str | torch.device | None = None) -> MetaNet:
    """The network that `save` wrote, in eval mode. Raises MetanetError for any other file."""
    tensors, about = _read_safetensors(Path(path))
    if about is None:
        raise MetanetError(
            f"{str(path)!r} holds tensors but no architecture: name one, as in create('MN-B4', weights=…)"
        )
    net = MetaNet(ArchSpec.from_dict(about["spec"]), about["num_classes"], device="meta")
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
    if path.suffix == ".safetensors":
        tensors, about = _read_safetensors(path)
        if about is not None and (found := ArchSpec.from_dict(about["spec"])) != net.spec:
            raise MetanetError(
                f"{str(path)!r} holds architecture {found.id}, asked for was {net.spec.id}: "
                "metanet.create(path) builds the one in the file"
            )
    else:
        tensors = _strip_prefix(_read_pickle(path))
    if any(key.startswith("blocks.") for key in tensors):
        own = [name for name in net.state_dict() if not name.startswith("classifier.")]
        names = {released_name(name, net.spec): name for name in own}
        tensors = {names.get(key, key): value for key, value in tensors.items()}
        tensors = _with_own_classifier(net, tensors)
    _assign(net, tensors, str(path))


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The tensors, and what `save` wrote about them; None in a file of another origin."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:  # memory-mapped: no second copy
            about = (file.metadata() or {}).get(METADATA)
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(about) if about else None  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise MetanetError(f"cannot read weights from {str(path)!r}: {error}") from None


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


def _strip_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in ("module.", "backbone.", "module."):
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key[len(prefix) :]: value for key, value in tensors.items()}
    return tensors


def _with_own_classifier(net: MetaNet, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released tensors with the network's classifier, unless they hold one for as many classes."""
    own = {k: v for k, v in net.state_dict().items() if k.startswith("classifier.")}
    if own and all(k in tensors and tensors[k].shape == v.shape for k, v in own.items()):
        return dict(tensors)
    return {k: v for k, v in tensors.items() if not k.startswith("classifier.")} | own


def _assign(net: MetaNet, tensors: Mapping[str, Tensor], path: str) -> None:
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
            value.copy_(tensors[name])
