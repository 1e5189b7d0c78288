"""How a supernet is trained, in plain values."""

from dataclasses import dataclass
from typing import TypeVar

from metanet.errors import MetanetError, check_whole
from metanet.search_spaces.constraints import parse_constraints
from metanet.search_spaces.training.parts import UNIFORM, Assemble, Draw, Join, Schedule, Teach, summed, unscheduled
from metanet.search_spaces.training.rules import DEFAULT, RULES, by_part

T = TypeVar("T")
_LEAST = {"steps": 1, "batch_size": 2, "micro_batches": 1, "candidates": 2, "bands": 1}
_LEAST |= dict.fromkeys(("samples", "warmup", "shift", "seed"), 0)


@dataclass(frozen=True)
class TrainingConfig:
    """How a supernet is trained.

    rules            names of RULES, at most one of each part, kept in the order of the parts
    steps            updates, each over the networks that the rules say
    batch_size       images an update, the same for all its networks
    micro_batches    parts of a batch, each with BatchNorm statistics of its own; several processes share them out, so
                     that the result is the same with any number of processes
    samples          random networks an update, between the ends of the sandwich
    candidates       of best-up and worst-up, for each random network
    bands            of cost, in which cost-band draws and the history tells losses
    lr               AdamW's peak learning rate; it rises over `warmup` updates, then falls to 0 as half a cosine
    label_smoothing  of the targets of networks that learn from labels
    shift            largest translation of training images in pixels, at the source's own size
    clip             largest norm of the gradient
    constraints      that the networks satisfy (the language of searches)
    seed             of samples, order and shifts
    """

    rules: tuple[str, ...] = DEFAULT
    steps: int = 250
    batch_size: int = 64
    micro_batches: int = 1
    samples: int = 2
    candidates: int = 3
    bands: int = 4
    lr: float = 3e-3
    warmup: int = 10
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    shift: int = 1
    clip: float = 1.0
    constraints: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(by_part(self.rules).values()))
        for name, low in _LEAST.items():
            check_whole(name, getattr(self, name), low)
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise MetanetError(f"`{name}` must be above 0, got {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise MetanetError(f"`label_smoothing` must be at least 0 and below 1, got {self.label_smoothing}")
        if not self.weight_decay >= 0:
            raise MetanetError(f"`weight_decay` must be at least 0, got {self.weight_decay}")
        if self.batch_size < 2 * self.micro_batches:
            raise MetanetError(
                f"each micro-batch needs two images for its BatchNorm statistics, got batch_size={self.batch_size} in "
                f"micro_batches={self.micro_batches}: use at most {self.batch_size // 2}"
            )
        if self.draw.pick and self._named("networks") == "sandwich" and not self.samples:
            raise MetanetError(
                f"{self._named('draw')} chooses among random networks, and samples=0 trains none: use samples=1 or more"
            )
        parse_constraints(self.constraints)

    def _named(self, part: str) -> str | None:
        return by_part(self.rules).get(part)

    def _does(self, part: str, otherwise: T) -> T:
        """What the rule of a part does; without one, what is done otherwise."""
        name = self._named(part)
        does: T = RULES[name].does if name else otherwise
        return does

    @property
    def assemble(self) -> Assemble:
        """What says which networks a step has."""
        rule: Assemble = RULES[by_part(self.rules)["networks"]].does
        return rule

    @property
    def draw(self) -> Draw:
        """What draws random networks."""
        return self._does("draw", UNIFORM)

    @property
    def schedule(self) -> Schedule:
        """What says which part of the space is open."""
        return self._does("schedule", unscheduled)

    @property
    def teach(self) -> Teach | None:
        """What teaches all but the largest network; None for the labels."""
        return self._does("teacher", None)

    @property
    def join(self) -> Join:
        """What brings the gradients together."""
        return self._does("gradients", summed)
