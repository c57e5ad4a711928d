from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mambaout.evaluation.decoding import DamagedPicture, decode

from .conftest import painted


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_pixels_are_those_that_pillow_reads(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode(encoded(painted(1), kind, **options)), painted(1))


def test_other_modes_become_rgb():
    assert decode(encoded(painted(1).convert("LA"), "PNG")).mode == "RGB"
    assert decode(encoded(painted(1).convert("CMYK"), "JPEG")).mode == "RGB"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no picture"),
        (b"GIF89a of which only the beginning is there", "."),
        (encoded(painted(1), "PNG")[:200], "."),
        (encoded(painted(1), "JPEG")[:-400], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (encoded(Image.new("L", (60_000, 2)), "PNG"), "60000 by 2 pixels"),
    ],
)
def test_what_cannot_be_read_is_damaged_with_the_same_reason_every_time(data, reason):
    reasons = set()
    for _ in range(2):
        with pytest.raises(DamagedPicture, match=reason) as error:
            decode(data)
        reasons.add(str(error.value))
    assert len(reasons) == 1
