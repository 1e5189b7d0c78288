"""Optuna's own samplers on every space: each trial asks for all genes and gets an architecture of the space."""

import warnings

import numpy as np
import optuna
import pytest
from optuna.samplers import CmaEsSampler, GPSampler, NSGAIISampler, TPESampler

import metanet
from metanet.search_spaces import SPACES, load_space

TRIALS = 15
SAMPLERS = {
    "TPE": lambda: TPESampler(seed=0, n_startup_trials=5),
    "GP": lambda: GPSampler(seed=0, n_startup_trials=12),
    "NSGA-II": lambda: NSGAIISampler(seed=0, population_size=5),
    "CMA-ES": lambda: CmaEsSampler(seed=0, n_startup_trials=2, warn_independent_sampling=False),
}


@pytest.mark.parametrize("space", sorted(SPACES))
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_of_optuna_stays_in_the_space(sampler, space):
    space, found = load_space(space), []

    def objective(trial):
        spec = space.suggest(trial)
        assert trial.distributions == space.distributions()
        found.append(spec)
        cost = metanet.cost(spec)
        return (cost.macs, cost.params) if sampler == "NSGA-II" else cost.macs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # GPSampler
        directions = ["minimize", "minimize"] if sampler == "NSGA-II" else ["minimize"]
        study = optuna.create_study(sampler=SAMPLERS[sampler](), directions=directions)
        study.optimize(objective, n_trials=TRIALS)
    assert len(found) == TRIALS and len(set(found)) > 5
    for spec, trial in zip(found, study.trials, strict=True):
        assert space.contains(spec) and trial.state is optuna.trial.TrialState.COMPLETE
        genes = {gene.name: gene.choices for gene in space.genes}
        row = np.array([choices.index(trial.params.get(name, choices[0])) for name, choices in genes.items()])
        if space.valid(row[None])[0]:  # otherwise repaired
            assert np.array_equal(space.encode(spec), space.canonical(row[None])[0])
