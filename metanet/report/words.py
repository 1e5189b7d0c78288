"""What ops, stages and costs are called in drawings, tables and pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from metanet.blocks import Cost
from metanet.report.style import quantity
from metanet.spec import ATTENDING_DOWNS, CONV_OPS

OPS = {
    "mbconv": "MBConv",
    "fused_mbconv": "fused MBConv",
    "self_attention": "self-attention",
    "channel_attention": "channel attention",
    "window_attention": "window attention",
    "token_mlp": "token MLP",
}
DOWNS = {"local": ("L", "local"), "local_global": ("LG", "local-global"), "global": ("G", "global")}
WITHOUT_HEADS = (*CONV_OPS, "token_mlp")  # their head size is that of the downsampling module before them
GENES = {
    "op": "operator",
    "se": "SE",
    "head_dim": "head size",
    "down": "module in front",
    "stem_width": "stem width",
    "head_width": "head width",
}
SHARES = {"macs": "MACs", "params": "parameters", "activations": "activations"}
SHORT = {"parameters": "params", "activations": "activ."}


def op_name(row: Mapping[str, Any]) -> str:
    """The op of a part of a network, as it is written."""
    return OPS.get(row["op"], str(row["op"]).replace("_", " "))


def inside(row: Mapping[str, Any]) -> str:
    """What a stage's blocks have besides their expansion: "3×3, SE", "heads of 64", "window 7, heads of 32" …"""
    if row["op"] in ("stem", "head"):
        return {"stem": "3×3", "head": "1×1, mean"}[row["op"]]
    said = []
    if row.get("kernel"):
        said.append(f"{row['kernel']}×{row['kernel']}")
    if row.get("se"):
        said.append("SE")
    said += [f"{name} {row[name]}" for name in ("window", "grid") if row.get(name)]
    if row.get("head_dim") and row["op"] not in WITHOUT_HEADS:
        said.append(f"heads of {row['head_dim']}")
    return ", ".join(said)


def notes(row: Mapping[str, Any]) -> list[str]:
    """What stands under a stage's op in the terminal: what is in a block, and the module before it. In ASCII."""
    expansion = [f"exp {row['expansion']:g}"] if "expansion" in row else []
    down = [f"{DOWNS[row['down']][1]} down"] if row.get("down") else []
    return [", ".join([*expansion, inside(row).replace("×", "x").replace(" of ", " ")]), *down]


def size(sides: Any, sign: str = " × ") -> str:
    """Height and width of a map, "14 × 9"."""
    height, across = sides if isinstance(sides, (tuple, list)) else (sides, sides)
    return f"{height}{sign}{across}"


def before(row: Mapping[str, Any]) -> str:
    """How a stage comes to its map: by a downsampling module, by the stride of its first block, or "" (it keeps it)."""
    if down := row.get("down"):
        heads = f", heads of {row['head_dim']}" if down in ATTENDING_DOWNS and row["op"] in WITHOUT_HEADS else ""
        return f"{DOWNS[down][1]} downsampling{heads}, stride {row['stride']}"
    return f"stride {row['stride']}" if row["stride"] > 1 else ""


def share(part: float, total: float) -> str:
    """A share in per cent; what is there but below one per cent is "<1%"."""
    value = part / total if total else 0.0
    return f"{value:.0%}" if value >= 0.01 or not value else "<1%"


def sentence(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """A part of a network in words: what the drawing shows of it."""
    said = [str(row["name"]) if row["op"] == row["name"] else f"{row['name']}: {op_name(row)}"]
    if row["op"] not in ("stem", "head"):
        said.append(f"{row['depth']} block{'s' if row['depth'] > 1 else ''}")
    said += [f"{row['width']:,} channels", f"map {size(row['map'])}"]
    if "expansion" in row:
        said.append(f"expansion {row['expansion']:g}")
    said += [text for text in (inside(row), before(row)) if text]
    for key, name in SHARES.items():
        if key in row:
            said.append(f"{quantity(row[key])} {name} ({share(row[key], sum(r[key] for r in rows))})")
    return ", ".join(said)


def totals(rows: Sequence[Mapping[str, Any]]) -> str:
    """The costs of the whole network: "3.17 G MACs · 30.4 M parameters · 23.9 M activations · 132 MB peak memory"; the
    last for inference on one image in 32 bits."""
    said = [f"{quantity(sum(row[key] for row in rows), zeros=True)} {name}" for key, name in SHARES.items()]
    if all("peak" in row for row in rows):
        cost = Cost(params=sum(row["params"] for row in rows), peak=max(row["peak"] for row in rows))
        said.append(f"{quantity(cost.memory(), zeros=True)}B peak memory")
    return " · ".join(said)


def choice_name(gene: str, value: Any) -> str:
    """A choice of a gene, as it is written: "MBConv", "3×3", "local-global", "24" …"""
    if gene == "op":
        return OPS.get(value, str(value))
    if gene == "down":
        return DOWNS[value][1] if value in DOWNS else "none"
    if gene == "se":
        return "with" if value else "without"
    return f"{value}×{value}" if gene == "kernel" else f"{value:,}" if isinstance(value, int) else str(value)
