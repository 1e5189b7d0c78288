"""timm's registry, builders, feature wrappers and training helpers on our networks, as a timm user calls them."""

import copy
import re
import warnings

import pytest
import torch

import metanet
import metanet.factory
from metanet import ArchSpec, Init, MetaNet, MetanetError, StageSpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of timm's and torchvision's own
    import timm
    import timm.data
    import timm.loss
    import timm.optim
    import timm.scheduler
    import timm.utils

import metanet.timm

SPEC = ArchSpec(
    (
        StageSpec("mbconv", 2, 16, 2, stride=2),
        StageSpec("fused_mbconv", 1, 16, 2, se=False),
        StageSpec("channel_attention", 2, 24, 2, stride=2, head_dim=8),
        StageSpec("self_attention", 1, 24, 2, stride=1, head_dim=8, down="local"),
        StageSpec("window_attention", 2, 32, 2, stride=2, head_dim=8, window=3, down="local_global"),
        StageSpec("token_mlp", 1, 32, 2, grid=4, down="global"),
    ),
    stem_width=8,
    head_width=40,
    resolution=64,
)


def lively(spec=SPEC, classes=5, **options):
    """A network whose every branch has a say from the start."""
    return MetaNet(spec, classes, init=Init(layer_scale=0.5, zero_gamma=False), seed=0, **options).eval()


def test_names_follow_a_rule():
    assert [metanet.timm.timm_name(n) for n in ("MN-B4", "MN-B15", "UniNet-B1", "mine.2 small")] == [
        "metanet_b4",
        "metanet_b15",
        "uninet_b1",
        "mine_2_small",
    ]


def test_every_member_is_in_timms_registry():
    names = {metanet.timm.timm_name(name): name for name in metanet.list_models()}
    assert {"metanet_b4", "metanet_b15"} <= set(timm.list_models("metanet*"))
    assert set(timm.list_models(module="metanet")) >= {*names, "metanet"}
    assert "metanet" in timm.list_modules() and timm.list_models("metanet*", pretrained=True) == []
    for name, own in names.items():
        assert timm.models.is_model(name) and timm.models.model_entrypoint(name).__name__ == name
        cfg = timm.models.get_pretrained_cfg(name)
        side = metanet.factory.MODELS[own].spec.resolution
        assert cfg.architecture == name and cfg.input_size == (3, side, side) and not cfg.has_weights
        assert cfg.first_conv == "stem.conv" and cfg.classifier == "classifier"


def test_new_members_appear_by_themselves(monkeypatch):
    Member = metanet.factory.Member
    monkeypatch.setitem(metanet.factory.MODELS, "timm-newcomer", Member(SPEC, "a test", 3))
    assert metanet.timm.register() == ["timm_newcomer"] and metanet.timm.register() == []
    net = timm.create_model("timm_newcomer")
    assert net.spec == SPEC and net.num_classes == 3 and net(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    monkeypatch.setitem(metanet.factory.MODELS, "resnet18", Member(SPEC, "a test", 3))
    with pytest.raises(MetanetError, match="timm has a network 'resnet18' of its own: register 'resnet18' under"):
        metanet.timm.register()


def test_create_model_takes_timms_arguments():
    net = timm.create_model(
        "metanet_b4", num_classes=7, in_chans=1, drop_rate=0.3, drop_path_rate=0.2, global_pool="avg", scriptable=False
    )
    assert isinstance(net, MetaNet) and net(torch.randn(2, 1, 64, 64)).shape == (2, 7)
    rates = [block.drop for stage in net.stages for block in stage]
    assert net.drop_rate == 0.3 and rates[0] == 0 and rates[-1] == pytest.approx(0.2)
    assert net.pretrained_cfg["architecture"] == "metanet_b4" and net.default_cfg == net.pretrained_cfg
    assert timm.create_model("metanet_b4", device="meta", num_classes=3).classifier.weight.is_meta
    assert sum(p.numel() for p in timm.create_model("metanet_b15", device="meta").parameters()) == 1_002_425_020


def test_dropout_stands_before_the_classifier_and_sleeps_in_eval_mode():
    net = lively(drop_rate=0.5)
    last = net.forward_features(torch.randn(4, 3, 32, 32))
    pooled = net.forward_head(last, pre_logits=True)
    assert torch.equal(net.forward_head(last), net.classifier(pooled))
    dropped = net.train().forward_head(last, pre_logits=True)
    zeros = (dropped == 0).float().mean().item()
    assert 0.3 < zeros < 0.7
    for options, rule in (
        ({"drop_rate": 1.0}, r"`drop_rate` must be in \[0, 1\), got 1"),
        ({"in_chans": 0}, "in_chans"),
    ):
        with pytest.raises(MetanetError, match=rule):
            MetaNet(SPEC, **options)


def test_other_image_channels_are_saved_with_the_network(tmp_path):
    net = lively(in_chans=2)
    path = metanet.weights.save(net, tmp_path / "net.safetensors")
    x = torch.randn(1, 2, 40, 40)
    assert torch.equal(metanet.create(path)(x), net(x)) and metanet.create(path).in_chans == 2


def test_features_only():
    net = timm.create_model("metanet_b4", features_only=True)
    assert net.feature_info.channels() == [64, 128, 192, 384] and net.feature_info.reduction() == [4, 8, 16, 32]
    with torch.no_grad():
        maps = net.eval()(torch.randn(1, 3, 192, 224))
    assert [tuple(m.shape) for m in maps] == [(1, 64, 48, 56), (1, 128, 24, 28), (1, 192, 12, 14), (1, 384, 6, 7)]


@pytest.mark.parametrize("wrapper", ["list", "dict", "hook", "getter"])
def test_all_of_timms_feature_wrappers(wrapper):
    net = timm.create_model("metanet", spec=SPEC, features_only=True, feature_cls=wrapper).eval()
    assert net.feature_info.channels() == [16, 24, 32]
    maps = net(torch.randn(2, 3, 48, 64))
    maps = list(maps.values()) if wrapper == "dict" else maps
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 12, 16), (24, 6, 8), (32, 3, 4)]


def test_out_indices():
    net = timm.create_model("metanet", spec=SPEC, features_only=True, out_indices=(0, -1)).eval()
    assert [m.shape[1] for m in net(torch.zeros(1, 3, 32, 32))] == [16, 32] and net.feature_info.reduction() == [4, 16]
    assert not any(name.startswith(("head", "classifier")) for name, _ in net.named_parameters())
    assert (
        len(timm.create_model("metanet", spec=SPEC, features_only=True, out_indices=2)(torch.zeros(1, 3, 32, 32))) == 2
    )
    with pytest.raises(MetanetError, match=r"taps of this network's 3 \(0 … 2\), got \(1, 2, 3\)"):
        timm.create_model("metanet", spec=SPEC, features_only=True, out_indices=(1, 2, 3))


def test_timms_wrapper_and_ours_give_the_same_maps():
    net = lively()
    x = torch.randn(2, 3, 33, 47)
    wrapped = timm.models.FeatureListNet(net, out_indices=(0, 1, 2), flatten_sequential=True)
    for own, theirs in zip(net.forward_intermediates(x, intermediates_only=True), wrapped(x), strict=True):
        assert torch.equal(own, theirs)


def test_any_spec_by_the_entry_that_takes_one(tmp_path):
    (tmp_path / "spec.json").write_text(SPEC.to_json())
    for spec in (SPEC, SPEC.to_dict(), tmp_path / "spec.json"):
        net = timm.create_model("metanet", spec=spec, num_classes=5)
        assert net.spec == SPEC and net.num_classes == 5
        assert timm.data.resolve_data_config(model=net)["input_size"] == (3, 64, 64)
    with pytest.raises(MetanetError, match=r"create_model\('metanet'\) needs spec=: an ArchSpec, its to_dict\(\) or"):
        timm.create_model("metanet")


MISTAKES = {
    "no weights": ({"pretrained": True}, "no weights of metanet_b4 are published: give checkpoint_path=FILE, or "),
    "pooling": ({"global_pool": "max"}, "average pooling only, got global_pool='max': leave it out or give 'avg'"),
    "unknown": ({"drop_block_rate": 0.1}, "unknown argument of a MetaNet in timm 'drop_block_rate': did you mean"),
    "misspelt": ({"drop_rat": 0.1}, "did you mean 'drop_rate' or"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_sentence(case):
    options, sentence = MISTAKES[case]
    with pytest.raises(MetanetError, match=re.escape(sentence)):
        timm.create_model("metanet_b4", device="meta", **options)


def test_checkpoints(tmp_path):
    net, x = lively(), torch.randn(1, 3, 40, 56)
    ours = metanet.weights.save(net, tmp_path / "net.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "net.pth")
    for path in (ours, tmp_path / "net.pth"):
        again = timm.create_model("metanet", spec=SPEC, num_classes=5, checkpoint_path=path).eval()
        assert torch.equal(again(x), net(x))
    other = lively(classes=3)
    with pytest.raises(RuntimeError, match="classifier"):
        timm.models.load_checkpoint(other, str(ours))
    timm.models.load_checkpoint(
        other, str(ours), filter_fn=lambda d, _: {k: d[k] for k in d if "class" not in k}, strict=False
    )
    assert torch.equal(other.forward_features(x), net.forward_features(x))


def test_pretrained_takes_a_file_and_adapts_stem_and_classifier(tmp_path):
    net = lively()
    source = {"file": str(metanet.weights.save(net, tmp_path / "net.safetensors")), "num_classes": 5}
    options = {"spec": SPEC, "pretrained": True, "pretrained_cfg_overlay": source}
    x = torch.randn(2, 3, 40, 56)
    assert torch.equal(timm.create_model("metanet", num_classes=5, **options).eval()(x), net(x))
    other = timm.create_model("metanet", num_classes=2, **options).eval()
    assert torch.equal(other.forward_features(x), net.forward_features(x)) and other(x).shape == (2, 2)
    maps = timm.create_model("metanet", features_only=True, **options).eval()(x)
    assert torch.equal(maps[-1], net.forward_features(x))
    grey = timm.create_model("metanet", in_chans=1, **options)  # timm sums the colours of the first convolution
    assert torch.allclose(grey.stem.conv.weight, net.stem.conv.weight.sum(1, keepdim=True))
    stranger = metanet.weights.save(MetaNet(ArchSpec(SPEC.stages[:2], 8, 40)), tmp_path / "other.safetensors")
    options["pretrained_cfg_overlay"] = {"file": str(stranger)}
    with pytest.raises(MetanetError, match=r"does not fit architecture .* names are missing or unexpected \(stages.2"):
        timm.create_model("metanet", num_classes=2, **options)


def test_pretrained_reads_the_released_layout(tmp_path):
    from metanet.released import released_name

    spec = ArchSpec(SPEC.stages[:3], SPEC.stem_width, SPEC.head_width)
    net = MetaNet(spec, init=Init(0.5, False), seed=3).eval()
    released = {f"backbone.{released_name(name, spec)}": value for name, value in net.state_dict().items()}
    torch.save(released, tmp_path / "released.pth")
    overlay = {"file": str(tmp_path / "released.pth"), "num_classes": 0}
    again = timm.create_model("metanet", spec=spec, num_classes=4, pretrained=True, pretrained_cfg_overlay=overlay)
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(again.eval().forward_features(x), net.forward_features(x))


def depth_of(name):
    """Where a parameter stands in the forward pass: stem, (stage, block), head, classifier."""
    part, stage, block = (*name.split("."), "")[:3]
    if part == "stages":
        return (1 + int(stage), -1 if block == "down" else int(block))
    return ({"stem": 0, "head": 98, "classifier": 99}[part], 0)


def test_layer_decay_groups_follow_the_depth():
    net = lively()
    groups = timm.optim.param_groups_layer_decay(
        net, weight_decay=0.05, no_weight_decay_list=net.no_weight_decay(), layer_decay=0.75
    )
    names = {id(p): n for n, p in net.named_parameters()}
    placed = [(names[id(p)], g["lr_scale"], g["weight_decay"]) for g in groups for p in g["params"]]
    assert sorted(n for n, *_ in placed) == sorted(names.values())  # all, once
    scales = {}
    for name, scale, decay in placed:
        scales.setdefault(depth_of(name), set()).add(scale)
        silent = re.search(r"bias|norm|scale_|temperature|relative_position", name)
        assert decay == (0 if silent else 0.05), name
    ordered = [scales[depth] for depth in sorted(scales)]
    assert all(len(s) == 1 for s in ordered)
    ordered = [min(s) for s in ordered]
    parts = 2 + sum(stage.depth + (stage.down is not None) for stage in SPEC.stages)  # with stem and classifier
    assert ordered[:-2] + ordered[-1:] == pytest.approx([0.75**i for i in reversed(range(parts))])
    assert ordered[-2] == ordered[-3]  # the head learns with the last block


def test_create_optimizer_v2_scales_and_spares_the_same():
    net = lively()
    optimizer = timm.optim.create_optimizer_v2(net, opt="adamw", lr=1e-3, layer_decay=0.75, weight_decay=0.05)
    held = {id(p) for g in optimizer.param_groups for p in g["params"]}
    assert held == {id(p) for p in net.parameters()}
    of = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    first, last = of[id(net.stem.conv.weight)], of[id(net.classifier.weight)]
    assert first["lr_scale"] < of[id(net.stages[1][0].project.weight)]["lr_scale"] < last["lr_scale"] == 1.0
    assert first["weight_decay"] == 0.05 and of[id(net.classifier.bias)]["weight_decay"] == 0
    assert len(timm.models.group_parameters(net, net.group_matcher(coarse=True))) >= len(SPEC.stages) + 1


def test_the_steps_of_timms_train_script(tmp_path):
    net = timm.create_model("metanet", spec=SPEC, num_classes=3, drop_rate=0.1, drop_path_rate=0.1, seed=0)
    config = timm.data.resolve_data_config({}, model=net)
    train = timm.data.create_transform(**config, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25)
    test = timm.data.create_transform(**config)
    from PIL import Image

    picture = Image.new("RGB", (90, 70), (200, 30, 60))
    assert train(picture).shape == test(picture).shape == (3, 64, 64)
    net.set_grad_checkpointing()
    optimizer = timm.optim.create_optimizer_v2(net, opt="adamw", lr=1e-2, weight_decay=0.05, layer_decay=0.75)
    scheduler, epochs = timm.scheduler.create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=4,
        warmup_epochs=1,
        warmup_lr=1e-3,
        step_on_epochs=False,
        updates_per_epoch=2,
    )
    ema = timm.utils.ModelEmaV3(net, decay=0.5)
    before = copy.deepcopy(net.state_dict())
    mixup = timm.data.Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, num_classes=3)
    loss_fn = timm.loss.SoftTargetCrossEntropy()
    rates = []
    for step in range(3):
        images, target = mixup(torch.stack([train(picture)] * 4), torch.tensor([0, 1, 2, 0]))
        loss = loss_fn(net.train()(images), target)
        optimizer.zero_grad()
        loss.backward()
        timm.utils.dispatch_clip_grad(net.parameters(), 1.0)
        optimizer.step()
        ema.update(net, step=step)
        scheduler.step_update(step + 1)
        rates.append([g["lr"] for g in optimizer.param_groups])
    assert epochs == 4 and loss.isfinite() and len(set(rates[0])) > 3 and rates[1] > rates[0]
    own, mean = net.classifier.weight, ema.module.classifier.weight
    assert not torch.equal(own, before["classifier.weight"]) and not torch.equal(own, mean)
    saver = timm.utils.CheckpointSaver(net, optimizer, model_ema=ema, checkpoint_dir=str(tmp_path))
    saver.save_checkpoint(0, metric=1.0)
    again = timm.create_model("metanet", spec=SPEC, num_classes=3, checkpoint_path=tmp_path / "last.pth.tar")
    assert torch.equal(again.classifier.weight, mean)  # timm takes the averaged weights where there are any


def test_checkpointing_changes_memory_not_gradients():
    net = lively().train()
    x = torch.randn(4, 3, 32, 32)
    gradients = []
    for enable in (False, True):
        net.set_grad_checkpointing(enable)
        net.zero_grad()
        net(x).logsumexp(1).sum().backward()
        gradients.append([p.grad.clone() for p in net.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_freezing_up_to_a_stage_and_back():
    net, x = lively().train(), torch.randn(2, 3, 32, 32)
    timm.utils.freeze(net, ["stem", "stages.0", "stages.1"])
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in net.named_parameters() if n.startswith(("stem", "stages.0", "stages.1"))}
    kept = net.stages[0][0].norm_project.running_mean.clone()
    net(x).sum().backward()
    assert torch.equal(net.stages[0][0].norm_project.running_mean, kept)
    timm.utils.unfreeze(net)
    net(x)
    assert all(p.requires_grad for p in net.parameters())
    assert not torch.equal(net.stages[0][0].norm_project.running_mean, kept)
