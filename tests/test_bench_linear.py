"""Several draws at once, and groups left out whole: equal to fits one by one, and to refits by brute force."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV

from metanet.bench import LinearProbe, RawPixels, RidgeLoo, Task
from metanet.bench.probes.eigen import decompose, decompose_subsets
from metanet.bench.probes.ridge import PENALTIES
from metanet.data import ArrayImages, percent_subset
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
LABELS = np.arange(300) % 3
PIXELS = RNG.integers(0, 180, (300, 4, 4), np.uint8)
PIXELS[np.arange(300), LABELS] += 20
IMAGES = ArrayImages("bars", PIXELS, LABELS, ("a", "b", "c"))
TASK = Task("bars", "classification", "accuracy", IMAGES, np.arange(200), np.arange(200, 300), 4)
# 10 % and 12 % have fewer images than the 48 features, and hold each other; seeds do not.
DRAWS = [percent_subset(LABELS, TASK.train, p, seed=s) for p in (100, 10, 12, 40, 60) for s in (0, 1)]


def same(ours, theirs):
    np.testing.assert_array_equal(ours.predicted, theirs.predicted)
    np.testing.assert_array_equal(ours.truth, theirs.truth)
    assert ours.chosen == pytest.approx(theirs.chosen, rel=1e-8)
    assert ours.curve.keys() == theirs.curve.keys()
    for name, column in ours.curve.items():
        np.testing.assert_allclose(column, theirs.curve[name], rtol=1e-8)


@pytest.mark.parametrize("where", ["test", "loo"])
@pytest.mark.parametrize("groups", [None, np.arange(300) // 5])
def test_many_draws_equal_single_fits(where, groups):
    probe, task = LinearProbe(where=where), replace(TASK, groups=groups)
    for ids, found in zip(DRAWS, probe.many(RawPixels(), task, DRAWS), strict=True):
        same(found, probe.answers(RawPixels(), task, ids))


def test_many_draws_equal_scikit_learns_ridge_with_leave_one_out():
    def pixels(ids):
        return IMAGES.batch(ids, 4).flatten(1).numpy().astype(np.float64)

    for ids, found in zip(DRAWS, LinearProbe().many(RawPixels(), TASK, DRAWS), strict=True):
        theirs = RidgeClassifierCV(alphas=found.curve["lambda"], store_cv_results=True).fit(pixels(ids), LABELS[ids])
        errors = theirs.cv_results_.sum(axis=1).mean(axis=0) / 4  # its targets are -1 and 1
        np.testing.assert_allclose(found.curve["error"], errors, rtol=1e-8)
        refit = RidgeClassifier(alpha=found.chosen["lambda"]).fit(pixels(ids), LABELS[ids])
        np.testing.assert_array_equal(found.predicted, refit.predict(pixels(TASK.test)))


def test_many_draws_read_each_image_once_and_the_test_images_only_to_be_tested():
    asked = []

    def extract(backbone, images, ids, view):
        asked.append(ids)
        return images.batch(ids, view).flatten(1).numpy()

    LinearProbe(extract=extract).many(RawPixels(), TASK, DRAWS)
    LinearProbe(where="loo", extract=extract).many(RawPixels(), TASK, DRAWS)
    assert [ids.tolist() for ids in asked] == [list(range(200)), list(range(200, 300)), list(range(200))]


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 999), st.data())
def test_subsets_are_decomposed_as_they_are_alone(n, d, seed, data):
    rng = np.random.default_rng(seed)
    x = rng.normal(5, 1, (n, d))
    x[:, 0] = 0.1
    parts = data.draw(st.lists(st.lists(st.integers(0, n - 1), min_size=2, unique=True), min_size=1, max_size=4))
    found = dict(decompose_subsets(x, [np.array(rows) for rows in parts]))
    assert sorted(found) == list(range(len(parts)))
    for place, eigen in found.items():
        own = x[parts[place]]
        centred = own - own.mean(axis=0)
        np.testing.assert_allclose(eigen.mean, own.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(eigen.rotated @ eigen.vectors.T, centred, atol=1e-7)
        np.testing.assert_allclose(centred @ eigen.vectors, eigen.rotated, atol=1e-7)
        np.testing.assert_allclose(eigen.vectors.T @ eigen.vectors, np.eye(len(eigen.values)), atol=1e-4)
        np.testing.assert_allclose(eigen.rotated.T @ eigen.rotated, np.diag(eigen.values), atol=1e-7)


def test_products_of_nested_subsets_are_exact_where_the_mean_is_large():
    x = np.random.default_rng(0).normal(1e4, 1, (200, 5)).astype(np.float32)
    for place, eigen in decompose_subsets(x, [np.arange(m) for m in (200, 20, 60)]):
        own = x[: (200, 20, 60)[place]].astype(np.float64)
        exact = np.linalg.eigvalsh((own - own.mean(axis=0)).T @ (own - own.mean(axis=0)))
        np.testing.assert_allclose(eigen.values, exact, rtol=1e-10)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(0, 999), st.sampled_from([1e-4, 1e-2, 1.0, 30.0]))
def test_groups_are_left_out_whole(d, seed, relative):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat([5, 2, 9, 7], [1, 3, 4, 2]))
    x, labels = rng.normal(2, 1, (10, d)), rng.integers(0, 3, 10)
    fitted = RidgeLoo.fit(x, labels, 3, groups, penalties=np.array([relative]))
    for group in np.unique(groups):
        rest, own = groups != group, groups == group
        centred = x[rest] - x[rest].mean(axis=0)
        targets = np.eye(3)[labels]
        weights = np.linalg.solve(
            centred.T @ centred + fitted.penalty * np.eye(d), centred.T @ (targets[rest] - targets[rest].mean(axis=0))
        )
        expected = targets[rest].mean(axis=0) + (x[own] - x[rest].mean(axis=0)) @ weights
        np.testing.assert_allclose(fitted.held_out[own], expected, atol=1e-6)


def test_near_copies_in_one_group_do_not_vouch_for_each_other():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 30)), 5, axis=0) + 1e-3 * rng.normal(size=(100, 30))
    labels, groups = np.repeat(rng.integers(0, 2, 20), 5), np.repeat(np.arange(20), 5)
    assert RidgeLoo.fit(x, labels, 2).loo_accuracy.max() == 1
    assert RidgeLoo.fit(x, labels, 2, groups).loo_accuracy.max() < 0.8


def test_one_group_and_one_image_are_refused():
    with pytest.raises(MetanetError, match="leaving groups out needs images of at least 2 groups, got 3 images of one"):
        RidgeLoo.fit(np.eye(3), np.array([0, 1, 1]), 2, np.zeros(3, np.int64))
    with pytest.raises(MetanetError, match="leave-one-out needs at least 2 images, got 1"):
        LinearProbe().many(RawPixels(), TASK, [np.arange(1)])


def test_the_unit_of_penalties_is_the_mean_eigenvalue():
    x = np.random.default_rng(0).normal(size=(40, 6))
    assert decompose(x).unit == pytest.approx(np.linalg.eigvalsh(39 * np.cov(x.T)).mean())
    np.testing.assert_allclose(RidgeLoo.fit(x, np.arange(40) % 2, 2).penalties, PENALTIES * decompose(x).unit)
