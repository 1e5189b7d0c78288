"""Files of every kind that Pillow writes, decoded."""

import re

import numpy as np
import pytest
from PIL import Image, ImageOps

from metanet.data import FileImages
from metanet.errors import MetanetError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ORIENTATION = 0x0112
# By the EXIF standard: where the first row and the first column of the file are seen (6: the right side, the top …).
TURNED = {1: PICTURE, 3: PICTURE[::-1, ::-1], 6: np.rot90(PICTURE, -1), 8: np.rot90(PICTURE)}


def decoded(path, **options):
    return FileImages("x", path.parent, [path.name], np.array([0]), ("one",), **options).decoded(0)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "big-endian.tif", "a.pgm"])
def test_of_16_bit_greys_the_upper_8_bits_are_taken(tmp_path, name):
    deep = RNG.integers(0, 1 << 16, (6, 9)).astype(">u2" if name == "big-endian.tif" else np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    expected = (deep.astype(np.int64) // 256).astype(np.uint8)
    found = decoded(tmp_path / name)
    assert found.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(found[:, :, channel], expected)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_of_32_bits_are_refused(tmp_path, kind):
    Image.fromarray(PICTURE[:, :, 0].astype(kind)).save(tmp_path / "a.tif")
    with pytest.raises(MetanetError, match=r"a.tif' \(its pixels have 32 bits, .*; save it with 8 or 16 bits\)"):
        decoded(tmp_path / "a.tif")


@pytest.mark.parametrize("transparency", [None, 1, b"\x00\x80\xff"])
def test_a_palette_gives_its_colours_whatever_is_transparent(tmp_path, transparency):
    colours = np.array([[200, 10, 30], [1, 2, 3], [90, 90, 255]], dtype=np.uint8)
    which = RNG.integers(0, 3, (4, 6)).astype(np.uint8)
    image = Image.frombytes("P", which.shape[::-1], which.tobytes())
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "a.png", **({} if transparency is None else {"transparency": transparency}))
    np.testing.assert_array_equal(decoded(tmp_path / "a.png"), colours[which])


@pytest.mark.parametrize("alpha", [0, 77, 255])
def test_transparency_is_dropped_and_leaves_the_colours(tmp_path, alpha):
    layers = np.dstack([PICTURE, np.full(PICTURE.shape[:2], alpha, np.uint8)])
    Image.fromarray(layers).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decoded(tmp_path / "a.png"), PICTURE)
    Image.fromarray(np.dstack([PICTURE[:, :, 0], layers[:, :, 3]])).save(tmp_path / "b.png")
    np.testing.assert_array_equal(decoded(tmp_path / "b.png"), np.repeat(PICTURE[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("orientation", [0, *range(1, 9), 77])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_upright_is_as_pillow_turns_it(tmp_path, name, orientation):
    notes = Image.Exif()
    notes[ORIENTATION] = orientation
    Image.fromarray(PICTURE).save(tmp_path / name, exif=notes)
    with Image.open(tmp_path / name) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    found = decoded(tmp_path / name, upright=True)
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous
    if name == "a.png":
        if orientation in TURNED:
            np.testing.assert_array_equal(found, TURNED[orientation])
        np.testing.assert_array_equal(decoded(tmp_path / name), PICTURE)


WORD = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\2\0\0\0\2six\0\0\0\0\0"  # an orientation of letters


@pytest.mark.parametrize("notes", [WORD, b"MM\0*\0\0\0\x08\0", b"XX*\0\x08\0\0\0", b"MM\0*\xff\xff\xff\xff"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # as Pillow says
def test_damaged_notes_are_no_damaged_image(tmp_path, notes):
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + notes)
    np.testing.assert_array_equal(decoded(tmp_path / "a.jpg", upright=True), decoded(tmp_path / "a.jpg"))


def test_whatever_pillow_raises_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "number.ppm").write_bytes(b"P6 4 x 255\n" + bytes(48))  # Pillow: ValueError
    with pytest.raises(
        MetanetError, match=r"an image of 'x' cannot be read, '.*number.ppm' \(.*\): get the file again"
    ):
        decoded(tmp_path / "number.ppm")
    Image.fromarray(PICTURE).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(MetanetError, match=re.escape("bomb.png' (Image size (35 pixels) exceeds limit of 20 pixels")):
        decoded(tmp_path / "bomb.png")


def test_upright_images_have_a_fingerprint_of_their_own(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    seen = FileImages("x", tmp_path, ["a.png"], np.array([0]), ("one",))
    turned = FileImages("x", tmp_path, ["a.png"], np.array([0]), ("one",), upright=True)
    assert seen.fingerprint != turned.fingerprint
