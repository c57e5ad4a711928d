"""Pictures: the gate between files of strangers and models, and maps drawn over what models see."""

from __future__ import annotations

from mambaout.pictures.errors import Rejected
from mambaout.pictures.gate import OpenedPicture, open_picture, read_picture

__all__ = ["OpenedPicture", "Rejected", "open_picture", "read_picture"]
