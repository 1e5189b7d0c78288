"""Networks without weights of their own, kept for the architectures that were asked for lately.

A skeleton wears slices of the shared weights while it runs and nothing afterwards. What is kept depends on the
architecture and on where the weights lie, never on their values, so that no update, loaded checkpoint or device can
make it stale. Of a large one each block wears its own while it runs: without gradients they take the memory that those
of the block before gave back.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.search_spaces.fitted import Fitted, fitted
from metanet.search_spaces.shared import Slice, key_of, slices
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec

LARGE = 1_000_000  # weights: the slices of fewer stay in the caches together, and hooks take longer than their copies
KEPT = 16  # networks: one takes up to two megabytes at tiny scale, buffers of slices included, some at the paper's


class Stats(dict[str, Tensor]):
    """BatchNorm statistics of a sub-network by the paths of its buffers, and whose they are."""

    def __init__(self, spec: ArchSpec, values: Mapping[str, Tensor]) -> None:
        super().__init__(values)
        self.spec = spec

    def __reduce__(self) -> tuple[type["Stats"], tuple[ArchSpec, dict[str, Tensor]]]:
        return Stats, (self.spec, dict(self))


class Skeleton:
    """A network on the meta device, and where its weights and BatchNorm statistics go."""

    def __init__(self, spec: ArchSpec, num_classes: int, weights: Mapping[str, Any]) -> None:
        self.spec = spec
        self.net = MetaNet(spec, num_classes, device="meta")
        self.slices = tuple(slices(self.net, weights))
        self.weights: Mapping[str, Any] = {}
        self.fitted: Fitted | None = None
        self.buffers = buffers(self.net)
        self.norms = [part for part in self.net.modules() if isinstance(part, nn.BatchNorm2d)]
        for part in self.norms:
            part.track_running_stats = False  # in training, no buffers are written
            part.momentum = None  # where they are: a plain average over the batches
        self.large = sum(value.numel() for value in self.net.parameters()) >= LARGE
        for path, block in self._blocks() if self.large else ():
            own = [part for part in self.slices if part.path.startswith(path + ".")]
            block.register_forward_pre_hook(partial(self._wear, own))
            block.register_forward_hook(partial(self._undress, own), always_call=True)

    def _blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """What wears its weights by itself: stem, modules in front, blocks, head and classifier."""
        for path, part in self.net.named_children():
            if path != "stages":
                yield path, part
        for i, stage in enumerate(self.net.stages):
            yield from ((f"stages.{i}.{name}", block) for name, block in stage.named_children())

    def run(self, x: Tensor, stats: Mapping[str, Tensor] | None) -> Tensor:
        """The network's output: in eval mode with statistics, else in training mode, on the batch's own."""
        self._mode(stats is None)
        if stats is not None:
            check_statistics(self.spec, self.buffers, stats)
            for path, value in stats.items():
                owner, name, _ = self.buffers[path]
                owner[name] = value
        return self.net(x)  # type: ignore[no-any-return]

    def measured(self, batches: Iterable[Tensor]) -> Stats:
        """The BatchNorm statistics, averaged over batches."""
        like = self.weights[key_of("stem.conv.weight")]
        for path, (owner, name, empty) in self.buffers.items():
            owner[name] = fresh(path, empty, like)
        self._mode(True)
        self._track(True)
        try:
            for x in batches:
                self.net(x)
        finally:
            self._track(False)
        if not int(self.net.stem.norm.num_batches_tracked or 0):
            raise MetanetError("calibration needs at least one batch of images, got none")
        found = {path: owner[name] for path, (owner, name, _) in self.buffers.items() if "running" in name}
        return Stats(self.spec, found)

    def _wear(self, parts: Sequence[Slice], *_: Any) -> None:
        """Puts slices of the present weights where the parameters are.

        Slices cut without gradients are marked as parameters are: torch multiplies matrices in another way where
        nothing asks for a gradient, and rounds otherwise.
        """
        graph = torch.is_grad_enabled()
        for part in parts:
            value = part.of(self.weights)
            part.owner[part.name] = value if graph else value.detach().requires_grad_()

    def _undress(self, parts: Sequence[Slice], *_: Any) -> None:
        """Takes the slices away again: they would stay in memory, and with them the gradients' graph."""
        for part in parts:
            part.owner[part.name] = part.empty

    def dress(self, weights: Mapping[str, Any]) -> None:
        """Gets ready to run with these weights."""
        self.weights = weights
        if self.large:
            return
        # Autocast remembers what it cast, by tensor and not by value: there each call needs tensors of its own.
        device = weights[key_of("stem.conv.weight")].device.type
        fit = None if torch.is_grad_enabled() or torch.is_autocast_enabled(device) else self._fit()
        if fit is None:
            return self._wear(self.slices)
        for part, value in zip(self.slices, fit.filled(), strict=True):
            part.owner[part.name] = value

    def _fit(self) -> Fitted | None:
        """The slices of the present weights, cut anew where these are other ones than before."""
        if self.fitted is None or not self.fitted.fits(self.weights):
            self.fitted = fitted(self.slices, self.weights)
        return self.fitted

    def rest(self) -> None:
        """Takes off all that it wore."""
        self._undress(self.slices)
        for owner, name, empty in self.buffers.values():
            owner[name] = empty
        self.weights = {}

    def _mode(self, training: bool) -> None:
        if self.net.training is not training:
            self.net.train(training)

    def _track(self, tracked: bool) -> None:
        for part in self.norms:
            part.track_running_stats = tracked


class Skeletons:
    """The skeletons of the latest architectures. One that runs is taken out, so that threads and nested calls never
    share it; copies of this object and other processes begin without any."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._idle: OrderedDict[tuple[ArchSpec, int], Skeleton] = OrderedDict()

    def __reduce__(self) -> tuple[type["Skeletons"], tuple[Space]]:
        return Skeletons, (self.space,)

    @contextmanager
    def wearing(self, spec: ArchSpec, num_classes: int, weights: Mapping[str, Any]) -> Iterator[Skeleton]:
        """The skeleton of an architecture, to be run with slices of the weights inside a `with` block.

        Raises MetanetError where the architecture is outside the space.
        """
        key = spec, num_classes
        skeleton = self._idle.pop(key, None)
        if skeleton is None:
            self.space.encode(spec)
            skeleton = Skeleton(spec, num_classes, weights)
        try:
            skeleton.dress(weights)
            yield skeleton
        finally:
            skeleton.rest()
            self._idle[key] = skeleton
            while len(self._idle) > KEPT:
                self._idle.popitem(last=False)


Buffers = dict[str, tuple[dict[str, Any], str, Any]]  # path -> its module's table, its name there, what stands there


def buffers(net: nn.Module) -> Buffers:
    """Where the buffers of a network are."""
    tables = ((path, part._buffers) for path, part in net.named_modules())
    return {f"{path}.{name}": (table, name, empty) for path, table in tables for name, empty in table.items()}


def fresh(path: str, empty: Tensor, like: Tensor) -> Tensor:
    """The value of a BatchNorm buffer before the first batch, on the device of a weight, statistics in its type."""
    dtype = like.dtype if empty.is_floating_point() else empty.dtype
    return torch.full(empty.shape, float(path.endswith("running_var")), dtype=dtype, device=like.device)


def check_statistics(spec: ArchSpec, known: Buffers, stats: Mapping[str, Tensor]) -> None:
    """Raises MetanetError where statistics are not those of an architecture, whose network has these buffers.

    Plain values, such as those of a file, do not say whose they are: only their names and shapes are looked at.
    """
    for path, (_, name, empty) in known.items():
        given = stats.get(path)
        if (given is None and "running" in name) or (given is not None and given.shape != empty.shape):
            break
    else:
        if stats.keys() <= known.keys() and getattr(stats, "spec", spec) == spec:
            return
    raise MetanetError(
        "these BatchNorm statistics are of another architecture: pass those that supernet.calibrate(spec, batches) "
        "gave for the same spec"
    )
