"""One step of training: which networks it trains on which images, and the gradients that they give."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metanet.data import Ids, Labelled, batch_ids, shift
from metanet.errors import MetanetError
from metanet.search_spaces.constraints import parse_constraints
from metanet.search_spaces.supernet import Supernet
from metanet.search_spaces.training.config import TrainingConfig
from metanet.search_spaces.training.measures import Trained, agreement, row
from metanet.search_spaces.training.parts import Gradients, Networks
from metanet.search_spaces.training.pools import Pool, cost_bands
from metanet.search_spaces.training.processes import Processes
from metanet.spec import ArchSpec

_STEP = 3  # first word of this module's random stream


@dataclass
class Part:
    """A micro-batch.

    number   among those of all steps
    share    of the step's images
    labels   (b,)
    seen     images (b, 3, side, side) by their side, as networks ask for them
    """

    number: int
    ids: Ids
    share: float
    labels: Tensor
    seen: dict[int, Tensor] = field(default_factory=dict)


class Steps:
    """What all steps of a training share: made once, changed by none of them."""

    def __init__(self, supernet: Supernet, data: Labelled, config: TrainingConfig, processes: Processes) -> None:
        if config.micro_batches < processes.count:
            raise MetanetError(
                f"{processes.count} processes need as many micro-batches or more, got "
                f"micro_batches={config.micro_batches}: the result then does not depend on the number of processes"
            )
        self.supernet, self.data, self.config, self.processes = supernet, data, config, processes
        self.device = next(supernet.parameters()).device
        space, rules = supernet.space, parse_constraints(config.constraints)
        self.bands = cost_bands(space, rules, config.bands)
        self.ops = list(dict.fromkeys(op for options in space.options for op in options.choices["op"]))
        self.pools: list[list[Pool]] = []
        for name, phase in config.schedule(space).items():
            try:
                self.pools.append(config.draw.pools(phase, rules, config.bands))
            except MetanetError as error:
                if phase is space:
                    raise
                raise MetanetError(
                    f"phase {name!r} of progressive-shrinking has no network under {config.constraints} ({error}): "
                    "widen the constraints, or leave progressive-shrinking out"
                ) from None

    def networks(self, step: int) -> Networks:
        """The networks of a step, a function of (seed, step)."""
        key = [_STEP, self.config.seed, step]
        pools = self.pools[step * len(self.pools) // self.config.steps]
        pool = pools[int(np.random.default_rng([*key, 3]).integers(len(pools)))]

        def draw(n: int) -> tuple[tuple[ArchSpec, ...], ...]:
            return self.config.draw.groups(pool, [*key, 1], n, self.config.candidates)

        return self.config.assemble(pool, key, draw, self.config.samples)

    def gradients(self, step: int) -> tuple[Gradients, dict[str, float]]:
        """What the weights descend along, and the row that the step tells; equal in all processes."""
        networks, parts = self.networks(step), self._parts(step)
        taken = self._taken(networks, parts)
        specs = [*networks.ends, *(group[i] for group, i in zip(networks.random, taken, strict=True))]
        largest, others, told = self._learned(specs, parts, ends=bool(networks.ends))
        trained = [
            Trained(spec, self.supernet.space.price(spec)["macs"], *values)
            for spec, values in zip(specs, told.tolist(), strict=True)
        ]
        cosine = agreement(largest, others)
        values = row(trained, cosine, ends=bool(networks.ends), ops=self.ops, bands=self.bands)
        if self.config.draw.pick:
            values |= {f"taken {i}": float(index) for i, index in enumerate(taken)}
        return self.config.join(largest, others), values

    def _parts(self, step: int) -> list[Part]:
        """The micro-batches of a step that are this process's."""
        config, count = self.config, self.config.micro_batches
        ids = batch_ids(self.data.ids, config.batch_size, seed=config.seed, step=step)
        own = list(enumerate(np.array_split(ids, count)))[self.processes.rank :: self.processes.count]
        labels = torch.from_numpy(self.data.images.labels)
        return [Part(step * count + i, part, len(part) / len(ids), labels[part].to(self.device)) for i, part in own]

    def _logits(self, spec: ArchSpec, part: Part) -> Tensor:
        side = spec.resolution
        if side not in part.seen:
            images = self.data.images.batch(part.ids, side)
            images = shift(images, self.config.shift, seed=self.config.seed, step=part.number)
            # depthwise kernels are faster so
            part.seen[side] = images.to(self.device, memory_format=torch.channels_last)
        with self.processes.autocast():
            logits: Tensor = self.supernet(part.seen[side], spec)
        return logits.float()

    def _taken(self, networks: Networks, parts: list[Part]) -> list[int]:
        """Which candidate of each group is trained, by the mean loss over the images of all processes."""
        pick = self.config.draw.pick
        if pick is None:
            return [0] * len(networks.random)
        (losses,) = self.processes.sum([self.processes.together(lambda: self._judged(networks, parts))])
        found, start = [], 0
        for group in networks.random:
            found.append(pick(losses[start : start + len(group)].tolist()))
            start += len(group)
        return found

    @torch.no_grad()
    def _judged(self, networks: Networks, parts: list[Part]) -> Tensor:
        """(candidates,) this process's share of the mean loss of all candidates, group after group."""
        specs = [spec for group in networks.random for spec in group]
        losses = torch.zeros(len(specs), device=self.device)
        for i, spec in enumerate(specs):
            for part in parts:
                losses[i] += part.share * F.cross_entropy(self._logits(spec, part), part.labels)
        return losses

    def _learned(self, specs: list[ArchSpec], parts: list[Part], *, ends: bool) -> tuple[Gradients, Gradients, Tensor]:
        """The gradients of the largest network and of the others together, and (networks, 3) loss on the labels,
        accuracy and loss that was trained on: of all processes together."""
        largest, others, told = self.processes.together(lambda: self._backward(specs, parts, ends))
        total = self.processes.sum([*largest.values(), *others.values(), told])
        first, rest = total[: len(largest)], total[len(largest) : -1]
        return dict(zip(largest, first, strict=True)), dict(zip(others, rest, strict=True)), total[-1]

    def _backward(self, specs: list[ArchSpec], parts: list[Part], ends: bool) -> tuple[Gradients, Gradients, Tensor]:
        """This process's share of `_learned`."""
        self.supernet.zero_grad(set_to_none=True)
        told = torch.zeros(len(specs), 3, device=self.device)
        largest: Gradients = {}
        taught: list[Tensor] = []
        for i, spec in enumerate(specs):
            for k, part in enumerate(parts):
                logits = self._logits(spec, part)
                if ends and i == 0:
                    taught.append(logits.detach())
                if self.config.teach and i:
                    loss = self.config.teach(logits, taught[k])
                else:
                    loss = F.cross_entropy(logits, part.labels, label_smoothing=self.config.label_smoothing)
                (part.share * loss).backward()  # type: ignore[no-untyped-call]
                told[i] += part.share * _told(logits.detach(), part.labels, loss.detach())
            if ends and i == 0:
                largest = self._collected()
        return largest, self._collected(), told

    def _collected(self) -> Gradients:
        """The gradients so far, which the supernet forgets."""
        found = {name: p.grad for name, p in self.supernet.named_parameters() if p.grad is not None}
        self.supernet.zero_grad(set_to_none=True)
        return found


def _told(logits: Tensor, labels: Tensor, loss: Tensor) -> Tensor:
    """(3,) loss on the labels, accuracy, loss that was trained on."""
    right = (logits.argmax(dim=1) == labels).float().mean()
    return torch.stack([F.cross_entropy(logits, labels), right, loss])
