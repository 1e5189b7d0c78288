"""The evaluator of a search: what it scores, what it never opens, what names it."""

from dataclasses import replace

import numpy as np
import pytest

from metanet.bench import LinearProbe, RawPixels, Task, evaluator
from metanet.data import ArrayImages, percent_subset
from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.spec import ArchSpec, StageSpec

RNG = np.random.default_rng(0)
LABELS = np.arange(120) % 3
PIXELS = RNG.integers(0, 200, (120, 6, 6), np.uint8)
PIXELS[np.arange(120), LABELS] += 30
IMAGES = ArrayImages("bars", PIXELS, LABELS, ("a", "b", "c"))
TASK = Task("bars", "classification", "accuracy", IMAGES, np.arange(60), np.arange(60, 120), 6)
SPEC = ArchSpec((StageSpec("mbconv", 1, 8, 2),), stem_width=8, head_width=16, resolution=8)


def raw(spec):
    return RawPixels()


class Sealed:
    """Raises at any use."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test ids were opened: {name}")

    def __len__(self):
        raise AssertionError("the test ids were opened")

    __iter__ = __getitem__ = __array__ = __len__


class Guarded(ArrayImages):
    """Raises when an image outside the first 60 is read."""

    def batch(self, ids, resolution):
        assert ids.max() < 60
        return super().batch(ids, resolution)


def sealed():
    images = Guarded("bars", PIXELS, np.where(np.arange(120) < 60, LABELS, 0), ("a", "b", "c"))
    task = replace(TASK, images=images)
    object.__setattr__(task, "test", Sealed())
    return task


def test_a_score_is_the_probe_left_one_out_on_the_training_images():
    ids = percent_subset(LABELS, TASK.train, 50, seed=3)
    expected = dict(LinearProbe(where="loo").run(RawPixels(), TASK, ids))
    found = evaluator(TASK, raw, weights="none", percent=50, seed=3)(SPEC)
    assert found == {"accuracy": expected["accuracy"], "accuracy.se": expected["accuracy.se"]}
    assert found["accuracy"] > 0.6


def test_the_test_images_are_never_opened():
    guarded = evaluator(sealed(), raw, weights="none")
    open_ = evaluator(TASK, raw, weights="none")
    for fidelity in (0.5, 1.0):
        assert guarded(SPEC, fidelity=fidelity) == open_(SPEC, fidelity=fidelity)
    assert len(guarded.fingerprint) >= 12
    with pytest.raises(AssertionError, match="were opened"):
        dict(LinearProbe().run(RawPixels(), sealed(), TASK.train))


def test_the_network_is_built_from_the_architecture():
    asked = []

    def network(spec):
        asked.append(spec)
        return MetaNet(spec, seed=0)

    found = evaluator(TASK, network, weights="seed 0")(SPEC)
    assert asked == [SPEC] and 0 <= found["accuracy"] <= 1
    assert found == evaluator(TASK, network, weights="seed 0")(SPEC)


def test_a_lower_fidelity_takes_a_nested_share_of_the_images():
    scores = evaluator(TASK, raw, weights="none", percent=50, seed=1)
    assert [len(scores.ids(fidelity)) for fidelity in (0.2, 0.6, 1.0)] == [6, 18, 30]
    assert np.isin(scores.ids(0.2), scores.ids(0.6)).all() and np.isin(scores.ids(0.6), scores.ids()).all()


def test_the_fingerprint_changes_with_what_changes_results_and_with_nothing_else():
    def named(task=TASK, weights="w", **settings):
        return evaluator(task, raw, weights=weights, **settings).fingerprint

    other_images = ArrayImages("bars", 255 - PIXELS, LABELS, ("a", "b", "c"))
    same = {named(), named(percent=100), named(replace(TASK, name="x")), named(replace(TASK, test=np.arange(60, 70)))}
    different = [
        named(weights="v"),
        named(percent=50),
        named(seed=1),
        named(replace(TASK, resolution=8)),
        named(replace(TASK, metric="mean_per_class")),
        named(replace(TASK, train=np.arange(59))),
        named(replace(TASK, images=other_images)),
    ]
    assert len(same) == 1 and len(same | set(different)) == 8


@pytest.mark.parametrize("fidelity", [0, 1.5, float("nan")])
def test_a_fidelity_outside_its_range_is_refused(fidelity):
    with pytest.raises(MetanetError, match=f"a fidelity must be above 0 and at most 1, got {fidelity}"):
        evaluator(TASK, raw, weights="none")(SPEC, fidelity=fidelity)


def test_mistakes_are_refused_when_the_evaluator_is_made_or_name_the_architecture():
    with pytest.raises(MetanetError, match="a percentage must be above 0"):
        evaluator(TASK, raw, weights="none", percent=0)
    with pytest.raises(MetanetError, match=f"architecture {SPEC.id}: a backbone must have"):
        evaluator(TASK, lambda spec: object(), weights="none")(SPEC)
