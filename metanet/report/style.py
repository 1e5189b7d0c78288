"""Colours and number formats that mean the same in every plot, drawing and table."""

from collections.abc import Sequence

# Middle tones of Okabe and Ito's colour-blind safe palette (2008), each with a contrast of 3 or more on white and DARK.
BLUE, ORANGE, GREEN, PURPLE, OLIVE, RED, GREY = (
    "#2f7fc1",
    "#c8761a",
    "#1a9470",
    "#b5689a",
    "#8f7f12",
    "#d0582e",
    "#7c8591",
)
CRIMSON, VIOLET = "#c0405a", "#6b5bd0"  # as far from the others, for normal and for red-green blind eyes
INK = "#5b6470"  # solid marks that carry white text
DARK = "#14171c"  # the page at night
COLOURS = {
    "search": BLUE,
    "winner of search": BLUE,
    "random search": ORANGE,
    "winner of random search": ORANGE,
    "most MACs": GREEN,
    "winner of most MACs": GREEN,
    "family": BLUE,
    "majority class": GREY,
    "raw pixels": PURPLE,
    "random initialisation": OLIVE,
    "mbconv": BLUE,
    "fused_mbconv": GREEN,
    "self_attention": ORANGE,
    "channel_attention": PURPLE,
    "window_attention": CRIMSON,
    "token_mlp": VIOLET,
    "stem": GREY,
    "head": GREY,
}
_OTHERS = (BLUE, ORANGE, GREEN, CRIMSON, VIOLET, OLIVE, PURPLE, RED)


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name: its own where it has one, else the next that none of the others has."""
    taken = {COLOURS[name] for name in names if name in COLOURS}
    free = [colour for colour in _OTHERS if colour not in taken] or list(_OTHERS)
    others = [name for name in dict.fromkeys(names) if name not in COLOURS]
    return {name: COLOURS[name] if name in COLOURS else free[others.index(name) % len(free)] for name in names}


def quantity(number: float, *, zeros: bool = False) -> str:
    """Three digits and a unit, as in '1.23 M'; with `zeros` also where the last ones are zeros ('1.00 G')."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= 0.9995 * size:
            shown = f"{number / size:#.3g}".rstrip(".") if zeros else f"{number / size:.3g}"
            return f"{shown} {unit}"
    return f"{number:.3g}"
