"""`uninet`: the space that UniNet was found in, and `uninet-scaled`, which holds its larger members, too.

Published (Liu et al., UniNet, 2022, and its first version, arXiv 2110.04035): five searched stages; in each one
operator of convolution, depthwise convolution, attention, local attention and MLP; expansions 2 to 6; channels 0.5 to
1.5 times and repeats -2 to +2 around those of an EfficientNet-like base; a local, local-global or global module before
each stage. UniNet-B0 and -B1 are the result. The base itself is not published: ours is the one below, of which B0 is a
point. Our reading, too: convolution is a fused MBConv, local attention works in windows, kernels are 3x3 and squeeze as
in the released networks; the first stage is the released one, a single MBConv of 24 channels.

`uninet-scaled` has, stage by stage, the depths and widths between those of B0 and B6, and the members' resolutions.
"""

from metanet.search_spaces.choices import StageChoices
from metanet.search_spaces.space import Space
from metanet.spec import DOWNS

OPS = ("mbconv", "fused_mbconv", "self_attention", "window_attention", "token_mlp")
EXPANSIONS = (2, 3, 4, 5, 6)
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)
CHANGES = (-2, -1, 0, 1, 2)
BASE = ((3, 32, 2), (4, 64, 2), (4, 128, 2), (4, 128, 1), (6, 256, 2))  # depth, width and stride of each searched stage


def stage(depth: tuple[int, ...], width: tuple[int, ...], stride: int) -> StageChoices:
    """A searched stage."""
    return StageChoices(
        depth, width, EXPANSIONS, OPS, kernel=(3,), se=(True,), head_dim=(32,), down=DOWNS, stride=stride
    )


def first(depth: tuple[int, ...], width: tuple[int, ...]) -> StageChoices:
    """The stage in front, whose operator is given."""
    return StageChoices(depth, width, (1,), ("mbconv",), kernel=(3,), se=(True,))


UNINET = Space(
    name="uninet",
    about="the space that UniNet was found in; UniNet-B0 and -B1 are points of it",
    stages=(
        first((1,), (24,)),
        *(
            stage(
                tuple(depth + change for change in CHANGES),
                tuple(int(scale * width) for scale in SCALES),
                stride,
            )
            for depth, width, stride in BASE
        ),
    ),
    stem_width=(32,),
    resolution=(160, 224),
)

UNINET_SCALED = Space(
    name="uninet-scaled",
    about="the depths, widths and resolutions of UniNet-B0 to B6 and what lies between them",
    stages=(
        first((1, 2, 3, 4), (24, 32, 40, 48)),
        stage((2, 3, 4, 5, 6), (48, 56, 64, 80, 96), 2),
        stage((4, 6, 7, 9, 10, 12), (80, 96, 112, 128, 144, 160), 2),
        stage((4, 6, 7, 9, 10, 12), (128, 160, 192, 224, 256), 2),
        stage((4, 6, 7, 9, 10, 12), (128, 160, 192, 224, 256), 1),
        stage((8, 12, 14, 18, 20, 24), (256, 288, 320, 352, 384, 448, 512), 2),
    ),
    stem_width=(32, 48, 64),
    resolution=(160, 224, 256, 288, 320, 384, 448),
)
