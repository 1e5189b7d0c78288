"""The supernet: the same function as the extracted network, gradients where the slices are."""

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metanet import Init, MetanetError
from metanet.search_spaces import Space, StageChoices, Supernet, load_space
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
