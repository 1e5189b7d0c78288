"""The keys of the released checkpoints: those of MetaNet (gv-benchmark's metanet.py) and of UniNet."""

import re

from metanet.errors import MetanetError
from metanet.spec import ArchSpec

# Our names -> the released ones, inside a block.
_TRANSFORMER = {
    "position": "pos_embed", "norm_mixer": "norm1", "mixer": "attn", "norm_mlp": "norm2",
    "mlp.expand": "mlp.fc1", "mlp.project": "mlp.fc2", "scale_mixer": "gamma_1", "scale_mlp": "gamma_2",
}  # fmt: skip
_RELEASED: dict[str, dict[str, str]] = {
    "mbconv": {
        "norm_in": "b1.0", "expand": "b1.1", "norm_expand": "b1.2", "depthwise": "b2.0", "norm_depthwise": "b2.1",
        "se.squeeze": "b2.3.fc1", "se.excite": "b2.3.fc2", "project": "b2.4", "norm_project": "b2.5",
    },
    "fused_mbconv": {
        "norm_in": "b1.0", "expand": "b1.1", "norm_expand": "b1.2", "se.squeeze": "b2.0.fc1", "se.excite": "b2.0.fc2",
        "project": "b2.1", "single": "b2.1", "norm_project": "b2.2",
    },
    "self_attention": _TRANSFORMER,
    "channel_attention": _TRANSFORMER,
    "local": {"depthwise": "downsample.0", "norm_depthwise": "downsample.1", "project": "downsample.2"},
    "local_global": {
        "query.depthwise": "q.0", "norm_query_in": "q.1", "project_query": "q.2", "norm_query": "q_norm",
        "norm_key": "kv_norm", "kv": "kv", "proj": "proj",
    },
}  # fmt: skip


def released_name(name: str, spec: ArchSpec) -> str:
    """The key that a released checkpoint uses for one of our parameters or buffers (gv-benchmark's metanet.py, UniNet's
    code). Raises MetanetError for operators that no released network has."""
    part, _, rest = name.partition(".")
    if part != "stages":
        return re.sub(r"^(stem|head)\.conv\b", r"\1.0", re.sub(r"^(stem|head)\.norm\b", r"\1.1", name))
    stage, block, inner = rest.split(".", 2)
    here = spec.stages[int(stage)]
    index = sum(s.depth + bool(s.down) for s in spec.stages[: int(stage)])
    index += 0 if block == "down" else int(block) + bool(here.down)
    kind = str(here.down) if block == "down" else here.op
    if kind not in _RELEASED:
        raise MetanetError(f"no released network has {kind} (stage {stage}): its weights have no released names")
    pooled = block != "down" or here.stride != 1
    table = {"shortcut.project": "residual.1" if pooled else "residual.0", **_RELEASED[kind]}
    old = next(old for old in table if inner == old or inner.startswith(f"{old}."))
    return f"blocks.{index}.{table[old]}{inner[len(old) :]}"
