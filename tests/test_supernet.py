"""The supernet: the same function as the extracted network, gradients where the slices are, training that resumes."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metanet import Init, MetanetError
from metanet.data import ArrayImages, Labelled
from metanet.search_spaces import SandwichConfig, Space, StageChoices, Supernet, load_space, train_supernet
from metanet.search_spaces.sandwich import sandwich
from metanet.search_spaces.shared import shared_name
from metanet.spec import DOWNS, OPS

TINY = load_space("metanet-tiny").freeze(resolution=28)
SMALL = Space(
    name="small",
    stages=(
        StageChoices(depth=(1, 2), width=(8, 16), expansion=(1, 2), head_dim=(4, 8)),
        StageChoices((1, 2), (16, 24), (1, 2), head_dim=(8,), down=(None, *DOWNS), stride=2, window=3, grid=3),
    ),
    stem_width=(8, 16),
    head_width=(16, 24),
    resolution=(12, 16),
)


def digits(n=40, side=12):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 4
    pixels = rng.integers(0, 60, (n, side, side)) + 45 * labels[:, None, None]
    images = ArrayImages("shades", pixels.astype(np.uint8), labels, tuple("abcd"))
    return Labelled(images, np.arange(n))


@cache
def lively():
    """A supernet whose branches are not near silence."""
    return Supernet(SMALL, 3, init=Init(layer_scale=0.5, zero_gamma=False))


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_supernet_and_extracted_network_are_the_same_function(seed):
    supernet = lively()
    (spec,) = SMALL.sample(1, seed=seed)
    x = torch.randn(3, 3, spec.resolution, spec.resolution)
    stats = supernet.calibrate(spec, [x, x.flip(0) * 2])
    with torch.no_grad():
        assert torch.equal(supernet(x, spec, stats=stats), supernet.extract(spec, stats=stats)(x))


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_gradients_reach_exactly_the_slices_used(seed):
    supernet = lively().train()
    supernet.zero_grad(set_to_none=True)
    (spec,) = SMALL.sample(1, seed=seed)
    x = torch.randn(6, 3, spec.resolution, spec.resolution)
    net = supernet.extract(spec).train()
    net(x).logsumexp(1).sum().backward()
    supernet(x, spec).logsumexp(1).sum().backward()
    # The same network's gradients, and nothing outside the slices: the totals agree weight by weight.
    touched = {name: p.grad for name, p in supernet.shared.items() if p.grad is not None}
    assert len(touched) == len(dict(net.named_parameters()))
    for name, p in net.named_parameters():
        part, _, inner = name.partition(".")
        key = name
        if part == "stages":
            i, j, rest = inner.split(".", 2)
            stage = spec.stages[int(i)]
            key = shared_name(int(i), j, stage.down if j == "down" else stage.op, rest)
        grad = touched[key.replace(".", "/")]
        assert torch.allclose(grad.abs().sum(), p.grad.abs().sum(), rtol=1e-4, atol=1e-6), name
        assert int((grad != 0).sum()) <= p.numel()


def test_how_shared_weights_are_cut():
    supernet = Supernet(SMALL, seed=2)
    row = [len(g.choices) - 1 for g in SMALL.genes]
    row[SMALL.column["stage1.op"]] = OPS.index("self_attention")
    row[SMALL.column["stage0.op"]] = OPS.index("fused_mbconv")
    row[SMALL.column["stage1.down"]] = 0
    large = SMALL.decode(row)
    for gene, choice in (("stage0.width", 0), ("stage0.kernel", 0), ("stage1.expansion", 0)):
        row[SMALL.column[gene]] = choice
    little = SMALL.decode(row)
    big, cut = supernet.weights(large), supernet.weights(little)
    kernel = "stages.0.1.expand.weight"  # 5x5 of 32x16 channels -> centre 3x3 of 16x8
    assert torch.equal(cut[kernel], big[kernel][:16, :8, 1:4, 1:4])
    qkv = "stages.1.0.mixer.qkv.weight"  # (3 * 16, 16) -> the first 8 of each of query, key, value
    assert torch.equal(cut[qkv].view(3, 8, 8), big[qkv].view(3, 16, 16)[:, :8, :8])
    mlp = "stages.1.1.mlp.expand.weight"
    assert torch.equal(cut[mlp], big[mlp][: cut[mlp].shape[0]]) and cut[mlp].shape[0] < big[mlp].shape[0]


def test_evaluation_needs_statistics():
    supernet = Supernet(SMALL, 2)
    (spec,) = SMALL.sample(1, seed=0)
    x = torch.randn(2, 3, 16, 16)
    with pytest.raises(MetanetError, match=r"pass stats=supernet.calibrate\(spec, batches\)"):
        supernet.eval()(x, spec)
    net = supernet.extract(spec)
    with pytest.raises(MetanetError, match="train the extracted network first"):
        net.eval().forward_features(x)
    net.train()(x)
    assert net.eval()(x).shape == (2, 2)
    with pytest.raises(MetanetError, match="at least one batch"):
        supernet.calibrate(spec, [])
    with pytest.raises(MetanetError, match="outside space small"):
        supernet.weights(load_space("metanet-tiny").sample(1, seed=0)[0].__class__(spec.stages, 8, 17, 16))


def test_calibrated_statistics_are_the_mean_over_batches():
    supernet = Supernet(SMALL)
    (spec,) = SMALL.sample(1, seed=4)
    batches = [torch.randn(4, 3, 12, 12) * scale for scale in (1, 3)]
    stats = supernet.calibrate(spec, batches)
    with torch.no_grad():
        maps = [supernet.extract(spec).stem.conv(x) for x in batches]
    assert torch.allclose(stats["stem.norm.running_mean"], sum(m.mean((0, 2, 3)) for m in maps) / 2, atol=1e-6)
    assert torch.allclose(stats["stem.norm.running_var"], sum(m.var((0, 2, 3)) for m in maps) / 2, rtol=1e-4)


def test_the_sandwich_holds_both_ends_and_feasible_random_networks():
    config = SandwichConfig(samples=3)
    specs = sandwich(TINY, config, step=5)
    largest, smallest, *others = specs
    assert [s.depth for s in largest.stages] == [2, 3, 3, 3] and [s.width for s in smallest.stages] == [16, 24, 40, 64]
    assert len(others) == 3 and specs == sandwich(TINY, config, step=5) != sandwich(TINY, config, step=6)
    small = sandwich(TINY, SandwichConfig(samples=3, constraints="macs <= 4M"), step=5)
    macs = [TINY.price(s)["macs"] for s in small]
    assert max(macs) <= 4_000_000 and macs[0] > 3_000_000 and macs[1] < min(macs[2:])
    ops = {s.stages[0].op for step in range(40) for s in sandwich(TINY, config, step)[:1]}
    assert ops == set(TINY.stages[0].op)


def weights_of(supernet):
    return torch.cat([p.detach().flatten() for p in supernet.parameters()])


def test_training_learns_and_resumes_to_the_bit(tmp_path, monkeypatch):
    config = SandwichConfig(steps=12, batch_size=8, samples=1, lr=0.01, warmup=2, shift=1)
    whole = train_supernet(Supernet(SMALL), digits(), config, out=tmp_path / "whole", quiet=True)
    history = pd.read_csv(tmp_path / "whole" / "history.csv")
    assert len(history) == 12 and history.loss.iloc[-3:].mean() < history.loss.iloc[0]
    assert whole.num_classes == 4 and not whole.training

    real, calls = torch.optim.AdamW.step, []

    def dies(self, *args, **kwargs):
        calls.append(0)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        train_supernet(Supernet(SMALL), digits(), config, out=tmp_path / "cut", every=0, quiet=True)
    monkeypatch.undo()
    again = train_supernet(Supernet(SMALL, seed=9), digits(), config, out=tmp_path / "cut", quiet=True)
    assert torch.equal(weights_of(again), weights_of(whole))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "cut" / "history.csv"), history)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"steps": 0}, "`steps` must be at least 1, got 0"),
        ({"batch_size": 1}, "`batch_size` must be at least 2, got 1"),
        ({"lr": 0.0}, "`lr` must be above 0, got 0.0"),
        ({"constraints": "macs"}, "cannot read the constraints"),
    ],
)
def test_options_are_checked(option, said):
    with pytest.raises(MetanetError, match=said):
        SandwichConfig(**option)


def test_another_runs_folder_is_refused(tmp_path):
    config = SandwichConfig(steps=1, batch_size=8, samples=0)
    train_supernet(Supernet(SMALL), digits(), config, out=tmp_path, quiet=True)
    with pytest.raises(MetanetError, match="belongs to other options"):
        train_supernet(Supernet(SMALL), digits(), SandwichConfig(steps=2, batch_size=8), out=tmp_path, quiet=True)
