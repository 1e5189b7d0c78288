"""Random architectures for property tests."""

from hypothesis import strategies as st

from metanet import ArchSpec, StageSpec
from metanet.spec import DOWNS, OPS

HEAD_DIM = 8


@st.composite
def stages(draw, op=None):
    """One stage; widths are multiples of the head size, so that any stage may follow any other."""
    return StageSpec(
        op=op or draw(st.sampled_from(OPS)),
        depth=draw(st.integers(1, 3)),
        width=HEAD_DIM * draw(st.integers(1, 6)),
        expansion=draw(st.sampled_from([0.5, 1, 1.5, 2, 3, 6])),
        stride=draw(st.sampled_from([1, 2])),
        kernel=draw(st.sampled_from([3, 5, 7])),
        se=draw(st.booleans()),
        head_dim=HEAD_DIM,
        window=draw(st.sampled_from([2, 3, 7])),
        grid=draw(st.sampled_from([2, 3, 5])),
        down=draw(st.sampled_from([None, None, *DOWNS])),
    )


@st.composite
def specs(draw):
    """A network of one to five stages at a small resolution."""
    return ArchSpec(
        stages=tuple(draw(st.lists(stages(), min_size=1, max_size=5))),
        stem_width=HEAD_DIM * draw(st.integers(1, 4)),
        head_width=draw(st.sampled_from([1, 24, 64])),
        resolution=draw(st.integers(8, 70)),
    )
