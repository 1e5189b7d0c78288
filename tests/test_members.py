"""Every member of the zoo: it runs, learns, costs what torch counts, taps, takes a classifier and comes back from disk;
a small one of each kind is exported and compiled.

All are built on the meta device for shapes and costs, those in the middle of the ladder if `slow`; small ones run for
real at small sizes, larger ones if `slow`.
"""

import pytest
import torch
from test_export import agrees, apart
from torch.utils.flop_counter import FlopCounterMode

import metanet
from metanet import Init
from metanet.export import export
from metanet.factory import find
from metanet.model import FeatureNet

MEMBERS = metanet.list_models()
SMALL = {"MN-B4", "MN-B5", "UniNet-B0", "UniNet-B1", "UniNet-B2"}
MIDDLE = {f"MN-B{i}" for i in range(8, 15)}  # of the same blocks as those that run: on the meta device
SIZES = [(64, 64), (97, 80)]
# Random networks of a hundred blocks bring images within a hundredth of their outputs, where the rounding of another
# order of sums is 1e-4 of what is left (it depends on the processor); a leak or a wrong operator is of order 1.
DEEP = 1e-3


def empty(*shape):
    return torch.empty(shape, device="meta")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in MIDDLE)) for n in MEMBERS])
class TestEveryMemberDescribed:
    def test_maps_and_costs_to_the_integer_at_its_own_resolution(self, name):
        net = metanet.create(name, device="meta").eval()
        about, side = net.default_cfg, net.spec.resolution
        assert about["input_size"] == (3, side, side) and net.feature_info.reduction() == [4, 8, 16, 32]
        with FlopCounterMode(display=False) as counter:
            last, maps = net.forward_intermediates(empty(1, 3, side, side))
            y = net.forward_head(last)
        want = [(1, tap["num_chs"], side // tap["reduction"], side // tap["reduction"]) for tap in net.feature_info]
        assert [tuple(tap.shape) for tap in maps] == want and want[-1][2:] == about["pool_size"]
        assert last.shape[1] == net.num_features and y.shape == (1, net.num_classes or net.head_hidden_size)
        cost = metanet.cost(name, num_classes=net.num_classes)
        assert cost.macs == counter.get_total_flops() // 2
        assert cost.params == sum(p.numel() for p in net.parameters())
        assert 4 * cost.params < cost.memory() < 4 * (cost.params + cost.activations)

    def test_the_classifier_is_replaced(self, name):
        net = metanet.create(name, num_classes=5, device="meta")
        last = empty(1, net.num_features, 2, 2)
        for classes in (7, 0, 3):
            net.reset_classifier(classes)
            assert net.forward_head(last).shape == (1, classes or net.head_hidden_size)
            assert net.num_classes == classes


def test_the_ladder_is_complete_and_says_what_is_released():
    ladder = metanet.list_models("MN-*")
    assert ladder == [f"MN-B{i}" for i in range(4, 16)]
    kinds = {name: find(name).provenance.partition(":")[0] for name in ladder}
    assert {name for name, kind in kinds.items() if kind == "released"} == {"MN-B4", "MN-B15"}
    assert set(kinds.values()) == {"released", "generated"}
    # OpenGVLab's model zoo (model.md): of MN-B7 with 1,000 classes at 224 pixels, the only public figures between
    seven = metanet.cost("MN-B7", resolution=224, num_classes=1000)
    assert seven.params == pytest.approx(100.2e6, rel=0.01) and seven.macs == pytest.approx(7.26e9, rel=0.01)


def images(*size, count=2):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="class")
def net(request):
    """A member with two classes, built once for all tests of its class: a billion initial values take a minute.

    Every branch has a say, and BatchNorm has seen images: so images stay apart, and errors can be heard.
    """
    net = metanet.create(request.param, num_classes=2, init=Init(layer_scale=0.5, zero_gamma=False), seed=0)
    with torch.no_grad():
        net.train()(images(48, 48, count=8))
    return net


REAL = [pytest.param(name, marks=[] if name in SMALL else pytest.mark.slow) for name in MEMBERS if name not in MIDDLE]
every = pytest.mark.parametrize("net", REAL, indirect=True, scope="class")
small = pytest.mark.parametrize("net", ["MN-B4", "UniNet-B1"], indirect=True, scope="class")


class TestEveryMemberForReal:
    @every
    def test_it_runs_and_its_parts_are_the_whole(self, net):
        net.eval()
        channels, strides = net.feature_info.channels(), net.feature_info.reduction()
        with torch.no_grad():
            for size in SIZES:
                x = images(*size)
                maps = FeatureNet(net)(x)
                want = [(2, c, *(-(-side // s) for side in size)) for c, s in zip(channels, strides, strict=True)]
                assert [tuple(tap.shape) for tap in maps] == want
                y = net.forward_head(maps[-1])
                assert y.shape == (2, 2) and y.isfinite().all()
                alone = torch.cat([net(image[None]) for image in x])
                assert apart(alone, y) < DEEP  # an image's output doesn't depend on the others

    @every
    def test_it_comes_back_from_disk(self, net, tmp_path):
        path = net.save(tmp_path / "net.safetensors", {"seed": "0"})
        again = metanet.create(path)
        assert again.spec == net.spec and again.num_classes == 2 and not again.training
        ours, theirs = net.state_dict(), again.state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
        assert metanet.weights.provenance(path) == {"seed": "0"}
        path.unlink()  # all together are 16 GB, and pytest keeps the files of its last three runs

    @pytest.mark.slow
    @small
    @pytest.mark.parametrize("end", [".onnx", ".pt2"])
    def test_it_is_exported_for_any_batch_and_size(self, net, end, tmp_path):
        done = export(net.eval(), tmp_path / f"net{end}", resolution=64)
        assert done.input == ("batch", 3, "height", "width") and done.difference < DEEP
        assert agrees(net, done.path, (1, 64, 64), (3, 97, 65), within=DEEP)

    @pytest.mark.slow
    @small
    def test_it_compiles_to_one_graph(self, net):
        with torch.no_grad():
            want = net.eval()(images(64, 64))
            compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
            assert apart(compiled(images(64, 64)), want) < DEEP
        torch._dynamo.reset()

    @every
    def test_every_parameter_gets_a_gradient(self, net):
        net.train()(images(64, 64)).logsumexp(1).sum().backward()
        for key, p in net.named_parameters():
            assert p.grad is not None and p.grad.isfinite().all(), key
        assert net.stem.conv.weight.grad.abs().max() > 0 and net.classifier.weight.grad.abs().max() > 0
