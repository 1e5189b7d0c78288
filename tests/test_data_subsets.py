"""Splits, percentage subsets and batches."""

import hashlib
import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanet.data import batch_ids, ids_sha256, percent_subset, stratified_split
from metanet.errors import MetanetError

seeds = st.integers(0, 2**32)
percents = st.floats(0.01, 100)


@st.composite
def labelled(draw, least=1):
    """Labels of unequal classes in mixed order, and some of their ids with every class among them."""
    counts = draw(st.lists(st.integers(least, 60), min_size=1, max_size=6))
    rng = np.random.default_rng(draw(seeds))
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    one_each = np.unique(labels, return_index=True)[1]
    return labels, np.union1d(one_each, np.flatnonzero(rng.random(len(labels)) < draw(st.floats(0, 1))))


@given(labelled(), percents, seeds)
def test_a_subset_has_each_class_at_its_share_and_at_least_once(data, percent, seed):
    labels, ids = data
    subset = percent_subset(labels, ids, percent, seed=seed)
    assert np.isin(subset, ids).all() and (np.diff(subset) > 0).all()
    for label in np.unique(labels):
        n, drawn = np.count_nonzero(labels[ids] == label), np.count_nonzero(labels[subset] == label)
        assert drawn >= 1
        assert abs(drawn - n * percent / 100) <= 1


@given(labelled(), percents, percents, seeds)
def test_smaller_percentages_lie_inside_larger_ones(data, a, b, seed):
    labels, ids = data
    small, large = (percent_subset(labels, ids, percent, seed=seed) for percent in sorted((a, b)))
    assert np.isin(small, large).all()


@given(labelled(), percents, seeds)
def test_a_subset_is_a_function_of_the_set_of_ids_and_the_seed(data, percent, seed):
    labels, ids = data
    first = percent_subset(labels, ids, percent, seed=seed)
    np.random.seed(seed % 1000)  # the global generator must not matter
    np.testing.assert_array_equal(first, percent_subset(labels, ids[::-1], percent, seed=seed))


@given(labelled(), seeds)
def test_all_is_all(data, seed):
    labels, ids = data
    np.testing.assert_array_equal(percent_subset(labels, ids, 100, seed=seed), ids)


def test_whole_shares_are_exact_and_every_image_is_equally_likely():
    labels = np.repeat(np.arange(3), [50, 20, 10])
    drawn = [percent_subset(labels, np.arange(80), 10, seed=seed) for seed in range(2000)]
    assert all(np.bincount(labels[ids]).tolist() == [5, 2, 1] for ids in drawn)
    times = np.bincount(np.concatenate(drawn), minlength=80)
    # 2000 draws of probability 0.1: the standard deviation is 13.4.
    assert times.min() > 200 - 5 * 13.4 and times.max() < 200 + 5 * 13.4


def test_a_broken_share_is_rounded_by_chance_each_class_for_itself():
    labels = np.arange(40) % 4
    counts = np.array([np.bincount(labels[percent_subset(labels, np.arange(40), 27, seed=s)]) for s in range(1000)])
    assert set(counts.ravel()) == {2, 3}
    # 2.7 images: the standard deviation of a mean of 1000 is 0.0145.
    np.testing.assert_allclose(counts.mean(axis=0), 2.7, atol=5 * 0.0145)
    assert (abs(np.corrcoef(counts.T) - np.eye(4)) < 0.16).all()


@pytest.mark.parametrize("percent", [0, -1, 100.5, float("nan")])
def test_a_percentage_outside_its_range_is_refused(percent):
    with pytest.raises(MetanetError, match=f"above 0 and at most 100, got {percent}"):
        percent_subset(np.array([0, 1]), np.array([0, 1]), percent, seed=0)


def test_ids_without_a_class_are_refused():
    with pytest.raises(MetanetError, match="an image of each class, got none of class 1 among 2 images"):
        percent_subset(np.array([0, 1, 0]), np.array([0, 2]), 50, seed=0)


@settings(deadline=None)
@given(labelled(least=20), st.lists(st.integers(1, 4), min_size=1, max_size=4), seeds)
def test_a_split_is_disjoint_covers_everything_and_keeps_the_shares(data, weights, seed):
    labels, _ = data
    shares = {str(i): w / sum(weights) for i, w in enumerate(weights)}
    parts = stratified_split(labels, shares, seed=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(len(labels)))
    again = stratified_split(labels, shares, seed=seed)
    for name, ids in parts.items():
        np.testing.assert_array_equal(ids, again[name])
        assert (np.diff(ids) > 0).all()
        share = np.bincount(labels) * shares[name]
        assert (abs(np.bincount(labels[ids], minlength=len(share)) - share) <= 1).all()


def test_a_split_into_whole_shares_is_exact():
    labels = np.arange(5000) % 10
    parts = stratified_split(labels, {"weights": 0.5, "selection": 0.2, "test": 0.3}, seed=7)
    counts = {name: np.bincount(labels[ids]).tolist() for name, ids in parts.items()}
    assert counts == {"weights": [250] * 10, "selection": [100] * 10, "test": [150] * 10}


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.4}, {"a": 1.5, "b": -0.5}, {"a": 1.0, "b": 0.0}, {}])
def test_shares_that_are_no_partition_are_refused(shares):
    with pytest.raises(MetanetError, match=re.escape(f"above 0 and sum to 1, got {shares}")):
        stratified_split(np.arange(100) % 2, shares, seed=0)


def test_a_split_whose_part_lacks_a_class_is_refused():
    with pytest.raises(MetanetError, match=r"an image of each class, got none of class 1 in '[ab]'"):
        stratified_split(np.array([0] * 9 + [1]), {"a": 0.5, "b": 0.5}, seed=0)


def test_ids_sha256_hashes_little_endian_64_bit_integers():
    ids = [3, 1, 2**40]
    expected = hashlib.sha256(b"".join(struct.pack("<q", i) for i in ids)).hexdigest()
    assert ids_sha256(np.array(ids)) == expected
    assert ids_sha256(np.array([1, 3, 2**40])) != expected


@given(st.integers(1, 40), st.data(), seeds)
def test_an_epoch_shows_every_image_once_but_for_the_last_incomplete_batch(n, data, seed):
    size = data.draw(st.integers(1, n))
    ids = np.arange(n) * 3
    steps = n // size
    epochs = [[batch_ids(ids, size, seed=seed, step=e * steps + i) for i in range(steps)] for e in range(2)]
    for epoch in epochs:
        assert all(len(batch) == size for batch in epoch)
        seen = np.concatenate(epoch)
        assert len(np.unique(seen)) == steps * size and np.isin(seen, ids).all()


def test_epochs_and_seeds_differ_and_repeat():
    def epoch(seed, number):
        return np.concatenate([batch_ids(np.arange(100), 10, seed=seed, step=10 * number + i) for i in range(10)])

    orders = {epoch(seed, number).tobytes() for seed in range(3) for number in range(3)}
    assert len(orders) == 9
    np.testing.assert_array_equal(epoch(1, 2), epoch(1, 2))


@pytest.mark.parametrize("size", [0, 11])
def test_a_batch_larger_than_the_data_is_refused(size):
    with pytest.raises(MetanetError, match=f"between 1 and all 10 images, got batch_size={size}"):
        batch_ids(np.arange(10), size, seed=0, step=0)


@st.composite
def grouped(draw):
    """Labels and groups of images in mixed order; some groups have images of several classes."""
    counts = draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(seeds))
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    groups = rng.integers(0, draw(st.integers(1, len(labels))), len(labels))
    if draw(st.booleans()):  # each group within one class, as tracks and videos are
        groups = groups * len(counts) + labels
    return labels, groups


@given(grouped(), percents, percents, seeds)
def test_groups_stay_together_and_smaller_percentages_inside(data, a, b, seed):
    labels, groups = data
    ids = np.arange(len(labels))
    small, large = (percent_subset(labels, ids, p, seed=seed, groups=groups) for p in sorted((a, b)))
    assert np.isin(small, large).all()
    for drawn in (small, large):
        assert (np.diff(drawn) > 0).all() and not np.isin(groups[np.setdiff1d(ids, drawn)], groups[drawn]).any()
        assert np.array_equal(np.unique(labels[drawn]), np.unique(labels))
    np.testing.assert_array_equal(percent_subset(labels, ids, 100, seed=seed, groups=groups), ids)


@given(grouped(), percents, seeds)
def test_each_class_keeps_its_share_to_within_one_group(data, percent, seed):
    labels, groups = data
    groups = groups * (labels.max() + 1) + labels  # within one class
    drawn = percent_subset(labels, np.arange(len(labels)), percent, seed=seed, groups=groups)
    for label in np.unique(labels):
        sizes = np.unique(groups[labels == label], return_counts=True)[1]
        share = len(labels[labels == label]) * percent / 100
        assert abs(np.count_nonzero(labels[drawn] == label) - share) <= sizes.max()


@given(labelled(), percents, seeds)
def test_groups_of_one_image_are_no_groups(data, percent, seed):
    labels, ids = data
    alone = np.random.default_rng(seed).permutation(len(labels))
    expected = percent_subset(labels, ids, percent, seed=seed)
    np.testing.assert_array_equal(percent_subset(labels, ids, percent, seed=seed, groups=alone), expected)


@given(grouped(), percents, seeds)
def test_only_who_is_together_matters_not_the_names_of_groups(data, percent, seed):
    labels, groups = data
    names = np.random.default_rng(seed).permutation(groups.max() + 1) * 7
    ids = np.arange(len(labels))
    expected = percent_subset(labels, ids, percent, seed=seed, groups=groups)
    np.testing.assert_array_equal(percent_subset(labels, ids, percent, seed=seed, groups=names[groups]), expected)


def test_shares_of_groups_are_right_in_the_mean():
    """Tracks of 1 to 9 images; 30 % of 90 images a class is 27 in the mean over seeds."""
    sizes = np.tile(np.arange(1, 10), 2)
    labels, groups = np.repeat([0, 1], 90), np.repeat(np.arange(36), np.tile(sizes, 2))
    counts = [
        np.bincount(labels[percent_subset(labels, np.arange(180), 30, seed=s, groups=groups)]) for s in range(2000)
    ]
    # A count is within one group, so its standard deviation is below 4.5, and that of a mean of 2000 below 0.1.
    np.testing.assert_allclose(np.mean(counts, axis=0), 27, atol=0.4)


def test_a_group_of_two_classes_counts_for_the_rarer_one():
    # patient 0 has both eyes, of classes 0 and 1; class 1 has no other image and so is always drawn, with class 0
    labels, groups = np.array([0, 1, 0, 0, 0, 0]), np.array([0, 0, 1, 2, 3, 4])
    for seed in range(20):
        drawn = percent_subset(labels, np.arange(6), 1, seed=seed, groups=groups)
        assert {0, 1} <= set(drawn.tolist()) and len(drawn) <= 3


def test_the_draws_without_groups_are_those_of_always():
    """SHA-256 of draws made before groups were there: published ids must never change."""
    labels = np.arange(1000) % 7
    found = [ids_sha256(percent_subset(labels, np.arange(1000), p, seed=s)) for p, s in ((1, 0), (10, 1), (33.3, 2))]
    assert found == [
        "14b4d71c90a7a1ed3c7be683c3a77fd1e5ea97227b24425c12e22653c30c1515",
        "d330a4b957ffef0f6eb20ff47a6dfbd80a7765bb4f835671b8f5469c91ee8ef7",
        "ad21f5fa84fe7c4269e4bcbfe158e746aa75ca286bcc2e4200cd0c25b5808b3f",
    ]


def test_every_image_has_a_group_or_none():
    with pytest.raises(MetanetError, match=re.escape("each image must have one group, got (3,) for (4,) labels")):
        percent_subset(np.array([0, 1, 0, 1]), np.arange(4), 50, seed=0, groups=np.array([0, 1, 2]))
