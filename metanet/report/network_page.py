"""The page of a network, or of two: drawing, table, what differs, and the spec itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from metanet.report.compare import differences
from metanet.report.html import Html, Section, network, page, paragraph, preformatted, table
from metanet.report.words import SHARES, SHORT, before, inside, op_name, share, size, totals
from metanet.spec import ArchSpec

Row = Mapping[str, Any]

DEFINITIONS = (
    "MACs are multiply-accumulates of convolutions, linear layers and attention products, a fused one counted once; "
    "activations are the numbers that these steps write; the peak is how many numbers one step of the part reads, "
    "writes and keeps for a residual addition at most; all for one image. Parameters are the trainable numbers, "
    "without classifier. Peak memory: parameters and largest peak, 32 bits each. Map: height and width of what the "
    "part leaves; channels: its width. Expansion: hidden width over the width at a block's input. SE: "
    "squeeze-and-excitation. ×n: n equal blocks, of which the first one changes width and map, unless a downsampling "
    "module before it does."
)


def network_page(networks: Sequence[tuple[str, str, ArchSpec, Sequence[Row]]]) -> str:
    """A page that needs nothing else.

    networks  one or two: name, provenance, spec, rows of `metanet.cost.describe`
    """
    name, about, spec, rows = networks[0]
    if len(networks) == 1:
        sections = [
            Section("Stage by stage", [network(rows)]),
            Section("What it is made of", [_parts(rows)]),
            Section("What it costs", [_costs(rows), paragraph(DEFINITIONS)]),
            Section("Spec", [paragraph(f"Provenance: {about}."), preformatted(spec.to_json())]),
        ]
        return page(name, sections, lead=f"{_lead(rows)} (id {spec.id})")
    other, _, _, others = networks[1]
    sections = [
        Section(title, [paragraph(f"{_lead(own)} (id {spec.id})"), network(own), _parts(own), _costs(own)])
        for title, _, spec, own in networks
    ]
    words = Section("What the words mean", [paragraph(DEFINITIONS)])
    return page(f"{name} and {other}", [_differences(name, rows, other, others), *sections, words])


def _lead(rows: Sequence[Row]) -> str:
    return f"{totals(rows)} at {size(rows[0]['input'])} pixels"


def _parts(rows: Sequence[Row]) -> Html:
    import pandas as pd

    shown = []
    for row in rows:
        cells: dict[str, Any] = {"part": row["name"], "op": op_name(row), "blocks": f"×{row['depth']}"}
        cells |= {
            "channels": row["width"],
            "map": size(row["map"]),
            "downsampling": before(row).replace(" downsampling", "") or "–",
        }
        cells |= {"expansion": f"{row['expansion']:g}" if "expansion" in row else "–", "in a block": inside(row)}
        shown.append(cells)
    return table(pd.DataFrame(shown))


def _costs(rows: Sequence[Row]) -> Html:
    """The exact costs of each part and their shares."""
    import pandas as pd

    whole = {"name": "all", **{key: sum(row[key] for row in rows) for key in SHARES}}
    shown = []
    for row in [*rows, whole | {"peak": max(row["peak"] for row in rows)}]:
        cells = {"part": row["name"]}
        for key, title in SHARES.items():
            cells |= {title: row[key], f"% {SHORT.get(title, title)}": share(row[key], whole[key])}
        shown.append(cells | {"peak": row["peak"]})
    return table(pd.DataFrame(shown))


def _differences(a: str, rows: Sequence[Row], b: str, others: Sequence[Row]) -> Section:
    import pandas as pd

    caption = f"A: {a}, {_lead(rows)}; B: {b}, {_lead(others)}"
    return Section("What differs", [table(pd.DataFrame(differences(rows, others)), caption=caption)])
