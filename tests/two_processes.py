"""What each of two processes does in the tests of training by several; it imports little, since both import it anew."""

import json
import os
import warnings
from pathlib import Path

import torch
from lightning_fabric import Fabric
from trained import SPACE, config, shades, weights_of

from metanet import MetanetError
from metanet.search_spaces import Supernet, TrainingConfig, train_supernet
from metanet.search_spaces.training.processes import Processes
from metanet.search_spaces.training.step import Steps

RULES = ("sandwich", "best-up", "alpha-divergence", "gradient-projection")


def options(**changes: object) -> TrainingConfig:
    """A training on 7 images a step: 4 and 3."""
    return config(RULES, **{"batch_size": 7, "micro_batches": 2, "steps": 4, **changes})


class Failing:
    """Images of which those of the fifth batch cannot be read."""

    def __init__(self, images):
        self.images, self.asked = images, 0

    def __getattr__(self, name):
        return getattr(self.images, name)

    def batch(self, ids, view):
        self.asked += 1
        if self.asked == 5:
            raise MetanetError("an image cannot be read: get the file again")
        return self.images.batch(ids, view)


def failing(data):
    """The same images, which fail."""
    return type(data)(Failing(data.images), data.ids)


def named(steps: Steps) -> list[list[str]]:
    """The ids of the networks of each step, candidates included."""
    networks = [steps.networks(step) for step in range(steps.config.steps)]
    return [[s.id for s in (*n.ends, *(s for group in n.random for s in group))] for n in networks]


def launched(rank: int, port: int) -> Fabric:
    """One of two processes, as torchrun starts them."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "LOCAL_RANK": str(rank)}
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    return fabric


def everything(rank: int, port: int, place: Path) -> None:
    """A first step, a whole training, one in which the second process fails and that goes on, and a damaged folder."""
    fabric, said = launched(rank, port), {}
    steps = Steps(Supernet(SPACE, 4).train(), shades(), options(), Processes(fabric))
    gradients, told = steps.gradients(0)
    torch.save({"names": named(steps), "gradients": gradients, "told": told}, place / f"{rank}.pt")

    def train(name, data):
        try:
            supernet = Supernet(SPACE, seed=rank)  # the first one's weights count
            train_supernet(supernet, data, options(), out=place / name, every=0, quiet=True, fabric=fabric)
            return weights_of(supernet)
        except MetanetError as error:
            said[name] = str(error)

    torch.save(train("run", shades()), place / f"run{rank}.pt")
    train("failed", failing(shades()) if rank == 1 else shades())
    said["steps"] = torch.load(place / "failed" / "checkpoint.pt", weights_only=True)["step"]
    torch.save(train("failed", shades()), place / f"failed{rank}.pt")
    fabric.barrier()
    (place / "damaged").mkdir(exist_ok=True)
    (place / "damaged" / "checkpoint.pt").write_text("garbage")
    train("damaged", shades())
    (place / f"{rank}.json").write_text(json.dumps(said))


def endless(rank: int, port: int, place: Path) -> None:
    """A training that somebody must end."""
    fabric, supernet = launched(rank, port), Supernet(SPACE, seed=0)
    try:
        train_supernet(supernet, shades(), options(steps=10**6), out=place, every=0, quiet=True, fabric=fabric)
    except MetanetError as error:
        (place / f"{rank}.txt").write_text(str(error))
