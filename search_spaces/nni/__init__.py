"""The bridge to NNI 3: its strategies search a space of ours, with our costs and constraints, in this process.

A sample of NNI is a dict, gene -> value, of every gene that has a choice, as `Space.distributions` has them for Optuna.
NNI is loaded when `to_nni` is called, and takes seconds.
"""

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from metanet.errors import MetanetError, unknown
from metanet.search_spaces.choices import Indices
from metanet.search_spaces.constraints import Constraints
from metanet.search_spaces.space import Space
from metanet.spec import ArchSpec

if TYPE_CHECKING:
    from metanet.search_spaces.nni.space import SpecModelSpace

Sample = dict[str, Any]


def to_nni(
    space: Space,
    evaluate: Callable[[ArchSpec], float | Mapping[str, float]] | None = None,
    *,
    constraints: Constraints = None,
    objective: str = "accuracy",
) -> "SpecModelSpace":
    """A model space of NNI 3 whose models are the architectures of a space that satisfy the constraints.

    evaluate     scores an architecture: a number, or numbers by name; without one NNI can draw but not search
    objective    which of several numbers NNI climbs. NNI maximises, but for `TPE()`: give it optimize_mode="maximize"

    Raises MetanetError where NNI is not installed and where nothing satisfies the constraints.
    """
    space.sampler(constraints)
    for needed in ("nni", "pytorch_lightning"):  # NNI does not name the second, and fails without it
        if find_spec(needed) is None:
            raise MetanetError(f"this needs NNI 3, and {needed} is not installed: pip install 'metanet-nas[nni]'")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"ast\.\w+ is deprecated", DeprecationWarning)  # typeguard, Python >= 3.12
        # On import NNI wraps all of torch.nn, and tells what newer versions of torch have there beside modules.
        warnings.filterwarnings("ignore", r".* is found to be not a nn\.Module", RuntimeWarning)
        import nni.nas.execution
        import nni.nas.strategy  # noqa: F401  # so that the caller's own import of it is silent

        from metanet.search_spaces.nni.space import SpecEvaluator, SpecModelSpace
    return SpecModelSpace(space, constraints, None if evaluate is None else SpecEvaluator(evaluate, objective))


def to_sample(space: Space, spec: ArchSpec) -> Sample:
    """NNI's sample of an architecture; genes without effect have their first choice.

    Raises MetanetError where the architecture is outside the space.
    """
    row = space.encode(spec).tolist()
    return {gene.name: gene.choices[i] for gene, i in zip(space.genes, row, strict=True) if len(gene.choices) > 1}


def from_sample(space: Space, sample: Mapping[str, Any]) -> ArchSpec:
    """The architecture of a sample of NNI, whatever its genes without effect are.

    Raises MetanetError for genes that are missing or unknown, and for choices that make no architecture.
    """
    row = row_of(space, sample)
    if not space.valid(row[None])[0]:
        raise MetanetError(f"the sample makes no architecture of {space.name}: a width does not fit a head size in it")
    return space.decode(row)


def row_of(space: Space, sample: Mapping[str, Any]) -> Indices:
    """(genes,) choice indices of a sample. Raises MetanetError for genes that are missing or unknown."""
    free = {gene.name: gene for gene in space.genes if len(gene.choices) > 1}
    for name in sample:
        if name not in free:
            raise unknown(f"gene of space {space.name}", name, free)
    row = np.zeros(len(space.genes), dtype=np.int64)
    for name, gene in free.items():
        if name not in sample:
            raise MetanetError(f"the sample lacks the gene {name} of space {space.name}, one of {gene.choices}")
        if sample[name] not in gene.choices:
            raise MetanetError(f"{name}={sample[name]!r} is outside space {space.name}, which has {gene.choices}")
        row[space.column[name]] = gene.choices.index(sample[name])
    return row
