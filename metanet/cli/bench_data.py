"""`metanet bench doctor | make-mini | tasks`: the data sets of GV-B."""

import argparse


def names_of(text: str | None) -> list[str] | None:
    """ "a,b" -> ["a", "b"]; None stays None."""
    return None if text is None else [name for name in text.replace(",", " ").split() if name]


def doctor(args: argparse.Namespace) -> int:
    """Prints the state of each task, then what to do about those that are not found."""
    from metanet.bench.doctor import doctor_rows, doctor_text, examine
    from metanet.cli.output import emit, table

    states = examine(args.data_root, names_of(args.tasks), thorough=args.thorough)
    if args.json:
        return emit([{**vars(state)} for state in states])
    table(doctor_rows(states), title=f"data sets of GV-B in {args.data_root}")
    print(doctor_text(states))
    return 0


def make_mini(args: argparse.Namespace) -> int:
    """Writes the mini data sets and says what to type next."""
    from metanet.bench.mini import make_mini as write

    write(args.out, names_of(args.tasks), seed=args.seed)
    print(f"wrote small synthetic data sets; now type: metanet bench doctor --data-root {args.out}")
    return 0


def tasks(args: argparse.Namespace) -> int:
    """Prints the tasks; every field of them as JSON."""
    from metanet.bench.tasks import task_rows
    from metanet.cli.output import emit, table

    rows = task_rows()
    if args.json:
        return emit(rows)
    shown = ("task", "kind", "metric", "classes", "train", "test", "folder")
    return table([{name: "–" if row[name] is None else row[name] for name in shown} for row in rows], title="GV-B")
