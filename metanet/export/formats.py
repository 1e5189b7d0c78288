"""The formats: how each is written (a generator, for it takes a while) and how what was written is run again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from metanet.export.sizes import Sizes
from metanet.features import default_cfg
from metanet.model import FeatureNet, MetaNet

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
PROTOBUF_LIMIT = 2 * 10**9  # bytes; larger weights stand in a file beside the .onnx
Run = Callable[[Tensor], list[Tensor]]


def output_names(net: MetaNet | FeatureNet) -> list[str]:
    if isinstance(net, FeatureNet):
        return [f"stride{stride}" for stride in net.feature_info.reduction()]
    return ["logits" if net.num_classes else "features"]


def _capture(net: nn.Module, sizes: Sizes) -> ExportedProgram:
    device = next(net.parameters()).device
    images = torch.zeros(sizes.batch or 2, sizes.channels, *sizes.shown, device=device)
    return torch.export.export(net, (images,), dynamic_shapes=sizes.dynamic(), strict=False)


def _write_torch(net: MetaNet | FeatureNet, sizes: Sizes, about: dict[str, Any], file: Path) -> Iterator[str]:
    program = _capture(net, sizes)
    yield "captured"
    torch.export.save(program, file, extra_files={"metanet.json": json.dumps(about, sort_keys=True)})
    yield "written"


def _write_onnx(net: MetaNet | FeatureNet, sizes: Sizes, about: dict[str, Any], file: Path) -> Iterator[str]:
    captured = _capture(net, sizes)
    yield "captured"
    program = torch.onnx.export(
        captured,
        captured.example_inputs[0],
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=output_names(net),
        dynamic_shapes=sizes.dynamic(),
    )
    assert program is not None  # None is for exports without dynamo
    yield "converted"
    fed = default_cfg(net.spec, about.get("num_classes", 0))
    program.model.metadata_props.update(
        {
            "metanet.id": net.spec.id,
            "metanet": json.dumps(about, sort_keys=True),
            "metanet.images": json.dumps({key: fed[key] for key in ("mean", "std", "interpolation", "crop_pct")}),
        }
    )
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    program.save(file, external_data=weights > PROTOBUF_LIMIT)
    yield "written"


def _run_torch(file: Path) -> Run:
    program = torch.export.load(file).module()

    def run(images: Tensor) -> list[Tensor]:
        out = program(images)
        return [out] if isinstance(out, Tensor) else list(out)

    return run


def _run_onnx(file: Path) -> Run:
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: [torch.from_numpy(y) for y in session.run(None, {"images": images.cpu().numpy()})]


WRITERS: dict[str, Callable[..., Iterator[str]]] = {"onnx": _write_onnx, "torch": _write_torch}
RUNNERS: dict[str, Callable[[Path], Run]] = {"onnx": _run_onnx, "torch": _run_torch}
