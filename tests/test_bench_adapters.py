"""Networks of torchvision and of anybody as backbones: the features are what the classifier was given."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from metanet.bench import default_baselines, extract, headless, random_twin, torchvision_backbone
from metanet.cli import main
from metanet.data import ArrayImages, View
from metanet.errors import MetanetError
from metanet.training import state_sha256

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 40, 40), np.uint8)
IMAGES = ArrayImages("noise", PIXELS, np.arange(6) % 2, ("a", "b"))
IDS = np.arange(6)


class Own(nn.Module):
    """A user's network: two linear layers, the classifier being the first that is registered."""

    def __init__(self, maps=False):
        super().__init__()
        self.maps = maps
        self.classifier = nn.Linear(5, 2)
        self.conv = nn.Conv2d(3, 4, 3, 2)
        self.mixed = nn.Linear(4, 5)
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x):
        x = self.conv(x)
        return x if self.maps else self.classifier(self.norm(self.mixed(x.mean((2, 3)))))


def given_to(network, layer, x):
    """What a layer of a network is given, by a hook."""
    seen = []
    handle = network.get_submodule(layer).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        network.eval()(x)
    handle.remove()
    return seen[0].numpy()


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "fc"),
        ("shufflenet_v2_x0_5", "fc"),
        ("mnasnet0_5", "classifier.1"),
        ("mobilenet_v3_small", "classifier.3"),
        ("vit_b_32", "heads.head"),
    ],
)
def test_features_of_torchvision_are_what_its_last_layer_is_given(name, layer):
    side = 224 if name.startswith("vit") else 40
    backbone, ids = torchvision_backbone(name, seed=3), IDS[:2]
    torch.manual_seed(3)
    network = models.get_model(name, weights=None)
    want = given_to(network, layer, IMAGES.batch(ids, side))
    np.testing.assert_allclose(extract(backbone, IMAGES, ids, side), want, atol=1e-5)


def test_the_network_stays_whole_and_shares_its_weights():
    network = Own().eval()
    x = torch.randn(3, 3, 8, 8)
    before, digest = network(x), state_sha256(network)
    backbone = headless(network, "classifier")
    assert torch.equal(network(x), before) and state_sha256(network) == digest
    np.testing.assert_array_equal(
        backbone.forward_head(backbone.forward_features(x)).detach(), given_to(network, "classifier", x)
    )
    assert backbone.body.conv is network.conv and backbone.body.mixed.weight is network.mixed.weight


def test_without_a_name_the_last_linear_layer_is_taken_and_without_any_none():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3))
    assert headless(network).forward_features(torch.randn(2, 3, 2, 2)).shape == (2, 7)
    x = torch.randn(2, 3, 8, 8)
    body = headless(nn.Conv2d(3, 4, 3))
    assert torch.equal(body.forward_head(body.forward_features(x)), body.body(x).mean((2, 3)))


def test_what_cannot_be_features_is_told():
    with pytest.raises(MetanetError, match=r"unknown linear layer of a Own 'clasifier': did you mean 'classifier'?"):
        headless(Own(), "clasifier")
    flat = headless(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(2)))
    with pytest.raises(MetanetError, match=r"Sequential gives the shape \(2, 4, 4\): name the classifier, or wrap"):
        flat.forward_features(torch.randn(2, 3, 4, 4))
    with pytest.raises(MetanetError, match="unknown torchvision model 'resnet19': did you mean 'resnet1"):
        torchvision_backbone("resnet19")
    with pytest.raises(MetanetError, match="unknown torchvision model 'squeezenet1_0'"):
        torchvision_backbone("squeezenet1_0")


def test_pretrained_weights_that_cannot_be_had_are_told(monkeypatch):
    def gone(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", gone)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", gone)
    with pytest.raises(
        MetanetError, match=r"cannot build 'resnet18' with pretrained=True \(no route\): put its weights"
    ):
        torchvision_backbone("resnet18", pretrained=True)


def test_twins_are_drawn_anew():
    backbone = torchvision_backbone("shufflenet_v2_x0_5", seed=4)
    assert state_sha256(random_twin(backbone, seed=4)) == state_sha256(backbone)
    assert state_sha256(random_twin(backbone, seed=5)) != state_sha256(backbone)
    trained = headless(Own(), "classifier", view=View(8))
    trained.body.norm.running_mean.fill_(3.0)
    before = copy.deepcopy(trained.state_dict())
    twin = random_twin(trained, seed=1)
    assert twin.view == View(8) and (twin.body.norm.running_mean == 0).all()
    assert not torch.equal(twin.body.conv.weight, trained.body.conv.weight)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert state_sha256(random_twin(trained, seed=1)) == state_sha256(twin)
    assert "random initialisation of mine" in default_baselines({"mine": trained})
    trained.scale = nn.Parameter(torch.ones(1))
    with pytest.raises(MetanetError, match=r"backbone 'mine': the architecture of a Headless is not known: .* rebuild"):
        default_baselines({"mine": trained})


def test_a_function_of_python_names_a_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_nets.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef small():\n    torch.manual_seed(7)\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))\n\n\n"
        "def text():\n    return 'no network'\n"
    )
    line = "bench run my_nets:small --suite packaged --tasks digits --alone --percents 10 --seeds 1 --quiet --json"
    assert main(line.split()) == 0
    cells = json.loads(capsys.readouterr().out)
    names = {cell["backbone"] for cell in cells}
    assert names == {"my_nets:small", "majority class", "raw pixels", "random initialisation of my_nets:small"}
    for name, sentence in (
        ("my_nets:smal", "named MODULE:FUNCTION, a function without arguments that gives it, got 'my_nets:smal'"),
        ("your_nets:small", "got 'your_nets:small' (No module named 'your_nets')"),
        ("my_nets:text", "'my_nets:text' must give a torch.nn.Module, got str"),
    ):
        assert main(["bench", "run", name, "--suite", "packaged", "--alone"]) == 2
        assert sentence in capsys.readouterr().err
