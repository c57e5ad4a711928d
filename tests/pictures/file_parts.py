"""Picture files, byte by byte where no encoder would write them."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
from PIL import Image

BYTE, SHORT, LONG, FLOAT, LONG8 = 1, 3, 4, 11, 16  # TIFF types
_VALUE = {BYTE: "B", SHORT: "H", LONG: "I", LONG8: "Q"}


def photograph(width=64, height=48, mode="RGB"):
    """Smooth shapes and some noise: compresses like a photograph, differs in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width))
    red, green = 200 * x / width + noise, 200 * y / height + noise
    blue = 120 + 80 * np.sin(x / 9) * np.cos(y / 7)
    pixels = np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def animation(form, **options):
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue", "lime")]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)


def patched(data, at, new):
    return data[:at] + new + data[at + len(new) :]


# -- PNG ---------------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, *extra):
    """From packed rows, each as bytes; ``extra`` chunks come before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(b"\0" + row) for row in rows) + packer.flush()
    body = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def black_png(width, height):
    """One bit per pixel, all of them there: some kB, whatever the size."""
    row = bytes((width + 7) // 8)
    return png(width, height, 1, 0, (row for _ in range(height)))


def long_comment(size=2**21):
    """Of a few kB, packed."""
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 9))


# -- TIFF and EXIF -----------------------------------------------------------------------------


def header(order="<", big=False):
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, 16)
    return mark + struct.pack(order + "HI", 42, 8)


def directory(entries, order="<", big=False):
    """A TIFF directory of (tag, type, count, value); a value that does not fit is its offset."""
    field = 8 if big else 4
    body = struct.pack(order + ("Q" if big else "H"), len(entries))
    for tag, kind, count, value in entries:
        outside = kind not in _VALUE or struct.calcsize(_VALUE[kind]) * count > field
        code = ("Q" if big else "I") if outside else _VALUE[kind]
        body += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count)
        body += struct.pack(order + code, value).ljust(field, b"\0")
    return body + bytes(field)


def tiff(width, height, pixels, *extra, order="<", big=False, **tags):
    """An uncompressed TIFF file of one strip, which comes last.

    ``tags`` are ``bits``, ``photometric`` and ``form`` (the sample format).
    """
    entries = [
        (256, LONG, 1, width),
        (257, LONG, 1, height),
        (258, SHORT, 1, tags.get("bits", 8)),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, tags.get("photometric", 1)),
        (273, LONG, 1, 0),
        (277, SHORT, 1, 1),
        (278, LONG, 1, height),
        (279, LONG, 1, len(pixels)),
        (339, SHORT, 1, tags.get("form", 1)),
        *extra,
    ]
    strip = len(header(order, big)) + len(directory(entries, order, big))
    entries[5] = (273, LONG, 1, strip)
    return header(order, big) + directory(entries, order, big) + pixels


def exif(orientation, order="<"):
    """The EXIF block of a camera that says how it was held, and nothing else."""
    return header(order) + directory([(274, SHORT, 1, orientation)], order)


def shared_values(tags, size, at):
    """Entries that all point at the same ``size`` bytes: ``tags * size`` bytes once copied."""
    return [(50_000 + i, BYTE, size, at) for i in range(tags)]


def exif_bomb(orientation, tags=1000, size=200_000):
    """Of 0.2 MB."""
    shared = shared_values(tags, size, 8 + 2 + 12 * (tags + 1) + 4)
    return header() + directory([(274, SHORT, 1, orientation), *shared]) + b"\1" * size


def tiff_bomb(tags=1000, size=200_000):
    return tiff(8, 8, b"\1" * size, *shared_values(tags, size, 0))


def tiff_bomb_below(tags=1000, size=200_000):
    """The main directory is innocent, and points to one that is not."""
    at = len(tiff(8, 8, bytes(64), (34665, LONG, 1, 0)))
    main = tiff(8, 8, bytes(64), (34665, LONG, 1, at))
    return main + directory(shared_values(tags, size, 0)) + b"\1" * size


def tiff_of_one_tile(side):
    """A picture of 16 by 16 pixels, stored in one deflated tile of ``side`` by ``side``."""
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(side)) for _ in range(side)) + packer.flush()
    entries = [
        (256, LONG, 1, 16),
        (257, LONG, 1, 16),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, 8),  # deflate
        (262, SHORT, 1, 1),
        (277, SHORT, 1, 1),
        (322, LONG, 1, side),
        (323, LONG, 1, side),
        (324, LONG, 1, 8 + 2 + 12 * 10 + 4),
        (325, LONG, 1, len(pixels)),
    ]
    return header() + directory(entries) + pixels


# -- JPEG --------------------------------------------------------------------------------------


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg_with(*segments, image=None, **options):
    """These segments in front, and no JFIF segment."""
    plain = encoded(image or photograph(), "JPEG", **options)
    (length,) = struct.unpack(">H", plain[4:6])
    return plain[:2] + b"".join(segments) + plain[4 + length :]


def exif_segments(block):
    """EXIF in as many segments as it takes; Pillow puts them together again."""
    parts = (block[i : i + 65_000] for i in range(0, len(block), 65_000))
    return [segment(0xE1, b"Exif\0\0" + part) for part in parts]


def jpeg_of_size(width, height):
    """A small file that claims another size."""
    data = encoded(photograph(), "JPEG")
    return patched(data, data.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def jpeg_of_scans(count):
    """A progressive file that draws its first scan again and again."""
    data = encoded(photograph(), "JPEG", progressive=True)
    starts = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    end = re.compile(rb"\xff[^\0]").search(data, starts[0] + 2).start()  # the next marker
    return data[:end] + data[starts[0] : end] * (count - len(starts)) + data[end:]


# -- others ------------------------------------------------------------------------------------


def webp_of_size(width, height):
    """A lossless file of one colour that claims another size."""
    data = encoded(Image.new("RGB", (1, 1)), "WEBP", lossless=True)
    sides = struct.pack("<I", (width - 1) | (height - 1) << 14)
    return patched(data, data.index(b"VP8L") + 9, sides)


def bmp_of_size(width, height):
    return patched(encoded(photograph(), "BMP"), 18, struct.pack("<ii", width, height))


def gif_of_size(width, height):
    return patched(encoded(photograph(mode="P"), "GIF"), 6, struct.pack("<HH", width, height))


def avif_with_exif(block):
    """With this block, which an encoder would have tidied."""
    place = Image.Exif()
    place[0x9999] = b"Z" * (len(block) + 64)
    stored = place.tobytes().removeprefix(b"Exif\0\0")
    data = encoded(photograph(), "AVIF", exif=place.tobytes())
    return patched(data, data.index(stored), block)


def media_file(*brands):
    """The first box of an ISO base media file: HEIC, AVIF and MP4 tell themselves apart there."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(body) + 4) + body + struct.pack(">I", 8) + b"mdat"
