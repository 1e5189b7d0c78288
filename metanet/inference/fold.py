"""Affine steps folded into the weights beside them. All arithmetic is in float64; the results are float64, too."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Affine(NamedTuple):
    """x -> scale * x + shift on each channel; (c,) each."""

    scale: Tensor
    shift: Tensor


class Weights(NamedTuple):
    """Of a convolution, (w_out, w_in / groups, …), or of a linear layer, (w_out, w_in); and the bias (w_out,)."""

    weight: Tensor
    bias: Tensor


def weights(layer: nn.Module) -> Weights:
    """The weights of a convolution or a linear layer; a missing bias is 0."""
    weight, bias = layer.get_parameter("weight").detach().double(), layer._parameters["bias"]
    return Weights(weight, weight.new_zeros(weight.shape[0]) if bias is None else bias.detach().double())


def affine(norm: nn.BatchNorm2d | nn.LayerNorm) -> Affine:
    """What a BatchNorm with its running statistics does; of a LayerNorm, what follows the normalisation."""
    scale, shift = norm.weight.detach().double(), norm.bias.detach().double()
    if isinstance(norm, nn.LayerNorm):
        return Affine(scale, shift)
    mean, variance = norm.get_buffer("running_mean").double(), norm.get_buffer("running_var").double()
    scale = scale / torch.sqrt(variance + norm.eps)
    return Affine(scale, shift - mean * scale)


def after(layer: Weights, step: Affine) -> Weights:
    """The layer, then the affine step."""
    scale = step.scale.view(-1, *(1,) * (layer.weight.ndim - 1))
    return Weights(layer.weight * scale, layer.bias * step.scale + step.shift)


def before(step: Affine, layer: Weights) -> Weights:
    """The affine step, then the layer. Exact without padding alone: what pads a map does not pass the step."""
    shape = (1, -1, *(1,) * (layer.weight.ndim - 2))
    shifted = (layer.weight * step.shift.view(shape)).flatten(1).sum(1)
    return Weights(layer.weight * step.scale.view(shape), layer.bias + shifted)


def scaled(layer: Weights, scale: Tensor) -> Weights:
    """The layer, then a factor on each channel (LayerScale)."""
    return after(layer, Affine(scale.detach().double(), torch.zeros_like(layer.bias)))
