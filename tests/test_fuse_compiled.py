"""Fused networks through torch's compiler and exporter."""

import copy
import io

import pytest
import torch
from test_fuse import images, lively
from test_running import every_op

import metanet
from metanet import ArchSpec, MetaNet, StageSpec
from metanet.inference import network


@pytest.mark.slow
def test_compiled_in_one_graph_and_exported():
    net, x = lively(MetaNet(every_op(), 3, seed=0)), images(4, 48, 48)
    fused = metanet.fuse(net)
    with torch.no_grad():
        want = fused(x)
        compiled = torch.compile(fused, fullgraph=True, backend="aot_eager")
        assert torch.allclose(compiled(x), want, rtol=1e-4, atol=1e-4)
        program = torch.export.export(fused, (x,))
        assert torch.allclose(program.module()(x), want, rtol=1e-4, atol=1e-4)
        assert "mkldnn" not in str(program.graph)
    torch._dynamo.reset()


def tiny():
    stages = (StageSpec("mbconv", 1, 16, 2, 2), StageSpec("self_attention", 1, 16, 2, 2, head_dim=8))
    return lively(MetaNet(ArchSpec(stages, stem_width=8, head_width=24), 3, seed=0))


def test_compiled_in_its_two_parts_with_chunks_outside(monkeypatch):
    monkeypatch.setattr(network, "CHUNK", 200_000)  # 64,512 bytes an image in the first stage: two at a time
    fused, x, seen = metanet.fuse(tiny()), images(4, 48, 48), []

    def backend(graph, inputs):
        seen.extend(len(value) for value in inputs if value.shape[1:] == x.shape[1:])
        return graph

    with torch.no_grad():
        want, names = fused(x), set(fused.state_dict())
        fused.compile(fullgraph=True, dynamic=False, backend=backend)
        assert torch.allclose(fused(x), want, rtol=1e-4, atol=1e-5)
        assert seen == [2]  # the images that a graph takes: never all four
        torch.save(fused, file := io.BytesIO())
        file.seek(0)
        for again in (copy.deepcopy(fused), torch.load(file, weights_only=False)):
            assert torch.equal(again(x), want) and not set(network.COMPILED) & set(vars(again))
        assert set(fused.state_dict()) == names and len(seen) == 1
        other = metanet.fuse(tiny())
        other.load_state_dict({name: torch.zeros_like(value) for name, value in other.state_dict().items()})
        other.load_state_dict(fused.state_dict())
        assert torch.equal(other(x), want)
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_by_torchs_own_compiler_with_packed_weights(monkeypatch):
    monkeypatch.setattr(network, "CHUNK", 200_000)
    fused, x = metanet.fuse(tiny()), images(4, 48, 48)
    with torch.no_grad():
        want = fused(x)
        fused.compile(fullgraph=True, dynamic=False)
        assert torch.allclose(fused(x), want, rtol=1e-4, atol=1e-5)
        assert torch.equal(copy.deepcopy(fused)(x), want)
    torch._dynamo.reset()
