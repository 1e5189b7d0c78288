"""Architectures as one line of text, and the differences between two.

    mn1/s32/h1280/r224/mb3+se:1x24:e1/L:mb3+se:2x48:e4:s2/LG:sa32:4x128:e2

`mn1` is the version; s, h and r are stem width, head width and resolution; then come the stages. A stage is
[module:]op:DEPTHxWIDTH:eEXPANSION[:s2]. Ops: mb3 and fmb5 (MBConv and fused MBConv with their kernels; +se), sa32,
xca32 and wa32w7 (self-, channel and window attention with head size and window), mlp7 (token MLP with its grid).
Modules: L, LG, G (local, local-global, global; LG32 and G32 with the head size where the op has none). Genes without
effect are not written. Every character may stand in a file name but for the slash, and in a shell without quotes.
"""

import re
from collections.abc import Mapping
from typing import Any

from metanet.errors import MetanetError
from metanet.spec import CONV_OPS, HEAD_OPS, ArchSpec, StageSpec

VERSION = "mn1"
OPS = {
    "mb": "mbconv",
    "fmb": "fused_mbconv",
    "sa": "self_attention",
    "xca": "channel_attention",
    "wa": "window_attention",
    "mlp": "token_mlp",
}
MODULES = {"L": "local", "LG": "local_global", "G": "global"}
_SHORT = {long: short for short, long in (OPS | MODULES).items()}
_NETWORK = re.compile(rf"{VERSION}/s(\d+)/h(\d+)/r(\d+)/(.+)", re.DOTALL)
_STAGE = re.compile(
    r"(?:(?P<down>LG|L|G)(?P<down_head>\d+)?:)?(?P<op>[a-z]+)(?P<number>\d+)(?:w(?P<window>\d+))?(?P<se>\+se)?"
    r":(?P<depth>\d+)x(?P<width>\d+):e(?P<expansion>\d+(?:\.\d+)?)(?P<stride>:s2)?"
)


def to_text(spec: ArchSpec) -> str:
    """The architecture as one line that `from_text` reads back to an equal spec."""
    network = [VERSION, f"s{spec.stem_width}", f"h{spec.head_width}", f"r{spec.resolution}"]
    return "/".join([*network, *(_stage_text(stage) for stage in spec.stages)])


def _stage_text(stage: StageSpec) -> str:
    number = {"token_mlp": stage.grid} | dict.fromkeys(CONV_OPS, stage.kernel) | dict.fromkeys(HEAD_OPS, stage.head_dim)
    op = f"{_SHORT[stage.op]}{number[stage.op]}"
    op += f"w{stage.window}" if stage.window is not None else ""
    op += "+se" if stage.se else ""
    parts = [op, f"{stage.depth}x{stage.width}", f"e{stage.expansion!r}", *(["s2"] if stage.stride == 2 else [])]
    if stage.down:
        head = stage.head_dim if stage.op not in HEAD_OPS and stage.head_dim is not None else ""
        parts.insert(0, f"{_SHORT[stage.down]}{head}")
    return ":".join(parts)


def from_text(text: str) -> ArchSpec:
    """Reads what `to_text` wrote. Raises MetanetError that names the part that cannot be read."""
    network = _NETWORK.fullmatch(text.strip())
    if network is None:
        raise MetanetError(
            f"not an architecture: expected {VERSION}/s<stem width>/h<head width>/r<resolution>/<stages>, got {text!r}"
        )
    stem, head, resolution = (int(number) for number in network.groups()[:3])
    stages = tuple(_stage(i, part) for i, part in enumerate(network[4].split("/")))
    return ArchSpec(stages, stem_width=stem, head_width=head, resolution=resolution)


def _stage(i: int, text: str) -> StageSpec:
    found = _STAGE.fullmatch(text)
    if found is None or found["op"] not in OPS:
        raise MetanetError(
            f"stage {i} of an architecture cannot be read, got {text!r}: write it as "
            "[L:|LG:|G:]op:DEPTHxWIDTH:eEXPANSION[:s2], with an op such as mb3+se, fmb5, sa32, xca32, wa32w7 or mlp7"
        )
    op, number, head = OPS[found["op"]], int(found["number"]), found["down_head"]
    extra: dict[str, Any] = {"kernel": number, "se": bool(found["se"])} if op in CONV_OPS else {}
    extra |= {"head_dim": number} if op in HEAD_OPS else {"head_dim": int(head)} if head else {}
    extra |= {"grid": number} if op == "token_mlp" else {}
    extra |= {"window": int(found["window"])} if found["window"] else {}
    stage = StageSpec(
        op,
        depth=int(found["depth"]),
        width=int(found["width"]),
        expansion=float(found["expansion"]),
        stride=2 if found["stride"] else 1,
        down=MODULES[found["down"]] if found["down"] else None,
        **extra,
    )
    if (canonical := _stage_text(stage)) != text:
        raise MetanetError(f"stage {i} of an architecture must be written as {canonical}, got {text!r}")
    return stage


def differences(a: ArchSpec, b: ArchSpec) -> dict[str, tuple[Any, Any]]:
    """What differs, as {"stage2.width": (80, 96)}; a stage that one lacks is None on that side."""
    found: dict[str, tuple[Any, Any]] = {}
    left, right = a.to_dict(), b.to_dict()
    stages: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]] = left.pop("stages"), right.pop("stages")
    found |= {name: (left[name], right[name]) for name in left if left[name] != right[name]}
    for i in range(max(map(len, stages))):
        if i >= min(map(len, stages)):
            sides = [_stage_text(spec.stages[i]) if i < len(spec.stages) else None for spec in (a, b)]
            found[f"stage{i}"] = (sides[0], sides[1])
            continue
        one, other = stages[0][i], stages[1][i]
        for name in dict.fromkeys([*one, *other]):
            if one.get(name) != other.get(name):
                found[f"stage{i}.{name}"] = (one.get(name), other.get(name))
    return found
