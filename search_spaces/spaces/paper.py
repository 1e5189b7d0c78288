"""`metanet`: the unified space at the scale of the paper; the released MN-B4 and MN-B15 are points of it.

Published: six stages of strides 1, 2, 2, 2, 1, 2, expansions up to 6, and the two points (gv-benchmark's metanet.py).
Our reading: every operator and every downsampling module in every stage, and the widths and depths between and around
those of the two points. The resolution is no choice (our reading, too: all members are told at 224 pixels);
`dataclasses.replace(METANET, resolution=(192, 224, 256))` makes it one.
"""

from metanet.search_spaces.choices import StageChoices
from metanet.search_spaces.space import Space
from metanet.spec import DOWNS

DEEP = (2, 3, 4, 6, 8, 10, 12)
WIDE = (96, 128, 192, 256, 384, 512, 768)


def stage(depth: tuple[int, ...], width: tuple[int, ...], stride: int = 1, *, grid: int = 7) -> StageChoices:
    """A stage of the space: all operators, modules and head sizes."""
    return StageChoices(
        depth,
        width,
        expansion=(1, 2, 3, 4, 5, 6),
        kernel=(3, 5, 7),
        head_dim=(32, 48, 64),
        down=(None, *DOWNS),
        stride=stride,
        grid=grid,
    )


METANET = Space(
    name="metanet",
    about="the unified space at the scale of the paper; MN-B4 and MN-B15 are points of it",
    stages=(
        stage((1, 2, 3, 4), (16, 24, 32, 48, 64, 96, 128)),
        stage((2, 3, 4, 5, 6), (32, 48, 64, 96, 128, 192, 256), 2),
        stage(DEEP, (64, 96, 128, 192, 256, 384, 512), 2),
        stage(DEEP, WIDE, 2, grid=14),
        stage(DEEP, WIDE, grid=14),
        stage((4, 6, 8, 12, 16, 20, 24), (192, 256, 384, 512, 768, 1024, 1536), 2),
    ),
    stem_width=(32, 64, 96),
)
