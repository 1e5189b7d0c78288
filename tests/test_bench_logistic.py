"""Logistic regression: optima against scikit-learn, gradients, folds, and the choice of C."""

import re
import warnings
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from metanet.bench import LogisticCv, LogisticProbe, RawPixels, Task
from metanet.bench.probes.eigen import decompose
from metanet.bench.probes.folds import FOLDS, PATIENCE, folds_of
from metanet.bench.probes.logistic import COSTS
from metanet.bench.probes.softmax import path
from metanet.data import ArrayImages
from metanet.errors import MetanetError


def problem(n, d, k, seed, spread=1.0):
    """Uneven features of noisy classes, every class with an image."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    x = rng.normal(size=(k, d))[labels] * spread + rng.normal(size=(n, d))
    return np.maximum(x, -0.5) * np.exp(rng.normal(size=d)) + 1, labels


def objective(x, labels, weights, bias, c):
    own = log_softmax(x @ weights + bias, axis=1)[np.arange(len(x)), labels]
    return -c * own.sum() + (weights**2).sum() / 2


def gradient(x, labels, weights, bias, c):
    errors = softmax(x @ weights + bias, axis=1) - np.eye(len(bias))[labels]
    return c * x.T @ errors + weights, c * errors.sum(axis=0)


def sklearn_optimum(x, labels, c):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it cannot come closer
        found = LogisticRegression(C=c, tol=1e-10, max_iter=20_000).fit(x, labels)
    return found.coef_.T, found.intercept_


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 40), st.integers(1, 30), st.integers(2, 6), st.integers(0, 999), st.sampled_from([1e-3, 0.1, 30]))
def test_an_optimum_has_no_slope_and_its_gap_is_certain(n, d, k, seed, c):
    x, labels = problem(max(n, k), d, k, seed)
    eigen = decompose(x)
    *_, found = path(eigen.rotated, labels, k, [c / 10, c], tolerance=1e-10)
    by_weight, by_bias = gradient(eigen.rotated, labels, found.weights, found.bias, c)
    value = objective(eigen.rotated, labels, found.weights, found.bias, c)
    assert found.objective == pytest.approx(value)
    # The objective is 1-strongly convex in the weights: half the squared slope bounds the gap.
    assert (by_weight**2).sum() / 2 <= 1e-5 * value and np.abs(by_bias).max() <= 1e-3 * c * n


@pytest.mark.parametrize(("n", "d", "k", "spread"), [(200, 20, 4, 0.3), (60, 150, 3, 0.5), (150, 40, 10, 0.2)])
def test_objectives_equal_scikit_learns_along_the_path(n, d, k, spread):
    x, labels = problem(n, d, k, 0, spread)
    eigen, costs = decompose(x), [1e-3, 1e-2, 0.1, 1.0, 10.0]
    single = eigen.rotated.astype(np.float32)
    loose = list(path(single, labels, k, costs))
    tight = list(path(eigen.rotated, labels, k, costs, tolerance=1e-9))
    for c, near, exact in zip(costs, loose, tight, strict=True):
        weights, bias = sklearn_optimum(x, labels, c)
        best = objective(x, labels, weights, bias, c)
        assert exact.objective == pytest.approx(best, rel=2e-8)
        np.testing.assert_allclose(eigen.vectors @ exact.weights, weights, atol=2e-3 * np.abs(weights).max())
        ours = objective(eigen.rotated, labels, near.weights.astype(float), near.bias.astype(float), c)
        assert near.objective == pytest.approx(ours, rel=3e-5)  # in single precision; some processors were at 1.02e-5
        assert -1e-6 <= ours / best - 1 <= 1e-4 and near.gap <= 1e-4


def test_a_start_near_the_optimum_saves_steps_and_changes_nothing():
    x, labels = problem(150, 40, 5, 0, 0.2)
    rotated = decompose(x).rotated
    (cold,) = path(rotated, labels, 5, [10.0], tolerance=1e-8)
    (warm,) = path(rotated, labels, 5, [10.0], tolerance=1e-8, start=(cold.weights, cold.bias))
    assert warm.steps <= 1 < cold.steps and warm.objective == pytest.approx(cold.objective, rel=1e-8)


def test_a_path_computes_only_what_is_asked_for():
    x, labels = problem(30, 4, 3, 0)
    asked = []

    def costs():
        for c in (0.1, 1.0, 10.0):
            asked.append(c)
            yield c

    assert [found.c for found in islice(path(decompose(x).rotated, labels, 3, costs()), 2)] == asked == [0.1, 1.0]


def test_features_without_any_variance_give_the_shares_of_the_classes():
    labels = np.array([0, 1, 1, 1, 2, 2, 2, 2])
    found = LogisticCv.fit(np.full((8, 3), 0.1), labels, 3)
    np.testing.assert_allclose(softmax(found.scores(np.full((1, 3), 0.1))), [[1 / 8, 3 / 8, 4 / 8]], atol=1e-3)


DIGITS, TARGET = load_digits(return_X_y=True)
FEW = np.random.default_rng(0).permutation(len(TARGET))[:120]


def test_the_choice_is_that_of_cross_validation_by_scikit_learn():
    x, labels = DIGITS[FEW] + 1, TARGET[FEW]
    found, fold = LogisticCv.fit(x, labels, 10), folds_of(labels)
    splits = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(FOLDS)]
    for c, accuracy, loss in list(zip(found.costs, found.accuracy, found.loss, strict=True))[2::9]:
        model = LogisticRegression(C=c, tol=1e-6, max_iter=5000)
        p = cross_val_predict(model, x, labels, cv=splits, method="predict_proba")
        assert accuracy == pytest.approx(np.mean(p.argmax(axis=1) == labels), abs=1.5 / len(labels))
        assert loss == pytest.approx(-np.log(p[np.arange(len(labels)), labels]).mean(), rel=0.02)
    best = found.accuracy == found.accuracy.max()
    assert found.c == found.costs[best][found.loss[best].argmin()]
    assert np.mean(found.held_out.argmax(axis=1) == labels) == found.accuracy.max()
    weights, bias = sklearn_optimum(x, labels, found.c)
    assert found.objective == pytest.approx(objective(x, labels, weights, bias, found.c), rel=1e-4)
    value = objective(x, labels, found.weights, found.bias, found.c)
    assert value == pytest.approx(found.objective, rel=1e-5)


def test_the_path_ends_where_nothing_has_become_better():
    found = LogisticCv.fit(DIGITS[FEW], TARGET[FEW], 10)
    assert PATIENCE < len(found.costs) < len(COSTS)
    np.testing.assert_allclose(found.costs, COSTS[: len(found.costs)] / decompose(DIGITS[FEW]).unit)
    before, last = slice(0, -PATIENCE), slice(-PATIENCE, None)
    assert found.accuracy[last].max() <= found.accuracy[before].max()
    assert found.loss[last].min() >= found.loss[before].min()


def test_scaling_and_moving_the_features_changes_nothing():
    x, labels = problem(80, 12, 3, 0, 0.4)
    base, other = LogisticCv.fit(x, labels, 3), LogisticCv.fit(100 * (x + 5), labels, 3)
    assert other.c == pytest.approx(base.c / 1e4)
    np.testing.assert_allclose(softmax(other.held_out, axis=1), softmax(base.held_out, axis=1), atol=2e-3)


def test_a_class_of_one_image_is_wrong_in_the_folds_and_fitted_in_the_end():
    x, labels = problem(30, 5, 2, 0)
    labels[0] = 3  # alone; class 2 has none
    labels[1:] %= 2
    found = LogisticCv.fit(x, labels, 4)
    assert np.isneginf(found.held_out[0, 3]) and np.isneginf(found.held_out[:, 2]).all()
    scores = found.scores(x)
    assert np.isneginf(scores[:, 2]).all() and np.isfinite(scores[:, [0, 1, 3]]).all()
    # A free intercept makes the expected number of images of each class the true one.
    np.testing.assert_allclose(softmax(scores, axis=1).sum(axis=0), np.bincount(labels, minlength=4), atol=0.05)


def test_one_image_a_class_leaves_nothing_to_choose_by():
    found = LogisticCv.fit(np.eye(4), np.arange(4), 4)
    assert (found.accuracy == 0).all() and (found.scores(np.eye(4)).argmax(axis=1) == np.arange(4)).all()


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(0, 99))
def test_folds_deal_classes_evenly(labels, seed):
    labels = np.random.default_rng(seed).permutation(labels)
    fold = folds_of(labels)
    assert set(fold) == set(range(min(FOLDS, len(labels))))
    for c in np.unique(labels):
        assert np.ptp(np.bincount(fold[labels == c], minlength=min(FOLDS, len(labels)))) <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=4, max_size=60))
def test_groups_lie_in_one_fold_and_no_fold_has_all(pairs):
    labels, groups = np.array(pairs).T
    fold = folds_of(labels, groups)
    for group in np.unique(groups):
        assert len(np.unique(fold[groups == group])) == 1
    assert len(np.unique(fold)) == min(FOLDS, len(np.unique(groups)))


def test_near_copies_in_one_group_do_not_vouch_for_each_other():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 30)), 5, axis=0) + 1e-3 * rng.normal(size=(100, 30))
    labels, groups = np.repeat(rng.integers(0, 2, 20), 5), np.repeat(np.arange(20), 5)
    assert LogisticCv.fit(x, labels, 2).accuracy.max() == 1
    assert LogisticCv.fit(x, labels, 2, groups).accuracy.max() < 0.8


def test_the_probe_answers_as_the_fit():
    pixels = (DIGITS[:200] * 15).astype(np.uint8).reshape(-1, 8, 8)
    images = ArrayImages("digits", pixels, TARGET[:200], tuple("0123456789"))
    task = Task("digits", "classification", "accuracy", images, np.arange(120), np.arange(120, 200), 8)
    x = images.batch(np.arange(200), 8).flatten(1).numpy()
    fitted = LogisticCv.fit(x[:120], TARGET[:120], 10)
    for where, scores in (("test", fitted.scores(x[120:])), ("loo", fitted.held_out)):
        found = LogisticProbe(where=where).answers(RawPixels(), task, task.train)
        np.testing.assert_array_equal(found.predicted, scores.argmax(axis=1))
        assert found.chosen == fitted.chosen and found.curve == fitted.curve
    one_group = replace(task, groups=(np.arange(200) >= len(task.train)).astype(np.int64))
    with pytest.raises(MetanetError, match=re.escape("leaving groups out needs images of at least 2 groups")):
        LogisticProbe().answers(RawPixels(), one_group, task.train)
