"""`metanet space show`: a space in numbers, its marginals as a table in as many columns as the terminal has."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanet.search_spaces import Space
    from metanet.search_spaces.marginals import Portrait

Row = Mapping[str, Any]

LABEL, CELL, BAR = 14, 11, 3  # characters: choices, a stage with the space beside it, its bar


def show(args: argparse.Namespace) -> int:
    """Prints the space, and draws it where a file is named."""
    from metanet.cli.output import emit
    from metanet.cli.setting import space_of
    from metanet.errors import MetanetError
    from metanet.search_spaces.marginals import portrait

    if args.png and not args.png.lower().endswith(".png"):
        raise MetanetError(f"--png writes a file whose name ends in .png, got {args.png!r}")
    space = space_of(args.space, args.resolution, args.latency)
    found = portrait(space, args.where, seed=args.seed)
    if args.png:
        from metanet.report import draw_marginals

        draw_marginals(found.rows(), title=space.name, leads=leads(space, found, args.where)).save(args.png)
    if args.json:
        return emit(_values(space, found, args.where))
    _print(space, found, args.where)
    return 0


def leads(space: "Space", found: "Portrait", rules: str | None) -> list[str]:
    """What should be known of a space first: what it is, how many there are, how the shares came about."""
    from metanet.cli.space import power

    lines = [space.about] if space.about else []
    lines.append(f"{found.size:,} architectures")
    if rules:
        count = found.count
        part = count.estimate / found.size
        share = f"{part:.0%}" if part >= 0.01 else f"one in {power(1 / part)}"
        off = max(count.high / count.estimate - 1, 1 - count.low / count.estimate)
        sure = f"within {off:.1%}" if off < 0.005 else f"{power(count.low)} to {power(count.high)}"
        about = f"{count.low:,}" if count.exact else f"about {power(count.estimate)}"
        lines.append(f"{about} keep {rules}, {share}" + ("" if count.exact else f"; certainly {sure}"))
    if not found.draws:
        return [*lines, "shares of all of them, exact"]
    return [*lines, f"shares of {found.draws:,} uniform draws, standard error {0.5 / found.draws**0.5:.1%} at most"]


def _values(space: "Space", found: "Portrait", rules: str | None) -> dict[str, Any]:
    """Everything as plain values."""
    metrics = ("macs", "params", *(("latency",) if space.latency else ()))
    count = found.count
    brackets = {"low": count.low, "high": count.high, "estimate": count.estimate, "exact": count.exact}
    return {
        "name": space.name,
        "about": space.about,
        "size": space.size,
        "rules": rules,
        "count": brackets,
        "extremes": {metric: space.table.extremes(metric) for metric in metrics},
        "genes": {gene.name: list(gene.choices) for gene in space.genes},
        "landmarks": {
            name: {"text": one.spec.to_text(), "costs": dict(one.costs)} for name, one in found.landmarks.items()
        },
        "draws": found.draws,
        "marginals": found.rows(),
        "networks": found.named,
    }


def _print(space: "Space", found: "Portrait", rules: str | None) -> None:
    from rich.console import Console

    from metanet.cli.output import table
    from metanet.report.marginals import genes

    console = Console()
    console.print(space.name, style="bold", highlight=False, markup=False)
    for line in leads(space, found, rules):
        console.print(line, highlight=False, markup=False)
    for metric in ("macs", "params", *(("latency",) if space.latency else ())):
        low, high = space.table.extremes(metric)
        console.print(f"{metric}: {low:,} to {high:,}{' ns' * (metric == 'latency')}", highlight=False)
    print()
    for name, mark in found.landmarks.items():
        costs = f", {mark.costs['latency'] / 1e6:.3f} ms" if "latency" in mark.costs else ""
        console.print(
            f"{name}: {mark.costs['macs']:,} MACs, {mark.costs['params']:,} params{costs}",
            style="bold",
            highlight=False,
        )
        console.print(f"  {mark.spec.to_text()}", highlight=False, markup=False, soft_wrap=True)
    rows = [row for own in genes(found.rows()).values() for row in own]
    stages = sorted({row["stage"] for row in rows if row["stage"] is not None})
    at_once = max(1, (console.width - LABEL) // CELL)
    for some in ([None], *(stages[i : i + at_once] for i in range(0, len(stages), at_once))):
        if shown := [row for row in rows if row["stage"] in some]:
            console.print(_grid(shown, some, console.options.ascii_only))
    print()
    said = {True: "yes", False: "no", None: "–"}
    named: list[dict[str, Any]] = []
    for one in found.named:
        keeps = {"keeps the rules": said[one.feasible]} if rules else {}
        outside = one.why.partition(" is outside ")[0]  # the gene and its value alone, where it is about one
        named.append({"network": one.name, "inside": said[one.inside], **keeps, "what is outside": outside})
    table(named, title="networks by name, each at its own resolution")


def _grid(rows: Sequence[Row], stages: Sequence[int | None], plain: bool) -> Any:
    """The marginals of some stages as a table: a block for each gene, a line for each choice."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from metanet.report.marginals import choices_of, genes, longest, percent
    from metanet.report.style import colours
    from metanet.report.words import GENES, choice_name

    grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=0, header_style="dim")
    grid.add_column("%, dim: all" if rows[0]["free"] else "%", width=LABEL - 1)
    for stage in stages:
        grid.add_column("network" if stage is None else f"stage {stage}", width=CELL - 1)
    for gene, own in genes(rows).items():
        at = {row["stage"]: row for row in own}
        effect = [at[s]["effect"] if s in at else 1.0 for s in stages]
        told = [f"effect {percent(share)}" if share < 1 else "" for share in effect]
        grid.add_row(Text(_short(GENES.get(gene, gene)), "bold"), *(Text(text, "dim") for text in told))
        every, scale = choices_of(own), longest(own)
        colour = colours(every if gene == "op" else ())
        for choice in every:
            cells = [_cell(at[s], choice, scale, colour.get(choice, ""), plain) for s in stages]
            grid.add_row(Text(f" {_short(choice_name(gene, choice))}"), *cells)
    return grid


def _cell(row: Row, choice: Any, scale: float, colour: str, plain: bool) -> Any:
    """A share as a bar and a number; beside it, dim, the share without rules."""
    from rich.text import Text

    from metanet.cli.stages import bar_of

    if choice not in row["choices"]:
        return Text("")
    if len(row["choices"]) == 1:
        return Text("the only", "dim")
    at = row["choices"].index(choice)
    text = Text.assemble((bar_of(row["shares"][at] / scale, plain, BAR), colour), _number(row["shares"][at]))
    if row["free"]:
        text.append(_number(row["free"][at]), "dim")
    return text


def _short(name: str) -> str:
    """A name in LABEL characters."""
    return name.replace("attention", "att.").replace("module in front", "module before")


def _number(share: float) -> str:
    from metanet.report.marginals import percent

    return f"{percent(share).rstrip('%'):>3}"
