"""Pictures as timm's own evaluation reads them, and a reason for each that cannot be read.

As there, orientation tags are not applied and see-through parts are dropped, so that accuracies
compare with published ones.
"""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from mambaout.errors import MambaOutError

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_ASPECT = 50
"""Longer side by shorter side: resizing the shorter side of a line makes it a very long one."""


class DamagedPicture(MambaOutError, ValueError):
    """A file that is no picture, or one that cannot be decoded; the text says why."""


def decode(data: bytes) -> Image.Image:
    """The picture in ``data``, in mode RGB; of an animation the first frame.

    Raises:
        DamagedPicture: there is none in it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            _check_shape(*opened.size)
            return opened.convert("RGB")
    except DamagedPicture:
        raise
    except UnidentifiedImageError as error:
        raise DamagedPicture(f"no picture (known are {', '.join(_FORMATS)})") from error
    except Exception as error:
        # Of a damaged file Pillow raises OSError, SyntaxError, ValueError, KeyError,
        # struct.error, ... : the kinds are no part of its interface.
        raise DamagedPicture(str(error) or type(error).__name__) from error


def _check_shape(width: int, height: int) -> None:
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DamagedPicture(
            f"{width} by {height} pixels: one side is more than {MAX_ASPECT} times as long as the "
            f"other"
        )
