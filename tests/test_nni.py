"""The bridge to NNI: exact samples, NNI's strategies on our evaluator, our costs and constraints, nothing twice."""

import ast
import re
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metanet
from metanet import MetanetError
from metanet.search_spaces import SPACES, Space, StageChoices, load_space
from metanet.search_spaces.feasible.enumeration import feasible_rows
from metanet.search_spaces.nni import from_sample, to_nni, to_sample

needs_nni = pytest.mark.skipif(find_spec("nni") is None, reason="NNI has wheels for x86-64 alone")

SMALL = Space(
    name="small",
    stages=(
        StageChoices((1, 2), (8, 12), (1, 2), ("mbconv", "self_attention"), (3,), (True,), head_dim=(4, 8)),
        StageChoices((1, 3), (16,), (2, 3), ("fused_mbconv", "token_mlp"), (3, 5), (True,), head_dim=(8,)),
    ),
    stem_width=(8,),
    head_width=(16,),
    resolution=(16, 17),
)
RULES = "macs in [300k, 900k], params <= 16k"
TINY, TINY_RULES = load_space("metanet-tiny"), "macs <= 2M, params <= 200k"


@pytest.fixture(scope="module")
def samples():
    """All samples of SMALL, as NNI's own grid enumerates them, each with its architecture or None."""
    model_space = to_nni(SMALL)
    from nni.mutable import MutableDict

    found = []
    for values in MutableDict(model_space.simplify()).grid():
        try:
            found.append((dict(values), from_sample(SMALL, values)))
        except MetanetError:
            found.append((dict(values), None))
    return found


@pytest.fixture(scope="module")
def costs(samples):
    """The price of every architecture of SMALL, not from the space's tables."""
    return {spec: metanet.cost(spec) for _, spec in samples if spec}


@settings(max_examples=25)
@given(st.sampled_from(sorted(SPACES)), st.integers(0, 2**32 - 1))
def test_samples_and_architectures_are_inverse(name, seed):
    space = load_space(name)
    (spec,) = space.sample(1, seed=seed)
    sample = to_sample(space, spec)
    assert set(sample) == set(space.distributions()) and from_sample(space, sample) == spec
    assert sample["stage1.op"] == spec.stages[1].op and sample["stage2.width"] == spec.stages[2].width
    filled = dict(sample)  # genes without effect may have any value
    rng = np.random.default_rng(seed)
    for i, stage in enumerate(spec.stages):
        for gene in ("kernel", "se"):
            if getattr(stage, gene) is None and f"stage{i}.{gene}" in filled:
                choices = space.distributions()[f"stage{i}.{gene}"].choices
                filled[f"stage{i}.{gene}"] = choices[rng.integers(len(choices))]
    assert from_sample(space, filled) == spec and to_sample(space, from_sample(space, filled)) == sample


def test_samples_that_mean_nothing_are_refused():
    sample = to_sample(SMALL, SMALL.sample(1, seed=0)[0])
    with pytest.raises(MetanetError, match=r"unknown gene of space small 'stage0\.ops': did you mean 'stage0\.op'"):
        from_sample(SMALL, sample | {"stage0.ops": "mbconv"})
    with pytest.raises(MetanetError, match=r"stage0\.width=9 is outside space small, which has \(8, 12\)"):
        from_sample(SMALL, sample | {"stage0.width": 9})
    with pytest.raises(MetanetError, match=r"the sample lacks the gene resolution of space small, one of \(16, 17\)"):
        from_sample(SMALL, {name: value for name, value in sample.items() if name != "resolution"})
    broken = sample | {"stage0.op": "self_attention", "stage0.width": 12, "stage0.head_dim": 8}
    with pytest.raises(MetanetError, match="makes no architecture of small: a width does not fit a head size"):
        from_sample(SMALL, broken)


@pytest.mark.parametrize("rules", ["", RULES, "macs >= 2M", "memory <= 50k", "activations <= 12k, memory <= 50k"])
def test_enumeration_gives_every_feasible_architecture_once(rules):
    everything = [spec for rows in feasible_rows(SMALL) for spec in SMALL.specs(rows)]
    assert len(everything) == len(set(everything)) == SMALL.size
    want = {spec for spec in everything if SMALL.feasible(spec, rules)}
    rows = np.concatenate(list(feasible_rows(SMALL, rules)))
    specs = SMALL.specs(rows)
    assert 0 < len(specs) == len(want) and set(specs) == want
    assert all(np.array_equal(SMALL.encode(spec), row) for spec, row in zip(specs, rows, strict=True))


@needs_nni
def test_nnis_samples_are_our_architectures_and_no_others(costs):
    assert len(costs) == SMALL.size
    assert {model.executable_model() for model in to_nni(SMALL).grid()} == set(costs)


@needs_nni
def test_constraints_hold_for_whatever_nni_makes(samples, costs):
    model_space = to_nni(SMALL, constraints=RULES)
    from nni.mutable import ConstraintViolation

    feasible = {spec for spec, cost in costs.items() if 300_000 <= cost.macs <= 900_000 and cost.params <= 16_000}
    refused = [(sample, spec) for sample, spec in samples if spec not in feasible]
    for sample, spec in samples[::3]:
        assert model_space.contains(sample) == (spec in feasible)
    assert 10 < len(feasible) < SMALL.size
    models = list(model_space.grid())
    assert len(models) == len(feasible) and {model.executable_model() for model in models} == feasible
    state = np.random.RandomState(0)
    drawn = {model_space.random(random_state=state).executable_model() for _ in range(100)}
    assert drawn <= feasible and len(drawn) > 50
    for sample, _ in refused[::31]:  # repaired, and the model says into what
        model = model_space.freeze(sample)
        assert model.executable_model() in feasible and model_space.contains(model.sample)
        assert model_space.freeze(dict(sample)).sample == model.sample
    for model in models[::7]:
        assert model_space.freeze(model.sample).sample == model.sample
    with pytest.raises(
        ConstraintViolation, match=r"architecture \w+ is outside the constraints macs in \[300k, 900k\]"
    ):
        model_space.validate(next(sample for sample, spec in refused if spec))
    with pytest.raises(ConstraintViolation, match="a width does not fit a head size"):
        model_space.validate(next(sample for sample, spec in refused if not spec))


@needs_nni
def test_samples_of_other_spaces_get_nnis_exceptions():
    model_space = to_nni(SMALL)
    from nni.mutable import SampleValidationError

    sample = model_space.random().sample
    with pytest.raises(SampleValidationError, match=r"stage1\.depth: 2 not found in \[1, 3\]"):
        model_space.freeze(sample | {"stage1.depth": 2})
    with pytest.raises(SampleValidationError, match="Label resolution is missing"):
        model_space.freeze({})
    assert not model_space.contains({})
    with pytest.raises(MetanetError, match="this model is frozen: freeze the space"):
        model_space.random().freeze(sample)
    with pytest.raises(MetanetError, match="a model space is no architecture before it is frozen"):
        model_space.executable_model()


@pytest.fixture
def strategies(monkeypatch):
    """NNI's strategies by name; TPE's second of sleep after each model is left out, a server would fail."""
    to_nni(SMALL)
    import nni.nas.strategy
    import nni.nas.strategy.hpo

    def listen(*_):
        raise AssertionError("NNI opens a port")

    monkeypatch.setattr(nni.nas.strategy.hpo, "time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr(socket.socket, "bind", listen)
    return {
        "Random": lambda: nni.nas.strategy.Random(seed=0),
        "RegularizedEvolution": lambda: nni.nas.strategy.RegularizedEvolution(
            population_size=8, sample_size=4, mutation_prob=0.02, seed=0
        ),
        "TPE": lambda: nni.nas.strategy.TPE(optimize_mode="maximize", seed=0),
        "GridSearch": lambda: nni.nas.strategy.GridSearch(seed=0),
    }


def engine(models):
    from nni.nas.execution import SequentialExecutionEngine

    return SequentialExecutionEngine(max_model_count=models)


@needs_nni
@pytest.mark.parametrize("name", ["Random", "RegularizedEvolution", "TPE", "GridSearch"])
def test_a_strategy_of_nni_climbs_our_evaluator(name, strategies):
    calls = []

    def evaluate(spec):
        calls.append(spec)
        cost = metanet.cost(spec)
        return {"accuracy": 1 / cost.params, "macs": cost.macs}

    model_space = to_nni(TINY, evaluate, constraints=TINY_RULES)
    strategy = strategies[name]()
    strategy(model_space, engine(40))
    assert len(calls) == len(set(calls)) > 20  # equal architectures once
    assert name == "RegularizedEvolution" or len(calls) == 40
    for spec in calls:
        cost = metanet.cost(spec)
        assert cost.macs <= 2_000_000 and cost.params <= 200_000 and TINY.contains(spec)
    models = list(strategy.list_models(sort=False))
    assert len(models) == 40 and {from_sample(TINY, model.sample) for model in models} == set(calls)
    assert all(model.metric == 1 / metanet.cost(model.executable_model()).params for model in models)
    (best,) = strategy.list_models(limit=1)
    assert best.metric == max(1 / metanet.cost(spec).params for spec in calls)
    assert list(model_space.evaluator.known) == calls
    assert model_space.evaluator.known[calls[3]]["macs"] == metanet.cost(calls[3]).macs


@needs_nni
def test_nnis_deduplication_sees_equal_architectures(strategies):
    from nni.nas.strategy.middleware import Chain, Deduplication

    calls = []
    strategy = Chain(strategies["RegularizedEvolution"](), Deduplication("replay"))
    strategy(to_nni(TINY, lambda spec: calls.append(spec) or 1.0, constraints=TINY_RULES), engine(25))
    assert len(calls) == len(set(calls)) == 25  # repeats take nothing from the budget
    assert len(list(strategy.list_models(sort=False))) > 25


@needs_nni
def test_a_space_that_is_used_up_ends_the_search(strategies, costs):
    rules = "macs <= 230k"
    feasible = {spec for spec, cost in costs.items() if cost.macs <= 230_000}
    calls = []
    strategies["GridSearch"]()(to_nni(SMALL, lambda spec: calls.append(spec) or 1.0, constraints=rules), engine(500))
    assert 1 < len(feasible) < 100 and len(calls) == len(feasible) and set(calls) == feasible


@needs_nni
@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (float("nan"), "the evaluator returned accuracy = nan, which is no finite number"),
        ("good", "the evaluator returned accuracy = 'good', which is no finite number"),
        ({"loss": 1.0}, "the evaluator returned no 'accuracy', only loss"),
    ],
)
def test_evaluators_that_return_no_number(returned, sentence, strategies):
    with pytest.raises(MetanetError, match=sentence):
        strategies["Random"]()(to_nni(SMALL, lambda spec: returned), engine(1))


@needs_nni
def test_what_to_nni_refuses():
    with pytest.raises(MetanetError, match="the nearest attainable value is"):
        to_nni(SMALL, constraints="macs <= 1k")
    with pytest.raises(MetanetError, match="`evaluate` must be a function of an architecture, got 3"):
        to_nni(SMALL, 3)


@pytest.mark.parametrize("missing", ["nni", "pytorch_lightning"])
def test_without_nni_a_sentence_says_how_to_install_it(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MetanetError, match=rf"NNI 3, and {missing} is not installed: pip install 'metanet-nas\[nni\]'"):
        to_nni(SMALL)


def test_nni_is_loaded_by_to_nni_alone():
    for path in (Path(__file__).parents[1] / "search_spaces").glob("*.py"):
        names = [node for node in ast.parse(path.read_text()).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        lines = " ".join(map(ast.unparse, names))
        assert path.name == "nni_space.py" or not re.search(r"(import|from) nni\b|nni_space", lines), path.name
