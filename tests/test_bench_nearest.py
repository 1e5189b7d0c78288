"""Nearest neighbours against scikit-learn's; LogME and H-score against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.neighbors import KNeighborsClassifier

from metanet.bench import Nearest
from metanet.bench.probes import nearest
from metanet.bench.probes.eigen import decompose
from metanet.bench.probes.transfer import h_score, log_evidence, transfer_scores
from metanet.errors import MetanetError


def problem(n, d, k, seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    return (rng.normal(size=(k, d))[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


def sklearn(k):
    def weights(distances):
        return np.exp((1 - distances) / nearest.TEMPERATURE)

    return KNeighborsClassifier(k, metric="cosine", weights=weights, algorithm="brute")


@settings(deadline=None, max_examples=12)
@given(st.integers(4, 40), st.integers(3, 10), st.integers(2, 4), st.integers(0, 999))
def test_equal_to_scikit_learn_left_one_out_and_on_new_images(n, d, k, seed):
    x, labels = problem(n, d, k, seed)
    fitted = Nearest.fit(x, labels, k)
    assert fitted.tried.tolist() == [t for t in (1, 2, 5, 10, 20, 50, 100, 200) if t < n]
    votes = np.zeros((n, k))
    for i in range(n):
        rest = np.arange(n) != i
        model = sklearn(fitted.k).fit(x[rest], labels[rest])
        votes[i, model.classes_] = model.predict_proba(x[i : i + 1])
    np.testing.assert_allclose(fitted.held_out, votes, atol=2e-4)
    new = problem(20, d, k, seed + 1)[0]
    np.testing.assert_allclose(fitted.scores(new), sklearn(fitted.k).fit(x, labels).predict_proba(new), atol=2e-4)


def test_the_smallest_of_the_most_accurate_numbers_is_chosen(monkeypatch):
    x, labels = problem(60, 3, 3, 0)
    fitted = Nearest.fit(x, labels, 3)
    by_hand = []
    for k in fitted.tried:
        hits = 0
        for i in range(60):
            rest = np.arange(60) != i
            hits += sklearn(k).fit(x[rest], labels[rest]).predict(x[i : i + 1])[0] == labels[i]
        by_hand.append(hits / 60)
    np.testing.assert_allclose(fitted.accuracy, by_hand)
    assert fitted.k == fitted.tried[np.argmax(by_hand)] and fitted.chosen == {"k": fitted.k}
    monkeypatch.setattr(nearest, "BLOCK", 500)  # a few rows at a time
    np.testing.assert_allclose(Nearest.fit(x, labels, 3).held_out, fitted.held_out, atol=1e-6)


def test_images_of_a_group_do_not_vote_for_each_other():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 8)), 5, axis=0) + 1e-3 * rng.normal(size=(100, 8))
    labels, groups = np.repeat(np.arange(20) % 2, 5), np.repeat(np.arange(20), 5)
    assert Nearest.fit(x, labels, 2).accuracy[0] == 1
    fitted = Nearest.fit(x, labels, 2, groups)
    rest = np.arange(5, 100)
    expected = sklearn(fitted.k).fit(x[rest], labels[rest]).predict_proba(x[:1])
    np.testing.assert_allclose(fitted.held_out[0], expected[0], atol=1e-4)
    few = Nearest.fit(x[:15], labels[:15], 2, groups[:15])  # each image has 10 neighbours, fewer than would be tried
    assert np.isfinite(few.held_out).all() and few.held_out.sum(axis=1) == pytest.approx(1)


def test_features_of_length_zero_have_no_direction():
    x, labels = problem(20, 3, 2, 0)
    x[3] = 0
    assert np.isfinite(Nearest.fit(x, labels, 2).held_out).all()


def test_one_image_is_refused():
    with pytest.raises(MetanetError, match="leave-one-out needs at least 2 images, got 1"):
        Nearest.fit(np.ones((1, 2)), np.array([0]), 1)


@pytest.mark.parametrize(("n", "d", "k"), [(30, 4, 3), (12, 20, 2), (25, 6, 4)])
def test_the_evidence_is_the_largest_density_of_the_targets(n, d, k):
    x, labels = problem(n, d, k, 1)
    basis = np.linalg.svd(np.eye(n) - 1 / n)[0][:, : n - 1]  # orthogonal to the intercept
    x = x.astype(np.float64)
    total = 0.0
    for c in range(k):
        y = basis.T @ (labels == c)

        def negative(logs, y=y):
            noise, weight = np.exp(-logs)
            covariance = noise * np.eye(n - 1) + weight * basis.T @ x @ x.T @ basis
            return -multivariate_normal.logpdf(y, np.zeros(n - 1), covariance)

        starts = ([0.0, 0.0], [3.0, 3.0], [2.0, 8.0])
        total -= min(minimize(negative, start, method="Nelder-Mead", tol=1e-9).fun for start in starts)
    assert log_evidence(decompose(x), labels, k) == pytest.approx(total / k / n, rel=1e-6)


@pytest.mark.parametrize(("n", "d", "k"), [(60, 5, 3), (40, 12, 5)])
def test_the_h_score_is_its_definition(n, d, k):
    x, labels = problem(n, d, k, 2)
    means = np.stack([x[labels == c].mean(axis=0) for c in range(k)])[labels]
    expected = np.trace(np.linalg.pinv(np.cov(x.T, bias=True)) @ np.cov(means.T, bias=True))
    assert h_score(decompose(x), labels, k) == pytest.approx(expected, rel=1e-5)


def test_scores_of_transfer_rank_informative_features_first():
    labels = np.arange(200) % 4
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 10))
    signal = noise + 2 * np.eye(10)[labels]
    good, bad = (transfer_scores(decompose(x), labels, 4) for x in (signal, noise))
    assert good["logme"] > bad["logme"] and good["h_score"] > bad["h_score"]
    assert 0 <= bad["h_score"] <= good["h_score"] <= 3


def test_a_class_without_images_and_features_without_variance_have_scores():
    x, labels = problem(20, 3, 2, 0)
    found = transfer_scores(decompose(x), labels, 3)
    assert np.isfinite(list(found.values())).all()
    assert transfer_scores(decompose(np.ones((6, 2))), np.arange(6) % 2, 2)["h_score"] == 0
