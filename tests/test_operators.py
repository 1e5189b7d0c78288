"""The operators without a released network, against other libraries and against sums written out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from metanet import ArchSpec, MetaNet, MetanetError, StageSpec
from metanet.blocks.cuts import centred
from metanet.blocks.downsampling import GlobalQuery
from metanet.blocks.tally import Cost, Tally
from metanet.blocks.token_mlp import TokenMlp, hidden_tokens, resized
from metanet.blocks.window_attention import WindowAttention
from metanet.spec import DOWNS


def windowed(window=4, index=0, heads=2, head_dim=4, w_out=8):
    stage = StageSpec("window_attention", 1, w_out, 2, head_dim=head_dim, window=window)
    layer = WindowAttention(heads * head_dim, w_out, stage, index)
    for value in layer.parameters():
        torch.nn.init.normal_(value, std=0.5)
    return layer.double()


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("size", [(8, 8), (4, 12), (8, 4)])
def test_windows_that_fit_are_torchvisions(index, size):
    from torchvision.models.swin_transformer import ShiftedWindowAttention

    ours = windowed(index=index)
    theirs = ShiftedWindowAttention(8, [4, 4], [2 * index, 2 * index], 2).double()
    values = {
        "qkv.weight": ours.qkv.weight, "qkv.bias": ours.qkv.bias, "proj.weight": ours.proj.weight,
        "proj.bias": ours.proj.bias, "relative_position_bias_table": ours.relative_position.flatten(1).t(),
    }  # fmt: skip
    theirs.load_state_dict(values, strict=False)
    x = torch.randn(2, *size, 8, dtype=torch.double)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-9)


def dense(layer, x):
    """Attention over all positions where those outside of a position's own window are masked, one by one."""
    b, height, width, c = x.shape
    q, k, v = layer.qkv(x).flatten(1, 2).view(b, -1, 3, c // layer.head_dim, layer.head_dim).permute(2, 0, 3, 1, 4)
    side, whole, shift = {}, {}, {}
    for axis, length in (("y", height), ("x", width)):
        side[axis] = min(layer.window, length)
        whole[axis] = -(-length // side[axis]) * side[axis]
        shift[axis] = side[axis] // 2 if layer.shifted and whole[axis] > side[axis] else 0

    def together(axis, p, r):
        window = [((at - shift[axis]) % whole[axis]) // side[axis] for at in (p, r)]
        return window[0] == window[1] and abs(p - r) < side[axis]

    n, middle = height * width, layer.window - 1
    bias = torch.full((q.shape[1], n, n), -torch.inf, dtype=x.dtype)
    for i in range(n):
        for j in range(n):
            (y, xx), (u, w) = divmod(i, width), divmod(j, width)
            if together("y", y, u) and together("x", xx, w):
                bias[:, i, j] = layer.relative_position[:, y - u + middle, xx - w + middle]
    weights = (q @ k.transpose(-1, -2) / layer.head_dim**0.5 + bias).softmax(-1)
    return layer.proj((weights @ v).transpose(1, 2).reshape(b, height, width, c))


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 1))
def test_windows_on_any_map_are_masked_attention(height, width, window, index):
    layer = windowed(window, index)
    x = torch.randn(2, height, width, 8, dtype=torch.double)
    with torch.no_grad():
        assert torch.allclose(layer(x), dense(layer, x), atol=1e-9)


def token_mlp(grid, w_in=6, w_out=6):
    layer = TokenMlp(w_in, w_out, StageSpec("token_mlp", 1, w_out, 2, grid=grid)).double()
    for value in layer.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return layer


def test_the_token_mlp_on_its_own_grid_is_timms_mixer():
    from timm.layers import Mlp

    layer = token_mlp(3)
    theirs = Mlp(9, hidden_tokens(3)).double()
    with torch.no_grad():
        for value, own in (
            (theirs.fc1.weight, layer.expand.flatten(1)),
            (theirs.fc1.bias, layer.expand_bias.flatten()),
            (theirs.fc2.weight, layer.project.flatten(1).t()),
            (theirs.fc2.bias, layer.project_bias.flatten()),
        ):
            value.copy_(own)
        x = torch.randn(2, 3, 3, 6, dtype=torch.double)
        want = theirs(x.flatten(1, 2).transpose(1, 2)).transpose(1, 2).view(x.shape)
        assert torch.allclose(layer(x), want, atol=1e-12)


@pytest.mark.parametrize("times", [2, 3])
def test_a_constant_map_means_the_same_to_a_token_mlp_at_any_size(times):
    # Bilinear weights of a map `times` as large sum to times^2 the original ones; the layer divides by that.
    layer, constant = token_mlp(4), torch.randn(1, 1, 1, 6, dtype=torch.double)
    with torch.no_grad():
        small = layer(constant.expand(1, 4, 4, 6))
        large = layer(constant.expand(1, 4 * times, 4 * times, 6))
        want = resized(small[0].permute(2, 0, 1), 4 * times, 4 * times).t().view(large.shape)
    assert torch.allclose(large, want, atol=1e-9)


def test_interpolated_weights_of_a_token_mlp_by_hand():
    # 1x2 -> 1x4 bilinear without aligned corners: ends kept, 3:1 mixes between.
    got = resized(torch.tensor([[[1.0, 5.0]]]), 1, 4)
    assert got.tolist() == [[1.0, 2.0, 4.0, 5.0]]


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (7, 7), (1, 1)])
def test_global_queries_step_through_the_flattened_map(height, width):
    layer = GlobalQuery(3, 2)
    for value in layer.parameters():
        torch.nn.init.normal_(value)
    x = torch.randn(2, 3, height, width)
    padded = F.pad(x, (0, width % 2, 0, height % 2)).flatten(2)
    flat = F.pad(padded, (1, 1))
    count = padded.shape[2] // 4
    want = torch.stack(
        [(flat[..., 4 * j : 4 * j + 3] * layer.depthwise.weight[:, 0]).sum(-1) for j in range(count)], -1
    )
    want = want + layer.depthwise.bias[:, None]
    got = layer(x)
    assert got.shape == (2, 3, -(-height // 2), -(-width // 2))
    assert torch.allclose(got.flatten(2), want, atol=1e-5)


@pytest.mark.parametrize("down", DOWNS)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_module_in_front_takes_width_and_stride_from_the_blocks(down, stride):
    net = MetaNet(ArchSpec((StageSpec("mbconv", 2, 16, 2, stride, head_dim=8, down=down),), stem_width=8), seed=0)
    names = [name for name, _ in net.stages[0].named_children()]
    assert names == ["down", "0", "1"]
    assert all(block.shortcut is None for name, block in net.stages[0].named_children() if name != "down")
    assert net.stages[0].down.shortcut.pooled == (stride == 2)
    assert net.forward_features(torch.zeros(1, 3, 30, 22)).shape == (1, 16, *((15, 11) if stride == 1 else (8, 6)))


def test_tables_over_distances_are_cut_around_their_middle():
    table = torch.arange(2 * 7 * 7).view(2, 7, 7)
    cut = centred(table.shape, torch.Size((1, 3, 3)))(table)
    assert cut.tolist() == [[[16, 17, 18], [23, 24, 25], [30, 31, 32]]]


def test_the_peak_of_a_hand_derived_block():
    # 4x4 map: 1x1 8->16 reads 128 and writes 256; depthwise reads and writes 256 while the 128 of the shortcut wait.
    from metanet.blocks import MBConv

    tally = Tally(4, 4)
    MBConv.cost(tally, 8, StageSpec("mbconv", 1, 8, 2, se=False))
    assert tally.cost.peak == 256 + 256 + 128
    assert (tally.cost + Cost(peak=7)).peak == 640 and (tally.cost * 3).peak == 640 and (tally.cost * 0).peak == 0
    assert tally.cost.memory(batch=2) == (tally.cost.params + 2 * 640) * 4


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"down": "pool"}, "unknown downsampling module 'pool'"),
        ({"op": "window_attention", "window": 0}, "`window` of a window_attention stage must be a whole number"),
        (
            {"op": "token_mlp", "grid": None},
            "`grid` of a token_mlp stage must be a whole number of at least 1, got None",
        ),
        ({"op": "mbconv", "down": "global", "head_dim": 5}, "`width` of a mbconv stage must be a multiple of its head"),
    ],
)
def test_fields_out_of_range_are_named(values, said):
    with pytest.raises(MetanetError, match=said):
        StageSpec(**{"op": "mbconv", "depth": 1, "width": 16, "expansion": 2, **values})


def test_fields_without_effect_are_dropped():
    stage = StageSpec("token_mlp", 1, 16, 2, kernel=5, window=3, head_dim=7)
    assert (stage.kernel, stage.se, stage.head_dim, stage.window, stage.grid) == (None, None, None, None, 7)
    assert StageSpec("mbconv", 1, 16, 2, head_dim=8, down="local").head_dim is None
    assert StageSpec("mbconv", 1, 16, 2, head_dim=8, down="global").head_dim == 8
    assert "down" not in StageSpec("mbconv", 1, 16, 2).to_dict()
