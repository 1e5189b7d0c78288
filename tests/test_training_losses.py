"""What teaches the networks of a supernet and what becomes of their gradients: against hand derivations, plain autograd
and other libraries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional as F
from trained import DISTILLED, steps

from metanet.search_spaces.training.distillation import soft_cross_entropy
from metanet.search_spaces.training.divergence import adaptive, alpha_divergence
from metanet.search_spaces.training.measures import Trained, agreement, row
from metanet.search_spaces.training.parts import summed
from metanet.search_spaces.training.pools import Bands
from metanet.search_spaces.training.projection import projected, without_conflict
from metanet.spec import ArchSpec, StageSpec

# --- teachers

logits = st.lists(st.lists(st.floats(-4, 4), min_size=3, max_size=3), min_size=1, max_size=4)


@given(logits, st.integers(0, 100))
def test_distillation_is_kl_but_for_the_teachers_entropy(values, seed):
    teacher = torch.tensor(values, dtype=torch.float64)
    student = torch.randn(teacher.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    p, q = (t.softmax(1).numpy() for t in (teacher, student))
    expected = np.mean([stats.entropy(a, b) + stats.entropy(a) for a, b in zip(p, q, strict=True)])
    student.requires_grad_()
    loss = soft_cross_entropy(student, teacher.requires_grad_())
    loss.backward()
    assert loss.item() == pytest.approx(expected)
    assert np.allclose(student.grad.numpy(), (q - p) / len(p)) and teacher.grad is None


@given(logits, st.integers(0, 100), st.sampled_from([-1.0, 0.5, 1.0, 2.0]))
def test_an_uncut_alpha_divergence_is_its_definition(values, seed, alpha):
    teacher = torch.tensor(values, dtype=torch.float64)
    student = torch.randn(teacher.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    student.requires_grad_()
    found = alpha_divergence(student, teacher, alpha, clip=math.inf)
    p, q = teacher.softmax(1), student.softmax(1)
    if alpha == 1:
        expected = (p * (p / q).log()).sum(1)
        assert np.allclose(found.detach().numpy(), stats.entropy(p.numpy(), q.detach().numpy(), axis=1))
    elif alpha == -1:
        expected = 0.5 * ((p - q) ** 2 / p).sum(1)  # half of Neyman's chi-square
    else:
        expected = (q * ((p / q) ** alpha - 1)).sum(1) / (alpha * (alpha - 1))
    assert torch.allclose(found, expected)
    (grad,) = torch.autograd.grad(found.sum(), student, retain_graph=True)
    (own,) = torch.autograd.grad(expected.sum(), student)
    assert torch.allclose(grad, own)


def test_ratios_are_cut_in_value_and_gradient():
    teacher, student = torch.tensor([[2.0, 0.0]]), torch.tensor([[-2.0, 0.0]], requires_grad=True)
    p, q = teacher.softmax(1)[0].numpy(), student.detach().softmax(1)[0].numpy()
    assert p[0] / q[0] > 5 and q[1] / p[1] > 5
    for alpha in (-1.0, 1.0):
        cut = math.inf if alpha == 1 else 5.0
        ratio = [min(cut, (a / b) ** alpha) for a, b in zip(p, q, strict=True)]
        if alpha == 1:
            value = sum(b * r * math.log(r) for b, r in zip(q, ratio, strict=True))
        else:
            value = sum(b * (r - 1) for b, r in zip(q, ratio, strict=True)) / 2
        found = alpha_divergence(student, teacher, alpha)
        assert found.item() == pytest.approx(value, rel=1e-5)
        (grad,) = torch.autograd.grad(found.sum(), student)
        # -1 / alpha sum_i q_i r_i d log q_i, where d log q_i / d z_j = [i = j] - q_j
        expected = [-sum(q[i] * ratio[i] * ((i == j) - q[j]) for i in range(2)) / alpha for j in range(2)]
        assert grad[0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("student", [[0.1, 0.9], [0.01, 0.99], [0.001, 0.999]])
def test_a_student_that_is_sure_of_something_else_is_pulled_as_hard_as_by_kl(student):
    """The cut takes nothing from the larger of both: the gradient of KL, q - p, for a teacher that says (0.9, 0.1)."""
    teacher, values = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([student]).log().requires_grad_()
    adaptive(values, teacher).backward()
    assert values.grad[0, 0].item() <= (student[0] - 0.9) * (1 - 1e-5)


@given(logits, st.integers(0, 100), st.floats(0, 60))
def test_the_adaptive_divergence_is_finite_and_the_larger_of_both(values, seed, scale):
    teacher = torch.tensor(values)
    student = (scale * torch.randn(teacher.shape, generator=torch.Generator().manual_seed(seed))).requires_grad_()
    loss = adaptive(student, teacher)
    loss.backward()
    both = [alpha_divergence(student.detach(), teacher, alpha) for alpha in (-1.0, 1.0)]
    assert loss.item() == pytest.approx(torch.stack(both).amax(0).mean().item(), abs=1e-6)
    assert torch.isfinite(loss) and torch.isfinite(student.grad).all()


# --- gradients


def test_projection_of_two_parameters_by_hand():
    largest = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([2.0])}
    others = {"a": torch.tensor([-1.0, 1.0]), "c": torch.tensor([3.0])}
    # (1, 0) along (-1, 1) is -1/2 (-1, 1); without it (1/2, 1/2) is left; with the others' (-1, 1) that is (-1/2, 3/2)
    found = projected(largest, others)
    assert {name: g.tolist() for name, g in found.items()} == {"a": [-0.5, 1.5], "b": [2.0], "c": [3.0]}
    agreeing = projected({"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([1.0, 0.0])})
    assert agreeing["a"].tolist() == [2.0, 2.0]
    assert {name: g.tolist() for name, g in summed(largest, others).items()} == {
        "a": [0.0, 1.0],
        "b": [2.0],
        "c": [3.0],
    }


vectors = st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=4)


@given(vectors, vectors)
def test_after_projection_nothing_points_against_the_sampled_networks(a, b):
    gradient, first = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    found = without_conflict(gradient, first)
    before, after = torch.dot(gradient, first), torch.dot(found, first)
    scale = gradient.norm() * first.norm()
    assert after >= -1e-9 * scale
    if before >= 0:
        assert torch.equal(found, gradient)
    else:
        assert abs(after) <= 1e-9 * scale and found.norm() <= gradient.norm() * (1 + 1e-9)
    # The sum goes down for the sampled networks at least as fast as their own gradient alone.
    assert torch.dot(found + first, first) >= torch.dot(first, first) - 1e-9 * scale


def separate(made, step):
    """The gradients of the largest network and of the others by plain autograd over whole losses."""
    supernet, networks = made.supernet, made.networks(step)
    specs = [*networks.ends, *(group[0] for group in networks.random)]
    (part,) = made._parts(step)
    taught = made._logits(specs[0], part)
    named = dict(supernet.named_parameters())

    def grads(loss):
        found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        return {name: g for name, g in zip(named, found, strict=True) if g is not None}

    target = taught.detach().softmax(1)
    others = sum(-(target * made._logits(spec, part).log_softmax(1)).sum(1).mean() for spec in specs[1:])
    return grads(F.cross_entropy(taught, part.labels)), grads(others)


@pytest.mark.parametrize("join", [(), ("gradient-projection",)])
def test_the_gradients_of_a_step_are_those_of_its_losses(join):
    made = steps(*DISTILLED, *join, samples=2)
    largest, others = separate(made, 1)
    found, told = made.gradients(1)
    assert found.keys() == largest.keys() | others.keys()
    assert largest.keys() - others.keys(), "no branch is the largest network's alone: this would test nothing"
    projections = 0
    for name, gradient in found.items():
        a, b = largest.get(name), others.get(name)
        if a is None or b is None:  # passes once: NASViT's own code doubles it where gradients are None
            expected = b if a is None else a
        elif join and (a * b).sum() < 0:
            projections += 1
            expected = a - (a * b).sum() / (b * b).sum() * b + b
        else:
            expected = a + b
        assert torch.allclose(gradient, expected, atol=1e-6), name
    assert projections > 0 or not join
    masked = [(largest[n] * (others[n] != 0), others[n] * (largest[n] != 0)) for n in largest if n in others]
    a, b = (torch.cat([pair[i].flatten() for pair in masked]) for i in (0, 1))
    for parameter in made.supernet.parameters():  # what an earlier step left behind is no gradient of this one
        parameter.grad = torch.ones_like(parameter)
    again, _ = made.gradients(1)
    assert again.keys() == found.keys() and all(torch.equal(again[name], found[name]) for name in found)
    assert told["cosine"] == pytest.approx(F.cosine_similarity(a, b, dim=0).item(), abs=1e-5)


def test_without_a_teacher_all_learn_the_labels():
    made = steps("sandwich", samples=0)
    (part,), specs = made._parts(0), made.networks(0).ends
    loss = sum(F.cross_entropy(made._logits(spec, part), part.labels) for spec in specs)
    named = dict(made.supernet.named_parameters())
    expected = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    found, told = made.gradients(0)
    for name, gradient in zip(named, expected, strict=True):
        assert (gradient is None) == (name not in found)
        assert gradient is None or torch.allclose(found[name], gradient, atol=1e-6)
    assert told["taught"] == pytest.approx(F.cross_entropy(made._logits(specs[1], part), part.labels).item(), abs=1e-5)


def test_micro_batches_weigh_by_their_size_and_none_is_dropped():
    whole, cut = (steps("single-path", batch_size=7, micro_batches=n, shift=0) for n in (1, 3))
    parts = cut._parts(2)
    assert [len(part.ids) for part in parts] == [3, 2, 2] and sum(part.share for part in parts) == pytest.approx(1)
    assert np.concatenate([part.ids for part in parts]).tolist() == whole._parts(2)[0].ids.tolist()
    (group,) = cut.networks(2).random
    losses = [F.cross_entropy(cut._logits(group[0], part), part.labels) for part in parts]
    loss = sum(len(part.ids) / 7 * one for part, one in zip(parts, losses, strict=True))
    named = dict(cut.supernet.named_parameters())
    expected = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    found, told = cut.gradients(2)
    assert told["loss"] == pytest.approx(loss.item(), abs=1e-6)
    for name, gradient in zip(named, expected, strict=True):
        assert gradient is None or torch.allclose(found[name], gradient, atol=1e-6)


# --- what a step tells


def spec_of(*ops):
    return ArchSpec(tuple(StageSpec(op, 1, 8, 1, head_dim=8) for op in ops), stem_width=8)


def test_a_row_by_hand():
    trained = [
        Trained(spec_of("mbconv", "mbconv", "self_attention"), 400, 1.0, 0.5, 9.0),
        Trained(spec_of("mbconv", "self_attention", "self_attention"), 20, 3.0, 0.1, 0.5),
        Trained(spec_of("token_mlp", "self_attention", "mbconv"), 30, 4.0, 0.2, 1.5),
    ]
    ops, bands = ("mbconv", "self_attention", "fused_mbconv"), Bands((10.0, 100.0, 1000.0))
    told = row(trained, 0.25, ends=True, ops=ops, bands=bands)
    assert told.pop("loss fused_mbconv") != told.get("loss fused_mbconv")  # NaN
    assert told == pytest.approx(
        {
            "loss": 1.0,
            "accuracy": 0.5,
            "taught": 1.0,
            "cosine": 0.25,
            "macs": 150.0,
            "loss mbconv": (2 * 1 + 1 * 3 + 1 * 4) / 4,
            "loss self_attention": (1 * 1 + 2 * 3 + 1 * 4) / 4,
            "loss band 0": 3.5,
            "loss band 1": 1.0,
        }
    )
    alone = row(trained[:1], math.nan, ends=False, ops=ops, bands=bands)
    assert (
        math.isnan(alone["taught"])
        and math.isnan(alone["loss band 0"])
        and alone.keys() == {*told, "loss fused_mbconv"}
    )


def test_the_cosine_is_over_weights_that_both_touch():
    largest = {"a": torch.tensor([[3.0, 4.0], [5.0, 6.0]]), "b": torch.tensor([7.0])}
    others = {"a": torch.tensor([[4.0, 0.0], [-3.0, 0.0]]), "c": torch.tensor([9.0])}
    # the second column is outside the slice of the others: (3, 5) against (4, -3)
    assert agreement(largest, others) == pytest.approx((12 - 15) / (math.sqrt(34) * 5))
    assert math.isnan(agreement(largest, {"c": torch.tensor([9.0])}))
    assert math.isnan(agreement({}, others))
