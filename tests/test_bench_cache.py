"""Features on disk: read back as found, by any number of processes, after any kill, within the limit."""

import json
import multiprocessing
import os
import random
import runpy
import signal
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from metanet import MetaNet, create
from metanet.bench import DiskCache, FeatureCache, extract, timm_backbone
from metanet.bench.features import as_module
from metanet.bench.identity import architecture_sha256
from metanet.data import ArrayImages, View
from metanet.errors import MetanetError
from metanet.runs import Sealing

RNG = np.random.default_rng(0)
COUNT = 60
IMAGES = ArrayImages("noise", RNG.integers(0, 256, (COUNT, 8, 8), np.uint8), np.arange(COUNT) % 3, ("a", "b", "c"))
WIDTH = 5


class Net(nn.Module):
    feature_info = ()

    def __init__(self, pause=0.0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, WIDTH, 3)
        self._pause = pause

    def forward_features(self, x):
        time.sleep(self._pause)
        return self.conv(x)

    def forward_head(self, x, pre_logits=False):
        return x.amax((2, 3))


class Larger(Net):
    def forward_head(self, x, pre_logits=False):
        return 1e5 * super().forward_head(x, pre_logits)


def shards(folder):
    return sorted(Path(folder).glob("*/*.npy"))


@given(
    st.lists(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=20), min_size=1, max_size=4), st.integers(1, 9)
)
def test_it_answers_as_extract_and_runs_each_image_once(tmp_path_factory, requests, shard_images):
    folder = tmp_path_factory.mktemp("cache")
    cache, expected, seen = DiskCache(folder, shard_images=shard_images), extract(Net(), IMAGES, np.arange(COUNT), 8), 0
    known = set()
    for ids in requests:
        np.testing.assert_allclose(cache(Net(), IMAGES, np.array(ids), 8), expected[ids], atol=1e-6)
        known |= set(ids)
        seen += len(set(ids))
        assert (cache.forwards, cache.hits) == (len(known), seen - len(known))
    again = DiskCache(folder)
    for ids in requests:
        np.testing.assert_array_equal(again(Net(), IMAGES, np.array(ids), 8), cache(Net(), IMAGES, np.array(ids), 8))
    assert again.forwards == 0 and str(again) == f"forward passes: 0 images; from the cache: {seen}"


def test_a_shard_is_a_numpy_file_of_ids_and_rows(tmp_path):
    ids = np.array([7, 3, 20])
    rows = DiskCache(tmp_path)(Net(), IMAGES, ids, 8)
    (path,) = shards(tmp_path)
    table = np.load(path, mmap_mode="r")
    assert table["id"].tolist() == [3, 7, 20]
    np.testing.assert_array_equal(table["row"], rows[[1, 0, 2]])
    about = json.loads((path.parent / "about.json").read_text())
    assert about["images"] == "noise" and about["source"] == IMAGES.fingerprint and about["view"]["resolution"] == 8


def test_halves_take_half_and_are_the_same_before_and_after(tmp_path):
    ids = np.arange(COUNT)
    exact = DiskCache(tmp_path / "single")(Net(), IMAGES, ids, 8)
    first = DiskCache(tmp_path / "half", dtype="float16")(Net(), IMAGES, ids, 8)
    second = DiskCache(tmp_path / "half", dtype="float16")(Net(), IMAGES, ids, 8)
    assert first.dtype == np.float32 and first.tobytes() == second.tobytes()
    # A half has 11 significant bits, so rounding moves it by at most one part in 2048.
    assert 0 < abs(first / exact - 1).max() <= 2**-11
    sizes = [shards(tmp_path / name)[0].stat().st_size for name in ("single", "half")]
    assert sizes[0] - sizes[1] == COUNT * WIDTH * 2


def test_what_halves_cannot_hold_is_refused(tmp_path):
    with pytest.raises(MetanetError, match=r"as float16 must be at most 65504 in size, got \d+: keep them as float32"):
        DiskCache(tmp_path, dtype="float16")(Larger(), IMAGES, np.arange(COUNT), 8)
    assert not shards(tmp_path)


def _edited(net):
    with torch.no_grad():
        net.conv.bias[0] += 1e-3
    return net


class Strided(Net):
    def __init__(self, stride):
        super().__init__()
        self.conv.stride = (stride, stride)


class Layered(Net):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers


def _other_images(**changes):
    return replace(IMAGES, **changes)


@pytest.mark.parametrize(
    ("net", "images", "view"),
    [
        (_edited(Net()), IMAGES, 8),
        (Larger(), IMAGES, 8),
        (Strided(1), IMAGES, 8),
        (Strided(2), IMAGES, 8),
        (Layered([1]), IMAGES, 8),
        (Layered([2]), IMAGES, 8),
        (Net().half().float(), IMAGES, 8),
        (Net(), _other_images(pixels=255 - IMAGES.pixels), 8),
        (Net(), _other_images(mean=0.4), 8),
        (Net(), IMAGES, 9),
        (Net(), IMAGES, View(8, crop=0.5)),
        (Net(), IMAGES, View(8, interpolation="bicubic")),
        (Net(), IMAGES, View(8, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))),
    ],
)
def test_whatever_changes_the_features_is_another_entry(tmp_path, net, images, view):
    ids = np.arange(4)
    cache = DiskCache(tmp_path)
    cache(Net(), IMAGES, ids, 8)
    cache(Strided(3), IMAGES, ids, 8)
    np.testing.assert_array_equal(cache(net, images, ids, view), extract(net, images, ids, view))
    assert cache.forwards == 12


def test_what_does_not_change_them_is_the_same_entry(tmp_path):
    cache, ids = DiskCache(tmp_path), np.arange(4)
    for net, view in ((Net(), 8), (Net(pause=1e-9), View(8)), (Net().train(), 8), (Net().eval(), 8)):
        cache(net, replace(IMAGES, pixels=IMAGES.pixels.copy()), ids, view)
    assert cache.forwards == 4
    with torch.autocast("cpu"):
        cache(Net(), IMAGES, ids, 8)
    assert cache.forwards == 8


def test_an_edited_forward_is_another_network(tmp_path, monkeypatch):
    """The same weights in the same structure, under the same name."""
    code = """
from torch import nn

class Head(nn.Module):
    def forward(self, x):
        return x.{pool}((2, 3))
"""
    names = []
    for pool in ("amax", "sum", "amax"):
        (tmp_path / "user_net.py").write_text(code.format(pool=pool))
        module = runpy.run_path(str(tmp_path / "user_net.py"), run_name="user_net")
        monkeypatch.setitem(sys.modules, "user_net", SimpleNamespace(__file__=str(tmp_path / "user_net.py")))
        names.append(architecture_sha256(module["Head"]()))
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize("make", [lambda: create("UniNet-B0"), lambda: timm_backbone("mobilenetv2_035")])
def test_a_run_does_not_rename_a_network_and_a_twin_has_its_name(make):
    net = as_module(make()).eval()
    before = architecture_sha256(net)
    with torch.no_grad():
        net.forward_features(torch.zeros(1, 3, 64, 64))
    assert architecture_sha256(net) == before == architecture_sha256(as_module(make()))


def test_networks_that_print_alike_differ_by_their_specs():
    spec = create("MN-B4", device="meta").spec
    window = replace(spec.stages[0], op="window_attention", window=7, head_dim=8)
    a, b = (replace(spec, stages=(replace(window, window=size),)) for size in (7, 4))
    assert len({architecture_sha256(MetaNet(s, device="meta")) for s in (spec, a, b)}) == 3


def test_a_limit_removes_what_was_not_used_for_longest(tmp_path):
    def fill(cache, side):
        return cache(Net(), IMAGES, np.arange(50), side)

    cache = DiskCache(tmp_path)
    fill(cache, 4)
    size = shards(tmp_path)[0].stat().st_size
    limited = DiskCache(tmp_path, limit_bytes=3 * size)
    for side in (5, 6):
        fill(limited, side)
        time.sleep(0.02)
    fill(limited, 4)  # used again: 5 is now the oldest
    assert limited.forwards == 100
    fill(limited, 7)
    assert sum(path.stat().st_size for path in shards(tmp_path)) == 3 * size
    for side in (4, 6, 7):
        fill(limited, side)
    assert limited.forwards == 150
    fill(limited, 5)
    assert limited.forwards == 200


def test_more_than_the_limit_is_answered_with_a_warning(tmp_path):
    cache = DiskCache(tmp_path, limit_bytes=300, shard_images=4)
    with pytest.warns(
        UserWarning, match="features of 40 images of 'noise' take 800 bytes, more than the cache may hold"
    ):
        rows = cache(Net(), IMAGES, np.arange(40), 8)
    np.testing.assert_allclose(rows, extract(Net(), IMAGES, np.arange(40), 8), atol=1e-6)
    assert cache.forwards == 40
    assert sum(path.stat().st_size for path in shards(tmp_path)) <= 300


def _truncated(path, rng):
    os.truncate(path, rng.randrange(path.stat().st_size))


def _flipped(path, rng):
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _replaced(path, rng):
    path.write_bytes(b"no features")


@pytest.mark.parametrize("damage", [_truncated, _flipped, _replaced])
@pytest.mark.parametrize("seed", range(4))
def test_damage_is_told_once_and_filled_again(tmp_path, damage, seed):
    ids = np.arange(20)
    expected = DiskCache(tmp_path, shard_images=5)(Net(), IMAGES, ids, 8)
    rng = random.Random(seed)
    damage(rng.choice(shards(tmp_path)), rng)
    cache = DiskCache(tmp_path)
    with pytest.warns(UserWarning, match="cached features are damaged and run again") as told:
        np.testing.assert_allclose(cache(Net(), IMAGES, ids, 8), expected, atol=1e-6)
    assert len(told) == 1 and (cache.forwards, cache.hits) == (5, 15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DiskCache(tmp_path)(Net(), IMAGES, ids, 8).tobytes() == cache(Net(), IMAGES, ids, 8).tobytes()


def test_wrong_settings_are_refused(tmp_path):
    with pytest.raises(MetanetError, match="unknown type of cached features 'float64'"):
        DiskCache(tmp_path, dtype="float64")
    with pytest.raises(MetanetError, match="at least 1 byte and 1 image a shard, got limit_bytes=0 and shard_images=5"):
        DiskCache(tmp_path, limit_bytes=0, shard_images=5)
    (tmp_path / "file").touch()
    with pytest.raises(MetanetError, match="cannot write in the run folder"):
        DiskCache(tmp_path / "file")
    for cache in (DiskCache(tmp_path), FeatureCache(), extract):
        with pytest.raises(MetanetError, match="at least one image, got no ids"):
            cache(Net(), IMAGES, np.empty(0, np.int64), 8)


def work(folder, seed, limit, rounds, pause, out):
    """Asks for more and more images in random order; puts how many were run, or what was wrong."""
    torch.set_num_threads(1)
    cache, rng = DiskCache(folder, shard_images=3, limit_bytes=limit), np.random.default_rng(seed)
    for _ in range(rounds):
        for size in (20, 40, COUNT):
            ids = rng.permutation(COUNT)[:size]
            rows = cache(Net(pause), IMAGES, ids, 8)
            if not np.allclose(rows, np.load(folder / "expected.npy")[ids], atol=1e-6):
                out.put("wrong features")
    out.put(cache.forwards)


def start(folder, seed, limit=10**9, rounds=1, pause=0.002):
    """A process forked from one that has imported what takes seconds to import, and the queue of what it says."""
    np.save(folder / "expected.npy", extract(Net(), IMAGES, np.arange(COUNT), 8))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "pandas", "pytest", "hypothesis", "metanet.bench"])
    out = context.SimpleQueue()
    process = context.Process(target=work, args=(folder, seed, limit, rounds, pause, out))
    process.start()
    return process, out


def ends_well(process, out):
    process.join(120)
    assert process.exitcode == 0
    return out.get()


def test_processes_share_the_work_and_never_read_what_is_torn(tmp_path):
    started = [start(tmp_path, seed) for seed in range(3)]
    assert sum(ends_well(*one) for one in started) == COUNT


def test_processes_that_evict_each_others_features_still_answer_right(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = [start(tmp_path, seed, limit=2500, rounds=4) for seed in range(3)]
        assert sum(ends_well(*one) for one in started) > COUNT  # the limit holds about a third


def test_killed_at_random_moments_it_goes_on_with_what_is_whole(tmp_path):
    moments, kills = random.Random(0), 0
    for seed in range(6):
        already = len(shards(tmp_path))
        process, _ = start(tmp_path, seed, pause=0.01)
        while process.is_alive() and len(shards(tmp_path)) < already + 2:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.02))  # a shard takes about as long
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = DiskCache(tmp_path)
        rows = cache(Net(), IMAGES, np.arange(COUNT), 8)
        np.testing.assert_allclose(rows, np.load(tmp_path / "expected.npy"), atol=1e-6)
        assert cache.hits >= 30 and cache.forwards + cache.hits == COUNT
    again = DiskCache(tmp_path)
    again(Net(), IMAGES, np.arange(COUNT), 8)
    assert again.forwards == 0


def die_in_second_shard(folder, write):
    """Dies half through a block of the second shard: the header (0) or the records (1)."""
    real, writes = Sealing.write, 0

    def write_or_die(self, data):
        nonlocal writes
        writes += 1
        if writes == 2 + write + 1:
            self.file.write(bytes(data)[: len(data) // 2])
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, data)

    Sealing.write = write_or_die
    DiskCache(folder, shard_images=5)(Net(), IMAGES, np.arange(20), 8)


@pytest.mark.parametrize("write", [0, 1])
def test_killed_inside_a_write_leaves_nothing_to_read(tmp_path, write):
    process = multiprocessing.get_context("forkserver").Process(target=die_in_second_shard, args=(tmp_path, write))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(shards(tmp_path)) == 1 and len(list(tmp_path.glob("*/.*.tmp"))) == 1
    cache = DiskCache(tmp_path)
    rows = cache(Net(), IMAGES, np.arange(20), 8)
    np.testing.assert_allclose(rows, extract(Net(), IMAGES, np.arange(20), 8), atol=1e-6)
    assert (cache.forwards, cache.hits) == (15, 5)
    assert not list(tmp_path.glob("*/.*.tmp"))
