"""Intervals against brute force, hand-made numbers and their own promise (coverage)."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanet.errors import MetanetError
from metanet.stats import bootstrap_interval, paired_bootstrap, seeds_interval

RNG = np.random.default_rng(0)


def by_brute_force(values, resamples=20_000):
    means = values[RNG.integers(len(values), size=(resamples, len(values)))].mean(axis=1)
    return [*np.quantile(means, [0.025, 0.975]), means.std()]


@pytest.mark.parametrize("values", [RNG.random(80) < 0.7, RNG.normal(3, 2, 60), RNG.integers(-1, 2, 100)])
def test_the_bootstrap_equals_resampling_by_brute_force(values):
    found = bootstrap_interval(values, resamples=20_000)
    low, high, se = by_brute_force(np.asarray(values, float))
    assert found.mean == pytest.approx(np.mean(values))
    # A quantile of 20,000 means has a standard error of about 0.02 se.
    assert abs(found.low - low) < 0.1 * se and abs(found.high - high) < 0.1 * se
    assert found.se == pytest.approx(se, rel=0.03)


def test_strata_are_resampled_each_for_itself():
    strata = np.repeat([0, 1], [30, 10])
    values = np.where(strata == 0, 1.0, 5.0)  # all variation is between the strata
    fixed = bootstrap_interval(values, strata=strata)
    assert (fixed.low, fixed.high, fixed.se) == (2, 2, 0)
    assert bootstrap_interval(values).se == pytest.approx(np.sqrt(3 / 40))  # variance 16 * 1/4 * 3/4 = 3


def test_strata_give_the_standard_error_of_a_sum_of_means():
    strata, values = RNG.integers(0, 3, 90), RNG.normal(size=90)
    means = np.zeros(20_000)
    for s in range(3):
        group = values[strata == s]
        means += group[RNG.integers(len(group), size=(20_000, len(group)))].sum(axis=1) / 90
    found = bootstrap_interval(values, strata=strata, resamples=20_000)
    assert found.se == pytest.approx(means.std(), rel=0.03)
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.1 * found.se)


def test_a_95_percent_interval_holds_the_truth_in_95_percent_of_the_cases():
    hits = 0
    for _ in range(400):
        found = bootstrap_interval(RNG.random(300) < 0.8, resamples=500)
        hits += found.low <= 0.8 <= found.high
    assert 0.91 * 400 < hits < 0.985 * 400  # binomial: 380 +- 4.4


@given(st.lists(st.integers(0, 1), min_size=1, max_size=50), st.integers(0, 9))
def test_an_interval_is_ordered_and_a_function_of_its_seed(values, seed):
    found = bootstrap_interval(values, resamples=50, seed=seed)
    assert 0 <= found.low <= found.high <= 1
    assert found == bootstrap_interval(values, resamples=50, seed=seed)
    wider = bootstrap_interval(values, resamples=50, seed=seed, level=0.99)
    assert wider.low <= found.low and found.high <= wider.high


def test_pairing_takes_out_what_both_share():
    shared = RNG.normal(size=200)
    a, b = shared + 0.1, shared
    found = paired_bootstrap(a, b)
    assert found.mean == pytest.approx(0.1) and found.se == pytest.approx(0, abs=1e-12)
    assert paired_bootstrap(a, b[::-1]).se > 0.05


def test_students_interval_of_three_runs_by_hand():
    found = seeds_interval([1, 2, 3])  # s = 1, se = 1 / sqrt(3), t(0.975; 2) = 4.30265 from the printed tables
    assert found.mean == 2 and found.se == pytest.approx(0.57735, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([]), "at least one value and finite ones only, got []"),
        (lambda: bootstrap_interval([1, float("nan")]), "finite ones only, got [1.0, nan]"),
        (lambda: bootstrap_interval([1, 2], level=95), "a confidence level must lie between 0 and 1, got 95"),
        (lambda: seeds_interval([1]), "an interval over seeds needs at least 2 values, got 1: run more seeds"),
        (lambda: paired_bootstrap([1, 2], [1]), "needs values of the same images, got (2,) and (1,)"),
    ],
)
def test_what_has_no_interval_is_refused(call, message):
    with pytest.raises(MetanetError, match=re.escape(message)):
        call()
