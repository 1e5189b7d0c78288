"""What the tables of networks say."""

from family_tables import creation, made
from rows import markdown

from metanet.factory import MODELS
from metanet.report.members import SIDES, facts
from metanet.report.style import quantity


def models() -> str:
    """The members of the family, in short."""
    rows = []
    for name in MODELS:
        row = facts(name)
        cells = {"name": name, "px": row["resolution"], "parameters": quantity(row["params"], zeros=True)}
        cells |= {f"MACs, {side} px": quantity(row[f"macs_{side}"], zeros=True) for side in SIDES}
        cells |= {"memory": f"{quantity(row['memory'], zeros=True)}B", "to create": creation(name, short=True)}
        rows.append(cells | {"provenance": row["provenance"].partition(",")[0]})
    return markdown(rows, f"px: its own resolution, which memory refers to; without classifier; {made()}")


def members() -> str:
    """The members of the family, exactly."""
    rows = []
    for name in MODELS:
        row = facts(name)
        cells = {"name": name, "resolution": row["resolution"], "parameters": f"{row['params']:,}"}
        own = row["params_with_classifier"]
        cells |= {"with classifier": f"{own:,}" if own else "–"}
        cells |= {f"MACs at {side} px": f"{row[f'macs_{side}']:,}" for side in SIDES}
        cells |= {"activations": f"{row['activations']:,}", "memory, bytes": f"{row['memory']:,}"}
        cells |= {"to create": creation(name), "to create on meta": creation(name, "meta")}
        rows.append(cells | {"provenance": row["provenance"]})
    note = "`metanet list --json`; activations and memory of one image at the resolution in the table"
    return markdown(rows, f"{note}; {made()}")
