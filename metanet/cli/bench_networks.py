"""Networks that `metanet bench` scores, by their names at the shell."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.model import Backbone

BESIDE = ("mobilenet_v2", "MN-B4")  # what a suite has beside the given networks: packaged weights, random ones
WEIGHTS = ("random", "packaged", "pretrained")
LIBRARIES = ("timm:", "torchvision:")  # beginnings of names whose networks have weights to choose from


def entrants(args: argparse.Namespace) -> "dict[str, Backbone]":
    """The networks by name. Two networks may have one name and other weights, so the name says which they have."""
    from metanet.bench import PACKAGED
    from metanet.errors import MetanetError

    given = [*args.networks, *args.model]
    choice = [name for name in given if name.startswith(LIBRARIES) or name in PACKAGED]
    if given and args.weights != "random" and not choice:
        raise MetanetError(
            f"--weights {args.weights} is for networks of timm and torchvision, named timm:NAME or torchvision:NAME, "
            f"got {', '.join(given)}: leave it out"
        )
    found: dict[str, Any] = {}
    for name in given:
        told = f"{name} ({args.weights if name in choice else 'random'})" if _is_drawn(name, choice) else name
        if told in found:
            raise MetanetError(f"each network must be given once, got {name!r} twice: leave one out")
        found[told] = network(name, args.weights)
    if args.suite and not args.alone:
        for name in BESIDE:
            packaged = name == BESIDE[0]
            told = f"{name} (packaged)" if packaged else f"{name} (random)"
            if told not in found and name not in found:
                found[told] = network(name, "packaged" if packaged else "random")
    if not found:
        raise MetanetError("a run scores at least one network, got none: name one, as in `metanet bench run MN-B4`")
    return found


def baselines(networks: "dict[str, Backbone]") -> "dict[str, Backbone]":
    """The usual ones; a random initialisation is named after the architecture, not after its weights."""
    from metanet.bench import default_baselines

    short = {_architecture(name): name for name in networks}
    if len(short) < len(networks):  # one architecture with several weights
        return default_baselines(networks)
    return default_baselines({name: networks[told] for name, told in short.items()})


def _architecture(name: str) -> str:
    for library in LIBRARIES:
        name = name.removeprefix(library)
    return name.rpartition(" (")[0] if name.endswith(tuple(f" ({weights})" for weights in WEIGHTS)) else name


def _is_drawn(name: str, choice: list[str]) -> bool:
    """Whether the name alone does not say which weights a network has: a library's, or one of the zoo."""
    from metanet.factory import list_models

    return name in choice or name in list_models()


def network(name: str, weights: str) -> Any:
    """A network ready to be scored.

    name      ours, timm:NAME, torchvision:NAME, a file of a spec or of a saved network, or MODULE:FUNCTION, a function
              of Python that gives a network
    weights   of one of a library: "random", "packaged" or "pretrained"
    """
    from metanet.bench import PACKAGED, packaged_backbone, timm_backbone, torchvision_backbone
    from metanet.factory import create

    if weights == "packaged" and (name.startswith(LIBRARIES) or name in PACKAGED):
        return packaged_backbone(name)
    library, _, own = name.partition(":")
    if library == "timm":
        return timm_backbone(own, pretrained=weights == "pretrained")
    if library == "torchvision":
        return torchvision_backbone(own, pretrained=weights == "pretrained")
    if own and "/" not in name and "." not in own:
        return _of_python(library, own)
    return create(name) if name.endswith(".safetensors") else create(name, seed=0)


def _of_python(module: str, function: str) -> "Backbone":
    """What a function of the user's gives: a backbone as it is, any other module without its classifier."""
    import sys
    from importlib import import_module
    from typing import cast

    from torch import nn

    from metanet.bench import headless
    from metanet.errors import MetanetError

    if "" not in sys.path:  # a module beside, as for `python -m`
        sys.path.insert(0, "")
    try:
        made = getattr(import_module(module), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise MetanetError(
            f"a network of Python is named MODULE:FUNCTION, a function without arguments that gives it, got "
            f"'{module}:{function}' ({error})"
        ) from error
    if not isinstance(made, nn.Module):
        raise MetanetError(f"'{module}:{function}' must give a torch.nn.Module, got {type(made).__name__}")
    if hasattr(made, "forward_features") and hasattr(made, "forward_head"):
        return cast("Backbone", made.eval())
    return cast("Backbone", headless(made.eval()))
