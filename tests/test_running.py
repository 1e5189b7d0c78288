"""The ways to run a network: layouts, precisions, compiled, with recomputed blocks, tapped."""

import copy

import pytest
import torch
from hypothesis import given, settings
from strategies import specs

import metanet
from metanet import ArchSpec, Init, MetaNet, MetanetError, StageSpec
from metanet.spec import DOWNS, OPS

LOUD = Init(layer_scale=0.5, zero_gamma=False)  # branches that can be heard


def every_op():
    """All operators and all downsampling modules in one small network."""
    downs = [None, *DOWNS, None, None]
    stages = [
        StageSpec(op, 2, 16, 2, 2 if down or i == 0 else 1, head_dim=8, window=3, grid=4, down=down)
        for i, (op, down) in enumerate(zip(OPS, downs, strict=True))
    ]
    return ArchSpec(tuple(stages), stem_width=16, head_width=32)


@settings(max_examples=15)
@given(specs())
def test_maps_stay_in_channels_last_whatever_the_images_are(spec):
    net, x = MetaNet(spec, init=LOUD, seed=0).eval(), torch.randn(2, 3, 48, 40)
    with torch.no_grad():
        maps = net.forward_intermediates(x, intermediates_only=True)
        assert all(tap.is_contiguous(memory_format=torch.channels_last) for tap in maps)
        again = net(x.contiguous(memory_format=torch.channels_last))
        assert torch.equal(net(x), again)
        both = copy.deepcopy(net).to(memory_format=torch.channels_last)
        assert torch.allclose(both(x), again, atol=1e-5)


@settings(max_examples=15)
@given(specs())
def test_recomputed_blocks_give_equal_gradients_and_statistics(spec):
    nets = [MetaNet(spec, 3, init=LOUD, seed=1, drop_path=0.2).train() for _ in range(2)]
    nets[1].set_grad_checkpointing()
    x = torch.randn(4, 3, 33, 40)
    for net in nets:
        torch.manual_seed(7)
        net(x).logsumexp(1).sum().backward()
    for (name, a), b in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-6), name
    for (name, a), b in zip(nets[0].named_buffers(), nets[1].buffers(), strict=True):
        assert torch.equal(a, b), name


def test_recomputing_keeps_fewer_tensors_for_the_gradient():
    def kept(checkpointing):
        net, sizes = MetaNet(every_op(), seed=0).train(), []
        net.set_grad_checkpointing(checkpointing)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            net(torch.randn(4, 3, 64, 64))
        return sum(sizes)

    assert kept(True) < 0.4 * kept(False)


@pytest.mark.slow
def test_compiled_in_one_graph_with_equal_outputs():
    net, x = MetaNet(every_op(), 3, init=LOUD, seed=0), torch.randn(4, 3, 64, 48)
    for mode in (net.eval(), net.train()):
        want = copy.deepcopy(mode)(x)
        compiled = torch.compile(copy.deepcopy(mode), fullgraph=True, backend="aot_eager")
        assert torch.allclose(compiled(x), want, atol=1e-4)
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_with_recomputed_blocks():
    net, x = MetaNet(every_op(), 3, init=LOUD, seed=0).train(), torch.randn(4, 3, 64, 48)
    net.set_grad_checkpointing()
    want, compiled = copy.deepcopy(net), torch.compile(net, fullgraph=True, backend="aot_eager")
    compiled(x).logsumexp(1).sum().backward()
    want(x).logsumexp(1).sum().backward()
    for a, b in zip(net.parameters(), want.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-4)
    torch._dynamo.reset()


def test_bfloat16_autocast_trains_and_stays_close():
    net, x = MetaNet(every_op(), 3, init=LOUD, seed=0).train(), torch.randn(8, 3, 64, 64)
    want = net(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(x)
    y.float().logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert (y - want).abs().max() < 0.1 * want.std(0).max() + 0.05 * want.abs().max()
    half = MetaNet(every_op(), 3, seed=0).eval().to(torch.bfloat16)
    assert half(x.bfloat16()).isfinite().all()


def test_taps_by_timms_indices():
    net, x = metanet.create(every_op(), seed=0).eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        last, maps = net.forward_intermediates(x)
        assert len(maps) == len(net.feature_info) == 4 and torch.equal(last, maps[-1])
        assert torch.equal(net.forward_intermediates(x, 1)[1][0], maps[3])
        assert torch.equal(net.forward_intermediates(x, [-2], intermediates_only=True)[0], maps[2])
        early = net.forward_intermediates(x, [1], stop_early=True)
        assert torch.equal(early[0], maps[1]) and torch.equal(early[1][0], maps[1])
    with pytest.raises(MetanetError, match=r"must name taps of this network's 4 \(0 … 3\), got \[4\]"):
        net.forward_intermediates(x, [4])
    with pytest.raises(MetanetError, match=r"must name taps of this network's 4 \(0 … 3\), got 9"):
        net.forward_intermediates(x, 9)
    with pytest.raises(MetanetError, match="`output_fmt` must be 'NCHW'"):
        net.forward_intermediates(x, output_fmt="NLC")


def test_dropout_stands_before_the_classifier():
    net = MetaNet(every_op(), drop_rate=0.5, seed=0)
    last = torch.randn(64, 16, 2, 2)
    kept = (net.train().forward_head(last, pre_logits=True) != 0).float().mean()
    assert 0.4 < kept < 0.6 and (net.eval().forward_head(last) != 0).all()
    with pytest.raises(MetanetError, match=r"`drop_rate` must be in \[0, 1\), got 1.5"):
        MetaNet(every_op(), drop_rate=1.5)


def test_what_timm_reads_off_a_network():
    net = metanet.create(every_op(), num_classes=3, device="meta")
    assert net.no_weight_decay() and all(dict(net.named_parameters())[n].ndim > 1 for n in net.no_weight_decay())
    cfg = metanet.create("UniNet-B4", device="meta").default_cfg
    assert cfg["input_size"] == (3, 320, 320) and cfg["pool_size"] == (10, 10) and cfg["crop_pct"] == 1.0
    assert cfg["num_classes"] == 1000 and net.pretrained_cfg["num_classes"] == 3
    assert net.default_cfg["crop_pct"] == 0.875 and net.default_cfg["pool_size"] == (7, 7)
