"""The Expert stage for classification: one network, one labelled task, all weights (INTERN, 2021, section 3.3)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from metanet import weights
from metanet.data import Labelled, batch_ids, ids_sha256, shift
from metanet.errors import MetanetError, unknown
from metanet.model import MetaNet
from metanet.pretrain.stage import StageResult
from metanet.runs import atomic_write, fingerprint, open_run
from metanet.training import cosine, parameter_groups, resumable, state_sha256

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("32-true", "bf16-mixed")  # none of them has a loss scale, which would be one more state to resume


@dataclass(frozen=True)
class ExpertConfig:
    """Options of the Expert stage; the defaults suit small images on CPUs.

    Lab note. Three MBConv stages (0.28 M parameters, 1.5 M MACs) on 2,500 images of MNIST-5k at 28 px:
    `ExpertClassification().run(MetaNet(spec, seed=0), sources, ExpertConfig(seed=seed), out)`. Accuracy on 1,500 other
    images: 0.978, 0.975 and 0.979 for seeds 0, 1 and 2. Time: 50 s of processor time, 40 to 47 s on two cores that had
    other work.

    epochs           passes over the images
    batch_size       images a step (all of them where there are fewer)
    peak_rate        learning rate after the warm-up
    warmup           share of the steps that warm up
    weight_decay     of AdamW, on matrices and kernels only
    label_smoothing  share of the label spread over all classes
    clip_norm        largest norm of the gradient
    shift            largest random translation in pixels
    resolution       side of the images in pixels; None takes that of the network's spec
    seed             of the classifier, the order of the images, the shifts and the drop-outs
    device           one of DEVICES
    precision        one of PRECISIONS (Lightning Fabric's names)
    """

    epochs: int = 12
    batch_size: int = 128
    peak_rate: float = 4e-3
    warmup: float = 0.1
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    shift: int = 2
    resolution: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise unknown("device", self.device, DEVICES)
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        for name, low in (("epochs", 1), ("batch_size", 2), ("shift", 0), ("weight_decay", 0)):
            if not getattr(self, name) >= low:
                raise MetanetError(f"`{name}` of a stage must be at least {low}, got {getattr(self, name)!r}")
        for name in ("peak_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise MetanetError(f"`{name}` of a stage must be above 0, got {getattr(self, name)!r}")
        for name in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise MetanetError(f"`{name}` of a stage must be in [0, 1), got {getattr(self, name)!r}")


class ExpertClassification:
    """Trains a network with a fresh classifier on one task by AdamW and label-smoothed cross-entropy."""

    def run(self, backbone: nn.Module, sources: Mapping[str, Labelled], config: ExpertConfig, out: Path) -> StageResult:
        """Trains `backbone` in place from its present weights and leaves it in eval mode, where it was.

        Writes checkpoint.pt, history.csv and weights.safetensors into `out`. Run again with the same arguments after
        a kill, it ends the same, to the bit on a CPU.

        backbone  has timm's `reset_classifier`
        sources   exactly one task

        Raises MetanetError for more or fewer tasks, a device that is not there, a loss that is not finite, and for
        what metanet.training.resumable refuses.
        """
        task, data = _only(sources)
        out, home = open_run(out), next(backbone.parameters()).device
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(config.seed)
            backbone.reset_classifier(len(data.images.classes))  # type: ignore[operator]  # timm's method
        facts = {
            "stage": "expert",
            "task": task,
            "images": data.images.fingerprint,
            "ids": ids_sha256(data.ids),
            "start": state_sha256(backbone),
            "config": json.dumps(asdict(config), sort_keys=True),
        }
        batch_size = min(config.batch_size, len(data.ids))
        steps = config.epochs * (len(data.ids) // batch_size)
        step_fn, optimizer = _stepper(backbone, data, config, steps, batch_size)
        history = resumable(
            step_fn,
            {"model": backbone, "optimizer": optimizer},
            steps=steps,
            out=out,
            fingerprint=fingerprint(facts),
            seed=config.seed,
            description=f"expert on {task}",
        )
        backbone.eval().to(home).to(memory_format=torch.contiguous_format)
        atomic_write(out / "history.csv", history.to_csv(index=False))
        return StageResult(_save(backbone, out / "weights.safetensors", facts), history)


def _only(sources: Mapping[str, Labelled]) -> tuple[str, Labelled]:
    if len(sources) != 1:
        raise MetanetError(f"the expert stage trains on exactly one task, got {', '.join(sources) or 'none'}: name one")
    return next(iter(sources.items()))


def _stepper(
    backbone: nn.Module, data: Labelled, config: ExpertConfig, steps: int, batch_size: int
) -> tuple[Callable[[int], Mapping[str, float]], torch.optim.Optimizer]:
    """The training step as a function of its number, and the optimiser that it moves."""
    fabric = _fabric(config)
    backbone.to(memory_format=torch.channels_last)  # 1.5 x faster steps on CPUs
    groups = parameter_groups(backbone, config.weight_decay)
    plain_optimizer = torch.optim.AdamW(groups, lr=config.peak_rate, fused=True)
    model, optimizer = fabric.setup(backbone, plain_optimizer)
    model.train()
    resolution = _resolution(backbone, config)
    labels = torch.from_numpy(data.images.labels)

    def step_fn(step: int) -> Mapping[str, float]:
        ids = batch_ids(data.ids, batch_size, seed=config.seed, step=step)
        batch = shift(data.images.batch(ids, resolution), config.shift, seed=config.seed, step=step)
        x, y = fabric.to_device((batch.contiguous(memory_format=torch.channels_last), labels[ids]))
        rate = cosine(step, steps=steps, peak=config.peak_rate, warmup=round(config.warmup * steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        logits = model(x)
        loss = F.cross_entropy(logits, y, label_smoothing=config.label_smoothing)
        if not torch.isfinite(loss):
            raise MetanetError(f"the loss is {loss.item()} at step {step}: lower `peak_rate` ({config.peak_rate})")
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=config.clip_norm)
        optimizer.step()
        accuracy = (logits.argmax(1) == y).float().mean()
        return {"loss": loss.item(), "accuracy": accuracy.item(), "rate": rate}

    return step_fn, plain_optimizer


def _resolution(backbone: nn.Module, config: ExpertConfig) -> int:
    if config.resolution is not None:
        return config.resolution
    if not isinstance(backbone, MetaNet):
        raise MetanetError(f"a {type(backbone).__name__} names no resolution of its images: give `resolution`")
    return backbone.spec.resolution


def _fabric(config: ExpertConfig) -> Any:
    from lightning_fabric import Fabric

    try:
        return Fabric(accelerator=config.device, devices=1, precision=config.precision)  # type: ignore[arg-type]  # checked
    except RuntimeError:
        raise MetanetError(f"there is no device {config.device!r} here: take 'auto' or 'cpu'") from None


def _save(backbone: nn.Module, path: Path, facts: Mapping[str, str]) -> Path:
    if isinstance(backbone, MetaNet):
        return weights.save(backbone, path, facts)
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in backbone.state_dict().items()}
    atomic_write(path, save(tensors, {"provenance": json.dumps(facts, sort_keys=True)}))
    return path
