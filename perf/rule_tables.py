"""What the table on rules says."""

from rows import markdown

from metanet.search_spaces.training import PARTS, RULES


def rules() -> str:
    """The rules by name, part after part."""
    rows = [
        {"rule": f"`{name}`", "part": about, "what it does": rule.about, "paper": rule.paper}
        for part, about in PARTS.items()
        for name, rule in RULES.items()
        if rule.part == part
    ]
    return markdown(rows, "`metanet supernet rules`; at most one of each part")
