"""From the pixels as a file stores them to 8-bit RGB on white."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from mambaout.errors import Sentence
from mambaout.pictures.errors import Rejected

ON_WHITE: Final = "See-through parts are shown on white."
FROM_CMYK: Final = "Printing colours (CMYK) were converted without a colour profile."
FROM_16_BITS: Final = "{bits}-bit values were scaled to 8 bits."
STRETCHED: Final = "Values from {low} to {high} were stretched from black to white."

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def to_rgb(picture: ImageFile.ImageFile) -> tuple[Image.Image, list[str]]:
    """The pixels of a decoded picture in mode RGB, and what was done to them, as sentences.

    Values of more than 8 bits are scaled by their bit depth, where plain Pillow clips them at 255.
    Signed, 32-bit and floating point values have no agreed white: they are taken as 0 to 255,
    0 to 65,535 (integers) or 0 to 1 (floating point) where they lie in that range, and stretched
    from the least to the greatest where they do not.

    Raises:
        Rejected: ``damaged``, where a floating point picture holds NaN or infinities.
    """
    if picture.mode.startswith("I;16"):
        return _from_16_bits(picture)
    if picture.mode in {"I", "F"}:
        return _from_numbers(picture)
    if picture.has_transparency_data:
        return _on_white(picture if picture.mode == "RGBA" else picture.convert("RGBA"))
    notes = [FROM_CMYK] if picture.mode == "CMYK" else []
    return picture.convert("RGB"), notes


def _on_white(picture: Image.Image) -> tuple[Image.Image, list[str]]:
    alpha = picture.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return picture.convert("RGB"), []
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=alpha)
    return white, [ON_WHITE]


def _from_16_bits(picture: ImageFile.ImageFile) -> tuple[Image.Image, list[str]]:
    bits = int(_tiff_tag(picture, _BITS_PER_SAMPLE, 16))
    greatest = 2**bits - 1
    values = np.arange(2**16, dtype=np.uint32)  # every value there can be, once
    table = ((values * 255 + greatest // 2) // greatest).clip(max=255).astype(np.uint8)
    stored = np.asarray(picture)
    grey = table[stored]  # (h, w)
    if _tiff_tag(picture, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        grey = 255 - grey
    notes: list[str] = [Sentence(FROM_16_BITS, bits=bits)]
    see_through = picture.info.get("transparency")  # PNG: the one grey value that is
    if isinstance(see_through, int) and (hidden := stored == see_through).any():
        grey[hidden] = 255
        notes.append(ON_WHITE)
    return Image.fromarray(grey).convert("RGB"), notes


def _from_numbers(picture: ImageFile.ImageFile) -> tuple[Image.Image, list[str]]:
    values = np.asarray(picture)  # (h, w) int32 or float32
    bits = int(_tiff_tag(picture, _BITS_PER_SAMPLE, 32))
    if picture.mode == "I" and bits == 32 and _tiff_tag(picture, _SAMPLE_FORMAT, 1) == _UNSIGNED:
        values = values.view(np.uint32)  # Pillow has no unsigned mode of this width
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise Rejected("damaged", "This picture holds values that are not numbers.")
    notes: list[str] = []
    agreed = [1] if picture.mode == "F" else [255, 65535]
    black, white = 0.0, next((float(top) for top in agreed if low >= 0 and high <= top), None)
    if white is None:
        # of one value all over, there is no range: halfway between black and white
        black, white = (low, high) if low < high else (low - 1, high + 1)
        notes.append(Sentence(STRETCHED, low=f"{low:g}", high=f"{high:g}"))
    elif white > 255:
        notes.append(Sentence(FROM_16_BITS, bits=16))
    grey = values.astype(np.float32)
    grey -= np.float32(black)  # in place: 40 megapixels are 160 MB
    grey *= np.float32(255 / (white - black))
    if _tiff_tag(picture, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        np.subtract(255, grey, out=grey)
    np.rint(grey, out=grey)
    return Image.fromarray(grey.clip(0, 255, out=grey).astype(np.uint8)).convert("RGB"), notes


def _tiff_tag(picture: ImageFile.ImageFile, tag: int, default: int) -> int:
    """The first value of a TIFF file's tag; ``default`` where there is none, or no TIFF file."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return default
    value = picture.tag_v2.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)
