"""Folders in the Hugging Face layout: written once, read by us, by huggingface_hub and by timm."""

import json
import shutil
import warnings

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import metanet
from metanet import ArchSpec, Init, MetaNet, MetanetError, StageSpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of timm's and torchvision's own
    import timm

import metanet.timm
from metanet.hub import HubMetaNet, save_folder

SPEC = ArchSpec(
    (StageSpec("mbconv", 1, 16, 2, stride=2), StageSpec("channel_attention", 2, 24, 2, stride=2, head_dim=8)),
    stem_width=8,
    head_width=20,
    resolution=64,
)
WHENCE = {"data": "none at all", "license": "cc0-1.0"}


@pytest.fixture
def net():
    return MetaNet(SPEC, 4, init=Init(0.5, False), seed=0, drop_path=0.2).eval()


@pytest.fixture
def folder(net, tmp_path):
    return save_folder(net, tmp_path / "net", WHENCE)


X = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))


def test_the_folder_is_the_network(net, folder):
    again = metanet.create(folder)
    assert again.spec == SPEC and torch.equal(again(X), net(X)) and not again.training
    assert torch.equal(metanet.create(str(folder), features_only=True)(X)[-1], net.forward_features(X))
    assert metanet.create(folder, num_classes=9)(X).shape == (2, 9)
    assert torch.equal(metanet.create(SPEC, num_classes=4, weights=folder)(X), net(X))
    assert metanet.weights.provenance(folder) == WHENCE and metanet.cost(folder) == metanet.cost(SPEC)


def test_its_weights_are_our_weight_file_to_the_byte(net, folder, tmp_path):
    plain = metanet.weights.save(net, tmp_path / "plain.safetensors", WHENCE)
    assert (folder / "model.safetensors").read_bytes() == plain.read_bytes()
    assert sorted(f.name for f in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_config_json_says_what_it_is(folder):
    said = json.loads((folder / "config.json").read_text())
    assert ArchSpec.from_dict(said["metanet"]["spec"]) == SPEC and said["metanet"]["provenance"] == WHENCE
    assert said["num_classes"] == said["metanet"]["num_classes"] == 4 and said["architecture"] == "metanet"
    assert said["pretrained_cfg"]["input_size"] == [3, 64, 64] and said["model_args"] == {"spec": SPEC.to_dict()}


def test_the_mixins_methods(net, folder, tmp_path):
    again = HubMetaNet.from_pretrained(folder)
    assert isinstance(again, MetaNet) and torch.equal(again(X), net(X)) and not again.training
    assert dict(again.provenance) == WHENCE
    assert HubMetaNet.from_pretrained(folder, num_classes=7)(X).shape == (2, 7)
    assert HubMetaNet.from_pretrained(str(folder), map_location="meta").stem.conv.weight.is_meta
    again.save_pretrained(tmp_path / "copy")
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes(), name
    with pytest.raises(
        MetanetError, match="unknown argument of from_pretrained 'num_class': did you mean 'num_classes'"
    ):
        HubMetaNet.from_pretrained(folder, num_class=7)


def test_any_metanet_becomes_one_and_shares_its_weights(net):
    own = HubMetaNet.of(net.train(), WHENCE)
    assert own.training and own.stages[-1][-1].drop == 0.2
    with torch.no_grad():
        net.classifier.bias += 1
    assert torch.equal(own.eval()(X), net.eval()(X))
    assert HubMetaNet(SPEC, 3, seed=1).provenance == {}


def test_the_hubs_cache_is_read_without_the_network(net, folder, tmp_path):
    home = tmp_path / "cache" / "models--somebody--small"
    shutil.copytree(folder, home / "snapshots" / ("a" * 40))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("a" * 40)
    again = HubMetaNet.from_pretrained("somebody/small", cache_dir=tmp_path / "cache", local_files_only=True)
    assert torch.equal(again(X), net(X)) and again.spec == SPEC
    theirs = timm.create_model("hf-hub:somebody/small", pretrained=True, cache_dir=tmp_path / "cache").eval()
    assert torch.equal(theirs(X), net(X)) and theirs.spec == SPEC


def test_timm_loads_the_same_folder(net, folder):
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert again.spec == SPEC and torch.equal(again(X), net(X)) and again.pretrained_cfg["source"] == "local-dir"
    assert timm.data.resolve_data_config(model=again)["input_size"] == [3, 64, 64]
    other = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=2).eval()
    assert torch.equal(other.forward_features(X), net.forward_features(X)) and other(X).shape == (2, 2)
    maps = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True).eval()(X)
    assert torch.equal(maps[-1], net.forward_features(X))
    fresh = timm.create_model(f"local-dir:{folder}").eval()
    assert fresh.spec == SPEC and not torch.equal(fresh(X), net(X))


def test_members_of_the_zoo_go_by_their_names(tmp_path):
    net = metanet.create("UniNet-B0", num_classes=3, seed=0, in_chans=1).eval()
    folder = save_folder(net, tmp_path / "b0")
    said = json.loads((folder / "config.json").read_text())
    assert said["architecture"] == "uninet_b0" and said["model_args"] == {"in_chans": 1}
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(images), net(images))
    card = (folder / "README.md").read_text()
    assert "# UniNet-B0" in card and "Not recorded." in card
    with FlopCounterMode(display=False) as counter:
        metanet.create(folder, device="meta")(torch.empty(1, 1, 160, 160, device="meta"))
    assert f"{counter.get_total_flops() // 2:,} MACs at 160 pixels, 3 classes" in card


def test_the_card(folder, net):
    from huggingface_hub import ModelCard

    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "metanet" and card.data.license == "cc0-1.0"
    assert card.data.pipeline_tag == "image-classification" and "metanet" in card.data.tags
    assert f"Architecture {SPEC.id}" in card.text and "- data: none at all" in card.text
    assert f"{sum(p.numel() for p in net.parameters()):,} parameters" in card.text and "None" not in card.content
    (folder / "README.md").write_text("mine")
    save_folder(net, folder)
    assert (folder / "README.md").read_text() == "mine"


def test_a_folder_that_timm_saved_holds_weights_but_no_spec(net, folder, tmp_path):
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True)
    timm.models.save_for_hf(theirs, tmp_path / "theirs", safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path / 'theirs'}", pretrained=True).eval()
    assert torch.equal(again(X), net(X))
    assert torch.equal(metanet.create(SPEC, num_classes=4, weights=tmp_path / "theirs")(X), net(X))
    with pytest.raises(MetanetError, match="holds tensors but no architecture: name one"):
        metanet.create(tmp_path / "theirs")


def test_mistakes_get_one_sentence(net, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MetanetError, match=r"cannot read weights from '.*empty/model.safetensors'"):
        metanet.create(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        MetanetError, match=r"cannot write in the run folder .*file' \(it is a file\): choose one where"
    ):
        save_folder(net, tmp_path / "file")
