"""In-place distillation (Yu et al. 2020, BigNAS, section 3.1): the largest network learns from the labels, the others
learn its predictions on the same images."""

from torch import Tensor
from torch.nn import functional as F

from metanet.search_spaces.training.parts import Rule


def soft_cross_entropy(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean cross-entropy () of the student's logits (b, classes) on the teacher's probabilities: KL(teacher || student)
    but for the teacher's entropy, which has no gradient here."""
    return F.cross_entropy(student, teacher.detach().softmax(dim=1))


RULE = Rule(
    "teacher",
    soft_cross_entropy,
    "all but the largest learn the largest one's predictions (KL divergence)",
    "Yu et al. 2020, BigNAS, section 3.1",
    needs_largest=True,
)
