"""`metanet cost --check` and `metanet cost timm:NAME`: differences between counters add up, whatever the network."""

import json
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs
from torch import nn

import metanet
import metanet.timm  # uninet_b1
from metanet import ArchSpec, StageSpec
from metanet.check import check, check_timm, compare, timm_cost
from metanet.cli import main


def said(argv, capsys):
    """Exit code, stdout and stderr of a command."""
    code = main(argv)
    out = capsys.readouterr()
    return code, out.out, out.err


def counts(found):
    return {one.operator: one.macs for one in found.differences}


@settings(max_examples=8)
@given(specs(), st.integers(8, 40), st.sampled_from([0, 5]))
def test_the_difference_is_explained_to_the_integer(spec, side, classes):
    found = check(spec, resolution=side, num_classes=classes)
    cost = metanet.cost(spec, resolution=side, num_classes=classes)
    assert found.macs["metanet"] == found.macs["torch"] == cost.macs
    assert set(found.params.values()) == {cost.params}
    assert sum(counts(found).values()) == found.macs["fvcore"] - found.macs["torch"] and found.unexplained == {}
    if not any(stage.op == "channel_attention" for stage in spec.stages):  # its norms are no layers
        by = counts(found)
        assert by.get("batch_norm", 0) // 2 + by.get("layer_norm", 0) // 5 == cost.norms


def small():
    return ArchSpec(
        (StageSpec("mbconv", 1, 16, 2, stride=2), StageSpec("self_attention", 2, 24, 2, stride=2, head_dim=8)), 16
    )


def test_fvcores_number_is_the_one_that_its_users_get():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore scripts a function when it is imported
        from fvcore.nn import FlopCountAnalysis

    count = FlopCountAnalysis(metanet.create(small()).eval(), torch.zeros(1, 3, 40, 40))
    assert check(small(), resolution=40).macs["fvcore"] == count.unsupported_ops_warnings(False).total()


def test_attention_of_a_vision_transformer_by_hand():
    found = check_timm("vit_tiny_patch16_224")
    assert counts(found)["scaled_dot_product_attention"] == -12 * 2 * 197**2 * 192  # blocks x products
    assert counts(found)["layer_norm"] == 5 * 25 * 197 * 192 and found.unexplained == {}
    assert found.macs["torch"] - found.macs["fvcore"] == 12 * 2 * 197**2 * 192 - 5 * 25 * 197 * 192


def test_a_network_of_timm_costs_what_is_published():
    from torchvision.models import ResNet18_Weights

    published = ResNet18_Weights.IMAGENET1K_V1.meta
    cost = timm_cost("resnet18", num_classes=1000)
    assert cost["params"] == published["num_params"] and cost["resolution"] == 224
    assert round(cost["macs"] / 1e9, 3) == published["_ops"]
    assert round(cost["activations"] / 1e6, 1) == 2.5  # timm's model card
    assert timm_cost("resnet18")["params"] == published["num_params"] - 512 * 1000 - 1000


def test_ours_in_timm_cost_what_we_say():
    cost, ours = timm_cost("uninet_b1", resolution=70), metanet.cost("UniNet-B1", resolution=70)
    assert cost == {"resolution": 70, "macs": ours.macs, "params": ours.params, "activations": ours.activations}


def test_a_transformer_is_built_for_the_size_that_is_asked_for():
    small, large = (timm_cost("vit_tiny_patch16_224", resolution=side) for side in (32, 96))
    assert large["params"] - small["params"] == (6**2 - 2**2) * 192  # position embeddings
    assert small["activations"] < large["activations"]


class Product(nn.Module):
    """x times itself by some matrix product, after a convolution."""

    def __init__(self, product, device):
        super().__init__()
        self.conv, self.product = nn.Conv2d(3, 2, 1, bias=False, device=device), product

    def forward(self, x):
        return self.product(self.conv(x).flatten(0, 1))


def test_sums_over_two_factors_are_told_from_fvcores_rounding():
    found = compare(lambda device: Product(lambda x: torch.einsum("hik, hjk -> hij", x, x), device), (1, 3, 83, 77))
    assert found.macs["torch"] == 2 * 3 * 83 * 77 + 2 * 83 * 83 * 77
    assert found.unexplained == {} and len(found.differences) < 2
    assert sum(counts(found).values()) == found.macs["fvcore"] - found.macs["torch"] != 0


def test_what_cannot_be_explained_is_said(capsys, monkeypatch):
    def product(x):
        return torch.baddbmm(x, x, x)  # fvcore has no rule for it

    found = compare(lambda device: Product(product, device), (1, 3, 9, 9), {"macs": 500, "params": 7})
    assert found.unexplained == {
        "matrix products, fvcore against torch": -2 * 9**3,
        "MACs, metanet against torch": 500 - 2 * 3 * 81 - 2 * 9**3,
        "parameters, metanet against torch": 7 - 6,
    }
    monkeypatch.setattr(metanet.check, "check", lambda *args, **options: found)
    code, out, _ = said(["cost", "MN-B4", "--check"], capsys)
    assert code == 0 and "unexplained: matrix products, fvcore against torch: -1,458\n" in out
    assert "nothing is unexplained" not in out


def test_the_command_prints_a_line_an_operator(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "mine.json").write_text(small().to_json())
    code, out, _ = said(["cost", str(tmp_path / "mine.json"), "--check", "--resolution", "40"], capsys)
    found = check(small(), resolution=40)
    assert code == 0 and max(map(len, out.splitlines())) <= 80 and "nothing is unexplained" in out
    for name, macs in found.macs.items():
        assert [name, f"{macs:,}", f"{found.params[name]:,}"] in [line.split() for line in out.splitlines()]
    lines = {line.split(":")[0]: line for line in out.splitlines() if ":" in line}
    assert lines["fvcore's MACs less torch's"].endswith(f" {found.macs['fvcore'] - found.macs['torch']:+,}")
    for operator, count in counts(found).items():
        assert f"  {operator}: {count:+,} (fvcore" in lines[f"  {operator}"]
    code, out, _ = said(["cost", str(tmp_path / "mine.json"), "--check", "--resolution", "40", "--json"], capsys)
    read = json.loads(out)
    assert code == 0 and read["macs"] == found.macs and read["unexplained"] == {}
    assert {one["operator"]: one["macs"] for one in read["differences"]} == counts(found)


def test_the_command_prices_timms_networks(capsys):
    code, out, _ = said(["cost", "timm:resnet18", "--resolution", "64", "--classes", "10", "--json"], capsys)
    read = json.loads(out)
    assert code == 0 and read == timm_cost("resnet18", resolution=64, num_classes=10)
    code, out, _ = said(["cost", "timm:resnet18", "--resolution", "64", "--classes", "10"], capsys)
    assert code == 0 and f"{read['macs']:,}" in out and f"{read['activations']:,}" in out
    code, out, _ = said(["cost", "timm:resnet18", "--resolution", "64", "--check", "--json"], capsys)
    read = json.loads(out)
    assert code == 0 and set(read["macs"]) == {"torch", "fvcore"} and read["unexplained"] == {}
    pooled = 512 * math.ceil(64 / 32) ** 2
    assert {one["operator"]: one["macs"] for one in read["differences"]}["adaptive_avg_pool2d"] == pooled


MISTAKES = {
    "a near name": (["timm:resnet1888"], "unknown timm model 'resnet1888': did you mean 'resnet18"),
    "no size": (["timm:resnet18", "--resolution", "0"], "at least 1 pixel and 0 classes or more, got resolution=0"),
    "no classes": (
        ["timm:resnet18", "--classes", "-1", "--check"],
        "1 pixel and 0 classes or more, got resolution=None",
    ),
    "no such size": (
        ["timm:coatnet_0_rw_224", "--resolution", "250"],
        "timm's coatnet_0_rw_224 cannot be counted at 250 x 250 pixels (",
    ),
    "ours": (["MN-B99", "--check"], "unknown model 'MN-B99'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_sentence(case, capsys):
    argv, sentence = MISTAKES[case]
    code, out, err = said(["cost", *argv], capsys)
    assert code == 2 and sentence in err and err.startswith("metanet: ") and err.count("\n") == 1 and out == ""
