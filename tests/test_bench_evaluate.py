"""The evaluator of a search: what it scores, what it never opens, what names it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

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
    r2, _ = found.pop("r2"), found.pop("r2.se")
    assert found == {"accuracy": expected["accuracy"], "accuracy.se": expected["accuracy.se"]} and 0 < r2 < 1
    assert found["accuracy"] > 0.6


def test_r2_is_what_the_best_penalty_explains_of_images_left_out_by_brute_force():
    ids = percent_subset(LABELS, TASK.train, 50, seed=3)
    features, labels = IMAGES.batch(ids, 6).numpy().reshape(len(ids), -1), np.eye(3)[LABELS[ids]]
    left, base = [], ((labels - labels.mean(axis=0)) ** 2).sum()
    for penalty in LinearProbe(where="loo").answers(RawPixels(), TASK, ids).curve["lambda"]:
        errors = []
        for i in range(len(ids)):
            others = np.arange(len(ids)) != i
            fitted = Ridge(alpha=penalty).fit(features[others], labels[others])
            errors.append(((fitted.predict(features[[i]])[0] - labels[i]) ** 2).sum())
        left.append(errors)
    found, best = evaluator(TASK, raw, weights="none", percent=50, seed=3)(SPEC), min(left, key=sum)
    assert found["r2"] == pytest.approx(1 - sum(best) / base)
    assert found["r2.se"] == pytest.approx(np.std(best) * np.sqrt(len(ids)) / base)


def test_r2_is_a_mean_over_tasks_and_draws():
    other = replace(TASK, name="few", train=np.arange(30), resolution=4)
    found = evaluator([TASK, other], raw, weights="none")(SPEC)
    alone = [evaluator(task, raw, weights="none")(SPEC)["r2"] for task in (TASK, other)]
    assert found["r2"] == pytest.approx(np.mean(alone)) and (found["bars.r2"], found["few.r2"]) == tuple(alone)
    assert found["r2.se"] == pytest.approx(np.hypot(found["bars.r2.se"], found["few.r2.se"]) / 2)
    draws = [evaluator(TASK, raw, weights="none", percent=50, seed=seed)(SPEC)["r2"] for seed in (0, 1, 2)]
    assert evaluator(TASK, raw, weights="none", percent=50, seeds=(0, 1, 2))(SPEC)["r2"] == pytest.approx(
        np.mean(draws)
    )


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


def loo_hits(task, ids):
    """Whether each image is right, from the probe left one out."""
    return LinearProbe(where="loo").terms(RawPixels(), task, ids)


def test_several_tasks_are_averaged_and_their_errors_combined():
    other = replace(TASK, name="few", train=np.arange(30), resolution=4)
    found = evaluator([TASK, other], raw, weights="none")(SPEC)
    alone = [evaluator(task, raw, weights="none")(SPEC) for task in (TASK, other)]
    assert found["accuracy"] == pytest.approx(np.mean([one["accuracy"] for one in alone]))
    assert found["accuracy.se"] == pytest.approx(np.hypot(*(one["accuracy.se"] for one in alone)) / 2)
    assert found["few.accuracy"] == alone[1]["accuracy"] and found["bars.accuracy.se"] == alone[0]["accuracy.se"]
    mixed = evaluator([TASK, replace(other, metric="mean_per_class")], raw, weights="none")(SPEC)
    assert mixed["score"] == pytest.approx((mixed["bars.accuracy"] + mixed["few.mean_per_class"]) / 2)


def test_a_low_fidelity_takes_the_cheap_tasks_and_small_percentages_first():
    tasks = [replace(TASK, name=f"side {side}", resolution=side) for side in (8, 4, 6, 5)]
    scores = evaluator(tasks, raw, weights="none", percent=50, seeds=(0, 1))
    names = {fidelity: [task.name for task in scores.tasks_at(fidelity)] for fidelity in (0.25, 0.5, 0.7, 1)}
    assert names == {
        0.25: ["side 4"],
        0.5: ["side 4", "side 5"],
        0.7: ["side 4", "side 5", "side 6"],
        1: ["side 4", "side 5", "side 6", "side 8"],
    }
    for seed in (0, 1):
        low, high = scores.ids(0.5, task=tasks[0], seed=seed), scores.ids(task=tasks[0], seed=seed)
        assert np.isin(low, high).all() and (len(low), len(high)) == (15, 30)
    assert "side 5.accuracy" in scores(SPEC, fidelity=0.5) and "side 6.accuracy" not in scores(SPEC, fidelity=0.5)


def test_several_draws_are_averaged_and_shared_images_are_counted_once():
    seeds = (0, 1, 2)
    found = evaluator(TASK, raw, weights="none", percent=50, seeds=seeds)(SPEC)
    draws = [percent_subset(LABELS, TASK.train, 50, seed=seed) for seed in seeds]
    hits = [loo_hits(TASK, ids) for ids in draws]
    assert found["accuracy"] == pytest.approx(np.mean([one.mean() for one in hits]))
    # by brute force: images are independent, each with what it adds to the mean over draws
    total = 0.0
    for i in range(120):
        share = sum((one[ids == i] - one.mean()).sum() / len(ids) for ids, one in zip(draws, hits, strict=True))
        total += (share / len(seeds)) ** 2
    assert found["accuracy.se"] == pytest.approx(np.sqrt(total))
    whole = evaluator(TASK, raw, weights="none", seeds=seeds)(SPEC)
    assert whole == evaluator(TASK, raw, weights="none")(SPEC)  # all draws of 100 % are one


def test_draws_of_classes_keep_their_classes():
    task = replace(TASK, metric="mean_per_class", train=np.flatnonzero((LABELS > 0) | (np.arange(120) % 2 == 0))[:50])
    found = evaluator(task, raw, weights="none", percent=60, seeds=(0, 1))(SPEC)
    draws = [percent_subset(LABELS, task.train, 60, seed=seed) for seed in (0, 1)]
    shares = np.zeros(120)
    for ids in draws:
        hits = np.equal(LinearProbe(where="loo").answers(RawPixels(), task, ids).predicted, LABELS[ids])
        for c in range(3):
            own = ids[LABELS[ids] == c]
            right = hits[LABELS[ids] == c]
            shares[own] += (right - right.mean()) / len(own) / 3 / 2
    assert found["mean_per_class.se"] == pytest.approx(np.sqrt((shares**2).sum()))


def test_an_image_is_run_once_whatever_the_draws():
    class Watched(RawPixels):
        seen = 0

        def forward_features(self, x):
            type(self).seen += len(x)
            return super().forward_features(x)

    evaluator(TASK, lambda spec: Watched(), weights="none", percent=50, seeds=(0, 1, 2, 3))(SPEC)
    drawn = [percent_subset(LABELS, TASK.train, 50, seed=seed) for seed in (0, 1, 2, 3)]
    assert Watched.seen == len(np.unique(np.concatenate(drawn)))


def test_draws_and_tasks_are_named_in_the_fingerprint():
    def named(tasks=TASK, **options):
        return evaluator(tasks, raw, weights="w", **options).fingerprint

    other = replace(TASK, name="other", resolution=4)
    assert named(seeds=(0,)) == named() and named([TASK, other]) == named([other, TASK])
    assert (
        len({named(), named(seeds=(0, 1)), named([TASK, other]), named(replace(TASK, groups=np.arange(120) // 2))}) == 4
    )


def test_no_task_and_tasks_given_twice_are_refused():
    for tasks, seeds, message in (
        ([], None, r"an evaluator needs one task or several different ones, got \[\]"),
        ([TASK, TASK], None, r"one task or several different ones, got \['bars', 'bars'\]"),
        (TASK, (1, 1), r"one seed or several different ones, got \[1, 1\]"),
    ):
        with pytest.raises(MetanetError, match=message):
            evaluator(tasks, raw, weights="none", seeds=seeds)
