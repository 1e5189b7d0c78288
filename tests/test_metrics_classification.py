"""Classification metrics against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from metanet.errors import MetanetError
from metanet.metrics import METRICS, accuracy, confusion, mean_per_class

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


@pytest.mark.parametrize("n", [0, 3])
def test_unequal_lengths_and_nothing_at_all_are_refused(n):
    for metric in (accuracy, mean_per_class):
        with pytest.raises(MetanetError, match="one prediction for each label"):
            metric(np.zeros(n, np.int64), np.zeros(0, np.int64))
