"""Networks of any spec: costs to the integer, any input size, timm's interface, initial values, files."""

import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs, stages
from torch.utils.flop_counter import FlopCounterMode

import metanet
from metanet import ArchSpec, Init, MetaNet, MetanetError, StageSpec
from metanet.blocks import BLOCKS
from metanet.cost import price, stage_costs
from metanet.spec import OPS


@settings(max_examples=40)
@given(specs(), st.integers(8, 70), st.integers(8, 70), st.sampled_from([0, 5]))
def test_costs_equal_torchs_count_to_the_integer(spec, height, width, classes):
    net = MetaNet(spec, classes, device="meta").eval()
    cost = price(spec, resolution=(height, width), num_classes=classes)
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, height, width, device="meta"))
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.params == sum(p.numel() for p in net.parameters())


def test_costs_equal_fvcores_count_without_norms():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore scripts a function when it is imported
        from fvcore.nn import FlopCountAnalysis

    def attention(inputs, _):
        (q, k, v) = (i.type().sizes() for i in inputs[:3])
        return math.prod(q[:-2]) * q[-2] * k[-2] * (q[-1] + v[-1])

    net = MetaNet(small(), 3).eval()
    count = FlopCountAnalysis(net, torch.randn(1, 3, 40, 40)).unsupported_ops_warnings(False)
    for name in ("aten::batch_norm", "aten::layer_norm"):
        count.set_op_handle(name, lambda inputs, outputs: 0)
    count.set_op_handle("aten::scaled_dot_product_attention", attention)
    assert count.total() == price(small(), resolution=40, num_classes=3).macs


def test_the_cost_of_a_hand_derived_network():
    # 8x8 image, stem 3->8 at 4x4; one MBConv 8->8, expansion 2 (hidden 16), kernel 3, no SE; head 8->4.
    spec = ArchSpec((StageSpec("mbconv", 1, 8, 2, se=False),), stem_width=8, head_width=4, resolution=8)
    parts = stage_costs(spec, (8, 8))
    assert parts["stem"].macs == 16 * 3 * 9 * 8 and parts["stem"].params == 3 * 9 * 8 + 2 * 8
    assert parts["stage 0"].macs == 16 * (8 * 16 + 16 * 9 + 16 * 8)
    assert parts["stage 0"].params == (2 * 8) + 8 * 16 + 2 * 16 + 16 * 9 + 2 * 16 + (16 * 8 + 8) + 2 * 8
    assert parts["stage 0"].activations == 16 * (16 + 16 + 8)
    assert parts["stage 0"].norms == 16 * (8 + 16 + 16 + 8) and parts["stage 0"].nonlinearities == 16 * (16 + 16)
    assert parts["head"].macs == 16 * 8 * 4 and price(spec).macs == sum(p.macs for p in parts.values())


@settings(max_examples=25)
@given(specs(), st.integers(32, 65), st.integers(32, 65))
def test_any_input_size_forward_and_backward(spec, height, width):
    net = MetaNet(spec, 3, seed=0).train()
    net(torch.randn(2, 3, height, width)).logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    maps = net.eval().forward_intermediates(torch.zeros(1, 3, height, width), intermediates_only=True)
    for tap, info in zip(maps, net.feature_info, strict=True):
        stride = info["reduction"]
        assert tap.shape == (1, info["num_chs"], -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("size", [(192, 192), (225, 225), (256, 160), (33, 47)])
def test_mn_b4_takes_odd_and_oblong_images(size):
    net = metanet.create("MN-B4", seed=0).eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, *size)).shape == (1, 1280)
        maps = metanet.create("MN-B4", features_only=True).eval()(torch.randn(1, 3, *size))
    want = [(c, -(-size[0] // s), -(-size[1] // s)) for c, s in ((64, 4), (128, 8), (192, 16), (384, 32))]
    assert [tuple(m.shape[1:]) for m in maps] == want


def test_every_op_has_a_block():
    assert set(BLOCKS) == set(OPS)


@pytest.mark.parametrize("op", OPS)
@given(st.data())
@settings(max_examples=10)
def test_a_fresh_released_style_block_is_its_shortcut(op, data):
    # Zero gamma and a LayerScale of 0 silence the branch: what is left is x (and attention's position term).
    stage = data.draw(stages(op))
    spec = ArchSpec(
        (StageSpec(op, 1, 16, stage.expansion, kernel=stage.kernel, se=stage.se, head_dim=8),), stem_width=16
    )
    block = MetaNet(spec, init=Init(layer_scale=0.0), seed=1).stages[0][0].eval()
    x = torch.randn(2, 16, 9, 7)
    want = x + block.position(x) if hasattr(block, "position") else x
    assert torch.allclose(block(x), want, atol=1e-6)


def test_timms_interface():
    net = metanet.create(small(), num_classes=5)
    x = torch.randn(2, 3, 32, 32)
    last = net.forward_features(x)
    assert last.shape[1] == net.num_features == 24 and net.forward_head(last).shape == (2, 5)
    assert net.forward_head(last, pre_logits=True).shape == (2, net.head_hidden_size)
    assert net.get_classifier().out_features == 5
    net.reset_classifier(7)
    assert net(x).shape == (2, 7) and net.num_classes == 7
    net.reset_classifier(0)
    assert net(x).shape == (2, net.head_hidden_size)
    final, taps = net.forward_intermediates(x, indices=[0])
    assert len(taps) == 1 and final.shape == last.shape
    with pytest.raises(MetanetError, match="0 classes or more and average pooling, got num_classes=-1"):
        net.reset_classifier(-1)
    with pytest.raises(MetanetError, match="global_pool='max'"):
        net.reset_classifier(3, "max")


def small():
    return ArchSpec(
        (StageSpec("mbconv", 1, 16, 2, stride=2), StageSpec("self_attention", 2, 24, 2, stride=2, head_dim=8)), 16
    )


def test_meta_device_builds_at_once():
    start = time.perf_counter()
    net = metanet.create("MN-B15", num_classes=0, device="meta")
    assert time.perf_counter() - start < 5  # about 0.2 s where nothing else runs
    assert all(p.is_meta for p in net.parameters()) and sum(p.numel() for p in net.parameters()) == 1_002_425_020
    with torch.device("meta"):
        assert MetaNet(small()).stem.conv.weight.is_meta


def test_the_seed_fixes_the_initial_values_and_init_is_an_argument():
    a, b, c = (MetaNet(small(), 3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[k], b[k]) for k in a) and not torch.equal(a["stem.conv.weight"], c["stem.conv.weight"])
    net = MetaNet(small(), init=Init(layer_scale=0.5, zero_gamma=False))
    assert net.stages[1][1].scale_mlp.unique().tolist() == [0.5]
    assert net.stages[0][0].norm_project.weight.unique().tolist() == [1.0]
    assert MetaNet(small()).stages[0][0].norm_project.weight.unique().tolist() == [0.0]
    weight = MetaNet(small(), seed=0).head.conv.weight
    assert weight.abs().max() <= 24**-0.5 and weight.std().item() == pytest.approx((24 * 3) ** -0.5, rel=0.05)
    with pytest.raises(MetanetError, match="`layer_scale` must be finite"):
        Init(layer_scale=float("nan"))
    with pytest.raises(MetanetError, match=r"`drop_path` must be in \[0, 1\), got 1"):
        MetaNet(small(), drop_path=1)


def test_stochastic_depth_keeps_the_mean_and_sleeps_in_eval_mode():
    from metanet.blocks.layers import drop_path

    x = torch.ones(20_000, 1)
    y = drop_path(x, 0.3, training=True)
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.7]) and y.mean().item() == pytest.approx(1, abs=0.02)
    assert drop_path(x, 0.3, training=False) is x
    rates = [block.drop for stage in MetaNet(small(), drop_path=0.2).stages for block in stage]
    assert rates == pytest.approx([0.0, 0.1, 0.2])


def test_saved_networks_come_back(tmp_path):
    net = MetaNet(small(), 4, seed=3).eval()
    path = metanet.weights.save(net, tmp_path / "net.safetensors", {"data": "none"})
    again = metanet.create(path)
    x = torch.randn(1, 3, 40, 40)
    assert again.spec == net.spec and torch.equal(again(x), net(x)) and not again.training
    assert metanet.weights.provenance(path) == {"data": "none"}
    assert metanet.create(small(), num_classes=4, weights=path)(x).equal(net(x))
    assert metanet.create(path, num_classes=9)(x).shape == (1, 9)
    assert metanet.cost(path) == metanet.cost(small())
    with pytest.raises(MetanetError, match=r"holds architecture .* asked for was"):
        metanet.create("MN-B4", weights=path)


def test_tensors_without_an_architecture_are_named_so(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(MetanetError, match=r"holds tensors but no architecture: name one"):
        metanet.create(tmp_path / "plain.safetensors")


def test_names(tmp_path, monkeypatch):
    assert metanet.list_models("MN-*") == [f"MN-B{i}" for i in range(4, 16)] and metanet.list_models("X*") == []
    with pytest.raises(MetanetError, match=r"unknown model 'MN-B3': did you mean .*'MN-B"):
        metanet.create("MN-B3")
    with pytest.raises(MetanetError, match="the name 'MN-B4' is taken"):
        metanet.register("MN-B4", small())
    monkeypatch.setattr(metanet.factory, "MODELS", dict(metanet.factory.MODELS))
    metanet.register("mine", small())
    assert metanet.create("mine").spec == small()
    (tmp_path / "spec.json").write_text(small().to_json())
    assert metanet.create(tmp_path / "spec.json").spec == small()
    with pytest.raises(MetanetError, match="at least 1 pixel and 0 classes or more, got resolution=0"):
        metanet.cost("MN-B4", resolution=0)
