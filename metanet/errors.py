"""The one kind of error that a user's input can cause: a sentence with the rule, the values and the way out."""

from collections.abc import Iterable
from difflib import get_close_matches


class MetanetError(ValueError):
    """Input that breaks a rule. The message is one sentence; the command line prints it and ends with exit code 2."""


def check_whole(name: str, value: object, low: int, owner: str = "") -> None:
    """Raises MetanetError where a value is no whole number of at least `low`.

    owner   what has it, "a latency" or the name of a class; of an argument that is named alone nothing
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        whose = f" of {owner}" if owner else ""
        raise MetanetError(f"`{name}`{whose} must be a whole number of at least {low}, got {value!r}")


def unknown(kind: str, name: object, known: Iterable[str]) -> MetanetError:
    """The error for a name that is not among the known ones: the nearest are named first, then all of a short list."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return MetanetError(f"unknown {kind} {name!r}: {hint}known: {shown}")
