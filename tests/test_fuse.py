"""Fused networks: the same function in fewer steps, at any size and batch, for every operator."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

import metanet
from metanet import ArchSpec, Init, MetaNet, MetanetError, StageSpec
from metanet.inference import network
from metanet.spec import DOWNS, OPS


def settled(model, seed=0, **options):
    """A network whose norms, scales and statistics are not what they start from."""
    net = metanet.create(model, seed=seed, init=Init(layer_scale=0.3, zero_gamma=False), **options)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.2, generator=g)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=g)
        for value in net.parameters():
            if value.ndim == 1:
                value.add_(0.2 * torch.randn(value.shape, generator=g))
    return net.eval()


def every_op():
    downs = [None, *DOWNS, None, None]
    stages = [
        StageSpec(op, 2, 16, 2, 2 if down or i == 0 else 1, head_dim=8, window=3, grid=4, down=down)
        for i, (op, down) in enumerate(zip(OPS, downs, strict=True))
    ]
    return ArchSpec(tuple(stages), stem_width=16, head_width=32)


def worst(net, fused, x):
    """The largest difference over the spread between images; both against the network in float64."""
    with torch.no_grad():
        exact = copy.deepcopy(net).double()(x.double())
        spread = exact.std(0).mean()
        return ((fused(x) - exact).abs().max() / spread).item(), ((net(x) - exact).abs().max() / spread).item()


@settings(max_examples=25)
@given(specs(), st.integers(1, 3), st.integers(33, 50), st.integers(33, 50))
def test_random_networks_keep_their_function(spec, batch, height, width):
    net = settled(spec, num_classes=3)
    x = torch.randn(batch + 1, 3, height, width)
    fused, eager = worst(net, metanet.fuse(net), x)
    assert fused < 1e-4 + 4 * eager


@pytest.mark.parametrize("size", [(64, 64), (67, 48)])
def test_every_operator_and_module_in_chunks_of_any_size(size, monkeypatch):
    net = settled(every_op())
    fused, x = metanet.fuse(net), torch.randn(5, 3, *size)
    with torch.no_grad():
        whole = fused(x)
        for limit in (1, 200_000, 2**40):
            monkeypatch.setattr(network, "CHUNK", limit)
            assert torch.allclose(fused(x), whole, atol=1e-4 * whole.std(0).mean().item() + 1e-6)
    assert worst(net, fused, x)[0] < 1e-4
    assert fused.forward_features(x).is_contiguous(memory_format=torch.channels_last)


def test_mn_b4_and_its_taps_of_state_are_left_as_they_were():
    net = settled("MN-B4")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fused, eager = worst(net, metanet.fuse(net), torch.randn(3, 3, 96, 80))
    assert fused < 1e-4 + 4 * eager
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_no_batchnorm_is_left_but_for_padded_expansions():
    fused = metanet.fuse(settled(every_op()))
    assert not [m for m in fused.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not any(p.requires_grad for p in fused.parameters())


def test_bfloat16_and_the_compiler_take_fused_networks():
    net = settled(every_op(), num_classes=3)
    x = torch.randn(4, 3, 64, 48)
    with torch.no_grad():
        want = net(x)
        half = metanet.fuse(net, dtype=torch.bfloat16)(x.bfloat16()).float()
        assert (half - want).abs().max() < 0.1 * want.abs().max()
        compiled = torch.compile(metanet.fuse(net), fullgraph=True, backend="aot_eager")
        assert torch.allclose(compiled(x), want, atol=1e-3)
        program = torch.export.export(metanet.fuse(net), (x,))
        assert torch.allclose(program.module()(x), want, atol=1e-3)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.nn.Linear(1, 1), "only a MetaNet can be fused, got Linear"),
        (lambda: MetaNet(every_op()).train(), "in training mode cannot be fused, .*: call eval"),
        (lambda: MetaNet(every_op(), device="meta").eval(), "on the meta device has no weights to fuse"),
    ],
)
def test_what_cannot_be_fused_is_told_so(make, said):
    with pytest.raises(MetanetError, match=said):
        metanet.fuse(make())


def test_a_fused_network_is_a_backbone_that_cannot_be_trained():
    net = settled(every_op(), num_classes=3)
    fused, x = metanet.fuse(net), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = (one.forward_intermediates(x, 2, intermediates_only=True) for one in (fused, net))
        assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(ours, theirs, strict=True))
        assert fused.forward_head(fused.forward_features(x), pre_logits=True).shape == (2, net.head_hidden_size)
        again = copy.deepcopy(fused)
        assert torch.equal(again(x), fused(x))
    with pytest.raises(MetanetError, match="a fused network cannot be trained: train the network"):
        fused.train()
    assert metanet.fuse(net.double())(x.double()).dtype == torch.float64
