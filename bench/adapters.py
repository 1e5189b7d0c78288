"""Networks of others as backbones: torchvision's, and any module that ends in a classifier."""

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from metanet.data.view import IMAGENET_MEAN, IMAGENET_STD, View
from metanet.errors import MetanetError, unknown
from metanet.model import Backbone


class Headless(nn.Module):
    """A module without its last linear layer, as a backbone; what that layer was given are the features.

    body     (b, 3, h, w) -> (b, d), or maps (b, d, h', w'), which are averaged
    taken    path of the identity that stands in the place of the layer; "" where nothing was taken off
    rebuild  the same architecture with the initial values of a seed, where it is known
    """

    feature_info: tuple[dict[str, Any], ...] = ()

    def __init__(
        self,
        body: nn.Module,
        *,
        taken: str = "",
        view: View | None = None,
        rebuild: Callable[[int], Backbone] | None = None,
    ) -> None:
        super().__init__()
        self.body, self.taken, self.view, self.rebuild = body, taken, view, rebuild

    def forward_features(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, d) or (b, d, h', w')."""
        given: list[Tensor] = []
        layer = self.body.get_submodule(self.taken)
        handle = layer.register_forward_hook(lambda _, __, output: given.append(output))
        try:
            found = self.body(x)
        except RuntimeError as error:
            if not self.taken:
                raise
            raise self._no_classifier(str(error).splitlines()[0]) from error
        finally:
            handle.remove()
        if self.taken and not (given and isinstance(found, Tensor) and found.data_ptr() == given[-1].data_ptr()):
            raise self._no_classifier("it is not the last to be used")
        if not isinstance(found, Tensor) or found.ndim not in (2, 4):
            shape = f"the shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise MetanetError(
                f"a module must give (images, channels) or (images, channels, height, width) without its classifier, "
                f"{type(self.body).__name__} gives {shape}: name the classifier, or wrap the module in a backbone"
            )
        return found

    def _no_classifier(self, reason: str) -> MetanetError:
        return MetanetError(
            f"the linear layer {self.taken!r} of a {type(self.body).__name__} is not its classifier ({reason}): "
            "name the one that is, as in headless(network, 'fc')"
        )

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(b, d) or (b, d, h', w') -> (b, d)."""
        return x.mean((2, 3)) if x.ndim == 4 else x


def headless(network: nn.Module, classifier: str | None = None, *, view: View | None = None) -> Headless:
    """Any network as a backbone, its classifier taken off. The network itself stays as it is; weights are shared.

    classifier  the path of a linear layer, as "fc" or "classifier.3"; None: the last one. A network without any gives
                features as it is
    view        how it is to be shown images; None: as the images' own normalisation has it

    Raises:
        MetanetError: there is no linear layer of that name.
    """
    layers = {name: part for name, part in network.named_modules() if isinstance(part, nn.Linear) and name}
    if classifier is not None and classifier not in layers:
        raise unknown(f"linear layer of a {type(network).__name__}", classifier, layers)
    last = classifier or next(reversed(layers), None)
    if last is None:
        return Headless(network, view=view)
    shared: list[Any] = [part for name, part in network.named_modules() if not _holds(name, last)]
    shared += [*network.parameters(), *network.buffers()]
    body = copy.deepcopy(network, {id(part): part for part in shared})  # new are those that hold the replaced layer
    parent, _, own = last.rpartition(".")
    setattr(body.get_submodule(parent), own, nn.Identity())
    return Headless(body, taken=last, view=view)


def _holds(name: str, path: str) -> bool:
    """Whether the module of this name is on the way to the path."""
    return not name or path == name or path.startswith(f"{name}.")


def torchvision_backbone(name: str, *, pretrained: bool = False, seed: int = 0) -> Backbone:
    """One of torchvision's classifiers without its last layer; without `pretrained` its weights are a function of the
    seed.

    A pretrained one has a `view` with the constants of ImageNet.

    Raises:
        MetanetError: torchvision does not know the name, or the pretrained weights cannot be had.
    """
    from torchvision import models  # type: ignore[import-untyped]

    # SqueezeNet ends in a convolution, so that its features would be the classes of ImageNet
    known = [name for name in models.list_models(module=models) if not name.startswith("squeezenet")]
    if name not in known:
        raise unknown("torchvision model", name, known)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = models.get_model(name, weights="DEFAULT" if pretrained else None)
    except Exception as error:  # no connection, a damaged file: each kind of its own
        raise MetanetError(
            f"torchvision cannot build {name!r} with pretrained={pretrained} ({error}): "
            "put its weights into torch's hub cache, or take pretrained=False"
        ) from error
    found = headless(network.eval(), view=View(224, IMAGENET_MEAN, IMAGENET_STD) if pretrained else None)
    found.rebuild = lambda other: torchvision_backbone(name, seed=other)
    return cast(Backbone, found)
