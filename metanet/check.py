"""Costs as other libraries count them: beside ours, and of any network of timm.

torch counts on the meta device, where fused attention falls apart into its two products. fvcore traces the network on
the CPU; its rules are `fvcore/nn/flop_count.py` and `jit_handles.py` of version 0.1.5.
"""

import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from metanet.errors import MetanetError, unknown
from metanet.factory import cost, create, find
from metanet.spec import ArchSpec

ATTENTION, EINSUM, ROUNDED = "scaled_dot_product_attention", "einsum", "einsum, as read by fvcore"
# fvcore's operators that torch counts, too: convolutions by one name, matrix products by others
PRODUCTS = ("linear", "matmul", "addmm", "mm", "bmm", EINSUM, ATTENTION)
REASONS = {
    "batch_norm": "fvcore: 2 a number, 1 if plain",
    "layer_norm": "fvcore: 5 a number, 4 if plain",
    "group_norm": "fvcore: 5 a number, 4 if plain",
    "instance_norm": "fvcore: 5 a number, 4 if plain",
    "adaptive_avg_pool2d": "fvcore: 1 a number that goes in",
    "upsample_nearest2d": "fvcore: 1 a number that comes out",
    "upsample_bilinear2d": "fvcore: 4 a number that comes out",
    "grid_sampler": "fvcore: 4 a number that comes out",
    ATTENTION: "fvcore has no rule for it",
    ROUNDED: "from NumPy's text, of 4 digits",
}
Build = Callable[[str], nn.Module]  # device -> network


@dataclass(frozen=True)
class Difference:
    """What fvcore counts for an operator more than torch does; negative where it counts less."""

    operator: str
    macs: int
    reason: str


@dataclass(frozen=True)
class Check:
    """One network by several counters.

    macs, params   by counter: "metanet" (of our own networks alone), "torch", "fvcore"
    differences    together fvcore's MACs less torch's, but for what is unexplained
    unexplained    what remains: of convolutions, of matrix products, and of our own count against torch's
    """

    macs: dict[str, int]
    params: dict[str, int]
    differences: tuple[Difference, ...]
    unexplained: dict[str, int]


def check(model: str | os.PathLike[str] | ArchSpec, *, resolution: int | None = None, num_classes: int = 0) -> Check:
    """One of our networks, by name, spec or file, at a resolution (its own by default), by three counters.

    Builds the network on the CPU and runs it once.
    """
    ours = cost(model, resolution=resolution, num_classes=num_classes)
    side = find(model).spec.resolution if resolution is None else resolution

    def build(device: str) -> nn.Module:
        built: nn.Module = create(model, num_classes=num_classes, device=device)
        return built

    return compare(build, (1, 3, side, side), {"macs": ours.macs, "params": ours.params})


def check_timm(name: str, *, resolution: int | None = None, num_classes: int = 0) -> Check:
    """One of timm's networks, by torch and by fvcore. Raises MetanetError as `timm_cost`."""
    return compare(*_timm(name, resolution, num_classes))


def timm_cost(name: str, *, resolution: int | None = None, num_classes: int = 0) -> dict[str, int]:
    """MACs (torch), params and activations (fvcore) of one image through a network of timm.

    resolution    pixels a side, the network's own by default
    num_classes   width of the classifier, 0 for none, whatever the released one has

    Activations are what `metanet.Cost` means by them: both products of attention are among them, fused or not.
    Raises MetanetError for unknown names, naming the nearest, and where the network does not take the size.
    """
    build, shape = _timm(name, resolution, num_classes)
    net, macs = build("cpu"), sum(_by_torch(build("meta"), shape).values())
    return {"resolution": shape[-1], "macs": macs, "params": _params(net), "activations": _activations(net, shape)}


def compare(build: Build, shape: tuple[int, ...], ours: Mapping[str, int] | None = None) -> Check:
    """Any network by torch and by fvcore.

    build   makes the network on a device, "meta" or "cpu"
    shape   of what it takes, (1, channels, height, width)
    ours    a third count of "macs" and "params"
    """
    torchs = _by_torch(build("meta"), shape)
    net = build("cpu")
    fvcores = _by_fvcore(net, shape)
    macs = {"torch": sum(torchs.values()), "fvcore": sum(fvcores.values()) - fvcores.get(ATTENTION, 0)}
    params = {"torch": _params(net), "fvcore": int(_fvcore().parameter_count(net)[""])}
    signed = {name: -count if name == ATTENTION else count for name, count in fvcores.items()}
    differences = tuple(
        Difference(name, signed[name], REASONS.get(name, "torch does not count it"))
        for name in sorted(signed, key=lambda name: -abs(signed[name]))
        if name == ATTENTION or name not in (*PRODUCTS, "conv")
    )
    convolutions = sum(count for name, count in torchs.items() if "convolution" in name)
    left = {
        "convolutions, fvcore against torch": fvcores.get("conv", 0) - convolutions,
        "matrix products, fvcore against torch": sum(fvcores.get(name, 0) for name in PRODUCTS)
        - (macs["torch"] - convolutions),
        "parameters, fvcore against torch": params["fvcore"] - params["torch"],
    }
    if ours is not None:
        left["MACs, metanet against torch"] = ours["macs"] - macs["torch"]
        left["parameters, metanet against torch"] = ours["params"] - params["torch"]
        macs, params = {"metanet": ours["macs"], **macs}, {"metanet": ours["params"], **params}
    return Check(macs, params, differences, {what: count for what, count in left.items() if count})


def _params(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _by_torch(net: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """MACs by operator, of a network on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.empty(shape, device="meta"))
    counts = counter.get_flop_counts().get("Global", {})
    return {str(operator): flops // 2 for operator, flops in counts.items()}


def _fvcore() -> Any:
    """fvcore.nn, which scripts a function when it is imported."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        import fvcore.nn  # type: ignore[import-untyped]
    return fvcore.nn


def _analysis(kind: str, net: nn.Module, shape: tuple[int, ...], rules: Mapping[str, Any]) -> Counter[str]:
    """What an analysis of fvcore counts, by operator."""
    with torch.no_grad():
        found = getattr(_fvcore(), kind)(net.eval(), torch.zeros(shape))
        found.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        counts = found.set_op_handle(**rules).by_operator()
    return Counter({name: int(count) for name, count in counts.items() if count})


def _by_fvcore(net: nn.Module, shape: tuple[int, ...]) -> Counter[str]:
    """fvcore's count by operator; beside it that of attention, which it leaves out."""

    def attention(inputs: list[Any], outputs: list[Any]) -> int:
        rows, columns, key, value = _attention(inputs)
        return rows * columns * (key + value)

    rules = {f"aten::{ATTENTION}": attention, "aten::einsum": _einsum}
    return _analysis("FlopCountAnalysis", net, shape, rules)


def _activations(net: nn.Module, shape: tuple[int, ...]) -> int:
    def attention(inputs: list[Any], outputs: list[Any]) -> int:
        rows, columns, _, value = _attention(inputs)
        return rows * (columns + value)

    return sum(_analysis("ActivationCountAnalysis", net, shape, {f"aten::{ATTENTION}": attention}).values())


def _attention(inputs: list[Any]) -> tuple[int, int, int, int]:
    """Queries (of all heads and images), keys of each, width of a key, width of a value."""
    query, key, value = (one.type().sizes() for one in inputs[:3])
    return math.prod(query[:-1]), key[-2], key[-1], value[-1]


def _einsum(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """The exact count of a sum over two factors, and what fvcore's own rule gives beyond it."""
    from fvcore.nn.jit_handles import einsum_flop_jit  # type: ignore[import-untyped]

    own = int(einsum_flop_jit(inputs, outputs))
    left, _, result = inputs[0].toIValue().replace(" ", "").partition("->")
    factors, sizes = left.split(","), [one.type().sizes() for one in inputs[1].node().inputs()]
    if len(factors) != 2 or not result or "." in left:
        return Counter({EINSUM: own})  # what differs from torch is then left unexplained
    side = dict(pair for names, shape in zip(factors, sizes, strict=True) for pair in zip(names, shape, strict=True))
    exact = math.prod(n for letter, n in side.items() if letter in result or all(letter in one for one in factors))
    return Counter({EINSUM: exact, ROUNDED: own - exact})


def _timm(name: str, resolution: int | None, num_classes: int) -> tuple[Build, tuple[int, int, int, int]]:
    """How to build one of timm's networks, and what it is to be fed."""
    import timm

    if not timm.is_model(name.split(".")[0]):
        raise unknown("timm model", name, timm.list_models())
    if (resolution is not None and resolution < 1) or num_classes < 0:
        raise MetanetError(
            f"a cost needs a size of at least 1 pixel and 0 classes or more, got {resolution=} and {num_classes=}"
        )
    cfg = timm.get_pretrained_cfg(name)
    side = resolution or (cfg.input_size[-1] if cfg else 224)
    sized: dict[str, Any] = {"img_size": side} if resolution and cfg and cfg.fixed_input_size else {}

    def build(device: str) -> nn.Module:
        with torch.device(device):
            made: nn.Module = timm.create_model(name, num_classes=num_classes, **sized)
        return made

    try:
        build("meta").eval()(torch.empty(1, 3, side, side, device="meta"))
    except Exception as error:  # each network has its own ways to say what does not suit it
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MetanetError(
            f"timm's {name} cannot be counted at {side} x {side} pixels ({first}): try another resolution"
        ) from error
    return build, (1, 3, side, side)
