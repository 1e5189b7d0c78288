"""A sub-network of the supernet and the extracted one are the same function to the last bit, whatever was done to the
shared weights before."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.nn import functional as F

from metanet import Init, MetanetError
from metanet.search_spaces import Supernet, load_space
from metanet.search_spaces.shared import slices
from metanet.search_spaces.skeletons import KEPT
from metanet.spec import DOWNS, OPS

SIDES = {"tiny": 28, "paper": 64}


@cache
def space_of(scale):
    """All ops after all modules at the scale of metanet-tiny, and the lower end of the space at that of the paper."""
    if scale == "tiny":
        tiny = load_space("metanet-tiny").freeze(resolution=28)
        return replace(tiny, stages=tuple(replace(one, op=OPS, down=(None, *DOWNS)) for one in tiny.stages))
    space = load_space("metanet").where(expansion=(1, 2), kernel=(3, 5), head_width=(1280,), stem_width=(32, 64))
    ends = [(1, 2), (2, 3), (2,), (2,), (2,), (4,)], [(16, 96), (32, 96), (64, 96), (96, 128), (96, 192), (192,)]
    for i, (depth, width) in enumerate(zip(*ends, strict=True)):
        space = space.where(**{f"stage{i}.depth": depth, f"stage{i}.width": width})
    return space


@cache
def supernet_of(scale):
    return Supernet(space_of(scale), 5, init=Init(layer_scale=0.5, zero_gamma=False)).train()


def images(n, side, seed=0):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def same(supernet, spec, x):
    """Whether the supernet and a network extracted now answer the same, and are no constant."""
    x = x.to(next(supernet.parameters()).dtype)
    stats = supernet.calibrate(spec, [x, 2 * x])
    with torch.no_grad():
        y = supernet(x, spec, stats=stats)
        assert y.std() > 0
        return torch.equal(y, supernet.extract(spec, stats)(x))


CASES = [
    # A large scale differs in sizes alone: each of its operators once, and after every module if `slow`.
    pytest.param(scale, op, down, marks=[pytest.mark.slow] if scale == "paper" and down else [])
    for scale in SIDES
    for op in OPS
    for down in (None, *DOWNS)
]


@pytest.mark.parametrize("scale, op, down", CASES)
def test_every_op_after_every_module_evaluates_and_learns_the_same(scale, op, down):
    supernet, x = supernet_of(scale), images(3, SIDES[scale])
    (spec,) = space_of(scale).where(op=(op,), down=(down,)).sample(1, seed=OPS.index(op))
    assert {(stage.op, stage.down) for stage in spec.stages} == {(op, down)}
    assert same(supernet, spec, x) and same(supernet, spec, x[:1])  # torch takes other kernels for a single image
    net, labels = supernet.extract(spec), torch.arange(3)
    supernet.zero_grad(set_to_none=True)
    losses = F.cross_entropy(supernet(x, spec), labels), F.cross_entropy(net(x), labels)
    assert losses[0].item() == losses[1].item()
    for loss in losses:
        loss.backward()
    own, reached = dict(net.named_parameters()), 0
    for part in slices(net, supernet._weights):
        whole = supernet.shared[part.key].grad
        cut = part.take(whole).reshape(part.empty.shape)
        torch.testing.assert_close(cut, own[part.path].grad, rtol=0, atol=0)
        assert whole.count_nonzero() == own[part.path].grad.count_nonzero()  # nothing outside the slice
        reached += 1
    assert reached == sum(value.grad is not None for value in supernet.parameters())


def stepped(supernet, spec, x):
    optimiser = torch.optim.AdamW(supernet.parameters(), lr=0.1, fused=True)
    supernet.train()(x, spec).logsumexp(1).sum().backward()
    optimiser.step()
    return supernet


def loaded(supernet, assign):
    supernet.load_state_dict(Supernet(space_of("tiny"), 5, seed=3).state_dict(), assign=assign)
    return supernet


def overwritten(supernet):
    for value in supernet.parameters():
        value.data.mul_(1.5)  # which no version counter of autograd sees
    return supernet


def reclassified(supernet, classes):
    supernet.reset_classifier(classes, seed=8)
    return supernet


CHANGES = {
    "an optimiser's step": stepped,
    "loaded weights": lambda supernet, spec, x: loaded(supernet, False),
    "assigned weights": lambda supernet, spec, x: loaded(supernet, True),
    "values under autograd": lambda supernet, spec, x: overwritten(supernet),
    "another type": lambda supernet, spec, x: supernet.double(),
    "another layout": lambda supernet, spec, x: supernet.to(memory_format=torch.channels_last),
    "another classifier": lambda supernet, spec, x: reclassified(supernet, 7),
    "no classifier": lambda supernet, spec, x: reclassified(supernet, 0),
    "a fresh one as wide": lambda supernet, spec, x: reclassified(supernet, 5),
    "a copy": lambda supernet, spec, x: copy.deepcopy(supernet),
    "another process": lambda supernet, spec, x: pickle.loads(pickle.dumps(supernet)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_kept_is_right_after_the_weights_have_changed(change):
    supernet, x = copy.deepcopy(supernet_of("tiny")), images(2, 28)
    (spec,) = space_of("tiny").sample(1, seed=11)
    assert same(supernet, spec, x)
    before = supernet(x, spec)
    changed = CHANGES[change](supernet, spec, x)
    assert same(changed, spec, x)
    alike = change in ("a copy", "another process", "another layout")
    after = changed.train()(x.to(next(changed.parameters()).dtype), spec)
    assert (after.shape == before.shape and torch.allclose(after.float(), before, atol=1e-4)) == (
        alike or change == "another type"
    )
    assert after.dtype == (torch.float64 if change == "another type" else torch.float32)


@pytest.mark.parametrize("least", [0, 10**9])
def test_blocks_that_take_their_slices_one_by_one_are_the_same(least, monkeypatch):
    monkeypatch.setattr("metanet.search_spaces.skeletons.LARGE", least)
    supernet, x = copy.deepcopy(supernet_of("tiny")), images(2, 28)
    specs = space_of("tiny").sample(3, seed=21)
    assert all(same(supernet, spec, x) for spec in specs)
    for skeleton in supernet._skeletons._idle.values():
        assert skeleton.large == (least == 0)
        assert {value.device.type for value in skeleton.net.parameters()} == {"meta"}
    supernet.train()(x, specs[0]).logsumexp(1).sum().backward()
    net = supernet.extract(specs[0])
    net(x).logsumexp(1).sum().backward()
    for part in slices(net, supernet._weights):
        cut = part.take(supernet.shared[part.key].grad).reshape(part.empty.shape)
        torch.testing.assert_close(cut, part.owner[part.name].grad, rtol=0, atol=0)


def test_what_is_kept_is_bounded_and_holds_no_weights():
    supernet = copy.deepcopy(supernet_of("tiny"))
    for spec in space_of("tiny").sample(KEPT + 5, seed=0):
        supernet.train()(images(2, 28), spec)
    kept = supernet._skeletons._idle
    assert len(kept) == KEPT and list(kept)[-1] == (spec, 5)
    for skeleton in kept.values():
        assert {v.device.type for v in (*skeleton.net.parameters(), *skeleton.net.buffers())} == {"meta"}
    assert not copy.deepcopy(supernet)._skeletons._idle


def test_threads_do_not_share_what_is_kept():
    supernet = supernet_of("tiny").train()
    (spec,) = space_of("tiny").sample(1, seed=2)
    batches = [images(2, 28, seed) for seed in range(4)]
    alone = [supernet(x, spec) for x in batches]
    with ThreadPoolExecutor(4) as threads:
        together = threads.map(lambda x: supernet(x, spec).detach(), batches * 8)
        for expected, found in zip(alone * 8, together, strict=True):
            assert torch.equal(expected, found)


def test_the_same_in_inference_mode_and_with_gradients():
    supernet, x = supernet_of("tiny"), images(2, 28)
    for op in OPS:
        (spec,) = space_of("tiny").where(op=(op,)).sample(1, seed=3)
        stats = supernet.calibrate(spec, [x])
        net = supernet.extract(spec, stats)
        with torch.inference_mode():
            assert torch.equal(supernet(x, spec, stats=stats), net(x))
        assert torch.equal(supernet(x, spec, stats=stats), net(x))  # a gradient may be asked for in eval mode, too


def test_without_gradients_slices_are_cut_once_and_always_filled_anew():
    supernet, x = copy.deepcopy(supernet_of("tiny")).eval(), images(2, 28)
    (spec,) = space_of("tiny").sample(1, seed=9)
    stats = supernet.calibrate(spec, [x])
    (skeleton,) = supernet._skeletons._idle.values()
    changes = ((lambda: None, True), (lambda: overwritten(supernet), True), (lambda: loaded(supernet, True), False))
    for change, stays in changes:
        kept = skeleton.fitted
        change()
        for mode in (torch.inference_mode, torch.no_grad):
            with mode():
                assert torch.equal(supernet(x, spec, stats), supernet.extract(spec, stats)(x))
        assert (skeleton.fitted is kept) == stays


def test_an_update_inside_autocast_is_seen():
    supernet, x = copy.deepcopy(supernet_of("tiny")).eval(), images(2, 28)
    (spec,) = space_of("tiny").sample(1, seed=9)
    stats = supernet.calibrate(spec, [x])
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            assert torch.equal(supernet(x, spec, stats), supernet.extract(spec, stats)(x))
            overwritten(supernet)


def test_weights_that_torch_func_puts_in_place_are_taken():
    supernet, x = copy.deepcopy(supernet_of("tiny")).eval(), images(2, 28)
    (spec,) = space_of("tiny").sample(1, seed=9)
    stats = supernet.calibrate(spec, [x])
    others = {name: value.detach() * 1.5 for name, value in supernet.named_parameters()}
    with torch.no_grad():
        before = supernet(x, spec, stats)
        swapped = torch.func.functional_call(supernet, others, (x, spec, stats))
        assert torch.equal(supernet(x, spec, stats), before) and not torch.equal(before, swapped)
        assert torch.equal(overwritten(supernet)(x, spec, stats), swapped)


def test_a_run_that_fails_leaves_nothing_behind():
    supernet = supernet_of("tiny").train()
    (spec,) = space_of("tiny").sample(1, seed=5)
    with pytest.raises(RuntimeError):
        supernet(torch.zeros(2, 4, 28, 28), spec)
    assert same(supernet, spec, images(2, 28))


def test_statistics_of_another_architecture_are_refused():
    supernet, x = supernet_of("tiny"), images(2, 28)
    one, other = space_of("tiny").sample(2, seed=6)
    stats = supernet.calibrate(one, [x])
    for wrong in (stats, {}, {**supernet.calibrate(other, [x]), "stem.norm.running_var": torch.ones(7)}):
        for run in (lambda: supernet(x, other, stats=wrong), lambda: supernet.extract(other, wrong)):  # noqa: B023
            with pytest.raises(MetanetError, match="statistics are of another architecture: pass those that"):
                run()
    kernels = [replace(stage, kernel=3 + 2 * (stage.kernel == 3)) if stage.kernel else stage for stage in one.stages]
    alike = replace(one, stages=tuple(kernels))  # its statistics have the same names and shapes
    assert {n: v.shape for n, v in supernet.calibrate(alike, [x]).items()} == {n: v.shape for n, v in stats.items()}
    for wrong in (stats, pickle.loads(pickle.dumps(stats))):
        with pytest.raises(MetanetError, match="statistics are of another architecture"):
            supernet(x, alike, wrong)
    trained = dict(supernet.extract(one, stats).named_buffers())  # all buffers of a network are its statistics, too
    assert torch.equal(supernet(x, one, stats=trained), supernet(x, one, stats=stats))
