"""The one gate that every picture passes on its way to a model.

A file goes in, an upright 8-bit RGB picture without metadata comes out, or `Rejected` is raised:
nothing else can happen, whatever the file holds. Decided by content, never by name: the kind of
file (`formats`), then what it may cost to open it (`metadata`), then its size, read
from its header. Only then are pixels decoded, turned upright and brought to RGB (`colour`).
"""

from __future__ import annotations

import math
import os
import stat
import threading
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from mambaout.errors import Sentence
from mambaout.pictures.colour import to_rgb
from mambaout.pictures.errors import Rejected
from mambaout.pictures.formats import ACCEPTED, identify
from mambaout.pictures.metadata import disarm, orientation_of

MAX_FILE_BYTES: Final = 64 * 2**20
MAX_PIXELS: Final = 40_000_000
MAX_ASPECT: Final = 50  # longer side by shorter side
MIN_PIXELS: Final = 4  # fewer is a colour, not a picture
FULL_SIDE: Final = 1024  # a JPEG is decoded at a fraction whose sides are both at least this [px]

FIRST_FRAME: Final = "This is the first frame of an animation."
FIRST_PAGE: Final = "This is the first page of several."
REDUCED: Final = "Decoded at {width} by {height} of its {full_width} by {full_height} pixels."

_TURNS: Final = {  # EXIF orientation: what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A picture at the ceiling takes up to 0.8 GB while it is decoded, and the page decodes in as many
# threads as there are requests.
_DECODING: Final = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class OpenedPicture:
    """A picture as the models see it.

    Attributes:
        image: mode RGB, upright, without metadata.
        notes: what was decided on the way and can be seen in the result, one sentence each.
    """

    image: Image.Image
    notes: tuple[str, ...]


def open_picture(path: str | os.PathLike[str]) -> Image.Image:
    """The picture in a file, in mode RGB, upright and without metadata.

    JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF, told by their content. Of an animation, the first
    frame; see-through parts on white; values of more than 8 bits scaled to 8. Large JPEG files are
    decoded at 1/2, 1/4 or 1/8 of their size, with no side shorter than 1024 pixels.

    Raises:
        Rejected: with a `code` and a `sentence` for the user, for everything else.
    """
    return read_picture(path).image


def read_picture(path: str | os.PathLike[str]) -> OpenedPicture:
    """`open_picture`, with what there is to say about the result."""
    data = _read(Path(path))
    kind = identify(data)
    data = disarm(data, kind, MAX_PIXELS)
    with _DECODING:
        try:
            return _decode(data, kind)
        except Rejected:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise Rejected(
                "too_many_pixels",
                "This picture has far more than the {most} megapixels that are accepted: please "
                "make it smaller.",
                most=MAX_PIXELS // 10**6,
            ) from error
        except MemoryError as error:
            raise Rejected(
                "out_of_memory",
                "There is not enough memory to open this picture now: please make it smaller, "
                "or try again later.",
            ) from error
        except Exception as error:
            # Of a damaged file Pillow raises OSError, SyntaxError, ValueError, KeyError,
            # struct.error, ... : the kinds are no part of its interface.
            raise Rejected(
                "damaged",
                "This {kind} file is damaged, cut short or of a rare kind: please try another "
                "copy, or save it again as JPEG or PNG.",
                kind=ACCEPTED[kind],
            ) from error


def _read(path: Path) -> bytes:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)  # a pipe or a device may have no end
        if regular:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise Rejected(
            "unreadable", "This file cannot be read: {reason}.", reason=reason
        ) from error
    if not regular:
        raise Rejected("unreadable", "This is not a file.")
    if len(data) > MAX_FILE_BYTES:
        raise Rejected(
            "too_many_bytes",
            "This file has more than the {most} MB that are accepted: please make the picture "
            "smaller.",
            most=MAX_FILE_BYTES // 2**20,
        )
    return data


def _decode(data: bytes, kind: str) -> OpenedPicture:
    with Image.open(BytesIO(data), formats=[kind]) as picture:
        _check_size(*picture.size)
        full = picture.size
        picture.draft(None, (FULL_SIDE, FULL_SIDE))  # JPEG only: the others have no such thing
        reduced = picture.size != full
        orientation = orientation_of(picture)
        picture.load()
        image, notes = to_rgb(picture)
        if reduced:
            (width, height), (full_width, full_height) = picture.size, full
            notes.append(
                Sentence(
                    REDUCED,
                    width=width,
                    height=height,
                    full_width=full_width,
                    full_height=full_height,
                )
            )
        if getattr(picture, "is_animated", False):
            notes.append(FIRST_PAGE if kind == "TIFF" else FIRST_FRAME)
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    image.info = {}
    return OpenedPicture(image, tuple(notes))


def _check_size(width: int, height: int) -> None:
    """Refuse by the size that the header gives, before any pixel is decoded."""
    if width * height > MAX_PIXELS:
        megapixels = math.ceil(width * height / 10**5) / 10
        raise Rejected(
            "too_many_pixels",
            "This picture has {width} by {height} pixels ({megapixels} megapixels), and at most "
            "{most} are accepted: please make it smaller.",
            width=width,
            height=height,
            megapixels=f"{megapixels:,}",
            most=MAX_PIXELS // 10**6,
        )
    if width * height < MIN_PIXELS:
        raise Rejected(
            "too_small",
            "This picture has {width} by {height} pixels: there is nothing in it to recognise.",
            width=width,
            height=height,
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Rejected(
            "too_elongated",
            "This picture has {width} by {height} pixels, and one side may be at most {most} times "
            "as long as the other: please cut out a part of it.",
            width=width,
            height=height,
            most=MAX_ASPECT,
        )
