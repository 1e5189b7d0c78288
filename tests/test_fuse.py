"""Fused networks: the same function as the network that they were made of, and nothing of it is touched."""

import copy
import io
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs
from test_released import small_b15
from test_running import every_op
from torch.nn import functional as F

import metanet
from metanet import ArchSpec, MetaNet, MetanetError, StageSpec
from metanet.inference import layers, network
from metanet.model import FeatureNet

sys.path.insert(0, str(Path(__file__).parents[1] / "perf"))
from literal import literal


def images(batch, height, width, seed=0):
    """Images that differ by more than noise."""
    g = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.randn(batch, 3, 3, 3, generator=g), (height, width), mode="bilinear")
    return coarse + 0.3 * torch.randn(batch, 3, height, width, generator=g)


@torch.no_grad()
def lively(net, seed=0):
    """Random values everywhere: negative scales, statistics that no batch has, branches that can be heard."""
    g = torch.Generator().manual_seed(seed)
    for name, p in net.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        if name.endswith("bias"):
            p.copy_(0.3 * noise)
        elif p.ndim == 1:  # scales of norms and branches
            p.copy_((0.5 + torch.rand(p.shape, generator=g)) * noise.sign())
        elif "temperature" in name or "relative_position" in name:
            p.copy_(noise)
        else:
            p.copy_(noise * p[0].numel() ** -0.5)
    for name, b in net.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(0.3 * torch.randn(b.shape, generator=g))
        elif name.endswith("running_var"):
            b.copy_(0.5 + torch.rand(b.shape, generator=g))
    return net.eval()


def error(got, want):
    """The largest difference over the spread between images."""
    return ((got.double() - want.double()).abs().max() / want.double().std(0).mean()).item()


@settings(max_examples=20)
@given(specs(), st.integers(8, 70), st.integers(8, 70), st.integers(1, 3), st.sampled_from([0, 5]))
def test_a_fused_network_is_the_same_function(spec, height, width, batch, classes):
    # In float64, where nothing but an inexact rule can make a difference.
    net = lively(MetaNet(spec, classes, seed=0)).double()
    x = images(batch, height, width).double()
    with torch.no_grad():
        want = net(x)
        assert torch.allclose(metanet.fuse(net)(x), want, rtol=1e-9, atol=1e-9 * want.abs().max().item())


@settings(max_examples=10)
@given(specs(), st.integers(32, 60), st.integers(32, 60), st.integers(1, 3))
def test_onednns_layers_are_the_same_function(spec, height, width, batch):
    net, x = lively(MetaNet(spec, 5, seed=0)), images(batch, height, width)
    with torch.no_grad():
        exact = copy.deepcopy(net).double()(x.double())
        rounding = (net(x) - exact).abs().max()  # what float32 costs the network itself
        difference = (metanet.fuse(net)(x) - exact).abs().max()
    assert difference < 10 * rounding + 1e-5 * exact.abs().max()


@pytest.mark.parametrize(
    ("model", "size"),
    [("MN-B4", (97, 65)), ("UniNet-B1", (64, 64)), (small_b15(), (64, 33)), (every_op(), (67, 48))],
    ids=["MN-B4", "UniNet-B1", "B15-type", "all operators"],
)
def test_networks_at_odd_and_oblong_sizes(model, size):
    net, x = metanet.create(model, num_classes=0, seed=1), images(4, *size)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    lively(net).train()(x)  # statistics of these images, so that images stay apart
    with torch.no_grad():
        want, fused = net.eval()(x), metanet.fuse(net)
        assert error(fused(x), want) < 1e-4
        assert torch.equal(fused.forward_head(fused.forward_features(x), pre_logits=True), fused(x))
        if model != every_op():  # the rest was never released
            assert error(literal(net)(x), want) < 1e-4


def test_neither_network_nor_images_nor_taps_are_touched():
    net, x = lively(MetaNet(every_op(), 3, seed=0)), images(2, 64, 48)
    state, seen = copy.deepcopy(net.state_dict()), x.clone()
    with torch.no_grad():
        fused = metanet.fuse(net)
        last, taps = fused.forward_intermediates(x)
        for got, want in zip([last, *taps], [net.forward_features(x), *net.forward_intermediates(x)[1]], strict=True):
            assert torch.allclose(got, want, rtol=1e-3, atol=1e-4 * want.abs().max().item())
            assert got.is_contiguous(memory_format=torch.channels_last)
        maps = FeatureNet(fused)(x)
        assert all(torch.equal(a, b) for a, b in zip(maps, taps, strict=True))
    assert torch.equal(x, seen)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert fused.feature_info == net.feature_info and fused.num_classes == 3 and not fused.training


def test_large_batches_pass_the_early_stages_in_parts(monkeypatch):
    net, x = lively(MetaNet(every_op(), 3, seed=0)), images(5, 48, 48)
    fused, sizes = metanet.fuse(net), []
    fused.stem.register_forward_hook(lambda module, args, out: sizes.append(len(out)))
    with torch.no_grad():
        whole = fused(x)
        for limit in (500_000, 1):
            monkeypatch.setattr(network, "CHUNK", limit)
            assert torch.allclose(fused(x), whole, rtol=1e-4, atol=1e-4)
    assert sizes == [5, 3, 2, 1, 1, 1, 1, 1]


def test_how_many_images_the_early_stages_take():
    # 64 px, so 32 x 32 after the stem. Stage 0 projects 8 channels to 16 beside 16 held: 40 x 1024 numbers. Stage 1
    # expands 16 to 32 there, with 16 channels of 16 x 16 held: 48 x 1024 + 4096 = 53248 numbers, 212,992 bytes.
    spec = ArchSpec((StageSpec("mbconv", 1, 16, 1), StageSpec("mbconv", 1, 16, 2, 2)), stem_width=8)
    assert network.CHUNK == 25_165_824
    assert network.chunks(spec, (64, 64), 118, 4) == (0, 118)
    assert network.chunks(spec, (64, 64), 154, 4) == (2, 77)  # of at most 118: two equal parts
    assert network.chunks(spec, (64, 64), 154, 2) == (0, 154)
    assert network.chunks(spec, (4096, 4096), 3, 4) == (2, 1)


def test_bfloat16_is_rounded_once_and_stays_close():
    net, x = lively(MetaNet(small_b15(), 4, seed=0)), images(8, 64, 64)
    fused = metanet.fuse(net, dtype=torch.bfloat16)
    assert {p.dtype for p in fused.parameters()} == {torch.bfloat16}
    later = metanet.fuse(net).to(torch.bfloat16)
    assert all(torch.equal(a, b) for a, b in zip(fused.parameters(), later.parameters(), strict=True))
    with torch.no_grad():
        want = net(x)
        got = fused(x)  # float32 images are cast
        assert got.dtype == torch.bfloat16 and torch.equal(got, later(x.bfloat16()))
        assert (got.float() - want).abs().mean() < 0.02 * want.abs().mean()


def test_autocast_takes_fused_networks():
    net, x = lively(MetaNet(every_op(), 3, seed=0)), images(4, 48, 48)
    fused = metanet.fuse(net)
    with torch.no_grad():
        want = fused(x)  # packs the weights in float32
        with torch.autocast("cpu", torch.bfloat16):
            got = fused(x)
        assert got.dtype == torch.bfloat16 and (got.float() - want).abs().mean() < 0.02 * want.abs().mean()
        assert torch.equal(fused(x), want)


def test_without_onednn_by_name(monkeypatch):
    net, x = lively(MetaNet(every_op(), 3, seed=0)), images(2, 48, 48)
    with torch.no_grad():
        named = metanet.fuse(net)(x)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        plain = metanet.fuse(net)
        assert torch.allclose(plain(x), named, rtol=1e-4, atol=1e-4)
    assert all(part.packed is None for part in plain.modules() if isinstance(part, layers.Packing))


def test_a_block_without_a_rule_runs_as_it_is(monkeypatch):
    net, x = lively(MetaNet(every_op(), 3, seed=0)).double(), images(2, 48, 48).double()
    monkeypatch.setattr(network, "RULES", {})
    fused = metanet.fuse(net)
    with torch.no_grad():
        assert torch.allclose(fused(x), net(x), rtol=1e-9)
    assert type(fused.stages[0][0]) is type(net.stages[0][0])


def test_weights_that_move_or_are_loaded_are_packed_again():
    net, x = lively(MetaNet(every_op(), 3, seed=0)), images(2, 48, 48)
    fused = metanet.fuse(net)
    with torch.no_grad():
        want = fused(x)
        assert fused.stem.packed is not None
        assert torch.equal(copy.deepcopy(fused)(x), want)
        torch.save(fused, file := io.BytesIO())
        file.seek(0)
        assert torch.equal(torch.load(file, weights_only=False)(x), want)
        other = lively(MetaNet(every_op(), 3, seed=0), seed=1)
        fused.load_state_dict(metanet.fuse(other).state_dict())
        assert torch.equal(fused(x), metanet.fuse(other)(x))
        want = fused(x)
        assert fused.double().stem.packed is None and torch.allclose(fused(x).float(), want, rtol=1e-3, atol=1e-3)


def test_gradients_reach_the_images():
    net, x = lively(MetaNet(every_op(), 3, seed=0)).double(), images(2, 48, 48).double()
    grads = []
    for each in (net, metanet.fuse(net), metanet.fuse(copy.deepcopy(net).float())):
        own = x.to(next(each.parameters()).dtype, copy=True).requires_grad_()
        each(own).logsumexp(1).sum().backward()
        grads.append(own.grad.double())
    assert torch.allclose(grads[0], grads[1], rtol=1e-6, atol=1e-9)
    assert torch.allclose(grads[0], grads[2], rtol=1e-2, atol=1e-3 * grads[0].abs().max().item())


def test_no_batchnorm_is_left():
    fused = metanet.fuse(lively(MetaNet(every_op(), seed=0)))
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in fused.modules())
    assert not any(p.requires_grad for p in fused.parameters())


def test_what_cannot_be_fused_is_refused():
    net = MetaNet(every_op(), seed=0)
    with pytest.raises(MetanetError, match=r"in training mode cannot be fused.*call eval\(\)"):
        metanet.fuse(net)
    with pytest.raises(MetanetError, match="only a MetaNet can be fused, got FeatureNet"):
        metanet.fuse(FeatureNet(net).eval())
    with pytest.raises(MetanetError, match="on the meta device has no weights"):
        metanet.fuse(MetaNet(every_op(), device="meta").eval())
    with pytest.raises(MetanetError, match="a fused network cannot be trained"):
        metanet.fuse(net.eval()).train()
    assert metanet.fuse(net).eval() is not None
