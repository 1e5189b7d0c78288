"""One set of shared weights for all architectures of a space.

There are no dynamic layers: a sub-network is its ordinary MetaNet, built on the meta device and run with slices of
the shared weights in place of its own. Each op of a stage has its own branch of weights, and each block position its
own; the shortcut is shared by all ops. BatchNorm statistics belong to a sub-network: training uses those of the batch,
evaluation takes the ones that `calibrate` measured.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metanet.blocks.initial import Init, initialise
from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.search_spaces.shared import key_of, shared_shapes, slices
from metanet.search_spaces.skeletons import Skeletons, Stats, buffers, check_statistics, fresh
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec


class Supernet(nn.Module):
    """Shared weights for a space; `supernet(x, spec, stats)` is the function of `supernet.extract(spec, stats)`.

    num_classes   width of the classifier, 0 for pooled feature vectors as output
    init          initial values; branches start near silence (LayerScale 0.1, zero gamma), so that all ops of a stage
                  start from the same features
    seed          of the initial values
    """

    def __init__(self, space: Space, num_classes: int = 0, *, init: Init | None = None, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        self.init = Init(layer_scale=0.1) if init is None else init
        shapes = shared_shapes(space)
        self.shared = nn.ParameterDict(
            {key_of(name): nn.Parameter(torch.empty(shape)) for name, shape in shapes.items()}
        )
        generator = torch.Generator().manual_seed(seed)
        initialise({name: self.shared[key_of(name)] for name in shapes}, self.init, generator)
        self._skeletons = Skeletons(space)
        self.num_classes = 0
        self.reset_classifier(num_classes, seed=seed)

    def reset_classifier(self, num_classes: int, *, seed: int = 0) -> None:
        """A fresh shared classifier for `num_classes` classes; 0 removes it."""
        self.num_classes = num_classes
        for name in ("classifier.weight", "classifier.bias"):
            if key_of(name) in self.shared:
                del self.shared[key_of(name)]
        if num_classes:
            device = self.shared[key_of("stem.conv.weight")].device
            layer = nn.Linear(max(self.space.head_width), num_classes)
            params = {f"classifier.{name}": value for name, value in layer.named_parameters()}
            initialise(params, self.init, torch.Generator().manual_seed(seed))
            self.shared.update(
                {key_of(name): nn.Parameter(value.detach().to(device)) for name, value in params.items()}
            )

    @property
    def _weights(self) -> dict[str, Any]:
        """The shared weights by key: a look-up in a ParameterDict takes longer than the cut of a small slice."""
        return self.shared._parameters

    def weights(self, spec: ArchSpec) -> dict[str, Tensor]:
        """The slices of the shared weights that make up a sub-network, by its parameters' names.

        Raises MetanetError where the architecture is outside the space.
        """
        with self._skeletons.wearing(spec, self.num_classes, self._weights) as skeleton:
            return {part.path: part.of(self._weights) for part in skeleton.slices}

    def forward(self, x: Tensor, spec: ArchSpec, stats: Mapping[str, Tensor] | None = None) -> Tensor:
        """(b, 3, h, w) -> (b, num_classes), or (b, head_width) without a classifier.

        stats: BatchNorm statistics from `calibrate`; with them the sub-network is evaluated, without them it runs in
            training mode, on the batch's own. Raises MetanetError without them where the supernet is in eval mode, and
            for those of another architecture.
        """
        if stats is None and not self.training:
            raise _no_statistics()
        with self._skeletons.wearing(spec, self.num_classes, self._weights) as skeleton:
            return skeleton.run(x, stats)

    def extract(self, spec: ArchSpec, stats: Mapping[str, Tensor] | None = None) -> MetaNet:
        """A sub-network with its own copy of the weights. Without statistics it must be trained before it is used in
        eval mode, and says so.

        Raises MetanetError where the architecture is outside the space, and for statistics of another one.
        """
        self.space.encode(spec)
        net = MetaNet(spec, self.num_classes, init=self.init, device="meta")
        tables = buffers(net)
        if stats is not None:
            check_statistics(spec, tables, stats)
        for part in slices(net, self._weights):
            own = part.of(self._weights).detach().clone(memory_format=torch.contiguous_format)
            part.owner[part.name] = nn.Parameter(own)
        for path, (owner, name, empty) in tables.items():
            given = None if stats is None else stats.get(path)
            owner[name] = fresh(path, empty, net.stem.conv.weight) if given is None else given.detach().clone()
        if stats is None:
            net.stem.register_forward_pre_hook(_demand_statistics)
            return net.train()
        return net.eval()

    @torch.no_grad()
    def calibrate(self, spec: ArchSpec, batches: Iterable[Tensor]) -> Stats:
        """The BatchNorm statistics of a sub-network, averaged over batches (b, 3, h, w) of images.

        Raises MetanetError where there is no batch, and where the architecture is outside the space.
        """
        with self._skeletons.wearing(spec, self.num_classes, self._weights) as skeleton:
            return skeleton.measured(batches)


def _no_statistics() -> MetanetError:
    return MetanetError(
        "a sub-network of a supernet has no BatchNorm statistics of its own: in eval mode pass "
        "stats=supernet.calibrate(spec, batches), or train the extracted network first"
    )


def _demand_statistics(stem: nn.Module, _: Any) -> None:
    """Before the forward pass of an extracted network: no evaluation before BatchNorm has seen a batch."""
    if not stem.training and int(stem.norm.num_batches_tracked) == 0:  # type: ignore[union-attr,arg-type]
        raise _no_statistics()
