"""What the phases of a job take from the images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanet.cli.phases import CALIBRATION, calibration_ids


@given(st.integers(2, 1_300), st.integers(1, 7))
def test_statistics_are_from_images_spread_over_all_and_never_from_one_alone(count, step):
    ids = np.arange(count) * step + 3
    batches = calibration_ids(ids)
    drawn = np.concatenate(batches)
    assert len(drawn) == len(set(drawn.tolist())) == min(count, CALIBRATION[0] * CALIBRATION[1])
    assert set(drawn.tolist()) <= set(ids.tolist()) and {ids[0], ids[-1]} <= set(drawn.tolist())
    assert len(batches) <= CALIBRATION[0] and all(2 <= len(batch) <= CALIBRATION[1] for batch in batches)


@pytest.mark.parametrize("per_class", [30, 250, 2_000])
def test_each_batch_has_its_share_of_every_class_of_a_source_sorted_by_class(per_class):
    labels = np.repeat(np.arange(10), per_class)
    for batch in calibration_ids(np.arange(len(labels))):
        counts = np.bincount(labels[batch], minlength=10)
        assert abs(counts - len(batch) / 10).max() <= 1
