"""The one kind of error that a user's input can cause: a sentence with the rule, the values and the way out."""

from collections.abc import Iterable
from difflib import get_close_matches


class MetanetError(ValueError):
    """Input that breaks a rule. The message is one sentence; the command line prints it and ends with exit code 2."""


def unknown(kind: str, name: object, known: Iterable[str]) -> MetanetError:
    """The error for a name that is not among the known ones: the nearest are named first, then all of a short list."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return MetanetError(f"unknown {kind} {name!r}: {hint}known: {shown}")
