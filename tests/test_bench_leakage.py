"""Leakage: planted doubles are found, and what is found is what brute force finds."""

import hashlib
import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter
from torch import nn

from metanet.bench import FeatureCache, Prints, Task, leaks, leave_out, prints, read_prints, without, write_prints
from metanet.bench.leakage import _alike, close
from metanet.bench.prints import dhash
from metanet.data import ArrayImages, FileImages
from metanet.errors import MetanetError

SIDE, COUNT = 64, 40
bits = st.integers(0, 2**64 - 1)


def photo(seed):
    """A blurred random field: detail at all places, as in a photo."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    soft = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6))).astype(float)
    return ((soft - soft.min()) / np.ptp(soft) * 255).astype(np.uint8)


def recompressed(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def resized(pixels):
    return np.asarray(Image.fromarray(pixels).resize((40, 40)).resize((SIDE, SIDE)))


def darker(pixels):
    return np.asarray(ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(0.8))


PHOTOS = np.stack([photo(seed) for seed in range(COUNT)])
# Test image -> training image that it is a double of, and how it was changed.
PLANTED = {30: (3, np.copy), 31: (3, np.copy), 32: (4, recompressed), 33: (5, resized), 34: (6, darker)}
for test, (train, change) in PLANTED.items():
    PHOTOS[test] = change(PHOTOS[train])
IMAGES = ArrayImages("photos", PHOTOS, np.arange(COUNT) % 2, ("a", "b"))
TASK = Task("t", "classification", "accuracy", IMAGES, np.arange(30), np.arange(COUNT - 1, 29, -1), 32)


class Mean(nn.Module):
    """The features are the colours of a 4 x 4 grid."""

    feature_info = ()
    seen = 0

    def forward_features(self, x):
        Mean.seen += len(x)
        return torch.nn.functional.adaptive_avg_pool2d(x, 4)

    def forward_head(self, x, pre_logits=False):
        return x.flatten(1)


def pairs(found, by):
    rows = found[found["by"] == by]
    return {(test, of, i) for test, of, i in zip(rows["test"], rows["of"], rows["id"], strict=True)}


def test_planted_doubles_are_found_and_nothing_else():
    found = leaks(TASK, near=3, backbone=Mean(), least_cosine=0.995)
    everything = {(test, "train", train) for test, (train, _) in PLANTED.items()}
    assert pairs(found, "pixels") == {(30, "train", 3), (31, "train", 3)}
    assert pairs(found, "dhash") == everything
    assert pairs(found, "features") >= everything - {(34, "train", 6)}
    assert leave_out(found, ("pixels",)).tolist() == [30, 31]
    assert leave_out(found, ("pixels", "dhash")).tolist() == [30, 31, 32, 33, 34]
    assert (found.loc[found["by"] == "pixels", "distance"] == 0).all()


def test_without_the_doubles_the_task_is_otherwise_the_same():
    rest = without(TASK, np.array([30, 31]))
    assert rest.test.tolist() == list(range(32, COUNT)) and rest.train is TASK.train and rest.name == TASK.name
    with pytest.raises(MetanetError, match="`test` of task 't' must be different ids"):
        without(TASK, TASK.test)


def test_a_pretraining_is_searched_by_its_list_or_by_its_images(tmp_path):
    pretraining = ArrayImages("web", PHOTOS[[0, 35, 1, 32]], np.array([0, 1, 0, 1]), ("a", "b"))
    write_prints(tmp_path / "web.csv", prints(pretraining))
    listed, seen = leaks(TASK, against=[read_prints(tmp_path / "web.csv")]), leaks(TASK, against=[pretraining])
    assert pairs(listed, "pixels") == {(30, "train", 3), (31, "train", 3), (35, "web", 1), (32, "web", 3)}
    assert listed.equals(seen)
    by_features = leaks(TASK, against=[pretraining], backbone=Mean(), least_cosine=1 - 1e-5)
    assert pairs(by_features, "features") >= {(35, "web", 1), (32, "web", 3), (30, "train", 3)}
    only_listed = leaks(TASK, against=[read_prints(tmp_path / "web.csv")], backbone=Mean(), least_cosine=0.9)
    assert {of for _, of, _ in pairs(only_listed, "features")} == {"train"}


def test_doubles_are_found_between_files_and_memory(tmp_path):
    for i in range(3):
        Image.fromarray(PHOTOS[30 + i]).save(tmp_path / f"{i}.png")
    files = FileImages("files", tmp_path, ["0.png", "1.png", "2.png"], np.array([0, 1, 0]), ("a", "b"))
    found = leaks(TASK, against=[files], near=0)
    # 30 and 31 are copies of one image.
    copies = {(a, "files", b - 30) for a, b in ((30, 30), (30, 31), (31, 30), (31, 31), (32, 32))}
    assert copies == {row for row in pairs(found, "pixels") if row[1] == "files"}


def test_features_come_from_the_cache():
    cache, before = FeatureCache(), Mean.seen
    net = Mean()
    for _ in range(2):
        leaks(TASK, backbone=net, extract=cache)
    assert Mean.seen - before == COUNT == cache.forwards


def test_the_perceptual_hash_is_its_definition():
    ramp = np.repeat(np.repeat(np.arange(9, dtype=np.uint8)[None, :, None] * 20, 8, axis=0), 3, axis=2)
    assert dhash(ramp) == 2**64 - 1 and dhash(ramp[:, ::-1].copy()) == 0 and dhash(np.zeros_like(ramp)) == 0
    grey = ramp.copy()
    grey[0, 0] = 200  # the first pixel is now lighter than its neighbour: the highest bit
    grey[7, 8] = 0  # and so is the last but one: the lowest bit
    assert dhash(grey) == 2**64 - 1 - 2**63 - 1
    # Of a whole image, by a loop over the reduced one.
    small = Image.fromarray(PHOTOS[0]).convert("L").resize((9, 8), Image.Resampling.LANCZOS)
    expected = 0
    for y in range(8):
        for x in range(8):
            expected = 2 * expected + (small.getpixel((x, y)) < small.getpixel((x + 1, y)))
    assert dhash(PHOTOS[0]) == expected


def test_a_pixel_print_is_the_hash_of_the_decoded_pixels():
    found = prints(IMAGES, np.array([7, 2]))
    named = [f"{PHOTOS[i].shape[0]} {PHOTOS[i].shape[1]}\n".encode() + PHOTOS[i].tobytes() for i in (7, 2)]
    assert found.pixels.tolist() == [hashlib.sha256(one).hexdigest() for one in named]
    assert found.dhash.tolist() == [dhash(PHOTOS[7]), dhash(PHOTOS[2])] and found.name == "photos"


def _prints(hashes, letters):
    return Prints("x", np.array([letter * 64 for letter in letters], "U64"), np.array(hashes, np.uint64))


@given(st.data(), st.integers(0, 64))
def test_pairs_are_those_of_brute_force(data, near):
    lists = []
    for _ in range(2):
        known = data.draw(st.lists(st.tuples(bits, st.sampled_from("abc")), min_size=1, max_size=12))
        lists.append(_prints([b for b, _ in known], [c for _, c in known]))
    test, other = lists
    found = dict(_alike(test, other, near))
    every = [(i, j) for i in range(len(test)) for j in range(len(other))]
    assert sorted(zip(*found["pixels"][:2], strict=True)) == [
        (i, j) for i, j in every if test.pixels[i] == other.pixels[j]
    ]
    apart = {(i, j): (int(test.dhash[i]) ^ int(other.dhash[j])).bit_count() for i, j in every}
    expected = {pair: bits for pair, bits in apart.items() if bits <= near}
    rows, columns, distances = found["dhash"]
    assert dict(zip(zip(rows, columns, strict=True), distances, strict=True)) == expected


def test_close_features_are_those_of_brute_force_over_more_than_one_block():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((n, 6)).astype(np.float32) for n in (30, 9000))
    a[4] = 0
    rows, columns, distances = close(a, b, 0.9)
    with np.errstate(invalid="ignore"):
        cosine = (a.astype(float) @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    expected = np.argwhere(cosine >= 0.9)
    assert len(expected) > 500 and expected[:, 1].max() > 4096 * 2
    np.testing.assert_array_equal(np.stack([rows, columns], axis=1), expected)
    np.testing.assert_allclose(distances, 1 - cosine[rows, columns], atol=1e-6)


def test_prints_survive_their_file(tmp_path):
    found = prints(IMAGES)
    write_prints(tmp_path / "photos.csv", found)
    again = read_prints(tmp_path / "photos.csv")
    assert again.name == "photos" and len(again) == COUNT
    np.testing.assert_array_equal(again.pixels, found.pixels)
    np.testing.assert_array_equal(again.dhash, found.dhash)


def test_wrong_lists_are_refused(tmp_path):
    path = tmp_path / "list.csv"
    with pytest.raises(MetanetError, match="there is no list of fingerprints"):
        read_prints(path)
    path.write_text("md5\n")
    with pytest.raises(MetanetError, match="must begin with the line 'sha256,dhash'"):
        read_prints(path)
    path.write_text(f"sha256,dhash\n{'0' * 64},{'f' * 16}\n{'0' * 63},{'f' * 16}\n")
    with pytest.raises(MetanetError, match=r"64 and 16 hexadecimal digits .*, got '0+,f+' in line 3 of"):
        read_prints(path)


def test_wrong_settings_are_refused():
    with pytest.raises(MetanetError, match=re.escape("cosines are -1 to 1, got near=65 and least_cosine=0.99")):
        leaks(TASK, near=65)
    with pytest.raises(MetanetError, match="got near=2 and least_cosine=2"):
        leaks(TASK, least_cosine=2)
    with pytest.raises(MetanetError, match="unknown evidence 'pixel': did you mean 'pixels'"):
        leave_out(leaks(TASK), ("pixel",))

    class Bare:
        name = "bare"

    message = re.escape(
        "the source 'bare' has none: give it a method decoded(i) that returns image i as uint8 (h, w, 3)"
    )
    with pytest.raises(MetanetError, match=message):
        prints(Bare())
