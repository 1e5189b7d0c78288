"""Safetensors files against the safetensors library, and the memory that reading and writing them take."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metanet import MetanetError
from metanet.tensorfile import DTYPES, read, write

shapes = st.lists(st.integers(0, 4), max_size=3)
tensors = st.dictionaries(
    st.text("abc.", min_size=1, max_size=6), st.tuples(shapes, st.sampled_from(sorted(DTYPES))), max_size=5
)


def made(described):
    return {
        name: (torch.rand(shape) * 100).to(DTYPES[dtype]) if shape != [] else torch.tensor(7).to(DTYPES[dtype])
        for name, (shape, dtype) in described.items()
    }


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@settings(max_examples=40)
@given(tensors)
def test_the_library_reads_what_we_write_and_we_read_what_it_writes(tmp_path_factory, described):
    folder, values = tmp_path_factory.mktemp("files"), made(described)
    write(values, folder / "ours", {"who": "we"})
    assert same(load_file(folder / "ours"), values)
    with safe_open(folder / "ours", "pt") as file:
        assert file.metadata() == {"who": "we"}
    save_file(values, folder / "theirs", {"who": "they"})
    stored, metadata = read(folder / "theirs")
    assert metadata == {"who": "they"}
    into = {name: torch.empty_like(value) for name, value in values.items()}
    for name, value in into.items():
        stored[name].read_into(value)
    assert same(into, values)


def test_other_layouts_and_types_are_filled_too(tmp_path):
    value = torch.randn(2, 8, 3, 3)
    save_file({"a": value}, tmp_path / "f")
    stored = read(tmp_path / "f")[0]["a"]
    for target in (value.clone().contiguous(memory_format=torch.channels_last), torch.empty_like(value).double()):
        target.zero_()
        stored.read_into(target)
        assert torch.equal(target.float(), value)


def test_a_damaged_file_is_named(tmp_path):
    save_file({"a": torch.zeros(100)}, tmp_path / "f")
    whole = (tmp_path / "f").read_bytes()
    stored = read(tmp_path / "f")[0]["a"]
    (tmp_path / "f").write_bytes(whole[:-40])
    with pytest.raises(MetanetError, match=r"cannot read weights from .*f'"):
        read(tmp_path / "f")
    with pytest.raises(MetanetError, match="it ends before its tensors do"):
        stored.read_into(torch.zeros(100))
    with pytest.raises(MetanetError, match="cannot read weights from"):
        read(tmp_path / "none")


PEAK = """
import sys, torch
from metanet import ArchSpec, MetaNet, StageSpec
import metanet, safetensors, metanet.runs
spec = ArchSpec((StageSpec("self_attention", 2, 2048, 4, head_dim=64),), stem_width=2048)  # 0.4 GB
def kilobytes(field): return int(next(x for x in open("/proc/self/status") if x.startswith(field)).split()[1])
def peak(): return kilobytes("VmHWM") / 1e6  # getrusage's peak begins at that of the process which started this one
before = kilobytes("VmRSS") / 1e6
path = sys.argv[2]
if sys.argv[1] == "write":
    net = MetaNet(spec, seed=0)
    held = peak()
    net.save(path)
    print(peak() - held, metanet.cost(spec).params * 4 / 1e9)
else:
    net = metanet.create(path)
    print(peak() - before, metanet.cost(spec).params * 4 / 1e9)
"""


def test_no_second_copy_in_memory(tmp_path):
    def extra(what):
        argv = [sys.executable, "-c", PEAK, what, str(tmp_path / "net.safetensors")]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        return map(float, done.stdout.split())

    grown, size = extra("write")
    assert size > 0.35 and grown < 0.3 * size
    grown, size = extra("read")
    assert 0.9 * size < grown < 1.3 * size
