"""Exported networks: equal to eager ones at other batches and sizes, with what they are written inside."""

import json
import os
import subprocess
import sys

import pytest
import torch

import metanet
import metanet.export.formats
from metanet import ArchSpec, Init, MetaNet, MetanetError, StageSpec
from metanet.cli import main
from metanet.export import Exported, export, takes_one_size

TRUST = 1e-4  # of the spread between images
ANY_SIZE = ArchSpec(
    (
        StageSpec("mbconv", 1, 16, 2, stride=2, kernel=5),
        StageSpec("fused_mbconv", 1, 16, 2, se=False),
        StageSpec("channel_attention", 2, 24, 2, stride=2, head_dim=8),
        StageSpec("self_attention", 1, 24, 2, head_dim=8),
    ),
    stem_width=8,
    head_width=24,
    resolution=48,
)
ONE_SIZE = ArchSpec(
    (
        StageSpec("window_attention", 2, 16, 2, stride=2, head_dim=8, window=3, down="local"),
        StageSpec("token_mlp", 1, 16, 2, grid=5),
    ),
    stem_width=8,
    head_width=24,
    resolution=40,
)
OPS = {op: StageSpec(op, 2, 16, 2, stride=2, head_dim=8, window=3, grid=4) for op in metanet.spec.OPS}
DOWNS = {
    down: StageSpec("self_attention", 1, 16, 2, stride=2, head_dim=8, down=down)
    for down in ("local", "local_global", "global")
}


def lively(spec, classes=5, **options):
    """A network whose every branch has a say, with BatchNorm statistics of its own."""
    net = MetaNet(spec, classes, init=Init(layer_scale=0.5, zero_gamma=False), seed=0, **options)
    with torch.no_grad():
        net.train()(torch.randn(8, net.in_chans, 48, 48))
    return net.eval()


def apart(got, want):
    """The largest difference as a share of the largest distance of an output from its mean over the images."""
    return ((got - want).abs().max() / (want - want.mean(0)).abs().max()).item()


def onnx_session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def runs(path):
    """What a file computes: images -> list of outputs."""
    if path.suffix == ".onnx":
        session = onnx_session(path)
        return lambda x: [torch.from_numpy(y) for y in session.run(None, {"images": x.numpy()})]
    program = torch.export.load(path).module()

    def run(x):
        out = program(x)
        return [out] if isinstance(out, torch.Tensor) else out

    return run


def agrees(net, path, *sizes, within=TRUST):
    """Whether a file gives what the network gives, for (images at once, height, width) each."""
    run = runs(path)
    for count, height, width in sizes:
        x = torch.randn(2 * count, net.in_chans, height, width)
        with torch.no_grad():
            got = torch.cat([run(part)[0] for part in x.split(count)])
            assert apart(got, net(x)) < within
    return True


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """A network of operators that take any size, and its files in both formats."""
    torch.manual_seed(0)
    net, folder = lively(ANY_SIZE), tmp_path_factory.mktemp("free")
    return net, {kind: export(net, folder / f"net{end}") for kind, end in (("onnx", ".onnx"), ("torch", ".pt2"))}


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_other_batches_and_odd_and_oblong_sizes(kind, free):
    net, done = free
    assert agrees(net, done[kind].path, (1, 48, 48), (4, 48, 48), (3, 33, 71), (2, 95, 17), (2, 64, 128))
    assert done[kind].input == ("batch", 3, "height", "width") and done[kind].outputs == ("logits",)
    assert done[kind].difference < TRUST and done[kind].format == kind
    assert done[kind].bytes == done[kind].path.stat().st_size
    assert sorted(p.name for p in done[kind].path.parent.iterdir()) == ["net.onnx", "net.pt2"]


def test_the_onnx_file_says_what_it_is(free):
    session = onnx_session(free[1]["onnx"].path)
    said = session.get_modelmeta().custom_metadata_map
    about = json.loads(said["metanet"])
    assert said["metanet.id"] == ANY_SIZE.id and ArchSpec.from_dict(about["spec"]) == ANY_SIZE
    assert about["num_classes"] == 5 and json.loads(said["metanet.images"])["mean"] == [0.485, 0.456, 0.406]
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("images", ["batch", 3, "height", "width"])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("logits", ["batch", 5])]
    import onnx

    onnx.checker.check_model(free[1]["onnx"].path)


@pytest.mark.slow
def test_a_torch_program_runs_without_this_library(free):
    net, done = free
    files = {"metanet.json": ""}
    torch.export.load(done["torch"].path, extra_files=files)
    assert ArchSpec.from_dict(json.loads(files["metanet.json"])["spec"]) == ANY_SIZE
    code = (
        "import sys; sys.modules['metanet'] = None\nimport torch\n"
        f"y = torch.export.load({str(done['torch'].path)!r}).module()(torch.ones(1, 3, 40, 56))\nprint(y.tolist())"
    )
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert torch.allclose(torch.tensor(json.loads(out.stdout)), net(torch.ones(1, 3, 40, 56)), atol=1e-6)


def test_what_is_laid_out_for_one_size_is_fixed_and_its_batch_free(tmp_path, capsys):
    net = lively(ONE_SIZE)
    done = export(net.train(), tmp_path / "net.onnx", resolution=(36, 44), provenance={"data": "none"})
    assert net.training and all(m.training for m in net.modules())
    assert done.input == ("batch", 3, 36, 44) and agrees(net.eval(), done.path, (1, 36, 44), (5, 36, 44))
    assert json.loads(onnx_session(done.path).get_modelmeta().custom_metadata_map["metanet"])["provenance"] == {
        "data": "none"
    }
    assert takes_one_size(ONE_SIZE) == "stage 0 is window_attention, which is laid out for one map size"
    assert takes_one_size(ANY_SIZE) is None
    with pytest.raises(
        MetanetError, match=r"cannot be free: stage 0 is window_attention, which .* and give a resolution"
    ):
        export(net, tmp_path / "other.onnx", dynamic_size=True)
    assert "Warning" not in capsys.readouterr().err


def test_taps_a_fixed_batch_and_weights_beside_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(metanet.export.formats, "PROTOBUF_LIMIT", 0)
    spec = ArchSpec(ANY_SIZE.stages[:3], 8, 24, 32)
    net = lively(spec, in_chans=1)
    done = export(net, tmp_path / "net.onnx", features_only=True, batch=2, dynamic_size=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    assert done.bytes == sum(p.stat().st_size for p in tmp_path.iterdir())
    assert done.input == (2, 1, 32, 32) and done.outputs == ("stride4", "stride8")
    x = torch.randn(2, 1, 32, 32)
    for got, want in zip(runs(done.path)(x), net.forward_intermediates(x, intermediates_only=True), strict=True):
        assert got.shape == want.shape and apart(got, want) < TRUST


def test_the_weights_of_a_file_and_their_provenance(tmp_path):
    net = lively(ArchSpec(ANY_SIZE.stages[:1], 8, 24, 32), classes=0)
    saved = metanet.weights.save(net, tmp_path / "net.safetensors", {"data": "digits"})
    for model, options in ((saved, {}), (net.spec, {"weights": saved})):
        done = export(model, tmp_path / "net.pt2", dynamic_size=False, **options)
        files = {"metanet.json": ""}
        torch.export.load(done.path, extra_files=files)
        assert json.loads(files["metanet.json"])["provenance"] == {"data": "digits"}
        assert done.outputs == ("features",) and agrees(net, done.path, (2, 32, 32))
    done = export(net.spec, tmp_path / "net.pt2", dynamic_size=False, num_classes=3, verify=False)
    torch.export.load(done.path, extra_files=files)
    assert done.difference is None and json.loads(files["metanet.json"])["provenance"] == {"weights": "random, seed 0"}
    assert runs(done.path)(torch.zeros(2, 3, 32, 32))[0].shape == (2, 3)


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    spec = ArchSpec(ANY_SIZE.stages[:1], 8, 24, 32)
    (tmp_path / "net.pt2").write_text("mine")
    for fault in (lambda y: y + 1e-2 * y.std(), lambda y: y * torch.nan):
        net = lively(spec)
        monkeypatch.setitem(metanet.export.formats.RUNNERS, "torch", lambda file, n=net, f=fault: lambda x: [f(n(x))])
        with pytest.raises(
            MetanetError, match=r"differs by .* of the spread between images, more than 0.001: nothing was"
        ):
            export(net, tmp_path / "net.pt2", dynamic_size=False)
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt2"] and (tmp_path / "net.pt2").read_text() == "mine"
    assert export(net, tmp_path / "net.pt2", dynamic_size=False, verify=False).bytes > 1000


MISTAKES = {
    "suffix": (("x.foo", {}), r"an export to onnx or torch ends in .onnx or .pt2, got 'x.foo': name the file so"),
    "other suffix": (("x.pt2", {"format": "onnx"}), "an export to onnx ends in .onnx, got 'x.pt2'"),
    "format": (("x.onnx", {"format": "onxx"}), "unknown export format 'onxx': did you mean 'onnx'"),
    "folder": (
        ("no/such/x.onnx", {}),
        r"cannot write '.*no/such/x.onnx' \(No such file or directory\): choose a folder",
    ),
    "small": (
        ("x.onnx", {"resolution": 7}),
        "at least the network's total stride 8 and 1 image or more, got resolution=7",
    ),
    "oblong": (("x.onnx", {"resolution": (32, 4)}), r"total stride 8 and .*got resolution=\(32, 4\)"),
    "batch": (("x.onnx", {"batch": 0}), "got resolution=None, batch=0"),
    "own classes": (
        ("x.onnx", {"num_classes": 3}),
        "`num_classes` and `weights` go with a name or a spec: this network",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_sentence_and_leave_nothing(case, tmp_path):
    (name, options), sentence = MISTAKES[case]
    with pytest.raises(MetanetError, match=sentence):
        export(MetaNet(ANY_SIZE), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_networks_without_float32_weights_are_refused(tmp_path):
    for net in (MetaNet(ANY_SIZE, device="meta"), MetaNet(ANY_SIZE).to(torch.bfloat16)):
        with pytest.raises(
            MetanetError, match="an export needs float32 weights: build the network on a device and call"
        ):
            export(net, tmp_path / "net.onnx")


def test_what_onnx_needs_is_named(tmp_path, monkeypatch):
    from importlib.util import find_spec

    def without(name):
        return None if name in ("onnxscript", "onnxruntime") else find_spec(name)

    monkeypatch.setattr("metanet.export.write.find_spec", without)
    with pytest.raises(
        MetanetError, match=r"needs onnxscript, onnxruntime: pip install 'metanet-nas\[export\]', or export"
    ):
        export(MetaNet(ANY_SIZE), tmp_path / "net.onnx")
    with pytest.raises(MetanetError, match="needs onnxscript: pip"):
        export(MetaNet(ANY_SIZE), tmp_path / "net.onnx", verify=False)


def test_the_command(tmp_path, capsys):
    spec = ArchSpec(ONE_SIZE.stages[1:], 8, 24, 32)
    (tmp_path / "spec.json").write_text(spec.to_json())
    argv = ["export", str(tmp_path / "spec.json"), "--to", str(tmp_path / "net.pt2"), "--classes", "4"]
    assert main(argv) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "weights: random (--weights FILE gives others)"
    assert out[1] == "height and width are fixed: stage 0 is token_mlp, which is laid out for one map size"
    assert out[2].startswith(f"wrote {tmp_path / 'net.pt2'} (") and out[2].endswith(
        "images (batch, 3, 32, 32) -> logits"
    )
    assert out[3].startswith("verified: differs by at most 0.0e+00") or float(out[3].split()[5]) < TRUST
    assert main([*argv, "--json", "--no-verify", "--fixed-size", "--resolution", "20", "--batch", "1"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["input"] == [1, 3, 20, 20] and said["difference"] is None and said["outputs"] == ["logits"]
    assert main([*argv, "--free-size"]) == 2
    assert "cannot be free: stage 0 is token_mlp" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_is_said_but_how_long_it_took(tmp_path):
    code = (
        "import metanet; from metanet.export import export\n"
        f"print(type(export(metanet.ArchSpec.from_json({ANY_SIZE.to_json()!r}), {str(tmp_path / 'n.onnx')!r}, "
        "dynamic_size=False)).__name__)"
    )
    env = {k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == f"{Exported.__name__}\n"
    assert done.stderr == "" or (done.stderr.startswith("export to n.onnx: 4 in ") and done.stderr.count("\n") == 1)


@pytest.mark.slow
@pytest.mark.parametrize("end", [".onnx", ".pt2"])
@pytest.mark.parametrize("part", [*OPS, *DOWNS])
def test_every_operator_and_downsampling_module(part, end, tmp_path):
    net = lively(ArchSpec(({**OPS, **DOWNS}[part],), 8, 24, 32))
    done = export(net, tmp_path / f"net{end}")
    assert (done.input[2:] == ("height", "width")) == (part not in ("window_attention", "token_mlp"))
    others = [(2, 33, 47), (1, 32, 32)] if takes_one_size(net.spec) is None else [(1, 32, 32), (4, 32, 32)]
    assert agrees(net, done.path, (3, 32, 32), *others)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_gigabytes_of_weights_stand_beside_the_file(tmp_path):
    net = MetaNet(metanet.create("MN-B15", device="meta").spec, init=Init(0.5, False), seed=0).eval()
    done = export(net, tmp_path / "net.onnx", resolution=64)
    assert done.difference < TRUST and done.input == ("batch", 3, "height", "width")
    assert (tmp_path / "net.onnx").stat().st_size < 2**25 and (tmp_path / "net.onnx.data").stat().st_size > 4e9
