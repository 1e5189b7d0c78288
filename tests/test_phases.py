"""What the phases of a job take from the images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanet.bench import Task
from metanet.cli.phases import CALIBRATION, Data, calibration_ids
from metanet.cli.samplers import sampler_of
from metanet.data import ArrayImages
from metanet.searchers import LocalSearch, PredictorGuided


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


def test_the_predictor_of_a_job_scores_by_proxies_on_the_images_that_train_weights():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    images = ArrayImages("noise", pixels, np.arange(60) % 3, ("a", "b", "c"))
    parts = {"weights": np.arange(20), "selection": np.arange(20, 40), "test": np.arange(40, 60)}
    task = Task("noise", "classification", "accuracy", images, parts["selection"], parts["test"], 28)
    sampler = sampler_of("predictor", ("naswot", "snip"), Data(images, parts, task), 7)
    assert isinstance(sampler, PredictorGuided)
    about = sampler.proxies
    assert (about.names, about.seed, about.batch, about.repeats) == (("naswot", "snip"), 7, 20, 1)
    assert about.ids.tolist() == list(range(20))
    assert isinstance(sampler_of("local", (), Data(images, parts, task), 7), LocalSearch)
