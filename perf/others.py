"""What other libraries do of drawing and pricing, for `perf/space.py`; where their spaces or formulas differ is said.

fvcore and torch count our own networks, built anew for each, as they would be in a search. NNI's profilers cannot price
networks that turn maps into tokens, so that NNI draws from a space of plain convolutions with the strides and widths of
ours, and prices by NNI's own formulas. Optuna draws from our space; our table prices for it.
"""

import logging
import time
import warnings
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import metanet
from metanet.search_spaces import Space, parse_constraints
from metanet.search_spaces.spaces.paper import METANET
from metanet.spec import ArchSpec

PATIENCE = 8.0  # seconds of drawing
Row = dict[str, Any]


def by_fvcore(specs: list[ArchSpec]) -> Row:
    """Networks that fvcore prices a second, building included, and its MACs over torch's."""
    from fvcore.nn import FlopCountAnalysis, parameter_count

    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    start, counted = time.perf_counter(), []
    for spec in specs:
        net = metanet.create(spec).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch.jit, on values that a trace fixes
            image = torch.zeros(1, 3, spec.resolution, spec.resolution)
            counted.append(FlopCountAnalysis(net, image).unsupported_ops_warnings(False).total())
        assert parameter_count(net)[""] == metanet.cost(spec).params
    took = time.perf_counter() - start
    apart = [f"{macs / metanet.cost(spec).macs - 1:+.2%}" for macs, spec in zip(counted, specs, strict=True)]
    same = f"MACs off by {', '.join(apart)}: no fused attention, but norms"
    return {"what": "fvcore, the network built", "rate": len(specs) / took, "target": None, "same": same}


def by_torch(specs: list[ArchSpec]) -> Row:
    """Networks that torch prices a second on the meta device, building included."""
    start, counted = time.perf_counter(), []
    for spec in specs:
        net = metanet.create(spec, device="meta").eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(torch.zeros(1, 3, spec.resolution, spec.resolution, device="meta"))
        counted.append((counter.get_total_flops() // 2, sum(p.numel() for p in net.parameters())))
    took = time.perf_counter() - start
    costs = [metanet.cost(spec) for spec in specs]
    assert counted == [(cost.macs, cost.params) for cost in costs]
    what = "torch's FlopCounterMode, the network built on the meta device"
    return {"what": what, "rate": len(specs) / took, "target": None, "same": "exact"}


def convolutions() -> Any:
    """A model space of NNI: the strides and widths of ours, two plain convolutions of 3 x 3 a stage.

    With kernels and depths as choices, too, its profilers took most of a minute to set up.
    """
    import nni
    from nni.nas.nn.pytorch import ModelSpace, MutableConv2d

    class Net(ModelSpace):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            parts, before = [torch.nn.Conv2d(3, 32, 3, 2, 1, bias=False)], 32
            for i, (options, stage) in enumerate(zip(METANET.options, (1, 2, 2, 2, 1, 2), strict=True)):
                inner, width = (nni.choice(f"{name}{i}", list(options.choices["width"])) for name in ("inner", "width"))
                parts.append(MutableConv2d(before, inner, 3, stride=stage, padding=1, bias=False))
                parts.append(MutableConv2d(inner, width, 3, padding=1, bias=False))
                before = width
            self.body = torch.nn.Sequential(*parts)

        def forward(self, x: torch.Tensor) -> Any:
            return self.body(x)

    return Net()


def by_nni(seed: int) -> Row:
    """Draws of NNI a second: as networks, as samples priced by its profilers, and as samples that pass by rejection."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NNI's own imports
        import nni.nas.nn.pytorch  # noqa: F401
        from nni.nas.profiler.pytorch.flops import FlopsProfiler, NumParamsProfiler

        net, image, start = convolutions(), torch.zeros(1, 3, 224, 224), time.perf_counter()
        macs, params = FlopsProfiler(net, image), NumParamsProfiler(net, image)
    setup, genes, rng = time.perf_counter() - start, net.simplify(), np.random.default_rng(seed)

    def drawn() -> Row:
        return {name: gene.values[int(rng.integers(len(gene.values)))] for name, gene in genes.items()}

    start = time.perf_counter()
    for _ in range(10):
        net.random()
    frozen = 10 / (time.perf_counter() - start)
    start, costs = time.perf_counter(), []
    while (took := time.perf_counter() - start) < PATIENCE:
        costs.append([profiler.profile(sample) for sample in (drawn(),) for profiler in (macs, params)])
    centre = np.median(costs, axis=0)
    near = np.abs(np.array(costs) / centre - 1) <= 0.01
    return {
        "space": "plain convolutions with our strides and widths",
        "size": float(np.prod([len(gene.values) for gene in genes.values()], dtype=float)),
        "setup": setup,
        "random": frozen,
        "priced": len(costs) / took,
        "one": {"share": float(near[:, 0].mean()), "rate": float(near[:, 0].sum() / took)},
        "both": {"share": float(near.all(axis=1).mean()), "rate": float(near.all(axis=1).sum() / took)},
    }


def by_optuna(space: Space, rules: str, seed: int) -> Row:
    """Trials of Optuna's RandomSampler a second, and the share that satisfies the rules; our table prices.

    It takes no constraints (NSGA-II and TPE do, and learn from them): what does not fit is dropped here.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parsed, distributions = parse_constraints(rules), space.distributions()

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    kept, tried, start = 0, 0, time.perf_counter()
    while (took := time.perf_counter() - start) < PATIENCE:
        trial = study.ask(distributions)
        row = [gene.choices.index(trial.params.get(gene.name, gene.choices[0])) for gene in space.genes]
        rows = np.array([row])
        if space.valid(rows)[0]:
            costs = space.table(rows, tuple(rule.metric for rule in parsed))
            kept += all(rule.low <= costs[rule.metric][0] <= rule.high for rule in parsed)
        tried += 1
        study.tell(trial, 0.0)
    return {"rules": rules, "trials": tried / took, "share": kept / tried, "rate": kept / took}
