"""Image files as arrays."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]

_ORIENTATION = 0x0112  # EXIF's tag, and what each of its values asks for; 1 is upright
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
_WIDENED = ("PNG", "PPM")  # formats whose 32-bit greys are 16-bit ones that Pillow widened


def rgb(path: Path, *, upright: bool = False) -> Pixels:
    """An image file as (h, w, 3).

    Grey, palette and CMYK images become RGB, transparency is dropped; of 16-bit greys the upper 8 bits are taken.

    upright   turned as its EXIF orientation says

    Raises:
        OSError: there is no such file, or it is no image of 8 or 16 bits.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = _pixels(image)
            # Asked for after decoding, which turns TIFF files itself. Damaged notes are no damaged image.
            orientation = image.getexif().get(_ORIENTATION) if upright else None
    except (ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise OSError(str(error)) from None  # what Pillow's decoders raise besides
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _pixels(image: "Image") -> Pixels:
    if image.mode == "P" and "transparency" in image.info:
        return np.array(image.convert("RGBA").convert("RGB"))  # the same colours; in one step Pillow warns
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _WIDENED):
        # Pillow's own conversion clips: all that is brighter than 255 of 65,535 would be white.
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits, which do not say what is white; save it with 8 or 16 bits")
    return np.array(image.convert("RGB"))
