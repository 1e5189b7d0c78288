"""Feature extraction: what it returns, that it freezes, and what it refuses."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from metanet.bench import FeatureCache, extract
from metanet.data import ArrayImages
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
IMAGES = ArrayImages("noise", RNG.integers(0, 256, (30, 8, 8), np.uint8), np.arange(30) % 3, ("a", "b", "c"))


class Net(nn.Module):
    """A convolution, BatchNorm and dropout; counts the images that it has seen."""

    feature_info = ()

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 5, 3)
        self.norm, self.drop = nn.BatchNorm2d(5), nn.Dropout(0.5)
        self.seen = 0

    def forward_features(self, x):
        self.seen += len(x)
        return self.drop(self.norm(self.conv(x)))

    def forward_head(self, x, pre_logits=False):
        assert pre_logits
        return x.mean((2, 3))


class Counting(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward_features(self, x):
        self.calls += 1
        return super().forward_features(x)


class Drifting(Net):
    def forward_features(self, x):
        self.norm.train()
        return super().forward_features(x)


class Overflowing(Net):
    def forward_head(self, x, pre_logits=False):
        return x.mean((2, 3)).log()


class Unpooled(Net):
    def forward_head(self, x, pre_logits=False):
        return x


def test_features_are_those_of_the_evaluating_network_in_the_order_of_the_ids():
    net, ids = Net(), np.array([7, 3, 3, 29])
    net.norm.running_mean += 1
    features = extract(net, IMAGES, ids, 8, batch_size=3)
    assert features.shape == (4, 5) and features.dtype == np.float32
    net.eval()
    with torch.no_grad():
        expected = torch.stack([net.norm(net.conv(IMAGES.batch(np.array([i]), 8))).mean((0, 2, 3)) for i in ids])
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_the_modes_of_all_parts_are_as_before():
    net = Net().train()
    net.norm.eval()
    extract(net, IMAGES, np.arange(4), 8)
    assert net.training and net.drop.training and not net.norm.training


def test_extraction_leaves_a_network_that_can_be_trained():
    net = Net()
    extract(net, IMAGES, np.arange(4), 8, device="cpu")
    net.forward_features(IMAGES.batch(np.arange(4), 8)).sum().backward()
    assert net.conv.weight.grad is not None


@pytest.mark.parametrize("changing", [Drifting, Counting])
def test_a_backbone_that_changes_is_caught_down_to_buffers_that_are_not_saved(changing):
    with pytest.raises(MetanetError, match="must keep its parameters and buffers, but running it changed them"):
        extract(changing(), IMAGES, np.arange(4), 8)


def test_what_is_not_finite_or_not_pooled_is_refused():
    with pytest.raises(MetanetError, match=r"must be finite, got NaN or infinity for \d of 4 images"):
        extract(Overflowing(), IMAGES, np.arange(4), 8)
    with pytest.raises(MetanetError, match=re.escape("the shape (images, channels), got (4, 5, 6, 6)")):
        extract(Unpooled(), IMAGES, np.arange(4), 8)


def test_what_is_no_backbone_is_refused():
    with pytest.raises(MetanetError, match=r"a backbone must have .*, Linear lacks forward_features: wrap it"):
        extract(nn.Linear(2, 2), IMAGES, np.arange(4), 8)

    class Bare:
        forward_features = forward_head = print

    with pytest.raises(MetanetError, match=r"must be a torch\.nn\.Module, got Bare"):
        extract(Bare(), IMAGES, np.arange(4), 8)


def test_the_cache_runs_each_image_once_and_answers_as_extract():
    net, cache = Net(), FeatureCache()
    for ids in (np.array([5, 2, 9]), np.array([9, 1, 5, 5]), np.arange(10)):
        np.testing.assert_allclose(cache(net, IMAGES, ids, 8), extract(Net(), IMAGES, ids, 8), atol=1e-6)
    assert net.seen == 10


def test_the_cache_forgets_a_network_that_was_trained_on_and_tells_networks_and_sizes_apart():
    net, cache, ids = Net(), FeatureCache(), np.arange(4)
    before = cache(net, IMAGES, ids, 8)
    with torch.no_grad():
        net.conv.bias += 1
    np.testing.assert_allclose(cache(net, IMAGES, ids, 8), before + 1, atol=1e-4)
    cache(Net(), IMAGES, ids, 8)
    cache(net, IMAGES, ids, 9)
    assert net.seen == 3 * 4
