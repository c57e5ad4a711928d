"""Metadata: what the decoder must not see of it, and the one number that is read from it.

EXIF is a TIFF directory: a list of tags, each pointing at its value. Nothing stops a file from
pointing thousands of tags at the same bytes, and Pillow copies every value when it opens the file:
a JPEG, TIFF or AVIF file of 0.5 MB then takes gigabytes. So EXIF is hidden from Pillow, the
directory of a TIFF file is checked before Pillow reads it, and the orientation is read here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal, NamedTuple

from PIL import ImageFile, JpegImagePlugin

from mambaout.pictures.errors import Rejected

MAX_JPEG_SCANS: Final = 100  # each is a pass over all pixels; a progressive photograph has 10
MAX_DIRECTORY_NUMBERS: Final = 2**18  # offset and length of 130,000 strips or tiles

_ORIENTATION: Final = 0x0112
_TILE_SIDES: Final = (322, 323)
_SUBDIRECTORIES: Final = (34665, 34853, 40965)  # EXIF, GPS, interoperability: those Pillow follows
# size in bytes of one value, by TIFF type
_VALUE_SIZES: Final = dict(
    zip(
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18),
        (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 8, 8, 8),
        strict=True,
    )
)
_BYTE_STRINGS: Final = (1, 2, 6, 7)

_JPEG_EXIF: Final = re.compile(rb"(\xff\xe1..)Exif\0\0", re.DOTALL)
_JPEG_MULTI_PICTURE: Final = re.compile(rb"(\xff\xe2..)MPF\0", re.DOTALL)
_AVIF_EXIF: Final = re.compile(rb"(infe\x02.{7}|infe\x03.{9})Exif", re.DOTALL)
_HIDDEN_EXIF: Final = b"exif\0\0"
_HIDDEN_MULTI_PICTURE: Final = b"mpf\0"
_MOST_EXIF_ENTRIES: Final = 4096  # a camera writes about 20 in the first directory


def disarm(data: bytes, kind: str, max_pixels: int) -> bytes:
    """``data`` without what makes a small file expensive to open; pixels are untouched.

    In a JPEG file the names of the EXIF and multi-picture (MPO) segments are changed, so that
    Pillow passes over them and decodes the main picture; in an AVIF file that of the EXIF item.
    A JPEG marker cannot occur inside compressed pixels, nor can the header of an AVIF item.

    Args:
        data: the file.
        kind: a key of ``mambaout.pictures.formats.ACCEPTED``.
        max_pixels: ceiling of one tile of a TIFF file, which is decoded whole.

    Raises:
        Rejected: ``too_complex``, where there is nothing to hide: it is the picture itself.
    """
    if kind == "JPEG":
        scans = data.count(b"\xff\xda")
        if scans > MAX_JPEG_SCANS:
            raise Rejected(
                "too_complex",
                "This JPEG file is drawn in {scans} passes, and at most {most} are accepted: "
                "please save it as an ordinary JPEG.",
                scans=scans,
                most=MAX_JPEG_SCANS,
            )
        data = _JPEG_EXIF.sub(rb"\1" + _HIDDEN_EXIF, data)
        return _JPEG_MULTI_PICTURE.sub(rb"\1" + _HIDDEN_MULTI_PICTURE, data)
    if kind == "AVIF":
        return _AVIF_EXIF.sub(rb"\1none", data)
    if kind == "TIFF":
        _check_tiff(data, max_pixels)
    return data


def orientation_of(picture: ImageFile.ImageFile) -> int:
    """How an opened picture is to be turned, 1 to 8 as in EXIF; 1 where it does not say.

    A TIFF file always answers 1: Pillow turns it while decoding. An AVIF file is turned as its
    container says, which is where the standard puts it, not as its EXIF block says.
    """
    if isinstance(picture, JpegImagePlugin.JpegImageFile):
        for name, segment in picture.applist:
            if name == "APP1" and segment.startswith(_HIDDEN_EXIF):
                return exif_orientation(segment[len(_HIDDEN_EXIF) :])
        return 1
    block = picture.info.get("exif")
    return exif_orientation(block) if isinstance(block, bytes) else 1


def exif_orientation(block: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1 where it is missing or cannot be read."""
    block = block.removeprefix(b"Exif\0\0")
    for entry in islice(_entries(block, _first_directory(block)), _MOST_EXIF_ENTRIES):
        if entry.tag == _ORIENTATION and 1 <= entry.number <= 8:
            return entry.number
    return 1


class _Entry(NamedTuple):
    """One tag of a TIFF directory."""

    tag: int
    numbers: int  # how many Python numbers its value becomes; a string of bytes counts as one
    elsewhere: int  # bytes of its value that lie outside the directory
    number: int  # its value, where that is one integer; else without meaning


def _is_big(data: bytes) -> bool:
    return data[:4] in (b"II+\0", b"MM\0+")


def _first_directory(data: bytes) -> int:
    """Where the first directory of a TIFF structure begins."""
    byte_order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    return int.from_bytes(data[8:16] if _is_big(data) else data[4:8], byte_order)


def _entries(data: bytes, at: int) -> Iterator[_Entry]:
    """The entries of the TIFF directory at offset ``at``, as far as they can be read."""
    byte_order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    order, big = "<" if byte_order == "little" else ">", _is_big(data)
    head = struct.Struct(order + ("Q" if big else "H"))
    body = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    first = at + head.size
    if first > len(data):
        return
    (claimed,) = head.unpack_from(data, at)
    for index in range(min(claimed, (len(data) - first) // body.size)):
        tag, kind, count, field = body.unpack_from(data, first + index * body.size)
        width = _VALUE_SIZES.get(kind, 0)
        size, elsewhere = count * width, 0
        if size > len(field):  # then the field says where the value is
            elsewhere = min(size, max(len(data) - int.from_bytes(field, byte_order), 0))
        numbers = 1 if kind in _BYTE_STRINGS else max(count, 1)
        yield _Entry(tag, numbers, elsewhere, int.from_bytes(field[:width], byte_order))


def _check_tiff(data: bytes, max_pixels: int) -> None:
    """Refuse directories that hold more when read than the file does, and oversized tiles."""
    pending, seen = [_first_directory(data)], set()
    numbers, size, tile = 0, 0, [1, 1]
    while pending:
        at = pending.pop()
        if at in seen:
            continue
        seen.add(at)
        for entry in _entries(data, at):
            numbers += entry.numbers
            size += entry.elsewhere
            if numbers > MAX_DIRECTORY_NUMBERS or size > 2 * len(data):
                raise Rejected(
                    "too_complex",
                    "This TIFF file describes itself in more data than it holds: "
                    "please save it again, or as PNG.",
                )
            if entry.tag in _SUBDIRECTORIES:
                pending.append(entry.number)
            if entry.tag in _TILE_SIDES:
                side = _TILE_SIDES.index(entry.tag)
                tile[side] = max(tile[side], entry.number)
    if tile[0] * tile[1] > max_pixels:
        raise Rejected(
            "too_many_pixels",
            "This TIFF file is stored in tiles of {width} by {height} pixels: please save it again "
            "without tiles.",
            width=tile[0],
            height=tile[1],
        )
