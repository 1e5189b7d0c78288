"""Zero-cost proxies: numbers by hand, by brute force and by numpy; networks that they leave as they were."""

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs
from torch import nn

from metanet.bench import Task, timm_backbone
from metanet.bench.proxies import PLAIN, PROXIES, Fresh, proxy_evaluator, proxy_scores
from metanet.bench.proxies.naswot import kernel, naswot
from metanet.bench.proxies.synflow import saliencies, synflow
from metanet.bench.proxies.zen import _without_residuals, zen
from metanet.bench.proxies.zico import zico
from metanet.blocks.initial import Init
from metanet.cost import price
from metanet.data import ArrayImages, Labelled, batch_ids
from metanet.errors import MetanetError
from metanet.model import MetaNet
from metanet.search_spaces import load_space
from metanet.searchers import search
from metanet.spec import DOWNS, OPS, ArchSpec, StageSpec
from metanet.training import state_sha256

RNG = np.random.default_rng(0)
X, Y = torch.from_numpy(RNG.normal(size=(8, 3, 2, 2))).float(), torch.arange(8) % 3
PIXELS, LABELS = RNG.integers(0, 256, (90, 16, 16), np.uint8), np.arange(90) % 3
IMAGES = ArrayImages("noise", PIXELS, LABELS, ("a", "b", "c"))
DATA = Labelled(IMAGES, np.arange(60))
TASK = Task("noise", "classification", "accuracy", IMAGES, np.arange(60), np.arange(60, 90), 16)
TRAINED_BY_LOSS = ("grad_norm", "snip", "zico")


def dense(*widths, between=(), bias=True):
    """Linear layers behind each other, with copies of the same modules between them."""
    layers = [nn.Flatten()]
    for i, (w_in, w_out) in enumerate(itertools.pairwise(widths)):
        layers += [make(w_in) for make in between if i] + [nn.Linear(w_in, w_out, bias=bias)]
    return nn.Sequential(*layers)


def arrays(network):
    """Weights and biases of the linear layers, in 64 bits."""
    layers = [part for part in network if isinstance(part, nn.Linear)]
    return [(part.weight.detach().double().numpy(), part.bias.detach().double().numpy()) for part in layers]


def spec_of(op, down=None, width=16, resolution=16):
    shape = {"op": op, "width": width, "expansion": 2, "kernel": 3, "se": True, "head_dim": 8, "window": 3, "grid": 3}
    stages = (StageSpec(**{**shape, "depth": 2}), StageSpec(**{**shape, "depth": 1, "stride": 2, "down": down}))
    return ArchSpec(stages, stem_width=8, head_width=24, resolution=resolution)


# synflow


def test_synflow_is_the_sum_over_paths_for_each_layer():
    network = dense(12, 4, 3, between=(nn.BatchNorm1d, lambda _: nn.GELU()))
    (first, _), (second, _) = arrays(network)
    paths = sum(abs(second[k, j] * first[j, i]) for k in range(3) for j in range(4) for i in range(12))
    assert synflow(network, X, Y) == pytest.approx(math.log(2 * paths), rel=1e-6)
    assert saliencies(network, X) == {"1.weight": pytest.approx(paths), "4.weight": pytest.approx(paths)}


def test_synflow_of_a_deep_network_is_finite():
    network = dense(*[12] * 101, bias=False)
    for value in network.parameters():
        nn.init.constant_(value, -2.0)
    # an image of 12 ones, 100 layers that multiply by 12 * 2, 12 outputs: 10^139
    assert synflow(network, X, Y) == pytest.approx(math.log(100) + math.log(12) + 100 * math.log(24))
    for value in network.parameters():
        nn.init.constant_(value, 1e5)
    with pytest.raises(MetanetError, match="must be a finite number, synflow gives inf with seed 0 on 8 images: take"):
        proxy_scores(network, X, Y, ["synflow"])


@settings(max_examples=8)
@given(specs())
def test_what_all_paths_cross_carries_the_same_flow(spec):
    flow = saliencies(MetaNet(spec, 3, init=PLAIN, seed=0), torch.empty(1, 3, spec.resolution, spec.resolution))
    whole = flow["classifier.weight"]
    assert whole > 0 and flow["stem.conv.weight"] == pytest.approx(whole) == flow["head.conv.weight"]
    assert all(-1e-9 * whole <= value <= (1 + 1e-9) * whole for value in flow.values())


@pytest.mark.parametrize("op", OPS)
def test_wider_networks_have_more_flow(op):
    x = torch.empty(1, 3, 16, 16)
    by_width = [synflow(MetaNet(spec_of(op, width=w), 3, init=PLAIN, seed=0), x, Y) for w in (8, 16, 32, 64)]
    assert by_width == sorted(by_width) and by_width[0] + 1 < by_width[-1]


# naswot


def bits(network, images):
    """The codes of images: which inputs of ReLU and GELU are positive, in numpy."""
    values, codes = images.double().flatten(1).numpy(), []
    for i, (weight, bias) in enumerate(arrays(network)):
        if i:
            codes.append(values > 0)
            values = np.maximum(values, 0)
        values = values @ weight.T + bias
    return np.concatenate(codes, axis=1)


def test_the_kernel_counts_units_that_two_images_switch_alike():
    network = dense(12, 9, 7, 3, between=(lambda _: nn.ReLU(inplace=True),))
    codes = bits(network, X)
    expected = [[sum(a == b for a, b in zip(one, other, strict=True)) for other in codes] for one in codes]
    assert kernel(network, X).tolist() == expected and expected[0][0] == 16
    sign, log = np.linalg.slogdet(np.array(expected, float))
    assert sign != 0 and naswot(network, X, Y) == pytest.approx(log)


def test_every_rectifier_has_a_code_and_a_gate_has_none():
    for unit in (nn.GELU, nn.SiLU, nn.Hardswish, nn.LeakyReLU, nn.ReLU6):
        torch.manual_seed(0)
        assert kernel(dense(12, 9, 3, between=(lambda _, unit=unit: unit(),)), X)[0, 0] == 9
    with pytest.raises(MetanetError, match=r"rectifiers .*, of which a Sequential has none: take another proxy"):
        kernel(dense(12, 9, 3, between=(lambda _: nn.Sigmoid(),)), X)


def test_units_are_counted_in_the_blocks_too():
    spec = ArchSpec((StageSpec("mbconv", 1, 8, 2, se=True),), stem_width=8, head_width=24, resolution=8)
    # stem, expansion and depthwise convolution on 4 x 4, the squeezed 8 channels, and the head
    assert kernel(MetaNet(spec), torch.rand(3, 3, 8, 8))[0, 0] == 16 * (8 + 16 + 16 + 24) + 8


def test_two_equal_images_have_no_score():
    network = dense(12, 9, 3, between=(lambda _: nn.ReLU(),))
    with pytest.raises(MetanetError, match="naswot gives -inf with seed 0 on 8 images: take other images or another"):
        proxy_scores(network, X[[0, 0, 1, 2, 3, 4, 5, 6]], Y, ["naswot"])


# gradients


def by_hand(weight, bias, images, labels):
    """The gradient of the mean cross-entropy of one linear layer: (p - y)^T x / n."""
    x = images.double().flatten(1).numpy()
    logits = x @ weight.T + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(x)), labels.numpy()] -= 1
    return p.T @ x / len(x)


def test_gradients_of_one_layer_are_those_by_hand():
    network = dense(12, 3)
    (weight, bias), found = arrays(network)[0], proxy_scores(network, X, Y, TRAINED_BY_LOSS)
    gradient = by_hand(weight, bias, X, Y)
    assert found["grad_norm"] == pytest.approx(np.sqrt((gradient**2).sum()), rel=1e-5)
    assert found["snip"] == pytest.approx(np.abs(gradient * weight).sum(), rel=1e-5)
    both = np.abs([by_hand(weight, bias, X[:4], Y[:4]), by_hand(weight, bias, X[4:], Y[4:])])
    assert found["zico"] == pytest.approx(np.log((both.mean(0) / both.std(0)).sum()), rel=1e-4)


def test_layers_are_added_up():
    network = dense(12, 5, 3)
    (first, b1), (second, b2) = arrays(network)
    hidden = X.double().flatten(1).numpy() @ first.T + b1
    outer = by_hand(second, b2, torch.from_numpy(hidden), Y)
    one = nn.Linear(12, 3).double()  # the same function in one layer: by the chain rule its gradient is W2^T of it
    with torch.no_grad():
        one.weight.copy_(torch.from_numpy(second @ first))
        one.bias.copy_(torch.from_numpy(second @ b1 + b2))
    inner = second.T @ by_hand(*arrays([one])[0], X, Y)
    found = proxy_scores(network, X, Y, ["grad_norm", "snip"])
    assert found["grad_norm"] == pytest.approx(np.linalg.norm(inner) + np.linalg.norm(outer), rel=1e-5)
    assert found["snip"] == pytest.approx(np.abs(inner * first).sum() + np.abs(outer * second).sum(), rel=1e-5)


def test_zico_leaves_out_weights_without_gradient_and_takes_more_batches():
    x = X.clone()
    x[:, 0, 0, 0] = 0  # no gradient reaches its three weights
    network = dense(12, 3)
    weight, bias = arrays(network)[0]
    parts = np.abs([by_hand(weight, bias, x[i : i + 2], Y[i : i + 2]) for i in (0, 2, 4, 6)])[:, :, 1:]
    expected = np.log((parts.mean(0) / parts.std(0)).sum())
    assert zico(network, x, Y, batches=4) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(MetanetError, match="two batches or more of two images or more, got 5 of 8 images: give more"):
        zico(network, x, Y, batches=5)
    with pytest.raises(MetanetError, match="zico needs gradients that differ between batches, got none"):
        zico(network, torch.zeros_like(X), Y)


@pytest.mark.parametrize("name", TRAINED_BY_LOSS)
def test_a_loss_needs_a_classifier(name):
    spec = spec_of("mbconv")
    for network in (MetaNet(spec), MetaNet(spec, 2), nn.Conv2d(3, 3, 1)):
        with pytest.raises(
            MetanetError, match=r"a classifier for 3 classes or more, got a \w+ that gives the shape \("
        ):
            PROXIES[name](network, torch.rand(8, 3, 16, 16), Y)
    with pytest.raises(MetanetError, match="scores the weights of a network, got a Flatten without any"):
        PROXIES[name](nn.Flatten(), X, Y)


# zen


def test_zen_of_one_layer_is_its_expectation():
    # ||W e|| is about sqrt(4000) ||e||, and the length of 12 normal numbers is sqrt(2) gamma(6.5) / gamma(6)
    length = math.sqrt(2) * math.exp(math.lgamma(6.5) - math.lgamma(6))
    found = zen(dense(12, 4000, bias=False), torch.empty(1000, 3, 2, 2), Y)
    assert found == pytest.approx(math.log(0.01 * math.sqrt(4000) * length), abs=0.03)


@pytest.mark.parametrize("depth", [1, 4])
def test_zen_is_that_of_the_network_without_norms(depth):
    """Theorem 1 of the paper, for one channel, where it is exact but for how statistics of both inputs differ."""

    def network(norm):
        parts = [part for i in range(depth) for part in (nn.Conv2d(1 if i else 3, 1, 3), norm(1))]
        return nn.Sequential(*parts, nn.Conv2d(1, 1, 1))

    x = torch.empty(64, 3, 16, 16)
    assert zen(network(nn.BatchNorm2d), x, Y) == pytest.approx(zen(network(lambda _: nn.Identity()), x, Y), abs=0.03)


def test_zen_knows_neither_values_nor_images_nor_the_kind_of_rectifier():
    spec, x = spec_of("fused_mbconv"), torch.rand(4, 3, 16, 16)
    scores = [zen(MetaNet(spec, init=init, seed=seed), x, Y) for init, seed in ((PLAIN, 0), (Init(), 1))]
    assert scores[0] == scores[1] == zen(MetaNet(spec), 9 * x, Y) != zen(MetaNet(spec), x, Y, seed=1)
    smooth, sharp = (dense(12, 9, 3, between=(lambda _, unit=unit: unit(),)) for unit in (nn.GELU, nn.ReLU))
    assert zen(smooth, X, Y) == zen(sharp, X, Y) != zen(dense(12, 9, 3), X, Y)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("down", [None, *DOWNS])
def test_residual_links_are_cut(op, down):
    """Branches that end in a factor of 0 are all of a block then, but for the position of transformers."""
    net = _without_residuals(MetaNet(spec_of(op, down), init=Init(layer_scale=0.0, zero_gamma=True), seed=0).eval())
    x = net.stem(torch.rand(2, 3, 16, 16))
    (first, second, *_), last = net.stages[0], net.stages[1]
    with torch.no_grad():
        entered = first(x)
        assert not entered.any()  # it changes the width, so that its link is the shortcut
        given_ = torch.rand(2, 16, 8, 8)
        expected = second.position(given_) if hasattr(second, "position") else torch.zeros_like(given_)
        torch.testing.assert_close(second(given_), expected, rtol=0, atol=1e-6)
        if down is None:
            assert not last(given_).any()


# controls


@pytest.mark.parametrize("op", OPS)
def test_costs_are_those_of_the_price(op):
    spec = spec_of(op, resolution=24)
    net, x = MetaNet(spec, 3), torch.empty(4, 3, 24, 24)
    known = price(spec, num_classes=3)
    assert (PROXIES["params"](net, x, Y), PROXIES["macs"](net, x, Y)) == (known.params, known.macs)
    assert PROXIES["macs"](nn.Sequential(net), x, Y) == known.macs  # as torch counts it


# what all have in common


def state(network):
    """All that a proxy must leave as it was."""
    modes = [part.training for part in network.modules()]
    grads = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    return state_sha256(network), modes, [p.requires_grad for p in network.parameters()], grads


def check_unchanged(network, x, y, names=tuple(PROXIES)):
    """Scores a network twice and finds it, and torch's generator, as they were; the scores."""
    network.train()
    network.stem.eval()
    network.stem.conv.weight.requires_grad_(False)
    network.head.conv.weight.grad = torch.ones_like(network.head.conv.weight)
    before, drawn = state(network), torch.get_rng_state()
    found = {name: PROXIES[name](network, x, y, seed=3) for name in names}
    after = state(network)
    assert after[:3] == before[:3] and torch.equal(torch.get_rng_state(), drawn)
    assert [g is None for g in after[3]] == [g is None for g in before[3]]
    assert torch.equal(network.head.conv.weight.grad, torch.ones_like(network.head.conv.weight))
    again = [PROXIES[name](network, x, y, seed=3) for name in names]
    np.testing.assert_array_equal(again, list(found.values()))  # scores that are none are equal, too
    return found


@settings(max_examples=4)
@given(specs(), st.integers(0, 5))
def test_networks_are_left_as_they_were(spec, seed):
    net = MetaNet(spec, 3, init=PLAIN, seed=seed, drop_path=0.3, drop_rate=0.3)
    x = torch.rand(8, 3, spec.resolution, spec.resolution, generator=torch.Generator().manual_seed(seed))
    found = check_unchanged(net, x, Y)
    assert all(math.isfinite(found[name]) for name in ("synflow", *TRAINED_BY_LOSS))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("down", [None, *DOWNS])
def test_every_operator_and_module_has_all_scores(op, down):
    x = torch.rand(8, 3, 16, 16)
    found = check_unchanged(MetaNet(spec_of(op, down), 3, init=PLAIN, seed=0), x, Y)
    assert all(map(math.isfinite, found.values())) and found["zico"] > 0 and found["snip"] > 0


def test_networks_of_the_tiny_space_and_of_others_have_all_scores():
    space = load_space("metanet-tiny").freeze(resolution=28)
    x = torch.rand(8, 3, 32, 32)
    networks = [MetaNet(spec, 3, init=PLAIN, seed=0) for spec in space.sample(3, "macs <= 4M", seed=0)]
    vit = timm_backbone("test_vit")
    vit.reset_classifier(3)
    for network in (*networks, nn.Sequential(networks[0])):
        found = proxy_scores(network, x[:, :, :28, :28], Y)
        assert list(found) == list(PROXIES)
    assert proxy_scores(vit, torch.rand(4, 3, 160, 160), Y[:4])["macs"] > 0


def test_mistakes_in_names():
    with pytest.raises(MetanetError, match="unknown proxy 'synflo': did you mean 'synflow'"):
        proxy_scores(dense(12, 3), X, Y, ["synflo"])
    for names in ([], ["snip", "snip"]):
        with pytest.raises(MetanetError, match="scored by one proxy or several different ones, got "):
            proxy_scores(dense(12, 3), X, Y, names)


# the evaluator

SPEC = spec_of("mbconv")


def test_scores_are_means_over_initialisations_and_batches():
    evaluate = proxy_evaluator(["naswot", "snip"], DATA, seed=5, batch=12, repeats=3)
    rows = []
    for i in range(3):
        ids = batch_ids(DATA.ids, 12, seed=5, step=i)
        net, y = MetaNet(SPEC, 3, init=PLAIN, seed=5 + i), torch.from_numpy(LABELS[ids])
        rows.append(proxy_scores(net, IMAGES.batch(ids, 16), y, ["naswot", "snip"]))
    found = evaluate(SPEC)
    assert list(found) == ["naswot", "naswot.se", "snip", "snip.se"]
    for name in ("naswot", "snip"):
        values = [row[name] for row in rows]
        assert found[name] == pytest.approx(np.mean(values))
        assert found[f"{name}.se"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
    assert evaluate(SPEC, fidelity=1 / 3) == rows[0]
    assert found == pickle.loads(pickle.dumps(evaluate))(SPEC)


def test_a_task_gives_its_training_images_as_they_are_shown():
    few = replace(TASK, train=np.arange(30, 50), resolution=12, fixed=True)
    settings_ = {"batch": 20, "repeats": 1}
    ids = batch_ids(few.train, 20, seed=0, step=0)
    x, y = IMAGES.batch(ids, 12), torch.from_numpy(LABELS[ids])
    assert proxy_evaluator("snip", few, **settings_)(SPEC) == proxy_scores(Fresh(3)(SPEC, 0), x, y, ["snip"])
    free = proxy_evaluator("snip", replace(few, fixed=False), **settings_)
    assert free(SPEC) == proxy_evaluator("snip", Labelled(IMAGES, few.train), **settings_)(SPEC)


def test_it_names_all_that_scores_depend_on():
    def named(names="snip", data=DATA, **options):
        return proxy_evaluator(names, data, **{"batch": 8, **options}).fingerprint

    other = ArrayImages("noise", 255 - PIXELS, LABELS, ("a", "b", "c"))
    different = {
        named(),
        named("naswot"),
        named(["snip", "naswot"]),
        named(data=Labelled(IMAGES, np.arange(59))),
        named(data=Labelled(other, DATA.ids)),
        named(data=TASK),
        named(data=replace(TASK, resolution=8)),
        named(seed=1),
        named(batch=12),
        named(repeats=2),
        named(build=Fresh(3, Init())),
        named(build=lambda spec, seed: MetaNet(spec, 3, seed=seed)),
    }
    assert len(different) == 12 and named(build=Fresh(3)) == named() == named(["snip"])


def test_a_search_climbs_a_proxy(tmp_path):
    space = load_space("metanet-tiny").freeze(resolution=28)
    evaluate = proxy_evaluator(["synflow", "macs"], DATA, batch=8, repeats=1)
    found = search(
        space,
        evaluate,
        objectives={"synflow": "maximize"},
        constraints="macs <= 1M",
        sampler="random",
        trials=4,
        store=tmp_path / "study.journal",
        quiet=True,
    )
    flows = [one.metrics["synflow"] for one in found.scored]
    assert len(flows) == 4 and found.best.metrics["synflow"] == max(flows) > min(flows)
    assert all(one.metrics["macs"] == one.costs["macs"] + 192 * 3 for one in found.scored)  # and the classifier


def test_mistakes_of_an_evaluator_are_sentences():
    for options, message in (
        ({"names": "snap"}, "unknown proxy 'snap': did you mean 'snip'"),
        (
            {"names": "snip", "repeats": 0},
            "at least 1 initialisation and 4 images for each, got repeats=0 and batch=64",
        ),
        ({"names": "snip", "batch": 3}, "at least 1 initialisation and 4 images for each, got repeats=3 and batch=3"),
        ({"names": "snip", "batch": 61}, "a batch must have between 1 and all 60 images, got batch_size=61"),
    ):
        with pytest.raises(MetanetError, match=message):
            proxy_evaluator(**{"data": DATA, **options})
    with pytest.raises(MetanetError, match="a fidelity must be above 0 and at most 1, got 0"):
        proxy_evaluator("snip", DATA, batch=8)(SPEC, fidelity=0)
    headless = proxy_evaluator("snip", DATA, batch=8, build=lambda spec, seed: MetaNet(spec, seed=seed))
    with pytest.raises(MetanetError, match=f"architecture {SPEC.id}: the gradient of a loss needs a network with a"):
        headless(SPEC)
