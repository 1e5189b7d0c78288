"""Networks in the Hugging Face hub's layout: a folder with config.json, model.safetensors and README.md.

config.json speaks to two readers: "metanet" holds what our weight files hold (spec, classes, provenance);
"architecture", "model_args" and "pretrained_cfg" are timm's, so that after `import metanet.timm` the same folder is
timm.create_model("local-dir:FOLDER", pretrained=True).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from huggingface_hub import ModelCard, ModelCardData, PyTorchModelHubMixin, hf_hub_download

from metanet.cost import stage_costs
from metanet.errors import unknown
from metanet.factory import timm_name
from metanet.features import default_cfg
from metanet.model import MetaNet
from metanet.runs import open_run, write_json
from metanet.spec import ArchSpec
from metanet.weights import IN_FOLDER, header, load, provenance, save
from metanet.zoo import read_zoo

CARD = """---
{{ card_data }}
---

# {{ title }}

An image network of the [MetaNet family](https://arxiv.org/abs/2111.08687), saved by metanet. Architecture {{ id }}:
{{ params }} parameters, {{ macs }} MACs at {{ resolution }} pixels, {{ head }}.

```python
import metanet
net = metanet.create("FOLDER")  # a folder with these files

from metanet.hub import HubMetaNet
net = HubMetaNet.from_pretrained("USER/REPOSITORY")  # the same from the hub

import timm, metanet.timm
net = timm.create_model("local-dir:FOLDER", pretrained=True)  # or "hf-hub:USER/REPOSITORY"
```

## Where the weights come from

{{ origin }}

The licence of metanet's code is Apache-2.0; that of these weights is for whoever trained them to state.
"""


class HubMetaNet(
    MetaNet,
    PyTorchModelHubMixin,
    library_name="metanet",
    tags=["metanet", "neural-architecture-search"],
    paper_url="https://arxiv.org/abs/2111.08687",
    model_card_template=CARD,
):
    """A MetaNet with `save_pretrained`, `from_pretrained` and `push_to_hub`; `HubMetaNet.of(net)` makes any one such.

    provenance: where the weights come from, by keyword; saved with them ("license" is also the card's licence).
    """

    provenance: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def of(cls, net: MetaNet, provenance: Mapping[str, str] | None = None) -> "HubMetaNet":
        """The same network with the hub's methods; it shares the weights."""
        own = cls(
            net.spec,
            net.num_classes,
            init=net.init,
            drop_path=getattr(list(net.stages[-1].children())[-1], "drop", 0.0),
            drop_rate=net.drop_rate,
            in_chans=net.in_chans,
            device="meta",
        )
        own.load_state_dict(net.state_dict(), assign=True)
        own.pretrained_cfg = own.default_cfg = dict(net.pretrained_cfg)
        own.provenance = dict(provenance or {})
        return own.train(net.training)

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self, save_directory / IN_FOLDER, self.provenance)
        write_json(save_directory / "config.json", config(self, self.provenance))

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str | torch.device = "cpu",
        num_classes: int | None = None,
        **options: Any,
    ) -> "HubMetaNet":
        for name in options.keys() - {"strict"}:  # a file that does not fit raises in any case
            raise unknown("argument of from_pretrained", name, ("map_location", "num_classes"))
        path = model_id
        if not os.path.isdir(model_id):
            path = hf_hub_download(
                model_id,
                IN_FOLDER,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        net = cls.of(load(path, device=map_location), provenance(path))
        if num_classes is not None and num_classes != net.num_classes:
            net.reset_classifier(num_classes)
        return net

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """README.md: what the network is, how to load it, where its weights come from."""
        rows = [f"- {name}: {value}" for name, value in self.provenance.items()]
        info = self._hub_mixin_info
        data = ModelCardData(**info.model_card_data.to_dict())  # type: ignore[no-untyped-call]
        data.pipeline_tag = "image-classification" if self.num_classes else "image-feature-extraction"
        data.license = self.provenance.get("license")
        name = _zoo_name(self.spec)
        values = {
            "title": name or f"MetaNet {self.spec.id}",
            "id": self.spec.id,
            "params": f"{sum(p.numel() for p in self.parameters()):,}",
            "macs": f"{_macs(self):,}",
            "resolution": self.spec.resolution,
            "head": f"{self.num_classes:,} classes" if self.num_classes else "no classifier",
            "origin": "\n".join(rows) or "Not recorded.",
        }
        card: ModelCard = ModelCard.from_template(data, template_str=info.model_card_template, **{**values, **kwargs})
        return card


def save_folder(net: MetaNet, folder: str | os.PathLike[str], provenance: Mapping[str, str] | None = None) -> Path:
    """Writes any MetaNet as such a folder and returns its path: `metanet.create(folder)` reads it back.

    A README.md that stands there is kept. Raises MetanetError where the folder cannot be written.
    """
    path = open_run(folder)
    HubMetaNet.of(net, provenance).save_pretrained(path)
    return path


def config(net: MetaNet, provenance: Mapping[str, str]) -> dict[str, Any]:
    """What config.json holds, as plain values."""
    name = _zoo_name(net.spec)
    arguments: dict[str, Any] = {} if name else {"spec": net.spec.to_dict()}
    if net.in_chans != 3:
        arguments["in_chans"] = net.in_chans
    fed = default_cfg(net.spec, net.num_classes)
    fed |= {key: value for key, value in net.pretrained_cfg.items() if key in fed and key != "num_classes"}
    return {
        "architecture": timm_name(name) if name else "metanet",
        "num_classes": net.num_classes,
        "num_features": net.num_features,
        "model_args": arguments,
        "pretrained_cfg": fed,
        "metanet": header(net, provenance),
    }


def _macs(net: MetaNet) -> int:
    """MACs at the spec's resolution; costs are of three channels, and the stem's grow with them."""
    costs = stage_costs(net.spec, (net.spec.resolution, net.spec.resolution), net.num_classes)
    return sum(cost.macs for cost in costs.values()) + costs["stem"].macs * (net.in_chans - 3) // 3


def _zoo_name(spec: ArchSpec) -> str | None:
    """The name of a network that ships with metanet; names registered by a user mean nothing elsewhere."""
    return next((name for name, member in read_zoo().items() if member.spec == spec), None)
