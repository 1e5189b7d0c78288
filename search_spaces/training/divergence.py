"""Distillation by the adaptive alpha-divergence (Wang et al. 2021, AlphaNet, section 3).

With teacher p and student q, D_alpha(p || q) = sum q ((p / q)^alpha - 1) / (alpha (alpha - 1)). A negative alpha
punishes a student that is surer than its teacher, a positive one a student that is less sure; each image takes
whichever of the two is larger. The ratios (p / q)^alpha have heavy tails and are cut at CLIP, in value and gradient;
not at alpha 1, where the divergence is KL: its gradient q - p is bounded, and a cut would leave next to none of it
where a student is sure of something else.
"""

import torch
from torch import Tensor

from metanet.search_spaces.training.parts import Rule

LOW, HIGH = -1.0, 1.0  # the paper's alphas; at 1 the divergence is KL(p || q)
CLIP = 5.0  # the paper's


def adaptive(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over images () of the larger of both divergences between logits (b, classes)."""
    both = [alpha_divergence(student, teacher.detach(), alpha) for alpha in (LOW, HIGH)]
    return torch.maximum(*both).mean()


def alpha_divergence(student: Tensor, teacher: Tensor, alpha: float, clip: float = CLIP) -> Tensor:
    """D_alpha (b,) of the predictions of logits (b, classes), alpha other than 0, with ratios cut at `clip` (not at 1).

    The gradient is that of the paper: -1 / alpha times the student's mean of the cut ratio times the gradient of
    log q. Without a cut it is the divergence's own.
    """
    log_p, log_q = teacher.log_softmax(dim=1), student.log_softmax(dim=1)
    with torch.no_grad():
        if alpha == 1:  # the limit, in terms of p: the ratios themselves may overflow
            weight = log_p.exp()
            value = (weight * (log_p - log_q)).sum(dim=1)
        else:
            ratio = (alpha * (log_p - log_q)).exp().clamp(max=clip)
            weight = log_q.exp() * ratio
            value = (weight.sum(dim=1) - 1) / (alpha * (alpha - 1))
    slope = -(weight * log_q).sum(dim=1) / alpha
    return value + slope - slope.detach()


RULE = Rule(
    "teacher",
    adaptive,
    "all but the largest learn its predictions, by the larger of two alpha-divergences",
    "Wang et al. 2021, AlphaNet, section 3",
    needs_largest=True,
)
