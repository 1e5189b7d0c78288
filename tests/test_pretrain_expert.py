"""The Expert stage: it learns, leaves what it promises, and survives SIGKILL."""

import json
import multiprocessing
import os
import re
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from torch import nn

from metanet import ArchSpec, MetaNet, StageSpec, weights
from metanet.data import ArrayImages, ImageSource, Labelled
from metanet.errors import MetanetError
from metanet.pretrain import STAGES, ExpertClassification, ExpertConfig, expert

SPEC = ArchSpec((StageSpec("mbconv", 1, 8, 2, 2), StageSpec("self_attention", 1, 8, 2, head_dim=8)), 8, 16, 12)
CONFIG = ExpertConfig(epochs=6, batch_size=10, shift=1, device="cpu")


def toy(n: int = 60) -> ArrayImages:
    """Three classes of noise, told apart by which third of the image is bright."""
    rng, labels = np.random.default_rng(0), np.arange(n) % 3
    pixels = rng.integers(0, 120, (n, 12, 12))
    for i, label in enumerate(labels):
        pixels[i, 4 * label : 4 * label + 4] += 120
    return ArrayImages("toy", pixels.astype(np.uint8), labels, ("top", "middle", "bottom"))


def network() -> MetaNet:
    return MetaNet(SPEC, drop_path=0.2, seed=0)


def train(out: Path, net: Any = None, images: ImageSource | None = None, **options: Any) -> tuple[Any, Any]:
    net, images = net or network(), images or toy()
    sources = {"toy": Labelled(images, np.arange(len(images)))}
    return net, ExpertClassification().run(net, sources, replace(CONFIG, **options), out)


def test_it_learns_and_leaves_what_it_promises(tmp_path):
    net, result = train(tmp_path, epochs=20, peak_rate=1e-2)
    assert not any(module.training for module in net.modules())
    images = toy()
    with torch.no_grad():
        logits = net(images.batch(np.arange(60), 12))
    assert logits.shape == (60, 3)
    assert (logits.argmax(1).numpy() == images.labels).mean() > 0.9
    assert list(result.history.columns) == ["step", "loss", "accuracy", "rate"]
    assert list(result.history["step"]) == list(range(20 * 6))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "history.csv"), result.history)
    assert int(net.stem.norm.num_batches_tracked) == 20 * 6
    loaded = weights.load(result.weights)
    assert result.weights == tmp_path / "weights.safetensors" and loaded.spec == SPEC
    with torch.no_grad():
        assert torch.equal(loaded(images.batch(np.arange(60), 12)), logits)
    facts = weights.provenance(result.weights)
    assert (facts["stage"], facts["task"], facts["images"]) == ("expert", "toy", images.fingerprint)
    assert json.loads(facts["config"])["epochs"] == 20


def test_the_rate_warms_up_and_falls(tmp_path):
    rates = train(tmp_path, warmup=0.25, peak_rate=1e-3)[1].history["rate"]
    assert rates.idxmax() in (8, 9) and rates.max() == pytest.approx(1e-3)
    assert rates.iloc[0] == pytest.approx(1e-3 / 9) and rates.iloc[-1] < 1e-5


def test_the_same_twice_and_another_by_seed(tmp_path):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, _ = train(tmp_path / "one")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    two, _ = train(tmp_path / "two")
    other, _ = train(tmp_path / "other", seed=1)
    values = [torch.cat([v.flatten() for v in net.state_dict().values()]) for net in (one, two, other)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


@dataclass(frozen=True)
class Deadly:
    """Images whose n-th batch ends the process as `kill -9` does."""

    images: ArrayImages
    n: int
    asked: list[int]

    def batch(self, ids: Any, resolution: int) -> torch.Tensor:
        self.asked.append(1)
        if len(self.asked) == self.n:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.images.batch(ids, resolution)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "images"), name)

    def __len__(self) -> int:
        return len(self.images)


def train_and_die(out: Path, n: int) -> None:
    expert.resumable = partial(expert.resumable, every=0.0)
    torch.manual_seed(n)  # the caller's generator must not matter
    train(out, images=Deadly(toy(), n, []))


def test_killed_and_run_again_it_ends_the_same_to_the_bit(tmp_path):
    calm, result = train(tmp_path / "calm")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch._dynamo", "pandas", "pytest", "hypothesis", "lightning_fabric"])
    for n in (5, 1, 13, 4):
        process = context.Process(target=train_and_die, args=(tmp_path / "killed", n))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["step"] == 4 + 0 + 12 + 3
    net, again = train(tmp_path / "killed")
    assert again.history.equals(result.history)
    checkpoints = [torch.load(tmp_path / k / "checkpoint.pt", weights_only=True) for k in ("calm", "killed")]
    for a, b in zip(*(c["state"]["optimizer"]["state"].values() for c in checkpoints), strict=True):
        assert all(torch.equal(a[key], b[key]) for key in ("step", "exp_avg", "exp_avg_sq"))
    stored = weights.load(again.weights)
    for a, b, c in zip(*(n.state_dict().values() for n in (calm, net, stored)), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_other_options_weights_or_images_do_not_go_on_from_a_checkpoint(tmp_path):
    train(tmp_path, epochs=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    for change in ({"peak_rate": 1e-4}, {"net": MetaNet(SPEC, seed=1)}, {"images": toy(30)}):
        with pytest.raises(MetanetError, match=r"checkpoint.pt' belongs to other options"):
            train(tmp_path, epochs=1, **change)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


class Plain(nn.Module):
    """A network that knows nothing of specs, with drop-out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 144, 16), nn.ReLU(), nn.Dropout(0.1))
        self.head: nn.Module = nn.Identity()

    def reset_classifier(self, num_classes: int) -> None:
        self.head = nn.Linear(16, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


def test_any_network_with_timms_methods_can_be_trained(tmp_path):
    net, result = train(tmp_path, Plain(), resolution=12)
    with safe_open(result.weights, framework="pt") as file:
        assert set(file.keys()) == set(net.state_dict())
        assert torch.equal(file.get_tensor("head.weight"), net.head.weight)
        assert json.loads(file.metadata()["provenance"])["task"] == "toy"
    with pytest.raises(MetanetError, match=r"^a Plain names no resolution of its images: give `resolution`$"):
        train(tmp_path / "none", Plain())


def test_fewer_images_than_a_batch_are_one_batch(tmp_path):
    _, result = train(tmp_path, images=toy(6), epochs=2)
    assert len(result.history) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "unknown device 'gpu': did you mean 'cpu'? known: auto, cpu, cuda, mps"),
        ({"precision": "16-mixed"}, "unknown precision '16-mixed': did you mean 'bf16-mixed'? known: 32-true"),
        ({"epochs": 0}, "`epochs` of a stage must be at least 1, got 0"),
        ({"batch_size": 1}, "`batch_size` of a stage must be at least 2, got 1"),
        ({"shift": -1}, "`shift` of a stage must be at least 0, got -1"),
        ({"weight_decay": float("nan")}, "`weight_decay` of a stage must be at least 0, got nan"),
        ({"peak_rate": 0.0}, "`peak_rate` of a stage must be above 0, got 0.0"),
        ({"clip_norm": -1.0}, "`clip_norm` of a stage must be above 0, got -1.0"),
        ({"warmup": 1.0}, "`warmup` of a stage must be in [0, 1), got 1.0"),
        ({"label_smoothing": -0.1}, "`label_smoothing` of a stage must be in [0, 1), got -0.1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(MetanetError) as caught:
        ExpertConfig(**options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("tasks", "named"), [([], "none"), (["a", "b"], "a, b")])
def test_it_takes_one_task(tasks, named, tmp_path):
    sources = {task: Labelled(toy(), np.arange(60)) for task in tasks}
    message = rf"^the expert stage trains on exactly one task, got {named}: name one$"
    with pytest.raises(MetanetError, match=message):
        STAGES["expert"]().run(network(), sources, CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_finite_ends_it(tmp_path):
    net = network()
    nn.init.constant_(net.stem.conv.weight, float("nan"))
    with pytest.raises(MetanetError, match=re.escape("the loss is nan at step 0: lower `peak_rate` (0.004)")):
        train(tmp_path, net)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is such a device here")
def test_a_device_that_is_not_there(tmp_path):
    with pytest.raises(MetanetError, match=r"^there is no device 'mps' here: take 'auto' or 'cpu'$"):
        train(tmp_path, device="mps")


def test_bfloat16_trains_too(tmp_path):
    net, result = train(tmp_path, precision="bf16-mixed", epochs=2)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert np.isfinite(result.history["loss"]).all()
