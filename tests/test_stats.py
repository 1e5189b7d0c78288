"""Intervals against brute force, hand-made numbers and their own promise (coverage)."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from metanet.errors import MetanetError
from metanet.stats import (
    bootstrap_interval,
    kendall_difference,
    kendall_interval,
    paired_bootstrap,
    seeds_interval,
)

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


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=40))
def test_tau_is_scipys_with_and_without_ties(pairs):
    a, b = np.transpose(pairs)
    if len(set(a)) < 2 or len(set(b)) < 2:
        with pytest.raises(MetanetError, match="got a constant one"):
            kendall_interval(a, b, resamples=10)
        return
    found = kendall_interval(a, b, resamples=100)
    assert found.mean == pytest.approx(kendalltau(a, b).statistic)
    assert -1 <= found.low <= found.high <= 1


def taus_by_brute_force(scores, truth, draws):
    return np.array([[kendalltau(score[ids], truth[ids]).statistic for score in scores] for ids in draws])


def test_the_bootstrap_of_tau_is_that_of_scipy_over_resampled_things():
    truth = RNG.normal(size=40)
    good, bad = truth + RNG.normal(size=40), (truth + 2 * RNG.normal(size=40)).round()  # the second with ties
    draws = RNG.integers(40, size=(2000, 40))
    taus = taus_by_brute_force((good, bad), truth, draws)
    for found, values in (
        (kendall_interval(good, truth, resamples=2000), taus[:, 0]),
        (kendall_interval(bad, truth, resamples=2000), taus[:, 1]),
        (kendall_difference(good, bad, truth, resamples=2000), taus[:, 0] - taus[:, 1]),
    ):
        # A quantile of 2,000 values has a standard error of about 0.06 se.
        assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.25 * found.se)
        assert found.se == pytest.approx(values.std(), rel=0.08)


def test_the_bootstrap_of_tau_keeps_strata():
    truth = RNG.normal(size=30)
    score, bands = truth + RNG.normal(size=30), np.repeat([0, 1, 2], [4, 16, 10])
    draws = np.hstack([own[RNG.integers(len(own), size=(2000, len(own)))] for own in np.split(np.arange(30), [4, 20])])
    values = taus_by_brute_force([score], truth, draws)[:, 0]
    found = kendall_interval(score, truth, strata=bands, resamples=2000)
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.25 * found.se)
    # With one thing in each stratum there is nothing to draw, so that equal orders stay equal, too.
    alone = kendall_difference(score, -score, truth, strata=np.arange(30))
    assert alone.se < 1e-12
    assert (alone.low, alone.high, alone.mean) == pytest.approx([2 * kendalltau(score, truth).statistic] * 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kendall_interval([1, 2], [1, 2, 3]), "needs two scores of the same things, got (2,) and (3,)"),
        (lambda: kendall_interval([1, 2], [1, np.inf]), "finite ones only, got [1.0, inf]"),
        (lambda: kendall_interval([1, 2], [3, 3]), "needs scores with at least two different values, got a constant"),
        (lambda: kendall_interval([1, 2], [3, 4], strata=[0]), "each of 2 things must have one stratum, got the shape"),
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
