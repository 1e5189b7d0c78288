"""Architectures as one line of text: round trips, golden lines, refusals; and what differs between two."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from strategies import specs

import metanet
from metanet import ArchSpec, MetanetError, StageSpec

B1 = (
    "mn1/s32/h1280/r224/mb3+se:1x24:e1/L:mb3+se:2x48:e4:s2/L:mb3+se:4x80:e6:s2/L:mb3+se:4x128:e3:s2"
    "/LG:sa32:4x128:e2/LG:sa32:8x256:e5:s2"
)
EVERY = "mn1/s16/h64/r96/fmb5:1x16:e0.5/G8:mb7:2x24:e1.5:s2/wa8w5:2x24:e2/xca8:1x24:e2/LG12:mlp14:3x48:e4:s2"


@given(specs())
def test_text_reads_back_to_an_equal_architecture(spec):
    text = spec.to_text()
    assert ArchSpec.from_text(text) == spec
    assert not set(text) & set(" \t\n\"'\\$`*?!;&|<>(){}[]~#=%@^,")


def test_golden_lines():
    assert metanet.create("UniNet-B1", device="meta").spec.to_text() == B1
    stages = (
        StageSpec("fused_mbconv", 1, 16, 0.5, kernel=5, se=False),
        StageSpec("mbconv", 2, 24, 1.5, 2, kernel=7, se=False, down="global", head_dim=8),
        StageSpec("window_attention", 2, 24, 2, head_dim=8, window=5),
        StageSpec("channel_attention", 1, 24, 2, head_dim=8),
        StageSpec("token_mlp", 3, 48, 4, 2, grid=14, down="local_global", head_dim=12),
    )
    spec = ArchSpec(stages, stem_width=16, head_width=64, resolution=96)
    assert spec.to_text() == EVERY
    assert ArchSpec.from_text(EVERY) == spec


@pytest.mark.parametrize("name", ["MN-B4", "MN-B15", "UniNet-B6"])
def test_members_are_told_by_their_text(name):
    spec = metanet.create(name, device="meta").spec
    assert len(spec.to_text()) < 160 < len(json.dumps(spec.to_dict()))
    assert metanet.cost(spec.to_text()) == metanet.cost(name)


REFUSED = {
    "another version": ("mn2/s32/h1280/r224/mb3:1x8:e1", "expected mn1/s<stem width>"),
    "no stages": ("mn1/s32/h1280/r224", "expected mn1/s<stem width>"),
    "unknown op": ("mn1/s8/h8/r32/conv3:1x8:e1", "stage 0 of an architecture cannot be read, got 'conv3:1x8:e1'"),
    "no expansion": ("mn1/s8/h8/r32/mb3:1x8:e1/mb3:1x8", "stage 1 of an architecture cannot be read"),
    "no effect": ("mn1/s8/h8/r32/mb3w7:1x8:e1", "must be written as mb3:1x8:e1, got 'mb3w7:1x8:e1'"),
    "not canonical": ("mn1/s8/h8/r32/mb3:1x8:e1.0", "must be written as mb3:1x8:e1, got"),
    "the spec's rule": ("mn1/s8/h8/r32/sa3:1x8:e1", "`width` of a self_attention stage must be a multiple"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals_name_the_part(text, message):
    with pytest.raises(MetanetError, match=r".") as error:
        ArchSpec.from_text(text)
    assert message in str(error.value)


def test_differences():
    a = ArchSpec.from_text(B1)
    b = replace(
        a, resolution=160, stages=(*a.stages[:2], replace(a.stages[2], op="self_attention", width=96, head_dim=32))
    )
    assert a.diff(a) == {}
    assert a.diff(b) == {
        "resolution": (224, 160),
        "stage2.op": ("mbconv", "self_attention"),
        "stage2.width": (80, 96),
        "stage2.kernel": (3, None),
        "stage2.se": (True, None),
        "stage2.head_dim": (None, 32),
        "stage3": ("L:mb3+se:4x128:e3:s2", None),
        "stage4": ("LG:sa32:4x128:e2", None),
        "stage5": ("LG:sa32:8x256:e5:s2", None),
    }
    assert b.diff(a) == {name: (other, own) for name, (own, other) in a.diff(b).items()}


@given(specs(), specs())
def test_differences_are_empty_for_equal_architectures_alone(a, b):
    assert (a.diff(b) == {}) == (a == b)
