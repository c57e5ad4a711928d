"""Which kind of file this is, by its first bytes; the name of a file is never asked."""

from __future__ import annotations

from typing import Final

from mambaout.pictures.errors import Rejected

ACCEPTED: Final = {  # Pillow's name of the format: ours
    "JPEG": "JPEG",
    "PNG": "PNG",
    "WEBP": "WebP",
    "GIF": "GIF",
    "BMP": "BMP",
    "TIFF": "TIFF",
    "AVIF": "AVIF",
}
ACCEPTED_IN_WORDS: Final = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
)
_OTHER_KINDS: Final = (
    (b"%!PS", "a PostScript (EPS) drawing"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript (EPS) drawing"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\1\0", "an icon file"),
    (b"PK\3\4", "a zip archive or office document"),
)
_HEIC: Final = "a HEIC picture"
_VIDEO: Final = "a video"
_SVG: Final = "an SVG drawing"
_HEIC_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"heif", b"mif1"}


def identify(data: bytes) -> str:
    """The key of ``ACCEPTED`` that ``data`` begins like.

    Raises:
        Rejected: ``empty``, or ``not_an_image`` for every other kind of file.
    """
    if not data:
        raise Rejected("empty", "This file is empty.")
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp" and _brands(data) & {b"avif", b"avis"}:
        return "AVIF"
    other = _other_kind(data)
    if other is None:
        raise Rejected(
            "not_an_image",
            "This file is not a picture: please choose a {formats} file.",
            formats=ACCEPTED_IN_WORDS,
        )
    raise Rejected(
        "not_an_image",
        "This is {kind}: please save it as {formats} first.",
        kind=other,
        formats=ACCEPTED_IN_WORDS,
    )


def _other_kind(data: bytes) -> str | None:
    for signature, kind in _OTHER_KINDS:
        if data.startswith(signature):
            return kind
    if data[4:8] == b"ftyp":
        return _HEIC if _brands(data) & _HEIC_BRANDS else _VIDEO
    if b"<svg" in data[:4096].lower():
        return _SVG
    return None


def _brands(data: bytes) -> set[bytes]:
    """The brands an ISO base media file (HEIC, AVIF, MP4) says it conforms to."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    # bytes 12 to 16 are a version number, not a brand
    return {data[8:12]} | {data[i : i + 4] for i in range(16, end, 4)}
