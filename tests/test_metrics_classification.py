"""Classification metrics against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, recall_score

from metanet.errors import MetanetError
from metanet.metrics import METRICS, accuracy, confusion, mean_per_class, quadratic_kappa

CLASSES = 5
pairs = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[hnp.arrays(np.int64, n, elements=st.integers(0, CLASSES - 1))] * 2)
)


@given(pairs)
def test_metrics_equal_scikit_learns(pair):
    predicted, labels = pair
    present = np.unique(labels)
    recalls = recall_score(labels, predicted, labels=present, average="macro")
    assert accuracy(predicted, labels) == pytest.approx(accuracy_score(labels, predicted))
    assert mean_per_class(predicted, labels) == pytest.approx(recalls)
    np.testing.assert_array_equal(
        confusion(predicted, labels, CLASSES), confusion_matrix(labels, predicted, labels=range(CLASSES))
    )


@given(pairs)
def test_the_terms_of_a_metric_are_one_an_image_and_their_mean_is_the_metric(pair):
    predicted, labels = pair
    for name, by_itself in (("accuracy", accuracy), ("mean_per_class", mean_per_class)):
        terms = METRICS[name].terms(predicted, labels)
        assert terms.shape == labels.shape
        assert terms.mean() == pytest.approx(by_itself(predicted, labels))
        assert not terms[predicted != labels].any()


@given(pairs)
def test_quadratic_kappa_equals_scikit_learns(pair):
    predicted, labels = pair
    one_class = len(np.unique([predicted, labels])) == 1  # 0 / 0, of which scikit-learn warns
    expected = 0 if one_class else cohen_kappa_score(predicted, labels, weights="quadratic", labels=range(CLASSES))
    assert quadratic_kappa(predicted, labels) == pytest.approx(expected, abs=1e-12)


def resampled(labels, n=500):
    return np.random.default_rng(1).integers(0, len(labels), (n, len(labels)))


def test_the_interval_of_kappa_is_what_resampling_images_gives():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 150)
    ours, theirs = (np.clip(labels + rng.integers(-spread, spread + 1, 150), 0, CLASSES - 1) for spread in (1, 3))

    def kappa(predicted, ids):
        return cohen_kappa_score(predicted[ids], labels[ids], weights="quadratic", labels=range(CLASSES))

    metric = METRICS["quadratic_kappa"]
    for found, statistic in (
        (metric.interval(ours, labels), lambda ids: kappa(ours, ids)),
        (metric.difference(ours, theirs, labels), lambda ids: kappa(ours, ids) - kappa(theirs, ids)),
    ):
        drawn = np.array([statistic(ids) for ids in resampled(labels)])
        assert found.mean == pytest.approx(statistic(np.arange(150)))
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.03)
        assert found.se == pytest.approx(drawn.std(), rel=0.15)


def test_a_difference_of_means_is_paired_by_image():
    labels = np.arange(40) % 4
    ours, theirs = np.where(np.arange(40) < 30, labels, 0), np.where(np.arange(40) < 20, labels, 0)
    found = METRICS["accuracy"].difference(ours, theirs, labels)
    gained = (ours == labels).astype(float) - (theirs == labels)
    assert found.mean == pytest.approx(gained.mean()) and found.se == pytest.approx(gained.std() / np.sqrt(40))


def test_kappa_has_no_terms():
    with pytest.raises(MetanetError, match="quadratic kappa is not a mean over images and has no terms: take its"):
        METRICS["quadratic_kappa"].terms(np.zeros(3, np.int64), np.zeros(3, np.int64))


@pytest.mark.parametrize("n", [0, 3])
def test_unequal_lengths_and_nothing_at_all_are_refused(n):
    for metric in (accuracy, mean_per_class, quadratic_kappa):
        with pytest.raises(MetanetError, match="one prediction for each label"):
            metric(np.zeros(n, np.int64), np.zeros(0, np.int64))
