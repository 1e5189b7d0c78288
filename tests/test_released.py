"""The released networks: shapes, costs and outputs as the released code gives them, to the key and to the integer."""

import json
import math
import warnings
import zlib
from pathlib import Path

import pytest
import torch

import metanet
from metanet import ArchSpec, MetanetError, StageSpec
from metanet.released import released_name

RELEASED = json.loads((Path(__file__).parent / "data" / "released.json").read_text())


def fill(shapes):
    """Weights that depend on their names and shapes alone, so that two implementations can be compared."""
    values = {}
    for key, shape in shapes.items():
        g = torch.Generator().manual_seed(zlib.crc32(key.encode()))
        if key.endswith("num_batches_tracked"):
            values[key] = torch.zeros(shape, dtype=torch.int64)
        elif key.endswith("running_var") or key.endswith("temperature"):
            values[key] = 0.5 + torch.rand(shape, generator=g)
        elif "gamma" in key:
            values[key] = 0.1 + 0.1 * torch.rand(shape, generator=g)
        elif key.endswith("running_mean") or key.endswith("bias"):
            values[key] = 0.1 * torch.randn(shape, generator=g)
        elif len(shape) >= 2:
            values[key] = torch.randn(shape, generator=g) * math.prod(shape[1:]) ** -0.5
        else:
            values[key] = 0.5 + torch.rand(shape, generator=g)
    return values


def small_b15():
    """The operators of MN-B15 at the small size for which an output of the released code is known."""
    config = RELEASED["B15-type small"]["config"]
    ops = ["fused_mbconv"] * 2 + ["mbconv"] * 2 + ["channel_attention"] * 2
    table = zip(ops, config["repeats"], config["channels"], config["expansion"], [1, 2, 2, 2, 1, 2], strict=True)
    stages = tuple(StageSpec(*row, head_dim=config["head_dim"]) for row in table)
    return ArchSpec(stages, stem_width=config["stem_dim"])


def checkpoint(folder, name, prefix="", wrap=True):
    values = {prefix + key: value for key, value in fill(RELEASED[name]["keys"]).items()}
    torch.save({"state_dict": values} if wrap else values, folder / "released.pth")
    return folder / "released.pth"


@pytest.mark.parametrize(
    ("name", "model", "side"),
    [("MN-B4", "MN-B4", 224), ("B15-type small", small_b15(), 128), ("UniNet-B1", "UniNet-B1", 224)],
    ids=["MN-B4", "B15-type", "UniNet-B1"],
)
def test_a_released_file_gives_the_released_output(name, model, side, tmp_path):
    gold = RELEASED[name][f"golden_{side}"]
    net = metanet.create(model, weights=checkpoint(tmp_path, name))
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(side))
    with torch.no_grad():
        pooled = net.forward_head(net.forward_features(images), pre_logits=True)
        assert torch.equal(net.get_classifier()(pooled), net(images))
    assert tuple(pooled.shape) == tuple(gold["shape"])
    assert (pooled[0, :16] - torch.tensor(gold["head"])).abs().max() < 1e-5 * gold["std"]
    assert abs(pooled.std().item() / gold["std"] - 1) < 1e-5


def test_the_taps_have_the_released_statistics(tmp_path):
    net = metanet.create("MN-B4", weights=checkpoint(tmp_path, "MN-B4"), features_only=True)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(224))
    with torch.no_grad():
        maps = net(images)
    assert net.feature_info.reduction() == [4, 8, 16, 32] and net.feature_info.channels() == [64, 128, 192, 384]
    for tap, (shape, mean, std) in zip(maps, RELEASED["MN-B4"]["golden_224"]["stages"], strict=True):
        assert tap.numel() == math.prod(shape)  # the released code gives tokens where we give maps
        assert tap.mean().item() == pytest.approx(mean, rel=1e-4) and tap.std().item() == pytest.approx(std, rel=1e-4)


@pytest.mark.parametrize("name", ["MN-B4", "MN-B15", "UniNet-B1"])
def test_every_released_key_has_its_place(name):
    net = metanet.create(name, device="meta")
    ours = {released_name(key, net.spec): list(value.shape) for key, value in net.state_dict().items()}
    assert ours == RELEASED[name]["keys"]


@pytest.mark.parametrize(
    ("name", "params", "macs"), [("MN-B4", 30_424_992, 3_166_411_520), ("MN-B15", 1_002_425_020, 137_722_145_792)]
)
def test_released_costs(name, params, macs):
    cost = metanet.cost(name, resolution=224, num_classes=0)
    assert (cost.params, cost.macs) == (params, macs)
    assert metanet.cost(name, num_classes=1000).params - params == 1280 * 1000 + 1000
    net = metanet.create(name, device="meta")
    assert sum(p.numel() for p in net.parameters()) == params
    for stage, (first, other) in zip(net.stages, RELEASED["per_block"][name].values(), strict=True):
        sizes = [sum(p.numel() for p in block.parameters()) for block in stage]
        assert sizes == [first] + [other] * (len(sizes) - 1)


@pytest.mark.parametrize(
    ("name", "params"),  # in millions, with the 1000-class classifier, as published
    [(f"UniNet-B{i}", n) for i, n in enumerate([11.451, 11.451, 16.211, 24.020, 43.796, 72.883, 116.687])],
)
def test_published_parameters_of_uninet(name, params):
    net = metanet.create(name, device="meta")
    assert net.num_classes == 1000 and round(sum(p.numel() for p in net.parameters()) / 1e6, 3) == params
    assert metanet.cost(name, num_classes=1000).params == sum(p.numel() for p in net.parameters())


def test_costs_of_uninet_b1_as_published(monkeypatch):
    cost = metanet.cost("UniNet-B1")
    assert cost.macs == 1_093_359_808 and metanet.cost("UniNet-B1", num_classes=1000).params == 11_450_864
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore scripts a function when it is imported
        from fvcore.nn import FlopCountAnalysis

    def unfused(q, k, v):
        return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", unfused)
    count = FlopCountAnalysis(metanet.create("UniNet-B1").eval(), torch.zeros(1, 3, 224, 224))
    # Norms count, too, and so does average pooling, which fvcore knows under its module's name only.
    count.set_op_handle("aten::mean", lambda inputs, _: math.prod(inputs[0].type().sizes()))
    assert count.unsupported_ops_warnings(False).total() == 1_117_865_024


def test_operators_without_released_names_say_so():
    net = metanet.create(ArchSpec((StageSpec("token_mlp", 1, 8, 2, grid=2),), stem_width=8), device="meta")
    with pytest.raises(MetanetError, match="no released network has token_mlp"):
        released_name("stages.0.0.position.weight", net.spec)


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.", "module.backbone."])
@pytest.mark.parametrize("wrap", [True, False])
def test_prefixes_and_wrapping_make_no_difference(prefix, wrap, tmp_path):
    net = metanet.create(small_b15(), weights=checkpoint(tmp_path, "B15-type small", prefix, wrap))
    want = fill(RELEASED["B15-type small"]["keys"])
    assert all(torch.equal(v, want[released_name(k, net.spec)]) for k, v in net.state_dict().items())


def test_a_classifier_may_be_added_to_a_released_backbone(tmp_path):
    net = metanet.create(small_b15(), weights=checkpoint(tmp_path, "B15-type small"), num_classes=7)
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def damage_missing(values):
    del values["blocks.3.b2.1.weight"]


def damage_extra(values):
    values["head.fc.weight"] = torch.zeros(10, 1280)


def damage_shape(values):
    values["stem.0.weight"] = torch.zeros(24, 3, 5, 5)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_missing, r"1 missing \(stages\.2\.0\.norm_depthwise\.weight\)"),
        (damage_extra, r"1 unexpected \(head\.fc\.weight\)"),
        (damage_shape, r"1 misshapen \(stem\.conv\.weight is \(24, 3, 5, 5\) instead of \(24, 3, 3, 3\)\)"),
    ],
)
def test_keys_that_do_not_fit_raise(damage, said, tmp_path):
    values = fill(RELEASED["B15-type small"]["keys"])
    damage(values)
    torch.save(values, tmp_path / "bad.pth")
    with pytest.raises(MetanetError, match=said) as error:
        metanet.create(small_b15(), weights=tmp_path / "bad.pth")
    assert "nothing was loaded" in str(error.value)


def test_another_networks_checkpoint_raises(tmp_path):
    with pytest.raises(MetanetError, match="does not fit architecture"):
        metanet.create("MN-B4", weights=checkpoint(tmp_path, "B15-type small"))


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemError('code of the checkpoint was run')",)


@pytest.mark.parametrize(
    "content", [Payload(), {"state_dict": Payload()}, [1, 2], {"a": 3}], ids=["code", "inner code", "list", "dict"]
)
def test_foreign_content_is_refused_and_never_run(content, tmp_path):
    torch.save(content, tmp_path / "foreign.pth")
    with pytest.raises(MetanetError, match=r"foreign\.pth"):
        metanet.create(small_b15(), weights=tmp_path / "foreign.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_damaged_files_are_refused(suffix, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    for data in (None, b"", b"not weights", b"PK\x03\x04 half of an archive"):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(MetanetError, match=r"cannot read weights from .*weights"):
            metanet.create(small_b15(), weights=path)
    if suffix == "pth":
        whole = checkpoint(tmp_path, "B15-type small").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(MetanetError, match="damaged"):
            metanet.create(small_b15(), weights=path)


def test_half_a_file_leaves_the_network_as_it_was(tmp_path):
    net = metanet.create(small_b15(), seed=0)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    values = fill(RELEASED["B15-type small"]["keys"])
    damage_missing(values)
    torch.save(values, tmp_path / "bad.pth")
    with pytest.raises(MetanetError):
        metanet.weights.load_into(net, tmp_path / "bad.pth")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
