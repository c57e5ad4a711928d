"""The gate that every picture of a visitor passes: that of the library, under the page's name."""

from __future__ import annotations

from mambaout.pictures import OpenedPicture, Rejected, open_picture, read_picture

__all__ = ["OpenedPicture", "Rejected", "open_picture", "read_picture"]
