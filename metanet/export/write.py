"""`export`: a network in, a verified file out."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from metanet.errors import MetanetError, unknown
from metanet.export.formats import RUNNERS, SUFFIXES, WRITERS, output_names
from metanet.export.sizes import Sizes, choose_sizes
from metanet.export.verify import difference
from metanet.factory import Model, create, is_saved
from metanet.model import FeatureNet, MetaNet
from metanet.runs import track
from metanet.weights import header
from metanet.weights import provenance as whence


@dataclass(frozen=True)
class Exported:
    """What was written.

    input       shape of the images, with names for what is free
    outputs     names of the outputs
    difference  largest difference from the network's outputs as a share of their spread between images, None unverified
    bytes       of all files
    """

    path: Path
    format: str
    input: tuple[int | str, ...]
    outputs: tuple[str, ...]
    difference: float | None
    bytes: int
    seconds: float


def export(
    model: Model | MetaNet | FeatureNet,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    resolution: int | tuple[int, int] | None = None,
    batch: int | None = None,
    dynamic_size: bool | None = None,
    features_only: bool = False,
    num_classes: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    verify: bool = True,
    provenance: Mapping[str, str] | None = None,
) -> Exported:
    """Writes a network in eval mode as an ONNX file or as a torch.export program.

    model          a network, or what `metanet.create` takes (num_classes, weights: as there)
    format         "onnx" or "torch"; by default what the file's name says (.onnx, .pt2)
    resolution     side, or height and width, in pixels of a fixed size; by default the spec's
    batch          images at once; None leaves it free
    dynamic_size   whether height and width are free; by default wherever the network allows it
    features_only  the maps at strides 4, 8, 16, … in place of logits or pooled features
    verify         run the file (ONNX: in onnxruntime) and compare: another batch, another size where that is free

    Weights over 2 GB go into `path`.data beside the ONNX file. Both formats carry spec, classes and provenance.
    Raises MetanetError for a size that the network cannot take, and where the file computes something else; nothing is
    written then.
    """
    start, target = time.monotonic(), Path(path)
    kind = _format(target, format, verify)
    with _beside(target) as folder, torch.no_grad():
        net, about = _network(model, features_only, num_classes, weights, provenance)
        sizes = choose_sizes(net, resolution, batch, dynamic_size)
        with _evaluating(net):
            steps = _steps(net, sizes, about, folder / target.name, kind, verify)
            apart = list(track(steps, f"export to {target.name}", total=(3 if kind == "onnx" else 2) + verify))[-1]
        size = _settle(folder, target)
    return Exported(target, kind, sizes.shape, tuple(output_names(net)), apart, size, time.monotonic() - start)


def _steps(
    net: MetaNet | FeatureNet, sizes: Sizes, about: dict[str, Any], file: Path, kind: str, verify: bool
) -> Iterator[float | None]:
    """Does the work piece by piece; the last item is the difference, None unverified."""
    for _ in WRITERS[kind](net, sizes, about, file):
        yield None
    if verify:
        yield difference(net, RUNNERS[kind](file), sizes)


def _format(target: Path, format: str | None, verify: bool) -> str:
    if format is not None and format not in SUFFIXES:
        raise unknown("export format", format, SUFFIXES)
    kind = format or next((k for k, suffix in SUFFIXES.items() if suffix == target.suffix), None)
    if kind is None or target.suffix != SUFFIXES[kind]:
        raise MetanetError(
            f"an export to {kind or 'onnx or torch'} ends in {SUFFIXES.get(kind or '', '.onnx or .pt2')}, "
            f"got {target.name!r}: name the file so"
        )
    needs = ("onnx", "onnxscript", *(("onnxruntime",) if verify else ())) if kind == "onnx" else ()
    if missing := [name for name in needs if find_spec(name) is None]:
        raise MetanetError(
            f"an export to ONNX needs {', '.join(missing)}: pip install 'metanet-nas[export]', or export to .pt2"
        )
    return kind


def _network(
    model: Model | MetaNet | FeatureNet,
    features_only: bool,
    num_classes: int | None,
    weights: str | os.PathLike[str] | None,
    provenance: Mapping[str, str] | None,
) -> tuple[MetaNet | FeatureNet, dict[str, Any]]:
    """The network to export, and what its file says of it."""
    source: Mapping[str, str] = {}
    if isinstance(model, (MetaNet, FeatureNet)):
        if num_classes is not None or weights is not None:
            raise MetanetError("`num_classes` and `weights` go with a name or a spec: this network has its own")
        net: MetaNet | FeatureNet = model
        source = getattr(model, "provenance", {})
    else:
        net = create(model, num_classes=num_classes, weights=weights, seed=0)
        file = weights or model
        if is_saved(file):
            source = whence(file)
        else:
            source = {"weights": "random, seed 0" if weights is None else Path(weights).name}
    if any(p.is_meta or p.dtype != torch.float32 for p in net.parameters()):
        raise MetanetError("an export needs float32 weights: build the network on a device and call .float() on it")
    about = header(net, provenance or source) if isinstance(net, MetaNet) else {"spec": net.spec.to_dict()}
    return (FeatureNet(net) if features_only and isinstance(net, MetaNet) else net), about


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode for the length of a `with` block."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder on the target's disk that is gone afterwards: a file in it takes the target's place in one step."""
    try:
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise MetanetError(f"cannot write {str(target)!r} ({error.strerror}): choose a folder that is there") from None


def _settle(folder: Path, target: Path) -> int:
    """Moves what was written to its place, the file that names another one last; returns the bytes of all."""
    parts = sorted(folder.iterdir(), key=lambda part: part.name == target.name)
    size = sum(part.stat().st_size for part in parts)
    for part in parts:
        os.replace(part, target.parent / part.name)
    return size
