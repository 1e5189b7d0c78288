"""The convolution blocks, fused."""

from torch import Tensor, nn

from metanet.blocks import FusedMBConv, MBConv
from metanet.blocks.layers import PooledShortcut
from metanet.inference.fold import affine, after, before, weights
from metanet.inference.layers import Conv, Gate, Pointwise, Pooled, Step


class Convolutional(nn.Module):
    """Steps one after the other; the last one, `project`, adds the shortcut."""

    def __init__(self, steps: list[nn.Module], project: Conv | Pointwise, shortcut: Pooled | None) -> None:
        super().__init__()
        self.steps, self.project, self.shortcut = nn.Sequential(*steps), project, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(b, w_in, h, w) -> (b, w_out, ceil(h / stride), ceil(w / stride))."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.project(self.steps(x), shortcut)  # type: ignore[no-any-return]


def pooled(shortcut: PooledShortcut | None) -> Pooled | None:
    """The shortcut of a block that has one."""
    return None if shortcut is None else Pooled(shortcut)


def mbconv(block: MBConv) -> Convolutional:
    """Every BatchNorm goes into a convolution; the leading one may, since a 1x1 convolution pads nothing."""
    steps: list[nn.Module] = []
    if block.expands:
        expand = before(affine(block.norm_in), weights(block.expand))
        steps.append(Pointwise(after(expand, affine(block.norm_expand)), gelu=True))
    depthwise = after(weights(block.depthwise), affine(block.norm_depthwise))
    stride, groups = block.depthwise.stride[0], block.depthwise.groups
    steps.append(Conv(depthwise, stride=stride, groups=groups, gelu=True))
    if block.se is not None:
        steps.append(Gate(block.se))
    project = after(weights(block.project), affine(block.norm_project))
    return Convolutional(steps, Pointwise(project), pooled(block.shortcut))


def fused_mbconv(block: FusedMBConv) -> Convolutional:
    """The leading BatchNorm stands before a padded convolution, whose zeros must not be shifted: it stays, as one step
    on the narrow map."""
    steps: list[nn.Module] = []
    if block.expands:
        expand = after(weights(block.expand), affine(block.norm_expand))
        steps = [Step(affine(block.norm_in)), Conv(expand, stride=block.expand.stride[0], gelu=True)]
    if block.se is not None:
        steps.append(Gate(block.se, inplace=block.expands))  # else it is the block's input, which the shortcut adds
    last = after(weights(block.project if block.expands else block.single), affine(block.norm_project))
    project = Pointwise(last) if block.expands else Conv(last)
    return Convolutional(steps, project, pooled(block.shortcut))
