"""Ridge with leave-one-out against refits by brute force and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier, RidgeCV

from metanet.bench import RidgeLoo
from metanet.bench.probes.ridge import PENALTIES
from metanet.errors import MetanetError

RELATIVE = np.array([1e-4, 1e-2, 1.0, 30.0])


def solve(x, y, penalty):
    """Weights and intercept from the normal equations, the intercept as a column without penalty."""
    with_one = np.column_stack([x, np.ones(len(x))])
    ridge = penalty * np.eye(x.shape[1] + 1)
    ridge[-1, -1] = 0
    solution = np.linalg.solve(with_one.T @ with_one + ridge, with_one.T @ y)
    return solution[:-1], solution[-1]


def refits(x, labels, classes, penalty):
    """Leave-one-out predictions by n fits."""
    y, held_out = np.eye(classes)[labels], []
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        weights, bias = solve(x[rest], y[rest], penalty)
        held_out.append(x[i] @ weights + bias)
    return np.array(held_out)


def problem(n, d, classes, seed, *, awkward):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(3, 2, (n, d)), rng.integers(0, classes, n)
    x[np.arange(n), labels % d] += 2
    if awkward:
        x[:, -1] = 0.1  # a constant column, whose mean is off by rounding
        x[n // 2 :] = x[: n - n // 2]  # duplicated rows
        labels[n - 1] = (labels[0] + 1) % classes
    return x, labels


@settings(deadline=None, max_examples=60)
@given(
    st.integers(4, 24),
    st.integers(1, 24),
    st.integers(2, 4),
    st.integers(0, 999),
    st.booleans(),
    st.sampled_from(RELATIVE),
)
def test_leave_one_out_equals_n_refits(n, d, classes, seed, awkward, relative):
    x, labels = problem(n, d, classes, seed, awkward=awkward)
    fitted = RidgeLoo.fit(x, labels, classes, penalties=np.array([relative]))
    expected = refits(x, labels, classes, fitted.penalty)
    np.testing.assert_allclose(fitted.held_out, expected, atol=1e-6)
    targets = np.eye(classes)[labels]
    assert fitted.loo_error[0] == pytest.approx(((expected - targets) ** 2).sum() / n)
    weights, bias = solve(x, targets, fitted.penalty)
    np.testing.assert_allclose(fitted.scores(x), x @ weights + bias, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(60, 7), (30, 80), (40, 40)])
def test_equal_to_scikit_learn(n, d):
    x, labels = problem(n, d, 3, 1, awkward=False)
    fitted = RidgeLoo.fit(x, labels, 3, penalties=RELATIVE)
    cv = RidgeCV(alphas=fitted.penalties, store_cv_results=True).fit(x, np.eye(3)[labels])
    np.testing.assert_allclose(fitted.loo_error, cv.cv_results_.sum(axis=1).mean(axis=0), rtol=1e-8)
    sklearn = RidgeClassifier(alpha=fitted.penalty).fit(x, labels)  # its targets are -1 and 1
    np.testing.assert_allclose(2 * fitted.scores(x) - 1, sklearn.decision_function(x), atol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(50, 6), (20, 60)])
def test_the_chosen_penalty_has_the_best_accuracy_and_then_the_least_error(n, d):
    x, labels = problem(n, d, 3, 2, awkward=False)
    fitted = RidgeLoo.fit(x, labels, 3)
    accuracies, errors = [], []
    for penalty in fitted.penalties[::6]:
        held_out = refits(x, labels, 3, penalty)
        accuracies.append(np.mean(held_out.argmax(axis=1) == labels))
        errors.append(((held_out - np.eye(3)[labels]) ** 2).sum() / n)
    np.testing.assert_allclose(fitted.loo_accuracy[::6], accuracies)
    np.testing.assert_allclose(fitted.loo_error[::6], errors, rtol=1e-5)
    best = fitted.loo_accuracy == fitted.loo_accuracy.max()
    assert fitted.penalty == fitted.penalties[best][fitted.loo_error[best].argmin()]
    assert np.mean(fitted.held_out.argmax(axis=1) == labels) == fitted.loo_accuracy.max()


def test_among_equally_accurate_penalties_the_least_error_decides():
    labels = np.arange(40) % 2
    x = np.random.default_rng(0).normal(size=(40, 30)) + 6 * labels[:, None]  # easily told apart, over a wide range
    fitted = RidgeLoo.fit(x, labels, 2)
    best = np.flatnonzero(fitted.loo_accuracy == 1)
    chosen = best[fitted.loo_error[best].argmin()]
    assert best[0] < chosen < best[-1] and fitted.penalty == fitted.penalties[chosen]


@pytest.mark.parametrize(("n", "d"), [(50, 6), (20, 60)])
def test_scaling_and_moving_the_features_changes_nothing(n, d):
    x, labels = problem(n, d, 3, 3, awkward=False)
    base, other = RidgeLoo.fit(x, labels, 3), RidgeLoo.fit(1e4 * (x + 5), labels, 3)
    assert other.penalty == pytest.approx(1e8 * base.penalty)
    np.testing.assert_allclose(other.held_out, base.held_out, atol=1e-6)
    assert len(base.penalties) == len(PENALTIES)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6 / 3])
def test_constant_features_predict_the_shares_of_the_classes(value):
    labels = np.array([0, 1, 1, 1, 2, 2, 2])
    fitted = RidgeLoo.fit(np.full((7, 3), value), labels, 3)
    np.testing.assert_allclose(fitted.scores(np.full((1, 3), value)), [[1 / 7, 3 / 7, 3 / 7]])
    np.testing.assert_allclose(fitted.held_out[0], [0, 3 / 6, 3 / 6], atol=1e-12)


def test_one_image_is_refused():
    with pytest.raises(MetanetError, match="leave-one-out needs at least 2 images, got 1"):
        RidgeLoo.fit(np.ones((1, 2)), np.array([0]), 1)
