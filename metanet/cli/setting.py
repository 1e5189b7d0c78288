"""What commands share: which images are for what, so that what one command trained another can test, the space, and
arguments."""

import argparse
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _ActionsContainer, _ArgumentGroup

    from metanet.data import Ids, ImageSource
    from metanet.search_spaces import Space

# How `TrainingConfig` trains, which `--help` must not import.
RULES, STEPS = "sandwich,best-up", 250


def data_argument(
    group: "_ActionsContainer", flag: str = "--data", *, said: str = "", default: str | None = None
) -> None:
    """Adds the name of labelled images, which `images_of` reads.

    said   what else there is to say of them, for the help
    """
    known = "labelled images: mnist-5k, digits, solar-cells, fashion-mnist, or folder:PATH for your own, as "
    known += f"PATH/CLASS/*.jpg{said}"
    group.add_argument(
        flag, metavar="DATA", default=default, help=known if default is None else f"{known} (default: {default})"
    )


def images_of(name: str) -> "ImageSource":
    """The labelled images of that name; which copies in a folder are left out is told."""
    from metanet.data import OwnImages, load_images

    images = load_images(name)
    if isinstance(images, OwnImages) and images.left_out:
        print(f"metanet: {images.left_out}", file=sys.stderr)
    return images


def split(images: "ImageSource", seed: int) -> "dict[str, Ids]":
    """Disjoint images for weights (supernet, experts), selection (probes: what a search climbs) and test."""
    from metanet.data import job_parts

    return job_parts(images, seed=seed)


def batch_of(images: int) -> int:
    """Images an update of shared weights: the usual number, or all where there are fewer."""
    from metanet.search_spaces import TrainingConfig

    return min(TrainingConfig.batch_size, images)


def same_split(data: str, seed: int) -> str:
    """What to add to `metanet bench run` so that it tests on the images that this split keeps for that."""
    given = (("data", data, "mnist-5k"), ("seed", seed, 0))
    return "".join(f" --{name} {shlex.quote(str(value))}" for name, value, usual in given if value != usual)


def space_of(name: str, resolution: int | None = None, latency: str | None = None) -> "Space":
    """The space of that name, with the resolution fixed; with the file of a latency table the part of it that was
    measured, with latency as one more cost."""
    from metanet.search_spaces import LatencyTable, load_space

    space = load_space(name)
    if resolution is not None:
        space = space.freeze(resolution=resolution)
    return space if latency is None else LatencyTable.load(latency).narrowed(space)


def add_actions(
    parser: argparse.ArgumentParser, command: str, actions: Mapping[str, tuple[str, str, str]]
) -> dict[str, argparse.ArgumentParser]:
    """Adds the actions of a command; the parser of each, by name.

    actions   by name what each is in a few words, in a sentence or two, and an example without `metanet COMMAND`
    """
    found = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    return {
        name: found.add_parser(
            name,
            help=short,
            description=long,
            epilog=f"example:\n  metanet {command} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, (short, long, example) in actions.items()
    }


def rules_argument(group: "_ArgumentGroup") -> None:
    """Adds the rules by which shared weights are trained; `names_in` reads them."""
    said = "that train shared weights, separated by commas; `metanet supernet rules` lists them (default: %(default)s)"
    group.add_argument("--rules", default=RULES, metavar="NAMES", help=said)


def names_in(text: str) -> tuple[str, ...]:
    """The names in "A,B", blanks aside."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def budget_arguments(group: "_ArgumentGroup", *, trials: int, scored: str, shared: str = "") -> None:
    """Adds how much a job that searches may do.

    trials   the default
    scored   what the trials are, for the help
    shared   what else there is to say of the supernet's steps
    """
    default = "(default: %(default)s)"
    samplers = f"evolution, local, pareto, policy, predictor or random {default}"
    group.add_argument("--sampler", default="predictor", metavar="NAME", help=samplers)
    group.add_argument("--trials", type=int, default=trials, help=f"{scored} {default}")
    steps = f"updates of the shared weights{shared} {default}"
    group.add_argument("--supernet-steps", type=int, default=STEPS, metavar="N", help=steps)
    group.add_argument("--epochs", type=int, default=5, help=f"of each training {default}")
    rules_argument(group)
    again = f"retrainings of each network that is chosen {default}"
    group.add_argument("--retrain-seeds", type=int, default=3, metavar="N", help=again)
    group.add_argument("--seed", type=int, default=0, help=f"of everything random {default}")
