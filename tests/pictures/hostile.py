"""Files that a picture input meets sooner or later: odd, broken, disguised, or made to hurt."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.pictures import file_parts as make

PICTURE = "picture"  # it opens; every other word is the code it is rejected with


class Sample(NamedTuple):
    expected: str
    build: Callable[[], bytes]


SMALL = {
    "jpg": lambda: make.encoded(make.photograph(), "JPEG"),
    "png": lambda: make.encoded(make.photograph(), "PNG"),
    "webp": lambda: make.encoded(make.photograph(), "WEBP"),
    "gif": lambda: make.encoded(make.photograph(mode="P"), "GIF"),
    "bmp": lambda: make.encoded(make.photograph(), "BMP"),
    "tif": lambda: make.encoded(make.photograph(), "TIFF", compression="tiff_lzw"),
    "avif": lambda: make.encoded(make.photograph(), "AVIF"),
}


def _photo(form, mode="RGB", **options):
    return lambda: make.encoded(make.photograph(mode=mode), form, **options)


def _cut(form, share):
    def build():
        data = SMALL[form]()
        return data[: int(len(data) * share)]

    return build


def _of(data):
    return lambda: data


DISGUISED = {
    "empty.jpg": Sample("empty", _of(b"")),
    **{
        name: Sample("not_an_image", build)
        for name, build in {
            "one_byte.jpg": _of(b"\xff"),
            "zeros.png": _of(bytes(4096)),
            "noise.jpg": _of(random.Random(0).randbytes(4096)),
            "text.jpg": _of(b"This is not a picture.\n" * 40),
            "page.png": _of(b"<!doctype html><script>alert(1)</script>"),
            "drawing.jpg": _of(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
            "drawing.png": _of(b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- x -->\n<svg></svg>'),
            "photo.jpg": _photo("EPS"),
            "dos_eps.jpg": _of(b"\xc5\xd0\xd3\xc6" + bytes(60)),
            "document.jpg": _photo("PDF"),
            "photoshop.jpg": _of(b"8BPS\0\1" + bytes(60)),
            "portable.png": _photo("PPM"),
            "jpeg2000.jpg": _of(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60)),
            "jpeg2000_stream.jpg": _of(b"\xff\x4f\xff\x51" + bytes(60)),
            "jpeg_xl.jpg": _of(b"\xff\x0a" + bytes(60)),
            "jpeg_xl_box.jpg": _of(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60)),
            "icon.png": _photo("ICO"),
            "apple_icon.png": _of(b"icns\0\0\0\x40" + bytes(60)),
            "texture.png": _photo("DDS"),
            "silicon.bmp": _photo("SGI"),
            "paintbrush.bmp": _photo("PCX"),
            "targa.bmp": _photo("TGA"),
            "iphone.jpg": _of(make.media_file(b"heic", b"mif1")),
            "film.jpg": _of(make.media_file(b"isom", b"mp42")),
            "archive.jpg": _of(b"PK\3\4" + bytes(60)),
            "sound.webp": _of(b"RIFF\x40\0\0\0WAVEfmt " + bytes(60)),
        }.items()
    },
}

BROKEN = {
    name: Sample("damaged", build)
    for name, build in {
        **{f"half.{form}": _cut(form, 0.5) for form in SMALL},
        **{f"nearly_whole.{form}": _cut(form, 0.9) for form in SMALL},
        "signature.jpg": _of(b"\xff\xd8\xff"),
        "signature.png": _of(b"\x89PNG\r\n\x1a\n"),
        "signature.gif": _of(b"GIF89a"),
        "signature.bmp": _of(b"BM"),
        "signature.tif": _of(b"II*\0"),
        "signature.webp": _of(b"RIFF\x40\0\0\0WEBPVP8 "),
        "signature.avif": _of(make.media_file(b"avif", b"mif1")),
        "directory_past_the_end.tif": _of(b"MM\0*\xff\xff\xff\xf0"),
        "directory_of_itself.tif": _of(make.header() + make.directory([(34665, 4, 1, 8)])),
        "no_pixels.tif": lambda: make.tiff(8, 8, b""),
        "not_numbers.tif": lambda: make.encoded(
            Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"
        ),
        "infinite.tif": lambda: make.encoded(
            Image.fromarray(np.array([[0, np.inf]] * 4, np.float32)), "TIFF"
        ),
        "claims.png": lambda: make.png(3000, 3000, 8, 2, [bytes(64)]),
        "no_pixels.png": lambda: make.png(8, 8, 8, 0, [bytes(8)] * 8).replace(b"IDAT", b"IDAU"),
        "long_comment.png": lambda: make.png(8, 8, 8, 0, [bytes(8)] * 8, make.long_comment()),
        "claims.bmp": lambda: make.bmp_of_size(6000, 6000),
    }.items()
}


BEYOND_LIMITS = {
    **{
        name: Sample("too_many_pixels", build)
        for name, build in {
            "bomb.png": lambda: make.png(30_000, 30_000, 1, 0, [bytes(3750)] * 60),
            "warning.png": lambda: make.png(10_000, 10_000, 1, 0, [bytes(1250)] * 60),
            "bomb.gif": lambda: make.gif_of_size(65_535, 65_535),
            "bomb.webp": lambda: make.webp_of_size(16_383, 16_383),
            "bomb.jpg": lambda: make.jpeg_of_size(65_500, 65_500),
            "bomb.bmp": lambda: make.bmp_of_size(2**30, 2**30),
            "bomb.tif": lambda: make.tiff(2**31, 2**31, b"\0"),
            "tile.tif": lambda: make.tiff_of_one_tile(7000),
        }.items()
    },
    "line.png": Sample("too_elongated", lambda: make.black_png(1020, 20)),
    "column.png": Sample("too_elongated", lambda: make.black_png(3, 151)),
    "ribbon.jpg": Sample("too_elongated", lambda: make.jpeg_of_size(65_500, 600)),
    "dot.gif": Sample("too_small", lambda: make.encoded(Image.new("P", (1, 1)), "GIF")),
    "dots.png": Sample("too_small", lambda: make.black_png(3, 1)),
    "scans.jpg": Sample("too_complex", lambda: make.jpeg_of_scans(101)),
    "directory.tif": Sample("too_complex", make.tiff_bomb),
    "directory_below.tif": Sample("too_complex", make.tiff_bomb_below),
    "numbers.tif": Sample(
        "too_complex", lambda: make.tiff(8, 8, bytes(2**20), (60_000, make.LONG, 2**18, 0))
    ),
}

HARMLESS = {
    name: Sample(PICTURE, build)
    for name, build in {
        **{f"small.{form}": build for form, build in SMALL.items()},
        "png_in_disguise.jpg": SMALL["png"],
        "jpeg_in_disguise.svg": SMALL["jpg"],
        "no_suffix": SMALL["webp"],
        "naïve 图片 📷.png": SMALL["png"],
        "rows_missing.jpg": lambda: make.jpeg_of_size(640, 480),  # the decoder paints them grey
        "canvas_missing.gif": lambda: make.gif_of_size(0, 0),  # the frame has a size of its own
        "page_behind.jpg": lambda: SMALL["jpg"]() + b"<script>alert(1)</script>",
        "progressive.jpg": _photo("JPEG", progressive=True),
        "grey.jpg": _photo("JPEG", "L"),
        "printed.jpg": _photo("JPEG", "CMYK"),
        "printed.tif": _photo("TIFF", "CMYK"),
        "many_scans.jpg": lambda: make.jpeg_of_scans(100),
        "exif_bomb.jpg": lambda: make.jpeg_with(*make.exif_segments(make.exif_bomb(6))),
        "exif_bomb.png": _photo("PNG", exif=make.exif_bomb(6)),
        "exif_bomb.webp": _photo("WEBP", exif=make.exif_bomb(6)),
        "exif_bomb.avif": lambda: make.avif_with_exif(make.exif_bomb(1)),
        "exif_of_noise.jpg": lambda: make.jpeg_with(
            *make.exif_segments(random.Random(0).randbytes(300))
        ),
        "exif_cut.jpg": lambda: make.jpeg_with(*make.exif_segments(make.exif(6)[:-14])),
        "exif_past_the_end.jpg": lambda: make.jpeg_with(
            *make.exif_segments(b"II*\0\xff\xff\xff\xff")
        ),
        "two_pictures.jpg": lambda: make.encoded(
            make.photograph(), "MPO", save_all=True, append_images=[Image.new("RGB", (32, 24))]
        ),
        "two_pictures_odd.jpg": lambda: make.jpeg_with(make.segment(0xE2, b"MPF\0" + bytes(40))),
        "animation.gif": lambda: make.animation("GIF"),
        "animation.png": lambda: make.animation("PNG"),
        "animation.webp": lambda: make.animation("WEBP"),
        "animation.avif": lambda: make.animation("AVIF"),
        "pages.tif": lambda: make.animation("TIFF"),
        "one_bit.png": lambda: make.black_png(64, 48),
        "see_through.png": _photo("PNG", "RGBA"),
        "see_through.webp": _photo("WEBP", "RGBA"),
        "see_through_grey.png": _photo("PNG", "LA"),
        "palette.png": _photo("PNG", "P"),
        "palette.bmp": _photo("BMP", "P"),
        "lab.tif": lambda: make.encoded(make.photograph().convert("LAB"), "TIFF"),
        "big.tif": lambda: make.tiff(8, 8, bytes(64), big=True),
        "other_end.tif": lambda: make.tiff(8, 8, bytes(64), order=">"),
        "ribbon.png": lambda: make.black_png(1000, 20),
        "stripe.png": lambda: make.black_png(50, 1),
    }.items()
}

SAMPLES = DISGUISED | BROKEN | BEYOND_LIMITS | HARMLESS
