"""The predictor, against textbook formulas computed by other libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import PairwiseKernel
from test_searchers_table import TableGene

from metanet.searchers import predictor
from metanet.searchers.predictor import Kernel, code_of, expected_improvement, fitted, posterior, warped

GENES = [TableGene("op", ("a", "b", "c")), TableGene("depth", (1, 2, 4)), TableGene("se", (False, True))]
RNG = np.random.default_rng(0)
ROWS = np.stack([RNG.integers(3, size=30), RNG.integers(3, size=30), RNG.integers(2, size=30)], axis=1)
CODE = code_of(GENES)
BITS = CODE.bits(ROWS)
VALUES = warped(ROWS @ np.array([1.0, 0.5, -2.0]) + (ROWS[:, 0] == 2) * ROWS[:, 1] + 0.1 * RNG.normal(size=30))


def test_names_differ_or_not_and_numbers_are_as_far_as_they_lie_apart() -> None:
    one = TableGene("op", ("a", "b", "c")), TableGene("depth", (8, 4, 2, 1)), TableGene("constant", (7,))
    code = code_of(one)
    rows = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 3, 0]])
    bits = code.bits(rows)
    distance = (np.abs(bits[:, None] - bits[None]) * code.worth).sum(2)
    assert distance[0].tolist() == pytest.approx([0, 1, 1, 1 / 3, 1])
    assert distance[1, 2] == 1
    assert code_of([TableGene("constant", (7,))]).bits(np.zeros((2, 1), int)).shape == (2, 0)


def test_mean_and_deviation_are_those_of_scikit_learn() -> None:
    """With equal weights the covariance is scikit-learn's Laplacian kernel."""
    process = posterior(Kernel(np.full(BITS.shape[1], 0.3), 1.0, 0.05), BITS[:20], VALUES[:20])
    theirs = GaussianProcessRegressor(
        PairwiseKernel(gamma=0.3, metric="laplacian"), alpha=0.05 + predictor.JITTER, optimizer=None
    ).fit(BITS[:20], VALUES[:20])
    mean, deviation = process(BITS)
    expected = theirs.predict(BITS, return_std=True)
    np.testing.assert_allclose(mean, expected[0], atol=1e-8)
    np.testing.assert_allclose(deviation, expected[1], atol=1e-6)


def log_density(x: np.ndarray, scores: np.ndarray, center: np.ndarray, spread: np.ndarray) -> float:
    """Of the numbers of a kernel after VALUES were seen at BITS beside scores (30, n), up to a constant."""
    size = BITS.shape[1]
    weights, (amplitude, noise), slopes = np.exp(x[:size]), np.exp(x[size : size + 2]), np.exp(x[size + 2 :])
    distance = (np.abs(BITS[:, None] - BITS[None]) * weights).sum(2)
    total = amplitude * np.exp(-distance) + (noise + predictor.JITTER) * np.eye(len(BITS))
    total += scores @ np.diag(slopes) @ scores.T
    return float(multivariate_normal.logpdf(VALUES, cov=total) + norm.logpdf(x, center, spread).sum())


def test_what_is_minimised_is_the_posterior_density_and_its_gradient() -> None:
    size = BITS.shape[1]
    center, spread = RNG.normal(size=size + 2), RNG.uniform(0.5, 2, size=size + 2)

    def density(x: np.ndarray) -> float:
        return log_density(x, np.zeros((30, 0)), center, spread)

    points = [center + 0.3 * RNG.normal(size=size + 2) for _ in range(3)]
    losses, gradients = zip(
        *(predictor._loss(x, BITS, VALUES, BITS.shape[1], center, spread) for x in points), strict=True
    )
    assert np.diff(losses) == pytest.approx(-np.diff([density(x) for x in points]))  # but for a constant
    for x, gradient in zip(points, gradients, strict=True):
        np.testing.assert_allclose(gradient, -approx_fprime(x, density, 1e-6), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scores", [1, 3])
def test_slopes_are_a_linear_kernel_of_scikit_learn(scores: int) -> None:
    """With one variance for all slopes the covariance is the Laplacian kernel plus the linear one."""
    size, own = BITS.shape[1], np.random.default_rng(1).normal(size=(30, scores))
    points = np.hstack([BITS, own])
    kernel = Kernel(np.full(size, 0.3), 1.0, 0.05, np.full(scores, 0.7))
    process = posterior(kernel, points[:20], VALUES[:20])

    def theirs(a: np.ndarray, b: np.ndarray, gamma: float = 1.0) -> float:
        return float(np.exp(-0.3 * np.abs(a[:size] - b[:size]).sum()) + 0.7 * a[size:] @ b[size:])

    model = GaussianProcessRegressor(
        PairwiseKernel(gamma=1.0, metric=theirs), alpha=0.05 + predictor.JITTER, optimizer=None
    ).fit(points[:20], VALUES[:20])
    mean, deviation = process(points)
    expected = model.predict(points, return_std=True)
    np.testing.assert_allclose(mean, expected[0], atol=1e-8)
    np.testing.assert_allclose(deviation, expected[1], atol=1e-6)


def test_the_gradient_knows_the_slopes() -> None:
    size, rng = BITS.shape[1], np.random.default_rng(3)
    points = np.hstack([BITS, rng.normal(size=(30, 2))])
    center, spread = rng.normal(size=size + 4), rng.uniform(0.5, 2, size=size + 4)

    def density(x: np.ndarray) -> float:
        return log_density(x, points[:, size:], center, spread)

    one, other = (center + 0.3 * rng.normal(size=size + 4) for _ in range(2))
    (loss, gradient), (second, _) = (predictor._loss(x, points, VALUES, size, center, spread) for x in (one, other))
    assert second - loss == pytest.approx(density(one) - density(other))
    np.testing.assert_allclose(gradient, -approx_fprime(one, density, 1e-6), rtol=2e-3, atol=2e-3)


def test_a_score_that_says_it_all_is_told_from_one_that_says_nothing() -> None:
    rng = np.random.default_rng(2)
    told, noise = rng.normal(size=(30, 1)), rng.normal(size=(30, 1))
    values = warped(told[:, 0])
    slopes = fitted(np.hstack([BITS, told, noise]), values, CODE.worth).slopes
    assert slopes[0] > 10 * slopes[1]


def test_it_learns_which_gene_matters() -> None:
    values = warped(10.0 * ROWS[:, 2] + 0.01 * RNG.normal(size=30))
    kernel = fitted(BITS, values, CODE.worth)
    away = kernel(CODE.bits(np.zeros((1, 3), int)), CODE.bits(np.array([[1, 0, 0], [0, 2, 0], [0, 0, 1]])))[0]
    assert away[2] < 0.8 * away[:2].min()  # another `se` is farther away than any other op or depth
    mean, deviation = posterior(kernel, BITS, values)(CODE.bits(np.array([[0, 0, 0], [1, 2, 1]])))
    assert mean[1] - mean[0] > 1  # of two equal clusters with variance 1 the distance is 2
    assert (deviation < 0.5).all()


@given(st.floats(-3, 3), st.floats(0.05, 3), st.floats(-3, 3))
def test_expected_improvement_is_the_integral(mean: float, deviation: float, best: float) -> None:
    top = mean + 10 * deviation
    integral = quad(lambda y: max(0.0, y - best) * norm.pdf(y, mean, deviation), min(best, top), top, limit=200)[0]
    found = expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    assert found == pytest.approx(integral, abs=1e-6)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=40), st.integers(1, 10**6))
def test_warping_keeps_the_order_and_does_not_see_how_bad_the_bad_are(values: list[int], depth: int) -> None:
    told = np.array(values, float)
    even = warped(told)
    assert np.isfinite(even).all()
    order = np.argsort(told, kind="stable")
    assert (np.diff(even[order]) >= -1e-12).all()
    assert ((np.diff(even[order]) > 1e-12) == (np.diff(told[order]) > 0)).all()
    assert abs(even.mean()) < 1e-9
    assert even.std() == pytest.approx(1.0 if len(set(values)) > 1 else 0.0)
    below = told < np.median(told)
    deeper = np.where(below, told - depth * (np.median(told) - told), told)
    if len(values) % 2:  # of an even number the median lies between two, and one of these moves
        np.testing.assert_allclose(warped(deeper), even, atol=1e-9)
    np.testing.assert_allclose(warped(3 * told + 7), even, atol=1e-9)
